"""Events of Amazon SES, as Amazon SNS delivers them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from activate.providers.options import Option
from activate.sources.base import (
    Captured,
    Event,
    Ignored,
    Name,
    Read,
    Refused,
    Source,
    code,
    digest,
    instant,
    ours,
    outer_id,
    same,
    text_of,
)

_PARTS: dict[str, tuple[Name, str, str | None]] = {
    "Delivery": ("delivered", "delivery", None), "DeliveryDelay": ("deferred", "deliveryDelay", "delayedRecipients"),
    "Bounce": ("bounced", "bounce", "bouncedRecipients"), "Complaint": ("complained", "complaint", "complainedRecipients"),
    "Reject": ("dropped", "reject", None), "Open": ("opened", "open", None), "Click": ("clicked", "click", None),
    "Rendering Failure": ("failed", "failure", None), "Subscription": ("unsubscribed", "subscription", None),
}  # fmt: skip


class Ses(Source):
    """Amazon SES's event publishing: docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html and
    …-examples.html; the envelope is docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html.
    """

    type = "ses"
    summary = "Amazon SES's events by Amazon SNS (e-mail)."
    example = {"topic": "arn:aws:sns:eu-central-1:123456789012:mail", "token": "{{ env_var('SES_EVENTS_TOKEN') }}"}
    declared = (
        Option("topic", "The ARN of the SNS topic; messages of another one are refused.", required=True),
        Option("token", "A secret in the subscribed address: `?token=…`.", required=True, secret=True),
    )
    notes = """\
SNS signs with a certificate that would have to be fetched from AWS, which a source does not do: **its signature is not checked**. What is
checked is a secret of yours in the subscribed address (`https://events.example.com/events/ses?token=…`, over TLS) and the topic's ARN. A subscription
is confirmed by you: the listener does not open the address in a `SubscriptionConfirmation`; it keeps it with the rejected events.

The provider `ses` sends our message id as a tag, which comes back where events are published by a configuration set; else the message is found by
SES's id in `deliveries`. A bounce of type `Permanent` is hard, others are soft."""

    def verify(self, request: Captured) -> None:
        given = parse_qs(urlsplit(request.url or "").query).get("token", [""])[0]
        if not same(given, self.options["token"]):
            raise Refused("bad_token")
        try:
            topic = orjson.loads(request.body)["TopicArn"]
        except (ValueError, KeyError, TypeError):
            raise Refused("not_from_sns") from None
        if topic != self.options["topic"]:
            raise Refused("another_topic")

    def events(self, document: Any, request: Captured) -> Iterator[Read]:
        del request
        if document.get("Type") == "SubscriptionConfirmation":
            raise ValueError("to be confirmed by a person")
        told = orjson.loads(document["Message"]) if "Message" in document else document
        kind = told.get("eventType") or told["notificationType"]
        if kind not in _PARTS:
            yield Ignored(code(kind) or "unknown")
            return
        name, part, people = _PARTS[kind]
        mail, facts = told["mail"], told.get(part) or {}
        at = facts.get("timestamp") or mail["timestamp"]
        outer = outer_id(mail["messageId"])
        recipients = (facts.get(people) if people else None) or [{"emailAddress": each} for each in mail["destination"]]
        if kind == "Subscription":
            name = "unsubscribed" if (facts.get("newTopicPreferences") or {}).get("unsubscribeAll") else "converted"
            if name == "converted":
                yield Ignored("topic_preference")
                return
        for recipient in recipients:
            address = recipient.get("emailAddress")
            yield Event(
                name,
                digest(
                    str(document.get("MessageId") or facts.get("feedbackId") or ""), kind, str(outer), at, str(address)
                ),
                instant(at),
                "email",
                ours((mail.get("tags") or {}).get("message_id", [None])[0]),
                outer,
                address=text_of(address),
                bounce_kind=None if name != "bounced" else "hard" if facts.get("bounceType") == "Permanent" else "soft",
                code=code(recipient.get("status")) or code(facts.get("bounceSubType")),
            )
