"""Firebase and OneSignal: requests as they are posted, judged by mock servers made from the vendors' descriptions."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from activate.deliver.http import HttpCarrier
from activate.providers.base import HttpAnswer, HttpRequest, Outgoing, Provider
from activate.providers.registry import create
from tests.providers.vendors import fcm, onesignal
from tests.vendors.prism import Prism, description

pytestmark = pytest.mark.slow

AT = dt.datetime(2026, 3, 2, 12)
PUSH = {"title": "Tea", "body": "Your cart waits", "url": "https://shop.example.com/cart",
        "image": "https://shop.example.com/tea.jpg", "data": '{"cart": 42}'}  # fmt: skip


@pytest.fixture
def carrier() -> Iterator[HttpCarrier]:
    made = HttpCarrier(20)
    yield made
    made.close()


def _message(content: dict[str, str] = PUSH, channel: str = "push", address: str = "a-token") -> Outgoing:
    return Outgoing(f"{1:032x}", "u1", "hello", 1, None, channel, address, content, ttl_seconds=3600)


def _post(provider: Provider, carrier: HttpCarrier, message: Outgoing, **headers: str) -> HttpAnswer:
    request = provider.build([message], AT)
    assert isinstance(request, HttpRequest)
    return carrier.carry(replace(request, headers={**request.headers, **headers}))


@pytest.fixture(scope="module")
def firebase() -> Iterator[str]:
    with Prism(description("prism/fcm_v1.json")) as server:
        yield server.url


def _fcm(url: str, **options: Any) -> Provider:
    return create("mine", {"type": "fcm", **fcm.Peer().section, "url": url, **options})


@pytest.mark.parametrize("options", [{}, {"collapse": True, "analytics_label": True}])
def test_firebase_takes_what_we_post(firebase: str, carrier: HttpCarrier, options: dict[str, Any]) -> None:
    provider = _fcm(firebase, **options)
    for content in (PUSH, {"body": "short"}):
        answer = _post(provider, carrier, _message(content), Authorization="Bearer x")
        assert (answer.status, json.loads(answer.body).keys() >= {"name"}) == (200, True)
        assert provider.read(answer, [_message()])[0].status == "accepted"


def test_firebase_is_asked_with_a_token(firebase: str, carrier: HttpCarrier) -> None:
    assert _post(_fcm(firebase), carrier, _message()).status == 401


@pytest.mark.parametrize("spoilt", [{"data": {"cart": 42}}, {"notification": "Tea"}, {"android": {"priority": "LOUD"}}])
def test_the_mock_of_firebase_refuses_what_is_wrong(
    firebase: str, carrier: HttpCarrier, spoilt: dict[str, Any]
) -> None:
    request = _fcm(firebase).build([_message()], AT)
    assert isinstance(request, HttpRequest)
    body = json.loads(request.body)
    body["message"] |= spoilt
    answer = carrier.carry(replace(request, headers={**request.headers, "Authorization": "Bearer x"},
                                   body=json.dumps(body).encode()))  # fmt: skip
    assert answer.status == 422


@pytest.fixture(scope="module")
def one_signal() -> Iterator[str]:
    with Prism(description("onesignal_api.json")) as server:
        yield server.url


def _onesignal(url: str, **options: Any) -> Provider:
    return create("mine", {"type": "onesignal", **onesignal.Peer().section, "url": url, **options})


# The description is of 2023, when keys were sent as `Bearer`; now they are sent as `Key`.
OF_2023 = {"Authorization": "Bearer x"}


@pytest.mark.parametrize(
    ("channel", "content"),
    [("push", PUSH), ("web_push", {"body": "short"}), ("email", {"subject": "Tea", "html": "<p>Hi</p>"}),
     ("sms", {"body": "Hi", "media_url": "https://shop.example.com/tea.jpg"})],
)  # fmt: skip
@pytest.mark.parametrize("target", ["subscription_id", "external_id"])
def test_onesignal_takes_what_we_post(
    one_signal: str, carrier: HttpCarrier, channel: str, content: dict[str, str], target: str
) -> None:
    provider = _onesignal(one_signal, target=target, sms_from="+15550100", collapse=True)
    answer = _post(provider, carrier, _message(content, channel), **OF_2023)
    assert answer.status == 200
    assert provider.read(answer, [_message(content, channel)])[0].status == "accepted"


def test_onesignal_says_that_there_is_too_much_of_us(one_signal: str, carrier: HttpCarrier) -> None:
    provider = _onesignal(one_signal)
    answer = _post(provider, carrier, _message(), **OF_2023, Prefer="code=429")
    assert provider.read(answer, [_message()])[0].status == "failed"


@pytest.mark.parametrize("spoilt", [{"app_id": None}, {"contents": "Hi"}, {"ttl": "soon"}])
def test_the_mock_of_onesignal_refuses_what_is_wrong(
    one_signal: str, carrier: HttpCarrier, spoilt: dict[str, Any]
) -> None:
    request = _onesignal(one_signal).build([_message()], AT)
    assert isinstance(request, HttpRequest)
    body = {**json.loads(request.body), **spoilt}
    answer = carrier.carry(replace(request, headers={**request.headers, **OF_2023}, body=json.dumps(body).encode()))
    assert answer.status == 400
