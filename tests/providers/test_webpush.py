"""Web Push: encryption against the RFC's example and another implementation, VAPID, endpoints, sizes, answers."""

from __future__ import annotations

import datetime as dt
import json
import re
from typing import Any

import pytest

from activate.deliver.hand_over import Clock, Line
from activate.providers.base import Answer, HttpAnswer, HttpRequest, Outgoing, Provider, Request
from activate.providers.jwt import b64url, from_b64url, p256_key
from activate.providers.registry import check, create
from activate.providers.webpush import Subscription, encrypt
from tests.providers.vendors import webpush
from tests.providers.vendors.webpush import Browser

AT = dt.datetime(2026, 3, 2, 12)
UNIX = 1_772_452_800
HOSTS = "fcm.googleapis.com, .push.services.mozilla.com"


def _provider(**options: Any) -> Provider:
    return create("mine", {"type": "webpush", **webpush.Peer().section, **options})


def _message(address: str | None = None, **changes: Any) -> Outgoing:
    made = Outgoing("1" * 32, "u1", "hello", 1, None, "web_push", address or webpush.browser(1).address, {"body": "x"})
    return made._replace(**changes)


def _request(provider: Provider, message: Outgoing) -> HttpRequest:
    request = provider.build([message], AT)
    assert isinstance(request, HttpRequest)
    return request


def test_encryption_is_that_of_the_rfc_s_example() -> None:
    """RFC 8291, appendix A."""
    point = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
    to = Subscription("", from_b64url(point), from_b64url("BTBZMqHH6r4Tts7J_aSIgg"))
    key = p256_key("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")
    body = encrypt(b"When I grow up, I want to be a watermelon", to, from_b64url("DGv6ra1nlYgDCS1FRnbzlw"), key)
    assert b64url(body) == (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl"
        "7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )


@pytest.mark.parametrize("body", ["x", "Grüße \U0001f44b", "x" * 3_900])
def test_another_implementation_opens_what_is_encrypted(body: str) -> None:
    http_ece = pytest.importorskip("http_ece", reason="pip install http-ece")
    visitor = webpush.browser(1)
    request = _request(_provider(), _message(content={"body": body}))
    opened = http_ece.decrypt(request.body, private_key=visitor.key, auth_secret=visitor.secret, version="aes128gcm")
    assert json.loads(opened)["body"] == body


def test_each_message_is_encrypted_anew() -> None:
    bodies = [_request(_provider(), _message()).body for _ in range(20)]
    assert len({body[:16] for body in bodies}) == 20, "salts"
    assert len({body[21:86] for body in bodies}) == 20, "keys"


def test_the_headers_are_those_of_the_rfcs() -> None:
    headers = _request(_provider(urgency="high"), _message(ttl_seconds=90)).headers
    assert (headers["TTL"], headers["Urgency"], headers["Content-Encoding"]) == ("90", "high", "aes128gcm")
    assert "Topic" not in headers
    assert _request(_provider(), _message()).headers["TTL"] == str(28 * 86_400)
    assert _request(_provider(ttl="1 hour"), _message()).headers["TTL"] == "3600"
    assert _request(_provider(), _message(ttl_seconds=10**9)).headers["TTL"] == str(28 * 86_400)
    for campaign in ("hello", "x" * 100, "späte Grüße"):
        topic = _request(_provider(collapse=True), _message(campaign=campaign)).headers["Topic"]
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,32}", topic)  # RFC 8030, 5.4


def test_tokens_are_for_one_host_and_hold_less_than_a_day() -> None:
    provider = _provider(hosts="*")
    for endpoint, origin in [("https://a.example.com/x", "https://a.example.com"),
                             ("https://b.example.com:443/x", "https://b.example.com:443")]:  # fmt: skip
        for at in range(UNIX, UNIX + 90_000, 1_700):
            signed = provider.sign(HttpRequest("POST", endpoint, {}, b""), at)
            webpush.check_vapid(signed.headers["Authorization"], origin, at)


def test_keys_are_read_as_tools_print_them() -> None:
    raw = webpush.vapid_key().private_numbers().private_value.to_bytes(32, "big")
    plain = _provider(private_key=b64url(raw))
    signed = [one.sign(HttpRequest("POST", "https://e.com/x", {}, b""), UNIX).headers for one in (plain, _provider())]
    assert signed[0] == signed[1]


def _address(endpoint: object, **keys: str) -> str:
    known = json.loads(webpush.browser(1).address)["keys"]
    return json.dumps({"endpoint": endpoint, "keys": {**known, **keys}})


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://fcm.googleapis.com/x",
        "https://evil.example.com/x",
        "https://fcm.googleapis.com.evil.com/x",
        "https://evilfcm.googleapis.com/x",
        "https://push.services.mozilla.com.evil.com/x",
        "https://fcm.googleapis.com@evil.com/x",
        "https://fcm.googleapis.com\\@evil.com/x",
        "https://evil.com#fcm.googleapis.com/",
        "https://fcm.googleapis.com\r\nHost: evil.com/x",
        "https://fcm.googleapis.com /x",
        "https://127.0.0.1/x",
        "https://localhost/x",
        "https://[::1]/x",
        "https://169.254.169.254/latest/meta-data",
        "https://updates.push.services.mozilla.com:8443/x",
        "https://fcm.googleapis.com",
        "file:///etc/passwd",
        "",
        None,
        1,
    ],
)
def test_an_endpoint_that_is_no_push_service_of_ours_is_refused(endpoint: object) -> None:
    provider = _provider(hosts=HOSTS)
    assert provider.refuses(_message(_address(endpoint))) == "bad_address"
    with pytest.raises(ValueError, match="not a subscription"):
        provider.build([_message(_address(endpoint))], AT)


@pytest.mark.parametrize(
    "endpoint",
    ["https://fcm.googleapis.com/fcm/send/a:B-_~%20?q=1", "https://FCM.googleapis.com/x",
     "https://updates.push.services.mozilla.com/wpush/v2/gAAA", "https://fcm.googleapis.com:443/x"],
)  # fmt: skip
def test_push_services_are_known_by_their_hosts(endpoint: str) -> None:
    assert _provider(hosts=HOSTS).refuses(_message(_address(endpoint))) is None


@pytest.mark.parametrize(
    "endpoint",
    ["https://127.0.0.1/x", "https://127.1/x", "https://2130706433/x", "https://0x7f.1/x", "https://0x7f000001/x",
     "https://10.0.0.5/x", "https://[fd00::1]/x", "https://localhost/x", "https://localhost./x", "https://db/x",
     "https://db.internal/x", "https://db.internal./x", "https://a.local/x", "https://push.example.com:8443/x",
     "http://push.example.com/x"],
)  # fmt: skip
def test_any_public_host_still_means_none_of_ours(endpoint: str) -> None:
    assert _provider(hosts="*").refuses(_message(_address(endpoint))) == "bad_address"
    assert _provider(hosts="*").refuses(_message(_address("https://push.example.com/x"))) is None


def test_this_machine_is_reached_only_where_it_is_named() -> None:
    assert _provider(hosts="127.0.0.1").refuses(_message(_address("http://127.0.0.1:8000/x"))) is None
    assert _provider(hosts="10.0.0.5").refuses(_message(_address("http://10.0.0.5:8000/x"))) == "bad_address"


@pytest.mark.parametrize(
    "address",
    ["", "{", "[]", "1", '"x"', "{}", '{"endpoint": "https://fcm.googleapis.com/x"}',
     '{"endpoint": "https://fcm.googleapis.com/x", "keys": []}', "[" * 100_000,
     _address("https://fcm.googleapis.com/x", p256dh="AAAA"), _address("https://fcm.googleapis.com/x", auth="AAAA"),
     _address("https://fcm.googleapis.com/x", auth="?" * 22), _address("https://fcm.googleapis.com/x", auth="é" * 22)],
)  # fmt: skip
def test_what_is_no_subscription_is_refused(address: str) -> None:
    assert _provider().refuses(_message()._replace(address=address)) == "bad_address"


def test_a_key_off_the_curve_spoils_only_its_own_message() -> None:
    """It looks like a point; building the request finds out, and the message is rejected."""
    spoilt = _address("https://fcm.googleapis.com/x", p256dh=b64url(b"\x04" + b"\x01" * 64))
    provider = _provider()
    assert provider.refuses(_message(spoilt)) is None
    handed = Line(provider, Clock(now=lambda: AT, sleep=lambda _: None)).hand_over(
        _Answers(201), [_message(spoilt)], AT
    )  # type: ignore[arg-type]
    assert handed.outcomes[0].status == "rejected"


def test_a_payload_may_take_3993_bytes_to_the_last() -> None:
    provider, visitor = _provider(), webpush.browser(1)
    room = 3_993 - len(json.dumps(visitor.open(_request(provider, _message()).body), separators=(",", ":"))) + 1
    full = _message(content={"body": "x" * room})
    assert provider.refuses(full) is None
    assert len(_request(provider, full).body) == 4_096
    assert provider.refuses(_message(content={"body": "x" * (room + 1)})) == "too_long"


@pytest.mark.parametrize(("content", "code"), [({"title": "t"}, "no_body"), ({"body": "b", "data": "x"}, "bad_data")])
def test_what_can_never_go_out_is_refused(content: dict[str, str], code: str) -> None:
    assert _provider().refuses(_message(content=content)) == code


def test_a_template_that_is_too_long_by_itself_is_told_at_lint() -> None:
    assert type(_provider()).misfits({}, "web_push", {"body": "x" * 3_980}, "marketing") == []
    assert "3,993" in type(_provider()).misfits({}, "web_push", {"body": "x" * 4_000}, "marketing")[0]


def _read(status: int, body: bytes = b"") -> tuple[str, str | None, str | None]:
    (outcome,) = _provider().read(HttpAnswer(status, {}, body), [_message()])
    return outcome.status, outcome.error_code, outcome.lost


@pytest.mark.parametrize(
    ("status", "expected"),
    [(200, ("accepted", None, None)), (201, ("accepted", None, None)), (202, ("accepted", None, None)),
     (404, ("rejected", "http_404", "unregistered")), (410, ("rejected", "http_410", "unregistered")),
     (400, ("rejected", "http_400", None)), (413, ("rejected", "http_413", None)), (429, ("failed", "http_429", None)),
     (401, ("failed", "http_401", None)), (403, ("failed", "http_403", None)), (302, ("failed", "http_302", None)),
     (500, ("failed", "http_500", None)), (502, ("unknown", "http_502", None))],
)  # fmt: skip
def test_answers_of_push_services_are_told_apart(status: int, expected: tuple[str, str | None, str | None]) -> None:
    assert _read(status) == expected


def test_apple_s_reasons_are_kept_as_codes() -> None:
    assert _read(403, b'{"reason": "BadJwtToken"}') == ("failed", "BadJwtToken", None)
    assert _read(410, b'{"reason": "Unregistered"}') == ("rejected", "Unregistered", "unregistered")


class _Answers:
    """Answers each host with a status."""

    def __init__(self, otherwise: int, **hosts: int) -> None:
        self._otherwise, self._hosts = otherwise, hosts

    def carry(self, request: Request) -> Answer:
        assert isinstance(request, HttpRequest)
        named = [status for name, status in self._hosts.items() if f"//{name}." in request.url]
        return HttpAnswer(named[0] if named else self._otherwise, {}, b"")


def test_one_service_that_refuses_us_does_not_stop_the_others() -> None:
    line = Line(_provider(hosts="*"), Clock(now=lambda: AT, sleep=lambda _: None, chance=lambda: 0.0))
    service = _Answers(201, strict=403)
    statuses = []
    for number in range(40):
        host = "strict" if number % 10 == 0 else "open"
        visitor = Browser(f"https://{host}.example.com/{number}")
        (outcome,) = line.hand_over(service, [_message(visitor.address)], AT).outcomes  # type: ignore[arg-type]
        statuses.append((host, outcome.status))
    assert set(statuses) == {("strict", "failed"), ("open", "accepted")}


def test_where_every_service_refuses_us_the_messages_wait() -> None:
    line = Line(_provider(), Clock(now=lambda: AT, sleep=lambda _: None, chance=lambda: 0.0))
    handed = [line.hand_over(_Answers(403), [_message()], AT) for _ in range(20)]  # type: ignore[arg-type]
    assert line.breaker.is_open
    assert {one.outcomes[0].status for one in handed} == {"failed"}
    assert handed[-1].excused == {"1" * 32}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"private_key": "AAAA"}, "'private_key' is not a P-256 private key"),
        ({"private_key": "-----BEGIN nonsense"}, "'private_key' is not a P-256 private key"),
        ({"subject": "push@example.com"}, "mailto:"),
        ({"subject": "http://example.com"}, "mailto:"),
        ({"hosts": "https://e.com"}, "not a host's name"),
        ({"ttl": "5 weeks"}, "out of bounds"),
        ({"urgency": "urgent"}, "very-low"),
    ],
)
def test_wrong_options_are_told(changes: dict[str, str], problem: str) -> None:
    (told,) = check({"type": "webpush", **webpush.Peer().section, **changes}, resolved=True)
    assert problem in told
