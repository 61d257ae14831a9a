"""Events of Amazon SES, as Amazon SNS delivers them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from activate.providers.options import Option
from activate.sources.base import (
    TOLERANCE,
    Bad,
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
from activate.sources.sns import check_signature, confirmation_of

_PARTS: dict[str, tuple[Name, str, str | None]] = {
    "Delivery": ("delivered", "delivery", None), "DeliveryDelay": ("deferred", "deliveryDelay", "delayedRecipients"),
    "Bounce": ("bounced", "bounce", "bouncedRecipients"), "Complaint": ("complained", "complaint", "complainedRecipients"),
    "Reject": ("dropped", "reject", None), "Open": ("opened", "open", None), "Click": ("clicked", "click", None),
    "Rendering Failure": ("failed", "failure", None), "Subscription": ("unsubscribed", "subscription", None),
}  # fmt: skip


class Ses(Source):
    """Amazon SES's event publishing: docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html and
    …-examples.html; the envelope is docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html; tries again: …/sns-message-delivery-retries.html.
    """

    type = "ses"
    summary = "Amazon SES's events by Amazon SNS (e-mail)."
    example = {"topic": "arn:aws:sns:eu-central-1:123456789012:mail", "token": "{{ env_var('SES_EVENTS_TOKEN') }}"}
    declared = (
        Option("topic", "The ARN of the SNS topic; messages of another one are refused.", required=True),
        Option("token", "A secret in the subscribed address: `?token=…`.", required=True, secret=True),
        Option("signature", "Whether SNS's own signature is checked too; the listener has to reach SNS for its certificate.", "flag",
               default=True),
        Option("confirm", "Whether the listener confirms the topic's subscription by itself.", "flag", default=False),
        # SNS posts again for up to an hour.
        replace(TOLERANCE, default=7_200),
    )  # fmt: skip
    notes = """\
Subscribe `https://events.example.com/events/ses?token=…` (your `token`, over TLS) to the topic. Checked are that token, the topic's
ARN, and SNS's signature, of version 1 (SHA-1, the default) or 2 (SHA-256: set the topic's attribute `SignatureVersion` to 2). The
certificate is fetched from `sns.REGION.amazonaws.com`, from nowhere else, and once; while it cannot be had the answer is 503, and SNS
posts again. `signature: false` is for a listener that reaches nothing: then whoever has read one request can make others.

Until its subscription is confirmed a topic posts nothing. The listener does not do that by itself: a `SubscriptionConfirmation` is kept
with the rejected ones as `subscription_to_confirm`, and you open its `SubscribeURL`. With `confirm: true` it is opened once the
token, the topic and the signature have been found right, if it is SNS's.

The provider `ses` sends our message id as a tag, which comes back where events are published by a configuration set; else the message is found by
SES's id in `deliveries`. A bounce of type `Permanent` is hard, others are soft."""

    def verify(self, request: Captured) -> None:
        given = parse_qs(urlsplit(request.url or "").query).get("token", [""])[0]
        if not same(given, self.options["token"]):
            raise Refused("bad_token")
        try:
            message = orjson.loads(request.body)
            topic = message["TopicArn"]
        except (ValueError, KeyError, TypeError):
            raise Refused("not_from_sns") from None
        if topic != self.options["topic"]:
            raise Refused("another_topic")
        if self.options["signature"]:
            check_signature(message, request, self.options["tolerance"], self.fetch)

    def events(self, document: Any, request: Captured) -> Iterator[Read]:
        del request
        if document.get("Type") == "SubscriptionConfirmation":
            yield self._subscription(document)
            return
        if document.get("Type") == "UnsubscribeConfirmation":
            yield Ignored("UnsubscribeConfirmation")
            return
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

    def _subscription(self, document: Mapping[str, Any]) -> Read:
        """Confirm the subscription, where that is wanted and was asked by SNS."""
        address = confirmation_of(document)
        if not (self.options["confirm"] and self.options["signature"] and address):
            return Bad("subscription_to_confirm", document)
        self.fetch(address)
        return Ignored("SubscriptionConfirmation")
