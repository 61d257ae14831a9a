"""Our requests against the vendors' own API descriptions: SendGrid, Mailgun, Postmark and Mailchimp."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from activate.deliver.http import HttpCarrier
from activate.destinations.base import CHANGE, MEMBER, ROW, USER_ID, Changes, Destination, Pending, Phase
from activate.destinations.registry import create as destination
from activate.providers.base import HttpAnswer, HttpRequest, Outgoing, Provider, Unusable
from activate.providers.registry import create
from tests.providers.vendors import peer
from tests.vendors.prism import Prism, description

pytestmark = pytest.mark.slow

AT = dt.datetime(2026, 3, 2, 12)
# The mock does not put a server's base path into its routes.
FILES = {
    "sendgrid": ("sendgrid_oai.json", "/v3"),
    "mailgun": ("prism/mailgun.json", ""),
    "postmark": ("postmark.json", ""),
}


def batch(kind: str, count: int = 3) -> list[Outgoing]:
    mine = peer(kind)
    return [
        Outgoing(f"{n:032x}", f"u{n}", "hello", 1, None, "email", mine.address(n), mine.content, tags=("a", "b"),
                 ttl_seconds=3600)
        for n in range(count)
    ]  # fmt: skip


@pytest.fixture(scope="module", params=list(FILES))
def vendor(request: pytest.FixtureRequest) -> Iterator[tuple[str, str, HttpCarrier]]:
    """A vendor's name, where its mock answers, and a connection."""
    file, _ = FILES[request.param]
    carrier = HttpCarrier(30)
    with Prism(description(file)) as prism:
        yield request.param, prism.url, carrier
    carrier.close()


def made(vendor: tuple[str, str, HttpCarrier], **options: Any) -> tuple[Provider, HttpRequest]:
    """The provider and its request for three messages, at the mock's address."""
    kind, url, _ = vendor
    mine = create("mine", {"type": kind, **peer(kind).section, "url": url, **options})
    request = mine.build(batch(kind), AT)
    assert isinstance(request, HttpRequest)
    return mine, replace(request, url=request.url.replace(f"{url}{FILES[kind][1]}", url))


def test_what_we_send_is_what_the_vendor_describes(vendor: tuple[str, str, HttpCarrier]) -> None:
    kind, _, carrier = vendor
    more = {"sendgrid": {"unsubscribe_group": 7, "ip_pool": "main", "sandbox": True},
            "mailgun": {"tracking": "htmlonly", "require_tls": True, "test_mode": True}}  # fmt: skip
    for options in ({}, more.get(kind, {})):
        mine, request = made(vendor, **options)
        answer = carrier.carry(request)
        assert answer.status in (200, 202), answer.body
        if kind != "postmark":  # the mock's fixed answer has one result for three messages
            assert {outcome.status for outcome in mine.read(answer, batch(kind))} == {"accepted"}


def test_the_mock_refuses_what_the_vendor_does_not_describe(vendor: tuple[str, str, HttpCarrier]) -> None:
    kind, _, carrier = vendor
    _, request = made(vendor)
    if kind == "mailgun":
        body = request.body.replace(b'name="from"', b'name="form"')
    else:
        told = json.loads(request.body)
        if kind == "sendgrid":
            del told["from"]
        else:
            told[0]["Headers"] = "List-Unsubscribe"
        body = json.dumps(told).encode()
    answer = carrier.carry(replace(request, body=body))
    assert answer.status in (400, 422)


def test_a_request_without_credentials_stops_the_provider(vendor: tuple[str, str, HttpCarrier]) -> None:
    kind, _, carrier = vendor
    if kind == "postmark":
        pytest.skip("its description asks for the token as a parameter, so that the mock answers 422")
    mine, request = made(vendor)
    bare = {name: value for name, value in request.headers.items() if name != "Authorization"}
    answer = carrier.carry(replace(request, headers=bare))
    assert answer.status == 401
    with pytest.raises(Unusable):
        mine.read(answer, batch(kind))


# -- Mailchimp's lists ------------------------------------------------------------------------------------------------

KEY = "a-key-us21"


@pytest.fixture(scope="module")
def mailchimp() -> Iterator[tuple[Destination, HttpCarrier]]:
    carrier = HttpCarrier(30)
    with Prism(description("mailchimp_marketing.json")) as prism:
        section = {"type": "mailchimp", "api_key": KEY, "list_id": "ab12cd34ef", "tags": "VIP", "url": prism.url}
        yield destination("mine", section), carrier
    carrier.close()


def changes(change: str) -> Changes:
    fields = {"email_address": "a@private.example.com", "FNAME": "Ann", "language": "de", "vip": True, "tags": "x"}
    member = hashlib.md5(b"a@private.example.com", usedforsecurity=False).hexdigest()
    row = {MEMBER: member, USER_ID: "u1", CHANGE: change, ROW: json.dumps({"fields": fields})}
    phase: Phase = "remove" if change == "remove" else "upsert"
    return Changes("vip", "run-1", phase, pa.RecordBatch.from_pylist([row]))


@pytest.mark.parametrize("change", ["add", "update", "remove"])
def test_what_we_tell_mailchimp_is_what_it_describes(mailchimp: tuple[Destination, HttpCarrier], change: str) -> None:
    mine, carrier = mailchimp
    request = mine.build(changes(change), AT)
    assert isinstance(request, HttpRequest)
    answer = carrier.carry(request)
    assert answer.status == 200, answer.body
    wrong = request.body.replace(b'"members"', b'"people"').replace(b'"method":"DELETE"', b'"method":"ARCHIVE"')
    assert wrong != request.body
    assert carrier.carry(replace(request, body=wrong)).status in (400, 422)


def test_what_we_ask_mailchimp_is_what_it_describes(mailchimp: tuple[Destination, HttpCarrier]) -> None:
    mine, carrier = mailchimp
    question = mine.ask_members("vip")
    assert isinstance(question, HttpRequest)
    page = carrier.carry(question)
    assert page.status == 200, page.body
    assert len(mine.read_members(page).members) == 1
    wrong = replace(question, url=question.url.replace("count=1000", "count=1001"))
    assert carrier.carry(wrong).status in (400, 422)
    told = mine.read(HttpAnswer(200, {}, b'{"id": "123abc", "status": "pending"}'), changes("remove"))
    assert isinstance(told, Pending)
    assert told.request is not None
    assert carrier.carry(told.request).status == 200


def test_mailchimp_refuses_a_request_without_its_key(mailchimp: tuple[Destination, HttpCarrier]) -> None:
    mine, carrier = mailchimp
    request = mine.build(changes("add"), AT)
    assert isinstance(request, HttpRequest)
    bare = {name: value for name, value in request.headers.items() if name != "Authorization"}
    answer = carrier.carry(replace(request, headers=bare))
    assert answer.status == 401
    with pytest.raises(Unusable):
        mine.read(answer, changes("add"))
