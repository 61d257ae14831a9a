"""Events of Postmark, known by a password in the address that it posts to."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any

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
    header,
    instant,
    ours,
    outer_id,
    same,
    text_of,
)
from activate.suppression import Reason

_TIMES: dict[str, tuple[Name, str]] = {
    "Delivery": ("delivered", "DeliveredAt"), "Bounce": ("bounced", "BouncedAt"), "Open": ("opened", "ReceivedAt"),
    "Click": ("clicked", "ReceivedAt"), "SpamComplaint": ("complained", "BouncedAt"),
    "SubscriptionChange": ("unsubscribed", "ChangedAt"),
}  # fmt: skip
_HARD = ("HardBounce", "BadEmailAddress")
_WHY: dict[str, Reason] = {
    "HardBounce": "hard_bounce", "SpamComplaint": "complained", "ManualSuppression": "opted_out",
}  # fmt: skip


class Postmark(Source):
    """Postmark's webhooks: postmarkapp.com/developer/webhooks (bounce-, spam-complaint-, subscription-change-webhook and
    so on). They are not signed; Postmark offers basic authentication in the address instead.
    """

    type = "postmark"
    summary = "Postmark's webhooks (e-mail)."
    example = {"username": "activate", "password": "{{ env_var('POSTMARK_WEBHOOK_PASSWORD') }}"}
    declared = (
        Option("username", "The name in the webhook's address.", required=True),
        Option("password", "The password in the webhook's address.", required=True, secret=True),
    )
    notes = """\
Postmark signs nothing: give the webhook the address `https://NAME:PASSWORD@events.example.com/events/postmark`, and it authenticates with
that. So whoever can read a request can make others. The provider `postmark` sends our message id in `Metadata`. `HardBounce` and
`BadEmailAddress` are hard. A `SubscriptionChange` suppresses for its reason; a reactivation releases an opt-out, but not a mailbox that had bounced."""

    def verify(self, request: Captured) -> None:
        scheme, _, given = header(request, "authorization").partition(" ")
        try:
            told = base64.b64decode(given, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise Refused("bad_password") from None
        if scheme.lower() != "basic" or not same(told, f"{self.options['username']}:{self.options['password']}"):
            raise Refused("bad_password")

    def events(self, document: Any, request: Captured) -> Iterator[Read]:
        del request
        record = document["RecordType"]
        if record not in _TIMES:
            yield Ignored(code(record) or "unknown")
            return
        name, time = _TIMES[record]
        kind, outer = document.get("Type"), document["MessageID"]
        event = Event(
            name,
            digest(record, outer, str(document.get("ID", "")), document[time]),
            instant(document[time]),
            "email",
            ours((document.get("Metadata") or {}).get("message_id")),
            outer_id(outer),
            address=text_of(document.get("Email") or document.get("Recipient")),
            bounce_kind=None if name != "bounced" else "hard" if kind in _HARD else "soft",
            code=code(kind or document.get("SuppressionReason")),
        )
        if record != "SubscriptionChange":
            yield event
        elif document["SuppressSending"]:
            yield event._replace(lost=_WHY.get(document.get("SuppressionReason"), "opted_out"))
        else:
            yield event._replace(name="resubscribed")
