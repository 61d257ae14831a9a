"""Apple: what is sent, tokens, sizes, and what each answer means. Over real HTTP/2: tests/deliver/test_http2.py."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import uuid
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from activate.providers.base import HttpAnswer, HttpRequest, Outgoing, Provider, Unusable
from activate.providers.registry import check, create
from tests.providers.vendors import apns

AT = dt.datetime(2026, 3, 2, 12)
UNIX = 1_772_452_800


def _provider(**options: Any) -> Provider:
    return create("mine", {"type": "apns", **apns.Peer().section, **options})


def _message(**changes: Any) -> Outgoing:
    made = Outgoing("0123456789abcdef" * 2, "u1", "hello", 1, None, "push", "ab" * 32, {"body": "x"}, ttl_seconds=60)
    return made._replace(**changes)


def _request(provider: Provider, message: Outgoing) -> HttpRequest:
    request = provider.build([message], AT)
    assert isinstance(request, HttpRequest)
    return request


def test_the_alert_and_the_app_s_data_stand_beside_each_other() -> None:
    content = {"title": "t", "body": "b", "url": "shop://cart", "image": "https://e.com/i.png", "data": '{"n": 1}'}
    request = _request(_provider(sound="default"), _message(content=content))
    assert json.loads(request.body) == {
        "aps": {"alert": {"title": "t", "body": "b"}, "sound": "default", "mutable-content": 1},
        "message_id": _message().message_id, "campaign": "hello", "url": "shop://cart", "image": "https://e.com/i.png",
        "n": 1,
    }  # fmt: skip


def test_the_id_is_the_message_s_as_a_uuid_and_another_form_makes_one_too() -> None:
    sent = _request(_provider(), _message()).headers["apns-id"]
    assert sent == "01234567-89ab-cdef-0123-456789abcdef"
    other = [_request(_provider(), _message(message_id=key)).headers["apns-id"] for key in ("a", "b", "a")]
    assert other[0] == other[2] != other[1]
    assert str(uuid.UUID(other[0])) == other[0]


def test_a_message_without_an_end_has_no_expiration_and_a_campaign_may_take_its_own_place() -> None:
    headers = _request(_provider(priority="5"), _message(ttl_seconds=None)).headers
    assert "apns-expiration" not in headers
    assert "apns-collapse-id" not in headers
    assert headers["apns-priority"] == "5"
    for campaign in ("hello", "x" * 100, "späte Grüße", "a\nb"):
        collapse = _request(_provider(collapse=True), _message(campaign=campaign)).headers["apns-collapse-id"]
        assert len(collapse.encode()) <= 64
        assert collapse.isascii()
        assert collapse.isprintable()


def _token(provider: Provider, at: int) -> str:
    return provider.sign(HttpRequest("POST", "https://api.push.apple.com/3/device/ab", {}, b""), at).headers[
        "authorization"
    ]


def test_a_token_is_renewed_between_20_and_60_minutes_and_is_the_same_in_every_process() -> None:
    """Apple refuses a token of over an hour, and one that follows another within 20 minutes (another run's, say)."""
    one, other = _provider(), _provider()
    begun: dict[str, int] = {}
    for at in range(UNIX - 600, UNIX + 4 * 3600, 60):
        token = _token(one, at)
        assert token == _token(other, at)
        assert 0 <= at - apns.check_token(token)["iat"] < 3600
        begun.setdefault(token, at)
    changes = sorted(begun.values())[1:]
    gaps = [later - earlier for earlier, later in itertools.pairwise(changes)]
    assert gaps
    assert all(1200 <= gap <= 3600 for gap in gaps)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, None),
        ({"address": ""}, "bad_address"),
        ({"address": "ab/../../x"}, "bad_address"),
        ({"address": "zz" * 32}, "bad_address"),
        ({"address": "AB" * 32}, None),
        ({"content": {"title": "t"}}, "no_body"),
        ({"content": {"body": "b", "data": "1"}}, "bad_data"),
        ({"content": {"body": "b", "data": '{"aps": {}}'}}, "bad_data"),
    ],
)
def test_what_can_never_go_out_is_refused(changes: dict[str, Any], code: str | None) -> None:
    assert _provider().refuses(_message(**changes)) == code


def test_a_payload_may_take_4096_bytes_to_the_last() -> None:
    provider = _provider()
    room = 4_096 - len(_request(provider, _message(content={"body": "x"})).body) + 1
    assert len(_request(provider, _message(content={"body": "x" * room})).body) == 4_096
    assert provider.refuses(_message(content={"body": "x" * room})) is None
    assert provider.refuses(_message(content={"body": "x" * (room + 1)})) == "too_long"
    assert provider.refuses(_message(content={"body": "é" * (room // 2 + 1)})) == "too_long"
    assert provider.refuses(_message(content={"body": '"' * (room // 2 + 1)})) == "too_long"


def test_a_template_that_is_too_long_by_itself_is_told_at_lint() -> None:
    kind = type(_provider())
    assert kind.misfits({}, "push", {"body": "x"}, "marketing") == []
    assert "4,096" in kind.misfits({}, "push", {"body": "x" * 4_000, "data": "{" + " " * 100 + "}"}, "marketing")[0]


def _read(status: int, reason: str | None) -> tuple[str, str | None, str | None]:
    body = json.dumps({"reason": reason} if reason else {}).encode()
    (outcome,) = _provider().read(HttpAnswer(status, {}, body), [_message()])
    return outcome.status, outcome.error_code, outcome.lost


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        (410, "Unregistered", ("rejected", "Unregistered", "unregistered")),
        (410, "ExpiredToken", ("rejected", "ExpiredToken", "unregistered")),
        (400, "BadDeviceToken", ("rejected", "BadDeviceToken", "unregistered")),
        (400, "DeviceTokenNotForTopic", ("rejected", "DeviceTokenNotForTopic", "unregistered")),
        (400, "BadMessageId", ("rejected", "BadMessageId", None)),
        (400, None, ("rejected", "http_400", None)),
        (413, "PayloadTooLarge", ("rejected", "PayloadTooLarge", None)),
        (429, "TooManyRequests", ("failed", "TooManyRequests", None)),
        (429, "TooManyProviderTokenUpdates", ("failed", "TooManyProviderTokenUpdates", None)),
        (500, "InternalServerError", ("failed", "InternalServerError", None)),
        (503, "Shutdown", ("failed", "Shutdown", None)),
    ],
)
def test_apple_s_reasons_are_told_apart(
    status: int, reason: str | None, expected: tuple[str, str | None, str | None]
) -> None:
    assert _read(status, reason) == expected


@pytest.mark.parametrize(
    ("status", "reason"),
    [(403, "InvalidProviderToken"), (403, "ExpiredProviderToken"), (403, None), (400, "BadTopic"),
     (400, "TopicDisallowed"), (404, "BadPath"), (405, "MethodNotAllowed")],
)  # fmt: skip
def test_a_refusal_of_ours_blames_no_message(status: int, reason: str | None) -> None:
    with pytest.raises(Unusable):
        _read(status, reason)


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"key": "nonsense"}, "'key' is not a signing key"),
        ({"key": _pem(ec.generate_private_key(ec.SECP384R1()))}, "'key' is not a signing key"),
        ({"key_id": "short"}, "ten capital letters"),
        ({"team_id": "abc123defg"}, "ten capital letters"),
        ({"topic": "not a bundle"}, "bundle id"),
        ({"priority": "1"}, "10, 5"),
        ({"url": "http://api.push.apple.com"}, "plain sight"),
    ],
)
def test_wrong_options_are_told(changes: dict[str, str], problem: str) -> None:
    (told,) = check({"type": "apns", **apns.Peer().section, **changes}, resolved=True)
    assert problem in told
    assert "PRIVATE" not in told


def test_a_key_whose_line_ends_an_environment_lost_is_read() -> None:
    assert _token(_provider(key=apns.p8().replace("\n", "\\n")), UNIX) == _token(_provider(), UNIX)
