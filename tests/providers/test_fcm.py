"""Firebase: what is sent, how long it may be, and what each answer means."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from activate.deliver.hand_over import Clock, Line
from activate.providers.base import Answer, HttpAnswer, HttpRequest, Outgoing, Provider, Request, Unusable
from activate.providers.registry import check, create
from tests.providers.vendors import fcm

AT = dt.datetime(2026, 3, 2, 12)
UNIX = 1_772_452_800


def _provider(**options: Any) -> Provider:
    return create("mine", {"type": "fcm", **fcm.Peer().section, **options})


def _message(ttl: int | None = 3600, **content: str) -> Outgoing:
    return Outgoing(
        "1" * 32, "u1", "cart reminder", 1, None, "push", "a-token", {"body": "x", **content}, ttl_seconds=ttl
    )


def _body(provider: Provider, message: Outgoing) -> dict[str, Any]:
    request = provider.build([message], AT)
    assert isinstance(request, HttpRequest)
    found: dict[str, Any] = json.loads(request.body)["message"]
    return found


def test_a_short_message_has_no_empty_parts() -> None:
    assert _body(_provider(), _message(None)) == {
        "token": "a-token", "notification": {"body": "x"}, "data": {"message_id": "1" * 32, "campaign": "cart reminder"},
    }  # fmt: skip


def test_the_time_left_goes_to_every_platform() -> None:
    body = _body(_provider(), _message(90))
    assert body["android"] == {"ttl": "90s"}
    assert body["apns"] == {"headers": {"apns-expiration": str(UNIX + 90)}}
    assert body["webpush"] == {"headers": {"TTL": "90"}}
    assert _body(_provider(), _message(10**9))["android"] == {"ttl": f"{28 * 86_400}s"}
    assert _body(_provider(), _message(0))["android"] == {"ttl": "0s"}


def test_a_campaign_can_take_its_own_place_and_be_a_label() -> None:
    body = _body(_provider(collapse=True, analytics_label=True), _message(None))
    key = body["android"]["collapseKey"]
    assert body["apns"]["headers"]["apns-collapse-id"] == key
    assert len(body["webpush"]["headers"]["Topic"]) <= 32
    assert body["fcmOptions"] == {"analyticsLabel": "cart-reminder"}
    other = _body(_provider(collapse=True), _message(None)._replace(campaign="another"))
    assert other["android"]["collapseKey"] == "another"


def test_data_becomes_strings_and_a_template_s_own_wins() -> None:
    data = _body(_provider(), _message(None, data='{"n": 1, "s": "é", "o": {"a": [true]}, "z": null, "campaign": "mine"}',
                                       url="shop://cart"))["data"]  # fmt: skip
    assert data == {"n": "1", "s": "é", "o": '{"a":[true]}', "z": "null", "campaign": "mine", "message_id": "1" * 32,
                    "url": "shop://cart"}  # fmt: skip


def test_only_https_is_a_link_of_web_push() -> None:
    assert _body(_provider(), _message(None, url="https://e.com/"))["webpush"] == {
        "fcmOptions": {"link": "https://e.com/"}
    }
    assert "webpush" not in _body(_provider(), _message(None, url="shop://cart"))


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ({"body": ""}, "no_body"),
        ({"data": "{"}, "bad_data"),
        ({"data": "[1]"}, "bad_data"),
        ({"data": '{"from": "x"}'}, "bad_data"),
        ({"data": '{"message_type": "x"}'}, "bad_data"),
        ({"data": '{"google.c.a": "x"}'}, "bad_data"),
        ({"data": '{"gcm": "x"}'}, "bad_data"),
        ({"data": '{"from_shop": "x"}'}, None),
        ({"data": "  "}, None),
        ({"title": "t" * 4_097}, "too_long"),
    ],
)
def test_what_can_never_go_out_is_refused(content: dict[str, str], code: str | None) -> None:
    assert _provider().refuses(_message(**content)) == code


def test_the_limit_counts_bytes_of_names_and_values() -> None:
    own = len("body") + sum(len(part) for part in ("message_id", "1" * 32, "campaign", "cart reminder"))
    left = 4_096 - own
    assert _provider().refuses(_message(body="x" * left)) is None
    assert _provider().refuses(_message(body="x" * (left + 1))) == "too_long"
    assert _provider().refuses(_message(body="é" * (left // 2 + 1))) == "too_long"


def test_a_template_that_is_too_long_by_itself_is_told_at_lint() -> None:
    kind = type(_provider())
    assert kind.misfits({}, "push", {"body": "x" * 4_000}, "marketing") == []
    (told,) = kind.misfits({}, "push", {"body": "x" * 5_000}, "marketing")
    assert "4,096" in told


def _read(status: int, body: bytes) -> tuple[str, str | None, str | None]:
    (outcome,) = _provider().read(HttpAnswer(status, {}, body), [_message()])
    return outcome.status, outcome.error_code, outcome.lost


@pytest.mark.parametrize(
    ("status", "state", "code", "expected"),
    [
        (404, "NOT_FOUND", "UNREGISTERED", ("rejected", "UNREGISTERED", "unregistered")),
        (400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", ("rejected", "INVALID_ARGUMENT", None)),
        (403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH", ("rejected", "SENDER_ID_MISMATCH", None)),
        (401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR", ("failed", "THIRD_PARTY_AUTH_ERROR", None)),
        (429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", ("failed", "QUOTA_EXCEEDED", None)),
        (500, "INTERNAL", "INTERNAL", ("failed", "INTERNAL", None)),
        (503, "UNAVAILABLE", "UNAVAILABLE", ("failed", "UNAVAILABLE", None)),
        (502, "UNAVAILABLE", "UNAVAILABLE", ("unknown", "UNAVAILABLE", None)),
    ],
)
def test_firebase_s_codes_are_told_apart(
    status: int, state: str, code: str, expected: tuple[str, str | None, str | None]
) -> None:
    assert _read(status, fcm.error(status, state, code)) == expected


def test_google_s_status_stands_in_where_firebase_gives_no_code() -> None:
    assert _read(400, b'{"error": {"code": 400, "status": "INVALID_ARGUMENT", "details": [{"@type": "BadRequest"}]}}') == (
        "rejected", "INVALID_ARGUMENT", None,
    )  # fmt: skip
    assert _read(400, b"<html>")[1] == "http_400"


@pytest.mark.parametrize(
    ("status", "state"), [(401, "UNAUTHENTICATED"), (403, "PERMISSION_DENIED"), (404, "NOT_FOUND")]
)
def test_a_refusal_of_the_project_blames_no_message(status: int, state: str) -> None:
    """A 404 without Firebase's own code is a project that does not exist: no token is lost by it."""
    with pytest.raises(Unusable):
        _read(status, json.dumps({"error": {"code": status, "status": state}}).encode())


def test_the_id_is_the_last_part_of_the_name() -> None:
    answer = HttpAnswer(200, {}, b'{"name": "projects/shop-app/messages/0:150%31bd"}')
    assert _provider().read(answer, [_message()])[0].provider_message_id == "0:150%31bd"


class _Google:
    """Gives tokens, and takes only the newest."""

    def __init__(self) -> None:
        self.given = 0
        self.good = ""
        self.posts: list[str] = []

    def carry(self, request: Request) -> Answer:
        assert isinstance(request, HttpRequest)
        if request.url == fcm.TOKEN_URL:
            self.given += 1
            self.good = f"token-{self.given}"
            return HttpAnswer(200, {}, json.dumps({"access_token": self.good, "expires_in": 3599}).encode())
        self.posts.append(request.headers["Authorization"].removeprefix("Bearer "))
        if self.posts[-1] != self.good:
            return HttpAnswer(401, {}, fcm.error(401, "UNAUTHENTICATED", "UNSPECIFIED_ERROR"))
        return HttpAnswer(200, {}, b'{"name": "projects/shop-app/messages/1"}')


class _Hour:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def line(self) -> Line:
        clock = Clock(now=lambda: AT + dt.timedelta(seconds=self.seconds), monotonic=lambda: self.seconds,
                      sleep=lambda _: None, chance=lambda: 0.0)  # fmt: skip
        return Line(_provider(), clock)


def test_a_token_that_is_refused_is_renewed_once() -> None:
    google, hour = _Google(), _Hour()
    line = hour.line()
    assert line.hand_over(google, [_message()], AT).outcomes[0].status == "accepted"  # type: ignore[arg-type]
    hour.seconds, google.good = 120, "taken back"
    assert line.hand_over(google, [_message()], AT).outcomes[0].status == "accepted"  # type: ignore[arg-type]
    assert (google.given, google.posts) == (2, ["token-1", "token-1", "token-2"])


def test_a_fresh_token_that_is_refused_stops_the_provider() -> None:
    google, hour = _Google(), _Hour()
    line = hour.line()
    google.carry = lambda request: (  # type: ignore[method-assign]
        _Google.carry(google, request) if request.url == fcm.TOKEN_URL  # type: ignore[union-attr]
        else HttpAnswer(401, {}, b"")
    )  # fmt: skip
    handed = line.hand_over(google, [_message()], AT)  # type: ignore[arg-type]
    assert (handed.outcomes[0].status, handed.excused) == ("failed", {"1" * 32})
    assert google.given == 1
    assert line.breaker.is_open


def test_a_token_is_renewed_before_it_lapses() -> None:
    google, hour = _Google(), _Hour()
    line = hour.line()
    for hour.seconds in (0, 1_000, 3_500, 3_540, 7_000):
        line.hand_over(google, [_message()], AT)  # type: ignore[arg-type]
    assert google.posts == ["token-1", "token-1", "token-1", "token-2", "token-2"]


def test_an_answer_without_a_token_is_told() -> None:
    for body in (b"", b"{}", b'{"access_token": ""}', b'{"access_token": 1}'):
        with pytest.raises(Unusable, match="no token"):
            _provider().read_token(HttpAnswer(200, {}, body))


@pytest.mark.parametrize(
    ("secret", "problem"),
    [
        ("{", "is not JSON"),
        ("[]", "is not JSON"),
        ("{}", "client_email and private_key missing"),
        ('{"client_email": "a@e.com", "private_key": "x"}', "not an RSA key"),
        ('{"client_email": "a@e.com", "private_key": "x", "token_uri": "http://evil.example.com"}', "token_uri"),
    ],
)
def test_a_key_that_cannot_be_used_is_told_without_quoting_it(secret: str, problem: str) -> None:
    (told,) = check({"type": "fcm", "project_id": "p", "credentials": secret}, resolved=True)
    assert problem in told
    assert "a@e.com" not in told
