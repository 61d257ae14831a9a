"""Braze, Customer.io, Iterable and Klaviyo beyond the contract: their other ways to send, their answers, and fitness."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from activate.deliver.hand_over import Clock, Line
from activate.providers.base import HttpAnswer, HttpRequest, Outgoing, Provider, Request, Unusable
from activate.providers.customerio import ulid
from activate.providers.registry import PROVIDERS, check, create
from tests.providers import test_contract as contract
from tests.providers.vendors import SECRET

AT = dt.datetime(2026, 3, 2, 12)
MAIL = {"subject": "Grüße", "html": "<b>héllo</b>", "text": "héllo", "preheader": "more"}
PUSH = {"title": "Grüße", "body": "héllo", "url": "shop://cart", "image": "https://e.com/a.png", "data": '{"cart": 7}'}
BRAZE_MAIL = {"app_id": "app", "from": "Shop <hello@shop.example.com>"}


def message(n: int = 0, channel: str = "email", content: dict[str, str] | None = None, **more: Any) -> Outgoing:
    text = dict(MAIL if content is None else content)
    return Outgoing(f"{n:032x}", f"user {n}", "cart", 2, "b", channel, f"person{n}@private.example.com", text, **more)


def provider(kind: str, **options: Any) -> Provider:
    return create("mine", {"type": kind, **options})


def braze(**options: Any) -> Provider:
    return provider("braze", api_key=SECRET, **options)


def body(found: Provider, *batch: Outgoing) -> Any:
    return json.loads(posted(found, *batch).body)


def posted(found: Provider, *batch: Outgoing) -> HttpRequest:
    request = found.build(batch, AT)
    assert isinstance(request, HttpRequest)
    return request


def answered(status: int, told: Any = None, **headers: str) -> HttpAnswer:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpAnswer(status, names, b"" if told is None else json.dumps(told).encode())


def statuses(found: Provider, answer: HttpAnswer, *batch: Outgoing) -> list[str]:
    return [outcome.status for outcome in found.read(answer, batch)]


# -- Braze ------------------------------------------------------------------------------------------------------------


def test_braze_sends_one_content_to_many_people() -> None:
    found = braze(**BRAZE_MAIL, reply_to="help@shop.example.com")
    request = posted(found, message(1), message(2))
    assert request.url == "https://rest.iad-01.braze.com/messages/send"
    assert json.loads(request.body) == {
        "external_user_ids": ["user 1", "user 2"], "broadcast": False, "recipient_subscription_state": "subscribed",
        "messages": {"email": {
            "app_id": "app", "subject": "Grüße", "from": "Shop <hello@shop.example.com>",
            "reply_to": "help@shop.example.com", "body": "<b>héllo</b>", "plaintext_body": "héllo", "preheader": "more"}},
    }  # fmt: skip


def test_braze_messages_share_a_request_only_if_all_of_them_is_equal() -> None:
    found = braze(**BRAZE_MAIL)
    same = found.together(message(1))
    assert found.together(message(2)) == same
    assert found.together(message(2, content={**MAIL, "text": "other"})) != same
    assert found.together(message(2, message_class="transactional")) != same
    assert found.together(message(2, ttl_seconds=60)) != same
    assert braze(send_by="campaign", campaign_id="c").together(message(2, content={"text": "other"})) is None


def test_braze_reaches_the_unsubscribed_with_transactional_messages_only() -> None:
    found = body(braze(**BRAZE_MAIL), message(message_class="transactional"))
    assert found["recipient_subscription_state"] == "all"


def test_braze_text_alone_becomes_html_that_shows_it() -> None:
    mail = body(braze(**BRAZE_MAIL), message(content={"subject": "s", "text": "1 < 2\nyes"}))["messages"]["email"]
    assert (mail["body"], mail["plaintext_body"]) == ("1 &lt; 2<br>\nyes", "1 < 2\nyes")


def test_braze_push_goes_to_both_kinds_of_phones_and_expires() -> None:
    told = body(braze(), message(channel="push", content=PUSH, ttl_seconds=3600))["messages"]
    assert told["apple_push"] == {
        "alert": {"title": "Grüße", "body": "héllo"}, "custom_uri": "shop://cart", "extra": {"cart": 7},
        "expiry": "2026-03-02T13:00:00+00:00",
    }  # fmt: skip
    assert told["android_push"] == {
        "title": "Grüße", "alert": "héllo", "custom_uri": "shop://cart", "time_to_live": 3600,
        "extra": {"cart": 7, "appboy_image_url": "https://e.com/a.png"},
    }  # fmt: skip
    web = body(braze(), message(channel="web_push", content=PUSH, ttl_seconds=60))["messages"]
    assert web == {"web_push": {"title": "Grüße", "alert": "héllo", "custom_uri": "shop://cart", "extra": {"cart": 7},
                                "large_image_url": "https://e.com/a.png", "time_to_live": 60}}  # fmt: skip


@pytest.mark.parametrize(("ttl", "seconds"), [(None, 2_592_000), (60, 60), (9_999_999, 2_592_000)])
def test_braze_content_cards_live_as_long_as_the_message_and_at_most_thirty_days(ttl: int | None, seconds: int) -> None:
    content = {"title": "t", "body": "b", "url": "https://e.com", "data": '{"a": 1}'}
    card = body(braze(), message(channel="card", content=content, ttl_seconds=ttl))["messages"]["content_card"]
    assert card == {"type": "CLASSIC", "title": "t", "description": "b", "time_to_live": seconds,
                    "ios_uri": "https://e.com", "android_uri": "https://e.com", "web_uri": "https://e.com",
                    "extra": {"a": 1}}  # fmt: skip
    pictured = message(channel="card", content={**content, "image": "https://e.com/a.png"})
    assert body(braze(), pictured)["messages"]["content_card"]["type"] == "CAPTIONED_IMAGE"


def test_braze_counts_messages_under_a_campaigns_variation() -> None:
    found = body(braze(**BRAZE_MAIL, campaign_id="c", message_variation_id="v"), message())
    assert (found["campaign_id"], found["messages"]["email"]["message_variation_id"]) == ("c", "v")
    sms = body(braze(app_id="app", subscription_group_id="g"), message(channel="sms", content={"body": "hi"}))
    assert sms["messages"] == {"sms": {"app_id": "app", "subscription_group_id": "g", "body": "hi"}}


@pytest.mark.parametrize(
    ("way", "path", "name"),
    [("campaign", "/campaigns/trigger/send", "trigger_properties"),
     ("canvas", "/canvas/trigger/send", "context")],
)  # fmt: skip
def test_braze_triggers_with_each_persons_own_blocks(way: str, path: str, name: str) -> None:
    found = braze(send_by=way, **{f"{way}_id": "the-id"}, known_by="address")
    request = posted(found, message(1), message(2, content={"body": "{{ not ours }}", "data": '{"a": 1}'}))
    assert urlsplit(request.url).path == path
    told = json.loads(request.body)
    assert told[f"{way}_id"] == "the-id"
    first, second = told["recipients"]
    assert first["external_user_id"] == "person1@private.example.com"
    origin = {"campaign": "cart", "step": 2, "variant": "b"}
    assert first[name] == {**MAIL, **origin, "message_id": f"{1:032x}"}
    assert second[name] == {"body": "{{ not ours }}", "data": {"a": 1}, **origin, "message_id": f"{2:032x}"}


@pytest.mark.parametrize(
    ("channel", "content", "code"),
    [
        ("email", {"text": "x"}, "no_subject"),
        ("email", {"subject": "x"}, "no_text"),
        ("email", {"subject": "x {% connected_content %}", "text": "x"}, "liquid"),
        ("email", {"subject": "x", "text": "{{x}}"}, "liquid"),
        ("email", {"subject": "x", "text": "{ {x} }"}, None),
        ("sms", {"body": "x"}, "no_subscription_group_id"),
        ("push", {"body": "x"}, "no_title"),
        ("push", {"title": "x", "body": "x", "data": "[1]"}, "bad_data"),
        ("push", {"title": "x", "body": "x", "data": "{"}, "bad_data"),
        ("push", {"title": "x", "body": "x" * 1_889}, None),
        ("push", {"title": "x", "body": "x" * 1_890}, "too_long"),
        ("push", {"title": "x", "body": "é" * 945}, "too_long"),
        ("card", {"title": "x", "body": "x" * 2_025}, None),
        ("card", {"title": "x", "body": "x" * 2_026}, "too_long"),
        ("whatsapp", {"body": "x"}, "wrong_channel"),
    ],
)
def test_braze_refuses_messages_that_it_cannot_carry(channel: str, content: dict[str, str], code: str | None) -> None:
    assert braze(**BRAZE_MAIL).refuses(message(channel=channel, content=content)) == code


def test_braze_sms_with_a_picture_is_refused_rather_than_sent_without() -> None:
    found = braze(app_id="a", subscription_group_id="g")
    assert (
        found.refuses(message(channel="sms", content={"body": "x", "media_url": "https://e.com/a.png"})) == "no_media"
    )
    assert found.refuses(message(channel="sms", content={"body": "x"})) is None


def test_braze_events_hold_short_texts_only() -> None:
    found = braze(send_by="event")
    assert found.refuses(message(content={"body": "é" * 255})) is None
    assert found.refuses(message(content={"body": "é" * 256})) == "too_long"
    assert found.refuses(message(content={"body": "x", "data": json.dumps(["x"] * 100).join(('{"a": ', "}"))})) is None
    assert braze(send_by="campaign", campaign_id="c").refuses(message(content={"body": "é" * 256})) is None


def test_braze_minor_errors_without_a_position_leave_a_doubt() -> None:
    found = braze(**BRAZE_MAIL)
    told = {"dispatch_id": "acf471", "message": "success", "errors": ["one address is malformed"]}
    assert statuses(found, answered(201, told), message(1), message(2)) == ["unknown", "unknown"]
    taken = found.read(answered(201, {"dispatch_id": "acf471", "message": "success"}), [message(1)])
    assert (taken[0].status, taken[0].provider_message_id) == ("accepted", "acf471")


def test_braze_warnings_about_events_that_were_all_taken_harm_none() -> None:
    found = braze(send_by="event")
    told = {"message": "success", "events_processed": 2, "errors": [{"type": "something odd"}]}
    assert statuses(found, answered(201, told), message(1), message(2)) == ["accepted", "accepted"]
    out_of_range = {"events_processed": 1, "errors": [{"index": 9}]}
    assert statuses(found, answered(201, out_of_range), message(1), message(2)) == ["unknown", "unknown"]


@pytest.mark.parametrize(
    "text", ["Invalid Campaign ID", "Invalid Message Variant", "Mismatched Message Type", "Canvas does not exist"]
)
def test_braze_mistakes_of_set_up_reject_no_message(text: str) -> None:
    found = braze(send_by="campaign", campaign_id="c")
    answer = answered(400, {"message": text})
    assert not found.splits(answer)
    with pytest.raises(Unusable):
        found.read(answer, [message()])


def test_a_canvas_that_is_paused_takes_no_message_though_braze_calls_it_a_success() -> None:
    found = braze(send_by="canvas", canvas_id="c")
    notice = "The Canvas is paused. Resume the Canvas to ensure trigger requests will take effect."
    with pytest.raises(Unusable) as raised:
        found.read(answered(201, {"notice": notice, "dispatch_id": "d", "message": "success"}), [message()])
    assert raised.value.code == "not_running"


def test_braze_batches_are_halved_when_a_recipient_spoils_them() -> None:
    assert braze(**BRAZE_MAIL).splits(answered(400, {"message": "Bad Request"}))


def test_braze_tells_when_its_window_ends() -> None:
    found = braze(**BRAZE_MAIL)
    noon = int(AT.replace(tzinfo=dt.UTC).timestamp())
    assert found.asked_wait(answered(429, None, x_ratelimit_reset=str(noon + 7)), AT) == 7
    assert found.asked_wait(answered(429, None, x_ratelimit_reset=str(noon - 7)), AT) == 0
    assert found.asked_wait(answered(201, None, x_ratelimit_reset=str(noon + 7)), AT) is None
    assert found.asked_wait(answered(429, None, x_ratelimit_reset="soon"), AT) is None
    assert found.asked_wait(answered(429), AT) is None


def test_the_engine_waits_as_long_as_braze_asks() -> None:
    noon = int(AT.replace(tzinfo=dt.UTC).timestamp())
    answers = [answered(429, None, x_ratelimit_reset=str(noon + 7)), answered(201, {"message": "success"})]
    slept: list[float] = []

    class Connection:
        def carry(self, request: Request) -> HttpAnswer:
            return answers.pop(0)

    clock = Clock(now=lambda: AT, monotonic=lambda: sum(slept), sleep=slept.append, chance=lambda: 0.0)
    handed = Line(braze(**BRAZE_MAIL), clock).hand_over(Connection(), [message()], AT)  # type: ignore[arg-type]
    assert [outcome.status for outcome in handed.outcomes] == ["accepted"]
    assert sum(slept) == pytest.approx(7, abs=0.1)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"send_by": "campaign"}, "'campaign_id' is missing"),
        ({"send_by": "canvas"}, "'canvas_id' is missing"),
        ({"campaign_id": "c"}, "go together"),
        ({"batch": 51}, "at most 50"),
        ({"send_by": "event", "batch": 76}, "out of bounds"),
        ({"send_by": "mail"}, "is not allowed"),
    ],
)
def test_braze_options_that_cannot_work_are_told(options: dict[str, Any], part: str) -> None:
    assert part in "\n".join(check({"type": "braze", "api_key": SECRET, **options}, resolved=True))


def test_braze_takes_fuller_batches_of_events() -> None:
    assert braze(send_by="event", batch=75).limits.batch == 75


# -- Customer.io ------------------------------------------------------------------------------------------------------


def customerio(**options: Any) -> Provider:
    if options.get("send_by") == "event":
        return provider("customerio", site_id="site", track_key=SECRET, **options)
    return provider("customerio", send_by="transactional", app_key=SECRET, **options)


def test_customerio_push_and_sms_use_a_transactional_message() -> None:
    found = customerio(transactional_message_id="7")
    push = body(found, message(channel="push", content=PUSH, message_class="transactional"))
    assert push.pop("message_data")["body"] == "héllo"
    assert push == {"transactional_message_id": "7", "identifiers": {"id": "user 0"}, "send_to_unsubscribed": True,
                    "title": "Grüße", "message": "héllo", "link": "shop://cart", "custom_data": {"cart": 7},
                    "image_url": "https://e.com/a.png"}  # fmt: skip
    request = posted(found, message(channel="sms", content={"body": "{{ fine }}"}))
    assert request.url == "https://api.customer.io/v1/send/sms"
    told = json.loads(request.body)
    assert (told["to"], told["message_data"]["body"]) == ("person0@private.example.com", "{{ fine }}")
    assert "body" not in told


@pytest.mark.parametrize(
    ("options", "channel", "content", "code"),
    [
        ({}, "email", MAIL, "no_from"),
        ({"from": "a@e.com"}, "email", MAIL, None),
        ({"from": "a@e.com"}, "email", {"subject": "x"}, "no_text"),
        ({"from": "a@e.com"}, "email", {"text": "x"}, "no_subject"),
        ({"from": "a@e.com"}, "email", {"subject": "{{ x }}", "text": "x"}, "liquid"),
        ({"from": "a@e.com"}, "sms", {"body": "x"}, "no_transactional_message_id"),
        ({"transactional_message_id": "7"}, "sms", {"body": "{{ x }}"}, None),
        ({"transactional_message_id": "7"}, "push", {"title": "{{ x }}"}, "liquid"),
        ({"transactional_message_id": "7"}, "push", {"title": "x", "data": "1"}, "bad_data"),
        ({"transactional_message_id": "7"}, "chat", {"body": "x"}, "wrong_channel"),
        ({"send_by": "event"}, "chat", {"body": "{{ x }}"}, None),
        ({"send_by": "event"}, "chat", {"body": "x" * 32_000}, "too_long"),
    ],
)
def test_customerio_refuses_what_it_cannot_carry(
    options: dict[str, Any], channel: str, content: dict[str, str], code: str | None
) -> None:
    assert customerio(**options).refuses(message(channel=channel, content=content)) == code


def test_customerio_events_travel_in_batches_and_are_deduplicated_by_ulid() -> None:
    found = customerio(send_by="event", event="reminder", id_type="email", known_by="address")
    assert found.idempotent
    assert found.limits.batch > 1
    request = posted(found, message(1), message(255, channel="push"))
    assert request.url == "https://track.customer.io/api/v2/batch"
    assert request.headers["Authorization"] == "Basic " + base64.b64encode(f"site:{SECRET}".encode()).decode()
    first, second = json.loads(request.body)["batch"]
    assert first["attributes"].pop("recipient") == "person1@private.example.com"
    origin = {"campaign": "cart", "step": 2, "variant": "b"}
    assert first == {"type": "person", "action": "event", "identifiers": {"email": "person1@private.example.com"},
                     "name": "reminder", "id": "0" * 25 + "1", "timestamp": 1_772_452_800,
                     "attributes": {**MAIL, **origin, "message_id": f"{1:032x}"}}  # fmt: skip
    assert second["id"] == "0" * 24 + "7Z"
    assert "recipient" not in second["attributes"]


def test_a_ulid_is_made_of_every_id() -> None:
    assert ulid("f" * 32) == "7" + "Z" * 25
    assert len({ulid("a"), ulid("b"), ulid("A" * 32)}) == 3
    assert {len(ulid(one)) for one in ("a", "0" * 32, "f" * 32)} == {26}


def test_customerio_events_that_are_refused_are_told_by_position() -> None:
    found = customerio(send_by="event")
    errors = [{"batch_index": 1, "reason": "required", "field": "name", "message": "x"},
              {"batch_index": 2, "reason": "person2@private.example.com"}, {"batch_index": 9}]  # fmt: skip
    told = found.read(answered(207, {"errors": errors}), [message(n) for n in range(3)])
    assert [(one.status, one.error_code) for one in told] == [
        ("accepted", None), ("rejected", "required"), ("rejected", "refused"),
    ]  # fmt: skip


def test_customerio_transactional_messages_are_not_repeated() -> None:
    found = customerio(transactional_message_id="7")
    assert not found.idempotent
    assert found.limits.batch == 1


def test_a_transactional_message_that_customerio_does_not_know_rejects_nobody() -> None:
    found = customerio(transactional_message_id="7")
    with pytest.raises(Unusable):
        found.read(answered(400, {"meta": {"error": "transactional_message_id: not found"}}), [message()])


# -- Iterable ---------------------------------------------------------------------------------------------------------


def iterable(**options: Any) -> Provider:
    return provider("iterable", **{"api_key": SECRET, "send_by": "campaign", "campaign_id": 99, **options})


@pytest.mark.parametrize(
    ("channel", "path", "metadata"),
    [("email", "/api/email/target", True), ("push", "/api/push/target", True), ("sms", "/api/sms/target", False),
     ("web_push", "/api/webPush/target", False), ("in_app", "/api/inApp/target", False),
     ("whatsapp", "/api/whatsApp/target", False)],
)  # fmt: skip
def test_iterable_sends_its_campaign_to_one_person_of_any_channel(channel: str, path: str, metadata: bool) -> None:
    found = iterable()
    assert (found.limits.batch, found.idempotent) == (1, False)
    request = posted(found, message(1, channel=channel))
    assert request.url == f"https://api.iterable.com{path}"
    told = json.loads(request.body)
    assert told.pop("metadata", None) == ({"message_id": f"{1:032x}"} if metadata else None)
    activate = {**MAIL, "campaign": "cart", "step": 2, "variant": "b", "message_id": f"{1:032x}"}
    assert told == {"campaignId": 99, "recipientUserId": "user 1", "dataFields": {"activate": activate}}


def test_iterable_knows_people_by_address_if_told() -> None:
    told = body(iterable(id_type="email", known_by="address"), message(1))
    assert told["recipientEmail"] == "person1@private.example.com"


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (answered(200, {"code": "Success", "msg": ""}), "accepted"),
        (answered(400, {"code": "InvalidEmailAddressError", "msg": "x"}), "rejected"),
        (answered(400, {"code": "ForgottenUserError", "msg": "x"}), "rejected"),
        (answered(400, {"code": "QueueEmailError", "msg": "x"}), "failed"),
        (answered(400, {"code": "Surprise", "msg": "x"}), "rejected"),
        (answered(429, {"code": "RateLimitExceeded", "msg": "x"}), "failed"),
    ],
)
def test_iterable_codes_are_told_apart(answer: HttpAnswer, status: str) -> None:
    found = iterable()
    assert not found.splits(answer)
    assert statuses(found, answer, message()) == [status]


@pytest.mark.parametrize(
    "answer", [answered(400, {"code": "BadApiKey"}), answered(400, {"code": "BadParams", "msg": "Campaign not found"})]
)
def test_iterable_mistakes_of_set_up_reject_no_message(answer: HttpAnswer) -> None:
    with pytest.raises(Unusable):
        iterable().read(answer, [message()])


def test_iterable_events_of_a_name_that_is_not_allowed_reject_no_message() -> None:
    with pytest.raises(Unusable) as raised:
        iterable(send_by="event").read(answered(200, {"disallowedEventNames": ["activate_message"]}), [message()])
    assert raised.value.code == "disallowed_event"


def test_iterable_events_keep_the_published_pace_unless_told() -> None:
    assert iterable().limits.per_second is None
    assert iterable(send_by="event").limits.per_second == 10
    assert iterable(send_by="event", per_second=3).limits.per_second == 3


def test_iterable_refuses_channels_that_its_campaigns_do_not_have() -> None:
    assert iterable().refuses(message(channel="chat")) == "wrong_channel"
    assert iterable(send_by="event").refuses(message(channel="chat")) is None
    assert iterable().refuses(message(content={"data": "no json"})) == "bad_data"


# -- Klaviyo ----------------------------------------------------------------------------------------------------------


def klaviyo(**options: Any) -> Provider:
    return provider("klaviyo", api_key=SECRET, **options)


@pytest.mark.parametrize(
    ("channel", "known_by", "kind"),
    [("email", "user_id", "external_id"), ("email", "address", "email"), ("sms", "address", "phone_number"),
     ("whatsapp", "address", "phone_number"), ("push", "address", "external_id")],
)  # fmt: skip
def test_klaviyo_profiles_are_known_by_the_channels_kind_of_address(channel: str, known_by: str, kind: str) -> None:
    told = body(klaviyo(known_by=known_by), message(channel=channel))
    assert list(told["data"]["attributes"]["profile"]["data"]["attributes"]) == [kind]


def test_klaviyo_bulk_jobs_are_faster_and_not_repeated() -> None:
    one, many = klaviyo(), klaviyo(batch=1_000)
    assert (one.idempotent, many.idempotent) == (True, False)
    assert (one.limits.per_second, many.limits.per_second) == (58, 2.5)
    assert klaviyo(batch=2, per_second=1).limits.per_second == 1
    request = posted(many, message(1), message(2))
    assert request.url == "https://a.klaviyo.com/api/event-bulk-create-jobs"
    events = json.loads(request.body)["data"]["attributes"]["events-bulk-create"]["data"]
    inner = [event["attributes"]["events"]["data"][0]["attributes"]["unique_id"] for event in events]
    assert inner == [f"{1:032x}", f"{2:032x}"]
    assert many.splits(answered(400))
    assert not one.splits(answered(400))


def test_klaviyo_takes_texts_of_a_hundred_kilobytes() -> None:
    assert klaviyo().refuses(message(content={"html": "é" * 50_000})) is None
    assert klaviyo().refuses(message(content={"html": "é" * 50_001})) == "too_long"
    assert klaviyo().refuses(message(content={"data": "[]"})) == "bad_data"


def test_klaviyos_code_is_kept() -> None:
    told = klaviyo().read(answered(400, {"errors": [{"code": "invalid"}]}), [message()])
    assert (told[0].status, told[0].error_code) == ("rejected", "invalid")


# -- the contract, in every way to send -------------------------------------------------------------------------------

WAYS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "braze message": ("braze", "email", {"send_by": "message", **BRAZE_MAIL}),
    "braze campaign": ("braze", "email", {"send_by": "campaign", "campaign_id": "c"}),
    "braze canvas": ("braze", "email", {"send_by": "canvas", "canvas_id": "c"}),
    "customerio event": ("customerio", "email", {"send_by": "event", "site_id": "site", "track_key": SECRET}),
    "iterable campaign": ("iterable", "email", {"send_by": "campaign", "campaign_id": 99}),
    "klaviyo bulk": ("klaviyo", "email", {"batch": 1_000}),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "term",
    [
        contract.test_the_same_batch_makes_the_same_request,
        contract.test_a_request_shows_neither_address_nor_content_nor_secret,
        contract.test_there_is_one_outcome_per_message_whatever_is_answered,
        contract.test_a_success_that_cannot_be_read_is_never_called_a_failure,
        contract.test_being_told_to_wait_is_not_final_and_a_server_error_neither,
        contract.test_refused_credentials_blame_no_message,
        contract.test_neither_address_nor_secret_reaches_an_outcome,
        contract.test_a_lost_answer_is_a_doubt_and_only_what_is_idempotent_is_repeated,
    ],
    ids=lambda term: term.__name__,
)
def test_every_way_keeps_the_contract(way: str, term: Callable[[contract.Case], None]) -> None:
    kind, channel, options = WAYS[way]
    case = contract.Case(kind)
    section = {name: value for name, value in case.peer.section.items() if name in ("api_key", "app_key")}
    case.provider = provider(kind, **section, **options)
    case.peer.channel, case.peer.content = channel, dict(MAIL)
    term(case)


# -- fitness at lint --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options", "channel", "content", "part"),
    [
        ("braze", {}, "whatsapp", {"body"}, "not whatsapp"),
        ("braze", {}, "email", {"subject"}, "`html` or `text`"),
        ("braze", {}, "push", {"body"}, "needs the block `title`"),
        ("braze", {}, "sms", {"body"}, "needs the option `subscription_group_id`"),
        ("customerio", {"send_by": "transactional"}, "chat", {"body"}, "not chat"),
        ("customerio", {"send_by": "transactional"}, "sms", {"body"}, "`transactional_message_id`"),
        ("customerio", {"send_by": "transactional"}, "email", {"subject", "text"}, "needs the option `from`"),
        ("iterable", {"send_by": "campaign"}, "card", {"body"}, "not card"),
    ],
)
def test_lint_tells_what_can_never_be_sent(
    kind: str, options: dict[str, Any], channel: str, content: set[str], part: str
) -> None:
    found = PROVIDERS[kind].misfits(options, channel, dict.fromkeys(content, ""), "marketing")
    assert part in "\n".join(found)


@pytest.mark.parametrize(
    ("kind", "options", "channel", "content"),
    [
        ("braze", BRAZE_MAIL, "email", {"subject", "text"}),
        ("braze", {"send_by": "campaign"}, "whatsapp", {"body"}),
        ("customerio", {"send_by": "event"}, "chat", {"body"}),
        (
            "customerio",
            {"send_by": "transactional", "transactional_message_id": "{{ env_var('X') }}"},
            "push",
            {"body"},
        ),
        ("iterable", {"send_by": "event"}, "card", {"body"}),
        ("klaviyo", {}, "chat", {"body"}),
    ],
)
def test_lint_lets_pass_what_can_be_sent(kind: str, options: dict[str, Any], channel: str, content: set[str]) -> None:
    assert PROVIDERS[kind].misfits(options, channel, dict.fromkeys(content, ""), "marketing") == []
