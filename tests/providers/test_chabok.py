"""Chabok: what is sent, and what its count of devices means."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from activate.providers.base import HttpAnswer, HttpRequest, Outgoing, Provider
from activate.providers.registry import create
from tests.providers.vendors import chabok

AT = dt.datetime(2026, 3, 2, 12)


def _provider(**options: Any) -> Provider:
    return create("mine", {"type": "chabok", **chabok.Peer().section, **options})


def _message(address: str = "user", **content: str) -> Outgoing:
    return Outgoing("1" * 32, "u1", "hello", 1, None, "push", address, {"body": "b", **content})


def _request(provider: Provider, message: Outgoing) -> HttpRequest:
    request = provider.build([message], AT)
    assert isinstance(request, HttpRequest)
    return request


def test_a_message_without_a_title_is_its_own_notification() -> None:
    assert json.loads(_request(_provider(), _message()).body) == {
        "user": "user", "content": "b", "clientId": "1" * 32, "trackId": "hello", "useAsAlert": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("image", "media"),
    [("https://e.com/a.JPG?w=1", "jpeg"), ("https://e.com/a.png", "png"), ("https://e.com/a.webp", None), ("", None)],
)
def test_a_notification_shows_pictures_of_known_kinds(image: str, media: str | None) -> None:
    shown = json.loads(_request(_provider(), _message(title="t", url="shop://x", image=image)).body)["notification"]
    assert (shown["title"], shown["clickUrl"], shown.get("mediaType")) == ("t", "shop://x", media)
    assert (shown.get("mediaUrl"), shown.get("mutableContent")) == ((image, True) if media else (None, None))


def test_the_method_the_channel_and_a_key_of_any_letters_go_where_they_belong() -> None:
    request = _request(_provider(method="notifyUsers", channel="private/default", access_token="a&b=c d"), _message())
    assert request.url == "https://shop.push.adpdigital.com/api/push/notifyUsers?access_token=a%26b%3Dc%20d"
    assert json.loads(request.body)["channel"] == "private/default"


@pytest.mark.parametrize(
    ("message", "code"),
    [(_message("*"), "bad_address"), (_message(" * "), "bad_address"), (_message(data="["), "bad_data"),
     (_message(body=""), "no_body"), (_message(), None)],
)  # fmt: skip
def test_everybody_is_no_address(message: Outgoing, code: str | None) -> None:
    assert _provider().refuses(message) == code


@pytest.mark.parametrize(
    ("body", "expected"),
    [(b'{"count": 0}', ("rejected", "no_device")), (b'{"count": 3}', ("accepted", None)), (b"", ("accepted", None))],
)
def test_no_device_means_that_nobody_got_it(body: bytes, expected: tuple[str, str | None]) -> None:
    (outcome,) = _provider().read(HttpAnswer(200, {}, body), [_message()])
    assert (outcome.status, outcome.error_code, outcome.lost) == (*expected, None)
