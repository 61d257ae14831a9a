"""Slack, Telegram and Sendbird: what is sent, what each answer means, and what does not fit."""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl

import pytest

from activate.deliver.hand_over import Clock, Line
from activate.deliver.http import HttpCarrier
from activate.providers.base import HttpAnswer, HttpRequest, Outcome, Outgoing, Provider, Unusable
from activate.providers.registry import PROVIDERS, check, create
from tests.providers.vendors import SECRET
from tests.providers.vendors.telegram import TOKEN, Bot, failure

AT = dt.datetime(2026, 3, 2, 12)


def _slack(**options: Any) -> Provider:
    return create("mine", {"type": "slack", "token": SECRET, **options})


def _telegram(**options: Any) -> Provider:
    return create("mine", {"type": "telegram", "token": TOKEN, **options})


def _sendbird(**options: Any) -> Provider:
    return create("mine", {"type": "sendbird", "application": "A-1", "token": SECRET, "sender": "shop", **options})


def _message(body: str = "Hi", address: str = "770012345", **content: str) -> Outgoing:
    return Outgoing("1" * 32, "u1", "c", 1, None, "chat", address, {"body": body, **content} if body else content)


def _request(provider: Provider, message: Outgoing) -> HttpRequest:
    request = provider.build([message], AT)
    assert isinstance(request, HttpRequest)
    return request


def _body(provider: Provider, message: Outgoing) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_request(provider, message).body)
    return found


def _form(provider: Provider, message: Outgoing) -> dict[str, str]:
    return dict(parse_qsl(_request(provider, message).body.decode("ascii"), strict_parsing=True))


def _read(provider: Provider, body: object, status: int = 200, **headers: str) -> Outcome:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    (outcome,) = provider.read(HttpAnswer(status, headers, raw), [_message()])
    return outcome


def _misfits(kind: str, content: dict[str, str], **options: Any) -> Sequence[str]:
    return PROVIDERS[kind].misfits(options, "chat", content, "marketing")


# -- Slack -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["<!channel> & co", "<@U1>", "a < b > c", "&lt;", "*bold* _it_ `x`"])
def test_slack_shows_text_as_it_is_written(text: str) -> None:
    body = _form(_slack(), _message(text))
    assert body["mrkdwn"] == "false"
    assert "<" not in body["text"]
    assert ">" not in body["text"]
    assert body["text"].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") == text


def test_slack_markup_is_the_templates_own() -> None:
    body = _form(_slack(markup=True, unfurl=True), _message("<https://example.com|here> *now*"))
    assert (body["text"], body["mrkdwn"], body["unfurl_links"]) == ("<https://example.com|here> *now*", "true", "true")


def test_slack_shows_a_picture_below_the_text() -> None:
    message = _message("a < b", media_url="https://a.example/1.png", media_alt="A shoe")
    body = _form(_slack(), message)
    assert body["text"] == "a &lt; b"  # what notifications show
    assert json.loads(body["blocks"]) == [
        {"type": "section", "text": {"type": "plain_text", "text": "a < b"}},
        {"type": "image", "image_url": "https://a.example/1.png", "alt_text": "A shoe"},
    ]
    body = _form(_slack(markup=True), _message("*a*", media_url="https://a.example/1.png"))
    section, image = json.loads(body["blocks"])
    assert section["text"] == {"type": "mrkdwn", "text": "*a*"}
    assert image["alt_text"]  # Slack asks for one


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ("channel_not_found", "rejected"), ("is_archived", "rejected"), ("not_in_channel", "rejected"),
        ("msg_too_long", "rejected"), ("invalid_blocks", "rejected"), ("restricted_action", "rejected"),
        ("ratelimited", "failed"), ("rate_limited", "failed"), ("message_limit_exceeded", "failed"),
        ("service_unavailable", "failed"), ("request_timeout", "failed"), ("team_added_to_org", "failed"),
        ("internal_error", "unknown"), ("fatal_error", "unknown"),
    ],
)  # fmt: skip
def test_slack_errors_come_with_status_200(error: str, status: str) -> None:
    outcome = _read(_slack(), {"ok": False, "error": error})
    assert (outcome.status, outcome.error_code, outcome.lost) == (status, error, None)


@pytest.mark.parametrize(
    "error", ["invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "missing_scope"]
)
@pytest.mark.parametrize("status", [200, 400, 401, 403])
def test_slack_refuses_a_token_without_blaming_a_message(error: str, status: int) -> None:
    with pytest.raises(Unusable, match=error):
        _read(_slack(), {"ok": False, "error": error}, status)


def test_slack_answers_that_say_nothing_are_a_doubt() -> None:
    assert _read(_slack(), {"ok": True, "ts": "1503435956.000247"}).provider_message_id == "1503435956.000247"
    for body in (b"", b"<html>", {}, [], {"ok": "yes"}):
        assert _read(_slack(), body).status == "unknown"
    assert _read(_slack(), {"ok": False, "error": {"a": 1}}).error_code == "provider_error"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ({"body": "a" * 40_000}, None), ({"body": "a" * 40_001}, "too_long"), ({"body": "<" * 10_001}, "too_long"),
        ({"body": "a" * 3_000, "media_url": "https://a.example/1"}, None),
        ({"body": "a" * 3_001, "media_url": "https://a.example/1"}, "too_long"), ({"body": ""}, "no_body"),
    ],
)  # fmt: skip
def test_slack_texts_fit_or_say_why_not(content: dict[str, str], code: str | None) -> None:
    assert _slack().refuses(_message()._replace(content=content)) == code


def test_slack_limits_are_told_at_lint() -> None:
    assert _misfits("slack", {"body": "a" * 40_001}) == [
        "the fixed text of the body has 40,001 characters; Slack takes 40,000"
    ]
    assert _misfits("slack", {"body": "a" * 3_001, "media_url": "https://a.example/"}) == [
        "the fixed text of the body has 3,001 characters; Slack takes 3,000 beside a picture"
    ]
    assert _misfits("slack", {"body": "a" * 3_001, "media_url": ""}) == []


# -- Telegram ----------------------------------------------------------------------------------------------------------


def test_telegram_sends_text_html_and_pictures() -> None:
    bot, provider = Bot({"770012345"}), _telegram(silent=True)
    for message in (_message("1 < 2"), _message("", html="<b>1 &lt; 2</b>"),
                    _message("Look", media_url="https://a.example/1.png"),
                    _message("", media_url="https://a.example/1.png")):  # fmt: skip
        (outcome,) = provider.read(bot.answer(provider.build([message], AT)), [message])  # type: ignore[arg-type]
        assert outcome.status == "accepted"
    shared = {"chat_id": "770012345", "disable_notification": True}
    plain = {"is_disabled": True}
    assert bot.sent == [
        {**shared, "text": "1 < 2", "link_preview_options": plain},
        {**shared, "text": "<b>1 &lt; 2</b>", "parse_mode": "HTML", "link_preview_options": plain},
        {**shared, "photo": "https://a.example/1.png", "caption": "Look"},
        {**shared, "photo": "https://a.example/1.png", "caption": ""},
    ]
    assert outcome.provider_message_id == "44"
    assert "link_preview_options" not in _body(_telegram(preview=True), _message())


def test_what_is_refused_here_telegram_refuses_too_and_what_fits_it_takes() -> None:
    """Limits are of the text that is left after entities are parsed."""
    bot, provider = Bot({"770012345"}), _telegram()
    picture = {"media_url": "https://a.example/1.png"}
    cases = [
        (_message("a" * 4096), None), (_message("a" * 4097), "too_long"), (_message("😀" * 4096), None),
        (_message("", html="<b>" + "a" * 4096 + "</b>"), None), (_message("", html="&amp;" * 4096), None),
        (_message("", html="&amp;" * 4097), "too_long"), (_message("a" * 1024, **picture), None),
        (_message("a" * 1025, **picture), "too_long"),
        (_message("", html='<a href="https://example.com/' + "x" * 5000 + '">here</a>'), None),
    ]  # fmt: skip
    for message, code in cases:
        assert provider.refuses(message) == code
        answer = bot.answer(provider.build([message], AT))  # type: ignore[arg-type]
        (outcome,) = provider.read(answer, [message])
        assert (outcome.status, outcome.error_code) == (("rejected", code) if code else ("accepted", None))


@pytest.mark.parametrize(
    ("status", "description", "code", "lost"),
    [
        (403, "Forbidden: bot was blocked by the user", "blocked", "opted_out"),
        (403, "Forbidden: user is deactivated", "user_deactivated", "unregistered"),
        (403, "Forbidden: bot can't initiate conversation with a user", "not_started", None),
        (403, "Forbidden: bot was kicked from the supergroup chat", "kicked", "unregistered"),
        (403, "Forbidden: something new about 770012345", "http_403", None),
        (400, "Bad Request: chat not found", "chat_not_found", "unregistered"),
        (400, "Bad Request: group chat was upgraded to a supergroup chat", "chat_migrated", "unregistered"),
        (400, "Bad Request: message is too long", "too_long", None),
        (400, "Bad Request: can't parse entities: Unsupported start tag", "bad_html", None),
        (400, "Bad Request: wrong file identifier/HTTP URL specified", "bad_media", None),
        (400, "Bad Request: something new about 770012345", "http_400", None),
    ],
)
def test_telegrams_refusals_are_told_in_words(status: int, description: str, code: str, lost: str | None) -> None:
    outcome = _telegram().read(failure(status, description), [_message()])[0]
    assert (outcome.status, outcome.error_code, outcome.lost, outcome.error) == ("rejected", code, lost, None)


@pytest.mark.parametrize("status", [401, 404])
def test_a_wrong_telegram_token_stops_the_bot_and_is_not_shown(status: int) -> None:
    with pytest.raises(Unusable) as raised:
        _telegram().read(failure(status, f"Unauthorized: {TOKEN}"), [_message()])
    assert SECRET not in str(raised.value)


def test_telegram_is_waited_for_as_its_body_asks() -> None:
    slept: list[float] = []
    answers = [failure(429, "Too Many Requests: retry after 17", retry_after=17), HttpAnswer(200, {}, b'{"ok": true}')]

    class Carrier:
        def carry(self, request: object) -> HttpAnswer:
            return answers.pop(0)

    clock = Clock(now=lambda: AT, monotonic=lambda: 0.0, sleep=slept.append, chance=lambda: 0.0)
    handed = Line(_telegram(), clock).hand_over(Carrier(), [_message()], AT)  # type: ignore[arg-type]
    assert [outcome.status for outcome in handed.outcomes] == ["accepted"]
    assert 17.0 in slept
    for parameters in (None, [], {}, {"retry_after": "5"}, {"retry_after": True}, {"retry_after": -1}):
        answer = HttpAnswer(429, {}, json.dumps({"parameters": parameters}).encode())
        assert _telegram().asked_wait(answer, AT) is None


@pytest.mark.parametrize("address", ["", "ann", "+49151", "7700 1", "@a", "77/../../bot"])
def test_a_telegram_address_is_a_chats_id_or_a_channels_name(address: str) -> None:
    assert _telegram().refuses(_message(address=address)) == "bad_address"


@pytest.mark.parametrize("address", ["1", "-1001234567890", "@my_shop"])
def test_telegram_takes_users_groups_and_channels(address: str) -> None:
    assert _telegram().refuses(_message(address=address)) is None


def test_telegrams_limits_are_told_at_lint() -> None:
    assert _misfits("telegram", {"body": "a" * 4097}) == [
        "the fixed text of body has 4,097 characters; Telegram takes 4,096 in a message"
    ]
    assert _misfits("telegram", {"html": "<b>" + "a" * 4096 + "</b>"}) == []
    assert _misfits("telegram", {"html": "<i>a</i>" * 1025, "media_url": "https://a.example/1.png"}) == [
        "the fixed text of html has 1,025 characters; Telegram takes 1,024 beside a picture"
    ]
    assert "none of the blocks" in _misfits("telegram", {"text": "x"})[0]
    assert _telegram().refuses(_message("")) == "no_body"


def test_a_telegram_token_is_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    provider = _telegram(url="http://127.0.0.1:9", timeout="1 second")
    request = _request(provider, _message())
    assert SECRET in request.url
    carrier, line = HttpCarrier(1), Line(provider, Clock(now=lambda: AT, sleep=lambda _: None))
    for _ in range(5):  # until the provider is left alone, with a reason
        handed = line.hand_over(carrier, [_message()], AT)
    carrier.close()
    assert handed.outcomes[0].status == "failed"
    assert line.breaker.reason is not None
    shown = (request, provider, handed, line.breaker.reason, caplog.text)
    assert SECRET not in "".join(map(repr, shown))
    problems = check({"type": "telegram", "token": f"no token {SECRET}"}, resolved=True)
    assert problems == ["'token' is not a bot's token (digits, `:`, letters)"]


# -- Sendbird ----------------------------------------------------------------------------------------------------------


def test_sendbird_writes_to_a_channel() -> None:
    provider = _sendbird(to="channel", push=False, custom_type="promo", url="https://example.com/")
    request = _request(provider, _message(address="group/1 ä", data='{"a": 1}'))
    assert request.url == "https://example.com/v3/group_channels/group%2F1%20%C3%A4/messages"
    assert json.loads(request.body) == {
        "message_type": "MESG", "user_id": "shop", "message": "Hi", "dedup_id": "1" * 32, "send_push": False,
        "custom_type": "promo", "data": '{"a": 1}',
    }  # fmt: skip
    assert provider.idempotent
    assert not _sendbird().idempotent


@pytest.mark.parametrize(("left", "end"), [(None, None), (599, None), (600, 1772453400000)])
def test_a_sendbird_announcement_ends_when_the_message_expires(left: int | None, end: int | None) -> None:
    assert _body(_sendbird(), _message()._replace(ttl_seconds=left)).get("end_at") == end


@pytest.mark.parametrize(
    ("code", "status"),
    [(400201, "rejected"), (400110, "rejected"), (400301, "rejected"), (500910, "failed"), (900200, "failed"),
     (400202, "accepted")],
)  # fmt: skip
def test_sendbirds_codes_mean_what_its_page_says(code: int, status: str) -> None:
    for provider in (_sendbird(), _sendbird(to="channel")):
        outcome = _read(provider, {"error": True, "code": code, "message": "about 770012345"}, 400)
        assert (outcome.status, outcome.lost) == (status, None)
        assert outcome.error_code == (None if status == "accepted" else f"sendbird_{code}")


@pytest.mark.parametrize(("code", "status"), [(400401, 400), (400401, 401), (400108, 400), (403100, 403), (None, 403)])
def test_sendbird_refuses_a_token_without_blaming_a_message(code: int | None, status: int) -> None:
    with pytest.raises(Unusable):
        _read(_sendbird(), {"error": True, "code": code}, status)


def test_sendbird_is_waited_for_as_its_header_asks() -> None:
    assert _sendbird().asked_wait(HttpAnswer(429, {"x-ratelimit-retryafter": "3"}, b""), AT) == 3.0
    for value in ("", "soon", "-1", "½"):
        assert _sendbird().asked_wait(HttpAnswer(429, {"x-ratelimit-retryafter": value}, b""), AT) is None
    assert _read(_sendbird(), {"error": True, "code": 500910}, 429).status == "failed"


def test_sendbird_names_what_it_took() -> None:
    assert _read(_sendbird(to="channel"), {"message_id": 640903435}).provider_message_id == "640903435"
    assert _read(_sendbird(), {"unique_id": "1" * 32}).provider_message_id == "1" * 32
