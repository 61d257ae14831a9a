"""Requests for chats and text messages, as they are posted, against mock servers made from the vendors' descriptions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from activate.deliver.http import HttpCarrier
from activate.providers.base import HttpAnswer, HttpRequest, Outcome, Outgoing, Provider
from activate.providers.registry import create
from tests.providers.vendors import SECRET
from tests.vendors.prism import Prism, description

pytestmark = pytest.mark.slow

AT = dt.datetime(2026, 3, 2, 12)
ACCOUNT = {"account_sid": "AC" + "0a" * 16, "key": "SK" + "0b" * 16, "secret": SECRET}


def _request(provider: Provider, message: Outgoing) -> HttpRequest:
    request = provider.build([message], AT)
    assert isinstance(request, HttpRequest)
    return request


def _post(request: HttpRequest) -> HttpAnswer:
    carrier = HttpCarrier(30)
    try:
        return carrier.carry(request)
    finally:
        carrier.close()


def _outcome(provider: Provider, message: Outgoing) -> Outcome:
    (outcome,) = provider.read(_post(_request(provider, message)), [message])
    return outcome


def _message(address: str, **content: str) -> Outgoing:
    return Outgoing("1" * 32, "u1", "c", 1, None, "any", address, content or {"body": "Grüße €"}, ttl_seconds=3600)


@pytest.fixture(scope="module")
def twilio() -> Iterator[str]:
    with Prism(description("twilio_api_v2010.json")) as mock:
        yield mock.url


@pytest.fixture(scope="module")
def slack() -> Iterator[str]:
    # Without `errors`: the description's own example breaks its schema. Requests are checked all the same.
    with Prism(description("slack_v2.json"), errors=False) as mock:
        yield mock.url


@pytest.fixture(scope="module")
def sendbird() -> Iterator[str]:
    with Prism(description("sendbird.yaml"), errors=False) as mock:  # likewise
        yield mock.url


ONE_STRING = pytest.mark.xfail(
    reason="Prism 5.14 takes a form field for one text, however often it is repeated, where the description has a list",
    strict=True,
)
PICTURE = "https://a.example/1.png"
SMS = [
    ("twilio", {"from": "MG" + "0c" * 16, "opt_out": "Reply STOP to end"}, {"body": "Grüße €"}),
    ("twilio", {"from": "+14155552345", "status_callback": "https://example.com/t?m={message_id}"}, {"body": "Hi"}),
    ("whatsapp", {"from": "+14155552345"}, {"content_sid": "HX" + "0e" * 16, "content_variables": '{"1": "Zoë"}'}),
    ("whatsapp", {"from": "MG" + "0c" * 16}, {"body": "Hi"}),
    pytest.param("twilio", {"from": "+14155552345"}, {"body": "Hi", "media_url": PICTURE}, marks=ONE_STRING),
    pytest.param("whatsapp", {"from": "+14155552345"}, {"body": "Hi", "media_url": PICTURE}, marks=ONE_STRING),
]


@pytest.mark.parametrize(("kind", "options", "content"), SMS)
def test_twilio_takes_each_kind_of_message(
    twilio: str, kind: str, options: dict[str, Any], content: dict[str, str]
) -> None:
    provider = create("mine", {"type": kind, "url": twilio, **ACCOUNT, **options})
    outcome = _outcome(provider, _message("+4915100000001", **content))
    assert (outcome.status, outcome.provider_message_id) == ("accepted", "SM" + "a" * 32)


def test_twilios_mock_refuses_what_its_description_does_not_allow(twilio: str) -> None:
    provider = create("mine", {"type": "twilio", "url": twilio, **ACCOUNT, "from": "MG" + "0c" * 16})
    request = _request(provider, _message("+4915100000001"))
    assert _post(request).status == 201
    without_to = b"&".join(part for part in request.body.split(b"&") if not part.startswith(b"To="))
    assert _post(replace(request, body=without_to)).status == 422
    assert _post(replace(request, body=request.body.replace(b"=3600", b"=soon"))).status == 422
    anonymous = {key: value for key, value in request.headers.items() if key != "Authorization"}
    assert _post(replace(request, headers=anonymous)).status == 401
    assert _post(replace(request, url=request.url.replace("AC0a", "XX0a"))).status == 422


@pytest.mark.parametrize("content", [{"body": "a < b"}, {"body": "Look", "media_url": "https://a.example/1.png"}])
def test_slack_takes_a_message(slack: str, content: dict[str, str]) -> None:
    provider = create("mine", {"type": "slack", "url": slack, "token": SECRET})
    message = _message("U012", **content)
    request = _request(provider, message)
    # The description (2021, archived) still asks for the token in a header of that name.
    answer = _post(replace(request, headers={**request.headers, "token": SECRET}))
    (outcome,) = provider.read(answer, [message])
    assert (outcome.status, outcome.provider_message_id) == ("accepted", "1503435956.000247")


def test_slacks_mock_refuses_what_its_description_does_not_allow(slack: str) -> None:
    provider = create("mine", {"type": "slack", "url": slack, "token": SECRET})
    request = _request(provider, _message("U012"))
    headers = {**request.headers, "token": SECRET}
    assert _post(replace(request, headers=headers)).status == 200
    for right, wrong in ((b"channel=", b"to="), (b"mrkdwn=false", b"mrkdwn=no")):
        assert right in request.body
        assert _post(replace(request, headers=headers, body=request.body.replace(right, wrong))).status == 422


@pytest.mark.parametrize("to", ["user", "channel"])
def test_sendbird_takes_a_message(sendbird: str, to: str) -> None:
    provider = create("mine", {"type": "sendbird", "url": sendbird, "application": "A-1", "token": SECRET, "sender": "shop",
                               "to": to, "custom_type": "promo"})  # fmt: skip
    assert _outcome(provider, _message("person-1", body="Grüße €", data='{"a": 1}')).status == "accepted"


def test_sendbirds_mock_refuses_what_its_description_does_not_allow(sendbird: str) -> None:
    provider = create("mine", {"type": "sendbird", "url": sendbird, "application": "A-1", "token": SECRET, "sender": "shop",
                               "to": "channel"})  # fmt: skip
    request = _request(provider, _message(quote("group 1")))
    assert _post(request).status == 200
    assert _post(replace(request, body=request.body.replace(b'"MESG"', b'"TEXT"'))).status == 422
    assert _post(replace(request, body=request.body.replace(b'"user_id"', b'"sender"'))).status == 422
    user = create(
        "mine", {"type": "sendbird", "url": sendbird, "application": "A-1", "token": SECRET, "sender": "shop"}
    )
    announced = _request(user, _message("person-1"))
    assert _post(announced).status == 200
    assert _post(replace(announced, body=announced.body.replace(b'["person-1"]', b'"person-1"'))).status == 422
