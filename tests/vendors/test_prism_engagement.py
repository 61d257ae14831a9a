"""Requests of Braze, Customer.io, Iterable and Klaviyo, as they are posted, against mock servers of their descriptions.

Braze publishes no description: the one used is made from its Postman collection, so that its mock checks the path, the
bearer token and that the body is a JSON object, and none of its fields. Customer.io's App API is described by others.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from activate.deliver.http import HttpCarrier
from activate.destinations import registry as destinations
from activate.destinations.base import CHANGE, MEMBER, ROW, USER_ID, Changes, Destination, Pending, Phase, Verdict
from activate.providers.base import HttpAnswer, HttpRequest, Outgoing, Provider
from activate.providers.registry import create
from tests.vendors.prism import Prism, description

pytestmark = pytest.mark.slow

AT = dt.datetime(2026, 3, 2, 12)
KEY = "a-key"
MAIL = {"subject": "Grüße", "html": "<b>héllo</b>", "text": "héllo", "preheader": "more"}
SHORT = {"title": "Grüße", "body": "héllo", "url": "https://e.com", "image": "https://e.com/a.png", "data": '{"a": 1}'}
BRAZE = {"app_id": "app", "from": "Shop <hello@shop.example.com>", "subscription_group_id": "group"}


@pytest.fixture(scope="module")
def braze() -> Iterator[str]:
    with Prism(description("prism/braze.json")) as mock:
        yield mock.url


@pytest.fixture(scope="module")
def track() -> Iterator[str]:
    with Prism(description("prism/customerio_track.json")) as mock:
        yield mock.url


@pytest.fixture(scope="module")
def app() -> Iterator[str]:
    with Prism(description("customerio_app_scaffold.yml")) as mock:
        yield mock.url


@pytest.fixture(scope="module")
def iterable() -> Iterator[str]:
    with Prism(description("prism/iterable.json")) as mock:
        yield mock.url


@pytest.fixture(scope="module")
def klaviyo() -> Iterator[str]:
    with Prism(description("prism/klaviyo.json")) as mock:
        yield mock.url


def post(request: HttpRequest) -> HttpAnswer:
    carrier = HttpCarrier(30)
    try:
        return carrier.carry(request)
    finally:
        carrier.close()


def message(n: int, channel: str, content: dict[str, str]) -> Outgoing:
    address = f"person{n}@example.com" if channel == "email" else "+15005550006"
    return Outgoing(f"{n:032x}", f"user{n}", "cart", 1, None, channel, address, content, ttl_seconds=3600)


def request_of(found: Provider, *batch: Outgoing) -> HttpRequest:
    assert [found.refuses(one) for one in batch] == [None] * len(batch)
    request = found.build(batch, AT)
    assert isinstance(request, HttpRequest)
    return request


def assert_taken(found: Provider, *batch: Outgoing) -> None:
    answer = post(request_of(found, *batch))
    assert 200 <= answer.status < 300, answer.body
    assert answer.status != 207


def wrong(request: HttpRequest, body: Any) -> int:
    """The status that a body which is not as described is answered with."""
    return post(replace(request, body=json.dumps(body).encode())).status


def changes(phase: Phase, count: int = 2, **fields: Any) -> Changes:
    rows = []
    for n in range(count):
        told: dict[str, Any] = {"change": "add", "user_id": f"user{n}", "member": f"user{n}", "fields": fields}
        rows.append({MEMBER: f"user{n}", USER_ID: f"user{n}", CHANGE: "add", ROW: json.dumps(told)})
    schema = pa.schema([(name, pa.string()) for name in (MEMBER, USER_ID, CHANGE, ROW)])
    return Changes("vips", "run-1", phase, pa.RecordBatch.from_pylist(rows, schema))


def audience(kind: str, url: str, **options: Any) -> Destination:
    return destinations.create("mine", {"type": kind, "url": url, **options})


def ask(found: Destination, part: Changes) -> HttpRequest:
    request = found.build(part, AT)
    assert isinstance(request, HttpRequest)
    return request


# -- Braze ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "channel", "content"),
    [
        (BRAZE, "email", MAIL),
        (BRAZE, "sms", {"body": "héllo"}),
        ({}, "push", SHORT),
        ({}, "web_push", SHORT),
        ({}, "card", SHORT),
        ({"send_by": "campaign", "campaign_id": "c"}, "whatsapp", SHORT),
        ({"send_by": "canvas", "canvas_id": "c"}, "whatsapp", SHORT),
        ({"send_by": "event"}, "whatsapp", SHORT),
    ],
)
def test_braze_has_these_paths(braze: str, options: dict[str, Any], channel: str, content: dict[str, str]) -> None:
    found = create("mine", {"type": "braze", "url": braze, "api_key": KEY, **options})
    assert_taken(found, message(1, channel, content), message(2, channel, content))


def test_braze_takes_attributes_at_this_path_and_refuses_what_is_no_object_or_has_no_bearer(braze: str) -> None:
    found = audience("braze", braze, api_key=KEY)
    request = ask(found, changes("upsert", first_name="A"))
    assert found.read(post(request), changes("upsert")) == Verdict()
    assert wrong(request, "text") == 422
    assert post(replace(request, headers={"Content-Type": "application/json"})).status == 401
    assert post(replace(request, url=f"{braze}/users/trac")).status == 404


# -- Customer.io ------------------------------------------------------------------------------------------------------


def test_customerio_events_are_as_described(track: str) -> None:
    section = {"type": "customerio", "send_by": "event", "track_url": track, "site_id": "site", "track_key": KEY}
    found = create("mine", section)
    batch = [message(1, "email", MAIL), message(2, "push", SHORT)]
    assert_taken(found, *batch)
    request = request_of(found, *batch)
    item = json.loads(request.body)["batch"][0]
    assert wrong(request, {"batch": [{**item, "identifiers": {}}]}) in (400, 422)
    assert post(replace(request, headers={**request.headers, "Authorization": "Bearer x"})).status == 401


@pytest.mark.parametrize("phase", ["upsert", "remove"])
def test_customerio_audiences_are_as_described(track: str, phase: Phase) -> None:
    marked = audience("customerio", track, site_id="site", track_key=KEY, attribute="vip")
    part = changes(phase, first_name="A")
    assert marked.read(post(ask(marked, part)), part) == Verdict()
    segment = audience("customerio", track, site_id="site", track_key=KEY, segment_id=7)
    request = ask(segment, changes(phase))
    assert segment.read(post(request), part) == Verdict()
    assert wrong(request, {"ids": []}) in (400, 422)
    assert wrong(request, {"ids": [f"{n}" for n in range(1_001)]}) in (400, 422)


@pytest.mark.parametrize(("channel", "content"), [("email", MAIL), ("push", SHORT)])
def test_customerio_messages_are_as_others_describe_them(app: str, channel: str, content: dict[str, str]) -> None:
    section = {"type": "customerio", "send_by": "transactional", "url": app, "app_key": KEY, "from": "a@e.com",
               "transactional_message_id": "7"}  # fmt: skip
    found = create("mine", section)
    one = message(1, channel, content)
    request = request_of(found, one)
    # The mock has no base path: /v1 is in the description's server.
    posted = replace(request, url=request.url.replace("/v1/", "/"))
    assert post(posted).status == 200
    assert wrong(posted, {"to": "a@e.com"}) in (400, 422)


def test_customerio_members_are_asked_for_as_others_describe_it(app: str) -> None:
    found = audience("customerio", app, site_id="s", track_key=KEY, segment_id=7, app_key=KEY, app_url=app)
    question = found.ask_members("vips")
    assert isinstance(question, HttpRequest)
    assert post(replace(question, url=question.url.replace("/v1/", "/"))).status == 200


# -- Iterable ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channel", ["email", "sms", "push", "web_push", "in_app", "whatsapp"])
def test_iterable_sends_are_as_described(iterable: str, channel: str) -> None:
    found = create(
        "mine", {"type": "iterable", "url": iterable, "api_key": KEY, "send_by": "campaign", "campaign_id": 7}
    )
    assert_taken(found, message(1, channel, SHORT))
    request = request_of(found, message(1, channel, SHORT))
    assert wrong(request, {"recipientUserId": "user1"}) == 400
    assert wrong(request, {**json.loads(request.body), "campaignId": "seven"}) == 400


def test_iterable_events_are_as_described(iterable: str) -> None:
    found = create("mine", {"type": "iterable", "url": iterable, "api_key": KEY, "send_by": "event"})
    request = request_of(found, message(1, "email", MAIL), message(2, "email", MAIL))
    assert post(request).status == 200
    assert wrong(request, {"events": [{"email": "a@e.com"}]}) == 400
    headers = {name: value for name, value in request.headers.items() if name != "Api-Key"}
    assert post(replace(request, headers=headers)).status == 401


@pytest.mark.parametrize("phase", ["upsert", "remove"])
def test_iterable_lists_are_as_described(iterable: str, phase: Phase) -> None:
    found = audience("iterable", iterable, api_key=KEY, list_id=7)
    request = ask(found, changes(phase, first_name="A"))
    assert post(request).status == 200
    assert wrong(request, {"subscribers": []}) == 400
    question = found.ask_members("vips")
    assert isinstance(question, HttpRequest)
    assert post(question).status == 200


# -- Klaviyo ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 100])
def test_klaviyo_events_are_as_described(klaviyo: str, batch: int) -> None:
    found = create("mine", {"type": "klaviyo", "url": klaviyo, "api_key": KEY, "batch": batch, "known_by": "address"})
    some = [message(n, "email", {**MAIL, "data": '{"a": 1}'}) for n in range(min(batch, 3))]
    assert_taken(found, *some)
    request = request_of(found, *some)
    assert wrong(request, {"data": {"type": "event", "attributes": {}}}) in (400, 422)
    headers = {name: value for name, value in request.headers.items() if name != "revision"}
    assert post(replace(request, headers=headers)).status in (400, 422)


def test_klaviyo_imports_and_their_jobs_are_as_described(klaviyo: str) -> None:
    found = audience("klaviyo", klaviyo, api_key=KEY, list_id="Y6nRLr")
    part = changes("upsert", email="a@e.com", first_name="A", lifetime_value=10)
    request = ask(found, part)
    answer = post(request)
    assert answer.status == 202
    # The mock's example of a job is one that was cancelled.
    assert found.read(answer, part) == Verdict("failed", "job_cancelled")
    for status, failed, path in (("queued", 0, "/job"), ("complete", 1, "/job/import-errors")):
        job = {"data": {"id": "job", "attributes": {"status": status, "failed_count": failed}}}
        told = found.read(HttpAnswer(202, {}, json.dumps(job).encode()), part)
        assert isinstance(told, Pending)
        assert told.request is not None
        assert told.request.url.partition("?")[0] == f"{klaviyo}/api/profile-bulk-import-jobs{path}"
        assert post(told.request).status == 200
    assert wrong(request, {"data": {"type": "profile-bulk-import-job"}}) in (400, 422)


def test_klaviyo_removals_and_members_are_as_described(klaviyo: str) -> None:
    found = audience("klaviyo", klaviyo, api_key=KEY, list_id="Y6nRLr")
    part = changes("remove", 100)
    answer = post(ask(found, part))
    assert answer.status == 200
    told = found.read(answer, part)
    assert isinstance(told, Pending)
    assert told.request is not None
    taken = post(told.request)
    assert (taken.status, found.read(taken, part)) == (204, Verdict())
    assert wrong(told.request, {"data": [{"id": "x"}]}) in (400, 422)
    question = found.ask_members("vips")
    assert isinstance(question, HttpRequest)
    assert post(question).status == 200
