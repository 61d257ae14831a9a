"""Sources: providers' own examples verify, anything altered is refused, and what is read says what happened and nothing personal."""

from __future__ import annotations

import base64
import datetime as dt
import json
from typing import Any
from urllib.parse import urlencode

import pytest

from activate.address import address_hash
from activate.engagement import row_of
from activate.ingest.take import take
from activate.sources.base import Bad, Captured, Event, Ignored, Refused, instant
from activate.sources.registry import SOURCES
from tests.ingest.vectors import ADDRESS, AT, LOSSES, MESSAGE, NOON, NUMBER, SECTIONS, signed, source

KINDS = sorted(SOURCES)
SIGNED_BODY = [kind for kind in KINDS if kind in ("generic", "sendgrid", "twilio")]


def only(kind: str, document: Any, **options: Any) -> Event | Bad | Ignored:
    (found,) = source(kind, **options).read(signed(kind, document))
    return found


def test_every_type_is_tried() -> None:
    assert set(KINDS) == set(SECTIONS) == set(LOSSES)


# -- signatures -------------------------------------------------------------------------------------------------------

# sendgrid/sendgrid-python, test/unit/test_eventwebhook.py: key, signature, time and payload (with its CRLF).
SENDGRID_KEY = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g=="
SENDGRID = Captured(
    dt.datetime(2020, 9, 14, 19, 41, 45),
    {
        "x-twilio-email-event-webhook-signature": (
            "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM="
        ),
        "x-twilio-email-event-webhook-timestamp": "1600112502",
    },
    (
        b'[{"email":"hello@world.com","event":"dropped","reason":"Bounced Address",'
        b'"sg_event_id":"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA",'
        b'"sg_message_id":"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0",'
        b'"smtp-id":"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>","timestamp":1600112492}]\r\n'
    ),
)


def test_sendgrids_published_example_verifies_and_suppresses_the_address() -> None:
    made = source("sendgrid", public_key=SENDGRID_KEY)
    made.verify(SENDGRID)
    (event,) = made.read(SENDGRID)
    assert isinstance(event, Event)
    assert event.suppression == ("hard_bounce", "suppressed")
    assert (event.name, event.code, event.provider_message_id) == (
        "dropped",
        "bounced_address",
        "LRzXl_NHStOGhQ4kofSm_A",
    )


@pytest.mark.parametrize(
    ("url", "fields", "signature"),
    [
        # Twilio's documented example, and the one of repeated parameters in twilio's RequestValidator tests.
        (
            "https://mycompany.com/myapp.php?foo=1&bar=2",
            [("CallSid", "CA1234567890ABCDE"), ("Caller", "+14158675309"), ("Digits", "1234"), ("From", "+14158675309"),
             ("To", "+18005551212")],
            "RSOYDt4T1cUTdK1PDd93/VVr8B8=",
        ),
        (
            "https://mycompany.com/myapp.php?foo=1&bar=2",
            [("Sid", "CA123"), ("SidAccount", "AC123"), ("Digits", "5678"), ("Digits", "1234"), ("Digits", "1234")],
            "IK+Dwps556ElfBT0I3Rgjkr1wJU=",
        ),
    ],
)  # fmt: skip
def test_twilios_published_examples_verify(url: str, fields: list[tuple[str, str]], signature: str) -> None:
    body = urlencode(fields).encode()
    source("twilio").verify(Captured(NOON, {"x-twilio-signature": signature}, body, url))
    source("twilio", url=url).verify(Captured(NOON, {"x-twilio-signature": signature}, body, "/events/twilio"))
    with pytest.raises(Refused, match="bad_signature"):
        source("twilio").verify(Captured(NOON, {"x-twilio-signature": signature}, body, url + "&x=1"))


def test_mailguns_published_example_has_its_signature_made_alike() -> None:
    """documentation.mailgun.com: timestamp and token, as one text, by HMAC-SHA256."""
    request = signed("mailgun", LOSSES["mailgun"])
    source("mailgun").verify(request)
    with pytest.raises(Refused, match="bad_signature"):
        source("mailgun", signing_key="another").verify(request)


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_of_the_provider_is_taken_and_one_without_its_secret_is_not(kind: str) -> None:
    request = signed(kind, LOSSES[kind])
    source(kind).verify(request)
    forged = request._replace(headers={}, url=None)
    if kind == "mailgun":
        forged = request._replace(body=json.dumps({"event-data": LOSSES[kind]}).encode())
    with pytest.raises(Refused):
        source(kind).verify(forged)
    secret = next(name for name, value in SECTIONS[kind].items() if name not in ("channel", "url", "username", "topic"))
    other = (
        SECTIONS["sendgrid"]["public_key"][:-12] + "AAAAAAAAAA=="
        if kind == "sendgrid"
        else "another-secret-of-enough-length"
    )
    with pytest.raises(Refused):
        source(kind, **{secret: other}).verify(request)


@pytest.mark.parametrize("kind", SIGNED_BODY)
def test_an_altered_body_is_refused(kind: str) -> None:
    request = signed(kind, LOSSES[kind])
    for altered in (request.body + b" ", request.body[:-1], request.body.replace(b"1", b"2", 1), b""):
        with pytest.raises(Refused):
            source(kind).verify(request._replace(body=altered))


@pytest.mark.parametrize("kind", ["generic", "sendgrid", "mailgun", "ses"])
@pytest.mark.parametrize("away", [1, -1])
def test_a_replayed_request_is_refused_after_the_tolerance(kind: str, away: int) -> None:
    request, tolerance = signed(kind, LOSSES[kind]), source(kind).options["tolerance"]
    source(kind).verify(request._replace(received_at=NOON + away * dt.timedelta(seconds=tolerance)))
    with pytest.raises(Refused, match="not_fresh"):
        source(kind).verify(request._replace(received_at=NOON + away * dt.timedelta(seconds=tolerance + 1)))


def test_an_altered_time_is_refused() -> None:
    for kind, name in (("generic", "webhook-timestamp"), ("sendgrid", "x-twilio-email-event-webhook-timestamp")):
        request = signed(kind, LOSSES[kind])
        with pytest.raises(Refused, match="bad_signature"):
            source(kind).verify(request._replace(headers={**request.headers, name: str(AT + 1)}))


def test_another_topic_is_refused() -> None:
    with pytest.raises(Refused, match="another_topic"):
        source("ses", topic="arn:aws:sns:eu-central-1:999999999999:mail").verify(signed("ses", LOSSES["ses"]))


# -- what is read -----------------------------------------------------------------------------------------------------

EXPECTED = {
    "generic": ("failed", "push", "token-0", "unregistered", None),
    "sendgrid": ("bounced", "email", ADDRESS, "hard_bounce", "5.1.1"),
    "twilio": ("unsubscribed", "sms", NUMBER, "opted_out", None),
    "onesignal": ("unsubscribed", "push", None, "opted_out", "unsubscribed"),
    "braze": ("bounced", "email", ADDRESS, "hard_bounce", None),
    "postmark": ("complained", "email", ADDRESS, "complained", "SpamComplaint"),
    "mailgun": ("bounced", "email", ADDRESS, "hard_bounce", "605"),
    "ses": ("bounced", "email", ADDRESS, "hard_bounce", "5.1.1"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_is_read_with_its_reason_and_without_the_address(kind: str) -> None:
    taken = take(source(kind), signed(kind, LOSSES[kind]))
    (row,) = taken.rows
    name, channel, address, reason, code = EXPECTED[kind]
    assert (row.name, row.channel, row.reason, row.status, row.code) == (name, channel, reason, "suppressed", code)
    assert row.address_hash == (address_hash(channel, address) if address else None)
    assert row.message_id == (None if kind in ("twilio", "onesignal", "braze") else MESSAGE)
    text = repr(row).lower()
    assert "secret" not in text
    assert "private.example" not in text
    assert "5550100123" not in text
    again = take(source(kind), signed(kind, LOSSES[kind])).rows[0]
    assert again == row


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ("stop", "unsubscribed"), ("STOP ", "unsubscribed"), ("Stop!", "unsubscribed"), ("STOP PLEASE", "unsubscribed"),
        ("please stop", "unsubscribed"), ("REVOKE", "unsubscribed"), ("opt out", "unsubscribed"), ("STOPALL", "unsubscribed"),
        ("Abmelden", "unsubscribed"), ("START", "resubscribed"), ("unstop", "resubscribed"), ("YES", "replied"),
        ("stop by tomorrow", "replied"), ("I will not stop", "replied"), ("please start", "replied"), ("", "replied"),
    ],
)  # fmt: skip
def test_8_1_keywords(body: str, name: str) -> None:
    """8.1 and 8.2: `stop`, `STOP `, REVOKE and OPT OUT opt out; YES does not opt in."""
    fields = {"MessageSid": "SM2", "From": f"whatsapp:{NUMBER}", "To": "whatsapp:+15550199", "Body": body}
    event = only("twilio", fields, stop_keywords="abmelden, stopp")
    assert isinstance(event, Event)
    assert (event.name, event.channel) == (name, "whatsapp")
    assert body == "" or body not in repr(row_of("twilio", event, NOON))


def test_twilios_own_opt_out_type_counts() -> None:
    fields = {"MessageSid": "SM2", "From": NUMBER, "To": "+15550199", "Body": "arret", "OptOutType": "STOP"}
    assert only("twilio", fields).name == "unsubscribed"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("status", "error", "name", "suppression"),
    [
        ("delivered", "", "delivered", None),
        ("undelivered", "30003", "bounced", None),
        ("undelivered", "30005", "bounced", ("hard_bounce", "suppressed")),
        ("failed", "21610", "failed", ("opted_out", "suppressed")),
        ("read", "", "opened", None),
    ],
)
def test_twilios_statuses(status: str, error: str, name: str, suppression: object) -> None:
    fields = {"MessageSid": "SM3", "To": NUMBER, "From": "+15550199", "MessageStatus": status, "ErrorCode": error}
    event = only("twilio", fields)
    assert isinstance(event, Event)
    assert (event.name, event.suppression, event.provider_message_id) == (name, suppression, "SM3")
    assert event.event_id == f"SM3:{status}"


def test_a_status_callback_names_our_message_in_its_address() -> None:
    fields = {"MessageSid": "SM3", "To": NUMBER, "MessageStatus": "delivered"}
    request = signed("twilio", fields)._replace(url=f"/events/twilio?message_id={MESSAGE}")
    (event,) = source("twilio").read(request)
    assert event.message_id == MESSAGE  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("kind", "document", "name", "suppression", "more"),
    [
        ("sendgrid", {"event": "open", "timestamp": AT, "email": ADDRESS, "sg_machine_open": True}, "opened", None, True),
        ("sendgrid", {"event": "bounce", "type": "blocked", "timestamp": AT, "email": ADDRESS}, "bounced", None, False),
        ("sendgrid", {"event": "group_resubscribe", "timestamp": AT, "email": ADDRESS}, "resubscribed",
         ("opted_out", "released"), False),
        ("sendgrid", {"event": "dropped", "reason": "Unsubscribed Address", "timestamp": AT, "email": ADDRESS}, "dropped",
         ("opted_out", "suppressed"), False),
        ("braze", {"event_type": "users.messages.email.Open", "id": "b2", "time": AT, "machine_open": True}, "opened", None,
         True),
        ("braze", {"event_type": "users.messages.contentcard.Dismiss", "id": "b3", "time": AT}, "dismissed", None, False),
        ("onesignal", {"event": {"kind": "message.iam.displayed", "id": "o2", "timestamp": AT}}, "impression", None, False),
        ("mailgun", {"event": "failed", "severity": "temporary", "id": "m2", "timestamp": AT, "recipient": ADDRESS},
         "deferred", None, False),
        ("mailgun", {"event": "failed", "severity": "permanent", "reason": "suppress-unsubscribe", "id": "m3",
                     "timestamp": AT, "recipient": ADDRESS}, "dropped", ("opted_out", "suppressed"), False),
        ("postmark", {"RecordType": "SubscriptionChange", "MessageID": "x", "ChangedAt": "2026-03-02T10:53:34.416071Z",
                      "Recipient": ADDRESS, "SuppressSending": True, "SuppressionReason": "HardBounce"}, "unsubscribed",
         ("hard_bounce", "suppressed"), False),
        ("postmark", {"RecordType": "SubscriptionChange", "MessageID": "x", "ChangedAt": "2026-03-02T10:53:34.416071Z",
                      "Recipient": ADDRESS, "SuppressSending": False}, "resubscribed", ("opted_out", "released"), False),
        ("ses", {"notificationType": "Complaint", "complaint": {"timestamp": "2026-03-02T11:00:00Z"},
                 "mail": {"messageId": "e", "timestamp": "2026-03-02T10:00:00Z", "destination": [ADDRESS]}}, "complained",
         ("complained", "suppressed"), False),
    ],
)  # fmt: skip
def test_what_events_say(kind: str, document: Any, name: str, suppression: object, more: bool) -> None:
    event = only(kind, document)
    assert isinstance(event, Event)
    assert (event.name, event.suppression, event.is_machine) == (name, suppression, more)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "body", [b"", b"{", b"null", b"[1]", b'{"a": [', b"\xff\xfe", b"[" * 100_000, b'{"event": {}}']
)
def test_a_body_that_is_nothing_is_rejected_and_kept(kind: str, body: bytes) -> None:
    found = list(source(kind).read(Captured(NOON, {}, body)))
    assert all(isinstance(each, Bad) for each in found)
    assert found or body == b""


def test_one_bad_event_does_not_disturb_the_others() -> None:
    good = LOSSES["sendgrid"][0]
    bad = [{**good, "timestamp": "yesterday"}, {"event": "open"}, 7, {**good, "event": "processed"}]
    taken = take(source("sendgrid"), signed("sendgrid", [good, *bad, {**good, "sg_event_id": "s2"}]))
    assert [row.event_id for row in taken.rows] == ["s1", "s2"]
    assert taken.rejected == [("not_understood", part) for part in bad[:3]]
    assert taken.counts == {"ignored processed": 1, "rejected not_understood": 3}


def test_unknown_words_of_the_generic_source_are_rejected() -> None:
    good = LOSSES["generic"][0]
    for wrong in ({"name": "exploded"}, {"bounce_kind": "warm"}, {"lost": "forgotten"}):
        assert only("generic", [{**good, **wrong}]) == Bad("unknown_name", {**good, **wrong})


def test_an_address_without_a_channel_is_rejected() -> None:
    taken = take(source("generic", channel=None), signed("generic", [{**LOSSES["generic"][0], "channel": None}]))
    assert (taken.rows, [reason for reason, _ in taken.rejected]) == ([], ["no_channel"])
    assert "token-0" not in repr(taken.rejected)


def test_nothing_happens_after_it_was_received() -> None:
    event = only("sendgrid", [{**LOSSES["sendgrid"][0], "timestamp": AT + 3600}])
    assert isinstance(event, Event)
    assert row_of("x", event, NOON).occurred_at == AT * 1_000_000


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (AT, NOON), (f"{AT}", NOON), (AT + 0.25, NOON + dt.timedelta(seconds=0.25)), ("2026-03-02T12:00:00Z", NOON),
        ("2026-03-02T13:00:00+01:00", NOON), ("2026-03-02 12:00:00", NOON),
        ("2026-03-02T12:00:00.1234567Z", NOON + dt.timedelta(microseconds=123456)),
    ],
)  # fmt: skip
def test_times(value: Any, expected: dt.datetime) -> None:
    assert instant(value) == expected


@pytest.mark.parametrize("value", [None, True, "", "soon", [], {}])
def test_what_is_no_time(value: Any) -> None:
    with pytest.raises(ValueError):
        instant(value)


def test_base64_that_is_none_is_a_wrong_password_and_no_error() -> None:
    for given in ("Basic %%%", "Basic " + base64.b64encode(b"\xff").decode(), "Bearer x"):
        with pytest.raises(Refused, match="bad_password"):
            source("postmark").verify(Captured(NOON, {"authorization": given}, b"{}"))
