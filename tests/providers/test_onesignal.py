"""OneSignal: who shares a request, keys of requests, channels, and what each answer means."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Sequence
from typing import Any

import pytest

from activate.providers.base import HttpAnswer, HttpRequest, Outgoing, Provider
from activate.providers.registry import check, create
from tests.providers.vendors import onesignal

AT = dt.datetime(2026, 3, 2, 12)
ID = onesignal.NOTIFICATION


def _provider(**options: Any) -> Provider:
    return create("mine", {"type": "onesignal", **onesignal.Peer().section, **options})


def _message(number: int = 1, channel: str = "push", **changes: Any) -> Outgoing:
    made = Outgoing(f"{number:032x}", f"u{number}", "hello", 1, None, channel, f"s{number}", {"body": "x"})
    return made._replace(**changes)


def _body(provider: Provider, batch: Sequence[Outgoing]) -> dict[str, Any]:
    request = provider.build(batch, AT)
    assert isinstance(request, HttpRequest)
    found: dict[str, Any] = json.loads(request.body)
    return found


def test_people_are_targeted_by_subscription_or_by_alias_and_never_both() -> None:
    batch = [_message(1), _message(2)]
    body = _body(_provider(), batch)
    assert body["include_subscription_ids"] == ["s1", "s2"]
    assert "include_aliases" not in body
    body = _body(_provider(target="external_id"), [one._replace(channel="web_push") for one in batch])
    assert (body["include_aliases"], body["target_channel"]) == ({"external_id": ["s1", "s2"]}, "push")
    assert "include_subscription_ids" not in body


def test_the_same_batch_has_the_same_key_and_its_halves_have_others() -> None:
    provider = _provider()
    whole = [_message(n) for n in range(4)]
    keys = [_body(provider, part)["idempotency_key"] for part in (whole, whole, whole[:2], whole[2:], whole[:1])]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 4
    assert all(uuid.UUID(key).version == 4 for key in keys)


def test_only_a_request_of_one_message_is_sure_to_be_made_again_as_it_was() -> None:
    """The next run may put the messages of a larger batch together otherwise, under another key."""
    assert create("mine", {"type": "onesignal", "app_id": onesignal.APP, "api_key": "k"}).idempotent
    assert not _provider(batch=2).idempotent


@pytest.mark.parametrize(
    "change",
    [{"content": {"body": "y"}}, {"content": {"body": "x", "title": "t"}}, {"channel": "web_push"}, {"ttl_seconds": 5},
     {"campaign": "other"}, {"variant": "b"}, {"step": 2}],
)  # fmt: skip
def test_a_request_has_one_content_for_all(change: dict[str, Any]) -> None:
    provider = _provider()
    assert provider.together(_message(1)) == provider.together(_message(2))
    assert provider.together(_message(1)) != provider.together(_message(2, **change))


def test_each_channel_has_its_own_fields() -> None:
    provider = _provider(sms_from="+15550100", collapse=True)
    mail = _body(
        provider, [_message(channel="email", content={"subject": "s", "html": "<p>", "text": "t", "preheader": "p"})]
    )
    assert (mail["email_subject"], mail["email_body"], mail["email_preheader"]) == ("s", "<p>", "p")
    assert _body(provider, [_message(channel="email", content={"subject": "s", "text": "t"})])["email_body"] == "t"
    sms = _body(provider, [_message(channel="sms", content={"body": "b", "media_url": "https://e.com/i.png"})])
    assert (sms["contents"], sms["sms_from"], sms["sms_media_urls"]) == (
        {"en": "b"},
        "+15550100",
        ["https://e.com/i.png"],
    )
    push = _body(provider, [_message(ttl_seconds=10**9, content={"body": "b", "image": "https://e.com/i.png"})])
    assert (push["ttl"], push["collapse_id"]) == (28 * 86_400, "hello")
    assert push["big_picture"] == push["chrome_web_image"] == push["ios_attachments"]["image"] == "https://e.com/i.png"
    assert not {"headings", "url", "data"} & set(push)


@pytest.mark.parametrize(
    ("channel", "content", "code"),
    [
        ("push", {"title": "t"}, "no_body"),
        ("push", {"body": "b", "data": "["}, "bad_data"),
        ("push", {"body": "b", "data": json.dumps({"k": "v" * 2_040})}, "bytes_2048"),
        ("push", {"body": "b", "data": json.dumps({"k": "v" * 2_041})}, "too_long"),
        ("email", {"text": "t"}, "no_subject"),
        ("email", {"subject": "s"}, "no_text"),
        ("sms", {"subject": "s"}, "no_body"),
        ("sms", {"body": "b"}, "no_sender"),
    ],
)
def test_what_can_never_go_out_is_refused(channel: str, content: dict[str, str], code: str) -> None:
    expected = None if code == "bytes_2048" else code
    assert _provider().refuses(_message(channel=channel, content=content)) == expected


def test_what_a_template_lacks_is_told_at_lint() -> None:
    kind = type(_provider())
    assert kind.misfits({}, "push", {"body": "b"}, "marketing") == []
    assert "'body'" in kind.misfits({}, "push", {"title": "t"}, "marketing")[0]
    assert "2,048" in kind.misfits({}, "push", {"body": "b", "data": "x" * 3_000}, "marketing")[0]
    assert len(kind.misfits({}, "email", {"preheader": "p"}, "marketing")) == 2
    assert "sms_from" in kind.misfits({}, "sms", {"body": "b"}, "marketing")[0]
    assert kind.misfits({"sms_from": "+1"}, "sms", {"body": "b"}, "marketing") == []


def _read(provider: Provider, told: Any) -> list[tuple[str, str | None, str | None]]:
    batch = [_message(1), _message(2)]
    outcomes = provider.read(HttpAnswer(200, {}, json.dumps(told).encode()), batch)
    return [(one.status, one.error_code, one.lost) for one in outcomes]


TAKEN, GONE = ("accepted", None, None), ("rejected", "not_subscribed", "unregistered")
AWAY, UNSURE = ("rejected", "not_subscribed", None), ("unknown", "bad_result", None)


@pytest.mark.parametrize(
    ("target", "told", "expected"),
    [
        ("subscription_id", {"id": ID}, [TAKEN, TAKEN]),
        ("subscription_id", {"id": ID, "errors": {"invalid_player_ids": ["s2"]}}, [TAKEN, GONE]),
        ("subscription_id", {"id": "", "errors": ["All included players are not subscribed"]}, [GONE, GONE]),
        ("subscription_id", {"id": "", "errors": {"invalid_player_ids": ["s2"]}}, [AWAY, GONE]),
        ("external_id", {"id": ID, "errors": {"invalid_aliases": {"external_id": ["s1", "s1"]}}}, [TAKEN, TAKEN]),
        ("external_id", {"id": "", "errors": {"invalid_aliases": {"external_id": ["s1", "s2"]}}}, [AWAY, AWAY]),
        ("external_id", {"id": "", "errors": ["All included players are not subscribed"]}, [AWAY, AWAY]),
        ("external_id", {}, [UNSURE, UNSURE]),
        ("external_id", {"id": ""}, [UNSURE, UNSURE]),
        ("subscription_id", {"id": 5, "errors": {"invalid_player_ids": "s1"}}, [UNSURE, UNSURE]),
    ],
)
def test_a_success_tells_who_is_not_subscribed(target: str, told: Any, expected: list[Any]) -> None:
    assert _read(_provider(target=target), told) == expected


def test_the_notification_s_id_is_kept() -> None:
    answer = HttpAnswer(200, {}, json.dumps({"id": ID.upper()}).encode())
    assert [one.provider_message_id for one in _provider().read(answer, [_message(1), _message(2)])] == [ID, ID]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [({"app_id": "mine"}, "UUID"), ({"batch": 20_001}, "from 1 to 20000"), ({"target": "external id"}, "alias")],
)
def test_wrong_options_are_told(changes: dict[str, Any], problem: str) -> None:
    (told,) = check({"type": "onesignal", **onesignal.Peer().section, **changes}, resolved=True)
    assert problem in told
