"""SMS and WhatsApp through Twilio: what is sent, what each answer means, and what does not fit."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs

import pytest

from activate.providers.base import Advice, HttpAnswer, HttpRequest, Outcome, Outgoing, Provider, Unusable
from activate.providers.registry import PROVIDERS, check, create
from tests.providers.vendors import SECRET
from tests.providers.vendors.twilio import ACCOUNT, KEY, SERVICE, refusal

AT = dt.datetime(2026, 3, 2, 12)
TEMPLATE = "HX" + "0e" * 16


def _sms(**options: Any) -> Provider:
    return create(
        "mine", {"type": "twilio", "account_sid": ACCOUNT, "secret": SECRET, "from": "+14155552345", **options}
    )


def _whatsapp(**options: Any) -> Provider:
    return create(
        "mine", {"type": "whatsapp", "account_sid": ACCOUNT, "secret": SECRET, "from": "+14155552345", **options}
    )


def _message(body: str = "Hi", **changes: Any) -> Outgoing:
    content = changes.pop("content", {"body": body})
    made = Outgoing("1" * 32, "u1", "c", 1, None, "sms", "+4915100000001", content)
    return made._replace(**changes)


def _form(provider: Provider, message: Outgoing) -> dict[str, list[str]]:
    request = provider.build([message], AT)
    assert isinstance(request, HttpRequest)
    return parse_qs(request.body.decode("ascii"), strict_parsing=True)


def _read(provider: Provider, answer: HttpAnswer) -> Outcome:
    (outcome,) = provider.read(answer, [_message()])
    return outcome


# -- the request -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sender", "key"),
    [(SERVICE, "MessagingServiceSid"), ("+14155552345", "From"), ("12345", "From"), ("My Shop", "From")],
)
def test_a_service_chooses_its_sender_and_anything_else_is_one(sender: str, key: str) -> None:
    form = _form(_sms(**{"from": sender}), _message())
    assert form[key] == [sender]
    assert len({"MessagingServiceSid", "From"} & form.keys()) == 1


@pytest.mark.parametrize(("left", "asked"), [(0, "1"), (1, "1"), (600, "600"), (36_000, "36000"), (90_000, "36000")])
def test_the_time_left_becomes_the_validity_within_twilios_bounds(left: int, asked: str) -> None:
    assert _form(_sms(), _message(ttl_seconds=left))["ValidityPeriod"] == [asked]
    assert "ValidityPeriod" not in _form(_sms(), _message(ttl_seconds=None))


def test_reports_come_back_under_the_messages_id() -> None:
    provider = _sms(status_callback="https://example.com/twilio?message={message_id}")
    assert _form(provider, _message())["StatusCallback"] == [f"https://example.com/twilio?message={'1' * 32}"]


def test_pictures_are_parameters_of_their_own() -> None:
    form = _form(
        _sms(), _message(content={"body": "Hi", "media_url": "https://a.example/1.png\nhttps://a.example/2.png"})
    )
    assert form["MediaUrl"] == ["https://a.example/1.png", "https://a.example/2.png"]


def test_an_account_without_a_key_logs_in_with_its_auth_token() -> None:
    plain, keyed = _sms().build([_message()], AT), _sms(key=KEY).build([_message()], AT)
    assert isinstance(plain, HttpRequest)
    assert isinstance(keyed, HttpRequest)
    assert plain.headers["Authorization"] != keyed.headers["Authorization"]
    assert SECRET not in repr(plain) + repr(keyed)


@pytest.mark.parametrize(
    ("body", "kind", "sent"),
    [
        ("Sale!", "marketing", "Sale!\nReply STOP to end"),
        ("Sale! Text STOP to opt out", "marketing", "Sale! Text STOP to opt out"),
        ("Sale! Antworte STOP", "marketing", "Sale! Antworte STOP"),
        ("Unsubscribe at example.com", "marketing", "Unsubscribe at example.com"),
        ("We will not stop at 20%", "marketing", "We will not stop at 20%\nReply STOP to end"),
        ("NONSTOP fun", "marketing", "NONSTOP fun\nReply STOP to end"),
        ("Your code is 1234", "transactional", "Your code is 1234"),
    ],
)
def test_the_way_out_is_put_below_marketing_that_names_none(body: str, kind: str, sent: str) -> None:
    provider = _sms(opt_out="Reply STOP to end")
    assert _form(provider, _message(body, message_class=kind))["Body"] == [sent]
    assert _form(_sms(), _message(body, message_class=kind))["Body"] == [body]


def test_whatsapp_takes_a_template_with_its_values_or_a_text() -> None:
    content = {"content_sid": TEMPLATE, "content_variables": '{"1": "Zoë", "2": "€5"}', "body": "x", "media_url": "y"}
    form = _form(_whatsapp(), _message(content=content))
    assert json.loads(form.pop("ContentVariables")[0]) == {"1": "Zoë", "2": "€5"}
    assert form == {"To": ["whatsapp:+4915100000001"], "From": ["whatsapp:+14155552345"], "ContentSid": [TEMPLATE]}
    form = _form(_whatsapp(**{"from": SERVICE}), _message(content={"body": "Hi", "media_url": "https://a.example/1"}))
    assert form == {"To": ["whatsapp:+4915100000001"], "MessagingServiceSid": [SERVICE], "Body": ["Hi"],
                    "MediaUrl": ["https://a.example/1"]}  # fmt: skip
    assert "ContentVariables" not in _form(_whatsapp(), _message(content={"content_sid": TEMPLATE}))


# -- answers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "status", "lost"),
    [
        (21610, "rejected", "opted_out"), (21211, "rejected", "hard_bounce"), (21217, "rejected", "hard_bounce"),
        (21614, "rejected", "hard_bounce"), (21635, "rejected", "hard_bounce"), (30005, "rejected", "hard_bounce"),
        (30006, "rejected", "hard_bounce"), (63003, "rejected", "hard_bounce"),
        (21408, "rejected", None), (21608, "rejected", None), (21612, "rejected", None), (21617, "rejected", None),
        (21658, "rejected", None), (30003, "rejected", None), (30007, "rejected", None), (63016, "rejected", None),
        (20429, "failed", None), (21611, "failed", None), (30001, "failed", None), (63017, "failed", None),
        (63018, "failed", None), (21606, "failed", None), (21659, "failed", None), (21703, "failed", None),
    ],
)  # fmt: skip
def test_a_code_means_what_twilio_says(code: int, status: str, lost: str | None) -> None:
    for provider in (_sms(), _whatsapp()):
        outcome = _read(provider, refusal(code, "The number +4915100000001 is ..."))
        assert (outcome.status, outcome.error_code, outcome.lost, outcome.error) == (status, str(code), lost, None)


@pytest.mark.parametrize(
    ("code", "status"),
    [(20003, 401), (20005, 401), (20006, 403), (20404, 404), (21212, 400), (21603, 400), (21660, 400), (21661, 400),
     (21701, 400), (21704, 400), (21705, 400), (30002, 400), (63002, 400), (63007, 400), (63038, 429)],
)  # fmt: skip
def test_what_is_ours_blames_no_message(code: int, status: int) -> None:
    with pytest.raises(Unusable, match=str(code)):
        _read(_sms(), refusal(code, "no", status))


def test_too_many_requests_are_never_final_whatever_code_comes_along() -> None:
    assert _read(_sms(), refusal(14107, "slow down", 429)).status == "failed"
    assert _read(_sms(), HttpAnswer(429, {}, b"<html>")).status == "failed"


def test_a_message_that_was_made_and_failed_at_once_is_refused() -> None:
    sid = "SM" + "0f" * 16
    body = {"sid": sid, "status": "failed", "error_code": 30006}
    assert _read(_sms(), HttpAnswer(201, {}, json.dumps(body).encode())) == Outcome(
        "1" * 32, "rejected", sid, "30006", None, "hard_bounce"
    )
    body = {"sid": sid, "status": "queued", "error_code": None}
    assert _read(_sms(), HttpAnswer(201, {}, json.dumps(body).encode())) == Outcome("1" * 32, "accepted", sid)


def test_a_proxy_that_lost_twilio_is_a_doubt_even_with_a_code() -> None:
    assert _read(_sms(), refusal(21610, "?", 502)).status == "unknown"
    assert _read(_sms(), refusal(20500, "?", 500)).status == "failed"


# -- fitness -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("", "no_body"), ("a" * 1530, None), ("a" * 1531, "too_many_segments"), ("a" * 1601, "too_long"),
        ("ж" * 670, None), ("ж" * 671, "too_many_segments"), ("a" * 670 + "’", "too_many_segments"),
        ("a" * 1528 + "€", None), ("a" * 1529 + "€", "too_many_segments"),
    ],
)  # fmt: skip
def test_a_text_fits_or_says_why_not(body: str, code: str | None) -> None:
    assert _sms().refuses(_message(body)) == code


def test_the_way_out_counts() -> None:
    provider = _sms(opt_out="Reply STOP to end", max_segments=1)
    assert provider.refuses(_message("a" * 142)) is None
    assert provider.refuses(_message("a" * 143)) == "too_many_segments"
    assert provider.refuses(_message("a" * 143, message_class="transactional")) is None


def test_a_picture_is_not_cut_into_segments_and_needs_no_text() -> None:
    content = {"body": "a" * 1600, "media_url": "https://a.example/1.png"}
    assert _sms().refuses(_message(content=content)) is None
    assert _sms().refuses(_message(content={"media_url": "https://a.example/1.png"})) is None
    assert _sms().refuses(_message(content={"media_url": " ".join(["https://a.example/1"] * 11)})) == "too_much_media"


@pytest.mark.parametrize(
    "address", ["", "004915100000001", "+0123456789", "+49 151 00000001", "whatsapp:+4915100000001", "ann"]
)
def test_an_address_is_a_number_in_e164(address: str) -> None:
    for provider in (_sms(), _whatsapp()):
        assert provider.refuses(_message(address=address)) == "bad_address"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ({"content_sid": TEMPLATE}, None),
        ({"content_sid": TEMPLATE, "content_variables": ""}, None),
        ({"content_sid": "HX1"}, "bad_content_sid"),
        ({"content_sid": TEMPLATE, "content_variables": "{"}, "bad_content_variables"),
        ({"content_sid": TEMPLATE, "content_variables": "[]"}, "bad_content_variables"),
        ({"content_sid": TEMPLATE, "content_variables": '{"1": 2}'}, "bad_content_variables"),
        ({"content_sid": TEMPLATE, "content_variables": json.dumps({"1": "a" * 1601})}, "bad_content_variables"),
        ({"body": "a" * 1600}, None),
        ({"body": "a" * 1601}, "too_long"),
        ({"media_url": "https://a.example/1"}, None),
        ({"media_url": "https://a.example/1 https://a.example/2"}, "too_much_media"),
        ({"body": ""}, "no_body"),
    ],
)
def test_a_whatsapp_message_fits_or_says_why_not(content: dict[str, str], code: str | None) -> None:
    assert _whatsapp().refuses(_message(content=content)) == code


def _misfits(kind: str, content: dict[str, str], class_: str = "marketing", **options: Any) -> Sequence[str]:
    return PROVIDERS[kind].misfits(options, "sms", content, class_)


def test_lint_tells_limits_with_their_figures() -> None:
    (said,) = _misfits("twilio", {"body": "a" * 700 + "… STOP"})
    assert said == (
        "the fixed text of the body takes 11 SMS segments (706 UTF-16 units); at most 10 are sent. '…' is not in the GSM "
        "alphabet, so that a segment holds 67 characters in place of 153"
    )
    assert not isinstance(said, Advice)
    assert _misfits("twilio", {"body": "a" * 1590 + " STOP"}, max_segments=11) == []
    assert _misfits("twilio", {"body": "a" * 320 + " STOP"}, max_segments="2") != []
    assert _misfits("twilio", {"body": "a" * 320 + " STOP"}, max_segments="{{ env_var('MOST') }}") == []
    said = _misfits("twilio", {"body": "a" * 1601}, "transactional", max_segments=24)[0]
    assert said == "the fixed text of the body has 1,601 characters; Twilio takes 1,600"
    assert _misfits("twilio", {"body": "a" * 1600, "media_url": ""}, "transactional") == []
    assert "neither a block body nor media_url" in _misfits("twilio", {"text": "x"})[0]


def test_lint_warns_of_marketing_without_a_way_out() -> None:
    (said,) = _misfits("twilio", {"body": "Sale!"})
    assert isinstance(said, Advice)
    assert "does not say how to opt out" in said
    assert _misfits("twilio", {"body": "Sale! STOP to end"}) == []
    assert _misfits("twilio", {"body": "Sale!"}, "transactional") == []
    assert _misfits("twilio", {"body": "Sale!"}, opt_out="Reply STOP to end") == []
    assert _misfits("twilio", {"body": "Sale!"}, opt_out="{{ env_var('OPT_OUT') }}") == []
    (said,) = _misfits("twilio", {"body": "a" * 143}, opt_out="Reply STOP to end", max_segments=1)
    assert "takes 2 SMS segments (161 septets" in said


def test_lint_knows_whatsapps_templates() -> None:
    assert _misfits("whatsapp", {"content_sid": TEMPLATE, "content_variables": ""}) == []
    (said,) = _misfits("whatsapp", {"body": "Hi"})
    assert isinstance(said, Advice)
    assert "24 hours" in said
    assert _misfits("whatsapp", {"body": "Hi"}, "transactional") == []
    (said,) = _misfits("whatsapp", {"content_sid": TEMPLATE, "body": "Hi"})
    assert isinstance(said, Advice)
    (said,) = _misfits("whatsapp", {"body": "a" * 1601}, "transactional")
    assert "1,601 characters" in said
    assert "none of the blocks" in _misfits("whatsapp", {"title": "x"})[0]


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("account_sid", "AC1", "32 hexadecimal digits"), ("key", "AC" + "0" * 32, "must be `SK`"),
        ("from", "a name that is too long", "is not a sender"), ("from", "0049151", None), ("from", "+0123", "not a sender"),
        ("opt_out", "Goodbye", "names no keyword"), ("max_segments", 0, "from 1 to 24"),
        ("status_callback", "http://example.com", "plain sight"),
    ],
)  # fmt: skip
def test_options_are_checked(option: str, value: object, said: str | None) -> None:
    section = {"type": "twilio", "account_sid": ACCOUNT, "secret": SECRET, "from": SERVICE, option: value}
    problems = check(section, resolved=True)
    assert (said in problems[0]) if said else problems == []
