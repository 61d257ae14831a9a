"""HubSpot's and Intercom's requests against mock servers made from their API descriptions."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from activate.deliver.http import HttpCarrier
from activate.destinations.base import CHANGE, MEMBER, ROW, USER_ID, Changes, Destination, Page, Pending, Phase, Verdict
from activate.destinations.registry import create as create_destination
from activate.providers.base import HttpAnswer, HttpRequest, Outgoing
from activate.providers.json_api import json_request
from activate.providers.registry import create as create_provider
from tests.vendors.prism import Prism, description

pytestmark = pytest.mark.slow

AT = dt.datetime(2026, 3, 2, 12)
CONTACT = "6762f0dd1bb69f9f2193bb83"


class Wire:
    """Posts to the mock server, which leaves a base path out of its routes, and remembers what was posted."""

    def __init__(self, url: str, base: str = "") -> None:
        self._url, self._base, self._carrier = url, base, HttpCarrier(30.0)
        self.posted: list[str] = []

    def post(self, request: HttpRequest) -> HttpAnswer:
        path = request.url.removeprefix(self._url)
        assert path.startswith(self._base)
        self.posted.append(f"{request.method} {path}")
        return self._carrier.carry(replace(request, url=self._url + path.removeprefix(self._base)))


def changes(*members: str, phase: Phase = "upsert", fields: dict[str, Any] | None = None) -> Changes:
    rows = [
        {MEMBER: member, USER_ID: member, CHANGE: "add", ROW: json.dumps({"member": member, "fields": fields or {}})}
        for member in members
    ]
    schema = pa.schema([(name, pa.string()) for name in (MEMBER, USER_ID, CHANGE, ROW)])
    return Changes("vip", "run-1", phase, pa.RecordBatch.from_pylist(rows, schema))


def first(destination: Destination, batch: Changes) -> HttpRequest:
    found = destination.build(batch, AT)
    assert isinstance(found, HttpRequest)
    return found


def message(channel: str, address: str, **content: str) -> Outgoing:
    return Outgoing("f" * 32, "ada", "hello", 1, None, channel, address, content)


# -- HubSpot --------------------------------------------------------------------------------------------------------------

LISTS = "/crm/v3/lists"


@pytest.fixture(scope="module")
def lists() -> Iterator[Wire]:
    with Prism(description("prism/hubspot_lists_memberships.json")) as prism:
        yield Wire(prism.url, LISTS)


@pytest.fixture
def hubspot(lists: Wire) -> Destination:
    return create_destination("mine", {"type": "hubspot", "list_id": "42", "access_token": "pat", "url": lists._url})


@pytest.mark.parametrize("phase", ["upsert", "remove"])
def test_hubspot_takes_a_change_of_a_list(lists: Wire, hubspot: Destination, phase: Phase) -> None:
    answer = lists.post(first(hubspot, changes("101", "102", phase=phase)))
    assert answer.status == 200
    assert isinstance(hubspot.read(answer, changes("101", "102", phase=phase)), Verdict)


def test_hubspot_takes_a_question_for_the_members_of_a_list(lists: Wire, hubspot: Destination) -> None:
    question = hubspot.ask_members("vip")
    assert isinstance(question, HttpRequest)
    page = hubspot.read_members(lists.post(question))
    assert isinstance(page, Page)
    assert isinstance(page.more, HttpRequest)
    assert lists.post(page.more).status == 200


def test_the_mock_of_hubspots_lists_refuses_what_is_wrong(lists: Wire) -> None:
    wrong = json_request(
        f"{lists._url}{LISTS}/42/memberships/add", {"Authorization": "Bearer pat"}, {"recordIds": ["101"]}, "PUT"
    )
    assert lists.post(wrong).status == 422


@pytest.fixture(scope="module")
def single_send(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    """The description says that a custom property is an object; HubSpot's guide shows texts, so texts are let in."""
    found = json.loads(description("prism/hubspot_transactional.json").read_text())
    egg = found["components"]["schemas"]["PublicSingleSendRequestEgg"]["properties"]
    assert egg["customProperties"]["additionalProperties"] == {"type": "object", "properties": {}}
    egg["customProperties"]["additionalProperties"] = {"type": "string"}
    edited: Path = tmp_path_factory.mktemp("hubspot") / "transactional.json"
    edited.write_text(json.dumps(found))
    with Prism(edited) as prism:
        yield Wire(prism.url, "/marketing/v3/transactional")


def test_hubspot_takes_a_transactional_email(single_send: Wire) -> None:
    section = {
        "type": "hubspot",
        "access_token": "pat",
        "email_id": 4126,
        "url": single_send._url,
        "from": "a@example.com",
    }
    provider = create_provider("mine", section)
    batch = [message("email", "dana@example.com", subject="Hello", html="<b>you</b>")]
    request = provider.build(batch, AT)
    assert isinstance(request, HttpRequest)
    answer = single_send.post(request)
    assert answer.status == 200
    assert provider.read(answer, batch)[0].status == "accepted"


def test_the_mock_of_hubspots_single_send_refuses_what_is_wrong(single_send: Wire) -> None:
    url = f"{single_send._url}/marketing/v3/transactional/single-email/send"
    assert (
        single_send.post(
            json_request(url, {"Authorization": "Bearer pat"}, {"emailId": "x", "message": {"sendId": "1"}})
        ).status
        == 422
    )


# -- Intercom -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def intercom(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    """The description, but for `nullable` without `type`, at which the mock server gives up on checking a body."""
    found = yaml.load(description("intercom_2.15.yaml").read_bytes(), yaml.CSafeLoader)
    _drop_bare_nullable(found)
    edited: Path = tmp_path_factory.mktemp("intercom") / "intercom.json"
    edited.write_text(json.dumps(found, default=str))
    with Prism(edited, errors=False) as prism:
        yield Wire(prism.url)


def _drop_bare_nullable(part: Any) -> None:
    if isinstance(part, dict):
        if part.get("nullable") is True and "type" not in part:
            del part["nullable"]
        for inner in part.values():
            _drop_bare_nullable(inner)
    elif isinstance(part, list):
        for inner in part:
            _drop_bare_nullable(inner)


@pytest.fixture
def tags(intercom: Wire) -> Destination:
    section = {"type": "intercom", "tag_id": "7522907", "access_token": "dG9r", "url": intercom._url}
    return create_destination("mine", section)


def _found(external_id: str) -> HttpAnswer:
    data = [{"type": "contact", "id": CONTACT, "external_id": external_id}]
    return HttpAnswer(200, {}, json.dumps({"type": "list", "data": data}).encode())


FIELDS = {"email": "dana@example.com", "name": None, "signed_up_at": 1571672154, "unsubscribed_from_emails": False,
          "orders": 3, "plan": "pro"}  # fmt: skip


@pytest.mark.parametrize("known", [False, True], ids=["a new contact", "a contact that is known"])
def test_intercom_takes_every_step_of_a_tag(intercom: Wire, tags: Destination, known: bool) -> None:
    batch = changes("ada", fields=FIELDS)
    answer = intercom.post(first(tags, batch))
    assert answer.status == 200
    found = tags.read(_found("ada") if known else answer, batch)
    while isinstance(found, Pending):
        assert found.request is not None
        answer = intercom.post(found.request)
        assert answer.status == 200, answer.body[:500]
        found = tags.resume(found, answer, batch)
    assert found.status == "accepted"


def test_intercom_takes_the_removal_of_a_tag(intercom: Wire, tags: Destination) -> None:
    batch = changes("ada", phase="remove")
    found = tags.read(_found("ada"), batch)
    assert isinstance(found, Pending)
    assert found.request is not None
    assert tags.resume(found, intercom.post(found.request), batch) == Verdict()


def test_intercom_takes_a_question_for_the_contacts_with_a_tag(intercom: Wire, tags: Destination) -> None:
    question = tags.ask_members("vip")
    assert isinstance(question, HttpRequest)
    assert tags.read_members(intercom.post(question)) == Page([])


@pytest.mark.parametrize(
    ("channel", "content"),
    [("in_app", {"title": "Hi", "body": "Hello"}), ("email", {"subject": "Hi", "html": "<b>you</b>"})],
)
def test_intercom_takes_a_message(intercom: Wire, channel: str, content: dict[str, str]) -> None:
    section = {"type": "intercom", "access_token": "dG9r", "admin_id": "394051", "url": intercom._url}
    provider = create_provider("mine", section)
    batch = [message(channel, CONTACT, **content)]
    request = provider.build(batch, AT)
    assert isinstance(request, HttpRequest)
    answer = intercom.post(request)
    assert answer.status == 200
    assert provider.read(answer, batch)[0].status == "accepted"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/messages", {"message_type": "in_app"}),
        ("/contacts/search", []),
        ("/contacts/search", {"query": 5}),
        (f"/contacts/{CONTACT}/tags", {"tag": "x"}),
    ],
)
def test_the_mock_of_intercom_refuses_what_is_wrong(intercom: Wire, path: str, body: dict[str, Any]) -> None:
    assert intercom.post(json_request(f"{intercom._url}{path}", {"Authorization": "Bearer x"}, body)).status in (
        400,
        422,
    )
