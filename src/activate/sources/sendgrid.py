"""Events of Twilio SendGrid (Event Webhook, signed with ECDSA)."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from activate.providers.options import Option
from activate.sources.base import (
    TOLERANCE,
    Captured,
    Event,
    Ignored,
    Name,
    Read,
    Refused,
    Source,
    code,
    fresh,
    header,
    instant,
    ours,
    outer_id,
    text_of,
)
from activate.suppression import Reason

_NAMES: dict[str, Name] = {
    "delivered": "delivered", "deferred": "deferred", "bounce": "bounced", "dropped": "dropped", "open": "opened",
    "click": "clicked", "spamreport": "complained", "unsubscribe": "unsubscribed", "group_unsubscribe": "unsubscribed",
    "group_resubscribe": "resubscribed",
}  # fmt: skip
_DROPPED: dict[str, Reason] = {
    "bounced address": "hard_bounce", "invalid": "hard_bounce", "unsubscribed address": "opted_out",
    "spam reporting address": "complained",
}  # fmt: skip


class SendGrid(Source):
    """Twilio SendGrid's Event Webhook: twilio.com/docs/sendgrid/for-developers/tracking-events/event (fields), and
    …/getting-started-event-webhook-security-features (the signature is over timestamp and body, P-256 with SHA-256).
    """

    type = "sendgrid"
    summary = "Twilio SendGrid's Event Webhook (e-mail)."
    example = {"public_key": "{{ env_var('SENDGRID_WEBHOOK_KEY') }}"}
    declared = (
        Option("public_key", "The verification key of the signed Event Webhook (base64).", required=True, secret=True),
        TOLERANCE,
    )
    notes = """\
Switch the *Signed Event Webhook* on; its verification key is `public_key`. The provider `sendgrid` sends our message id in
`custom_args`, which come back in every event. A bounce of type `blocked` is soft. A mail that SendGrid dropped because the address
had bounced, unsubscribed or complained before suppresses the address for that reason. `group_resubscribe` releases.
What stands before the first dot of `sg_message_id` is the id that the provider got. `sg_machine_open` marks an open by a machine."""

    def verify(self, request: Captured) -> None:
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  # an extra: only who uses this needs it
        from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import load_der_public_key  # noqa: PLC0415

        signature = header(request, "x-twilio-email-event-webhook-signature")
        timestamp = header(request, "x-twilio-email-event-webhook-timestamp")
        try:
            key = load_der_public_key(base64.b64decode(self.options["public_key"]))
            assert isinstance(key, ec.EllipticCurvePublicKey)
            key.verify(base64.b64decode(signature), timestamp.encode() + request.body, ec.ECDSA(hashes.SHA256()))
        except (InvalidSignature, ValueError, AssertionError):
            raise Refused("bad_signature") from None
        fresh(timestamp, request, self.options["tolerance"])

    def events(self, document: Any, request: Captured) -> Iterator[Read]:
        del request
        name = _NAMES.get(document["event"])
        if name is None:
            yield Ignored(code(document["event"]) or "unknown")
            return
        reason = str(document.get("reason") or "").lower()
        kind = None
        if name == "bounced":
            kind = "soft" if document.get("type") == "blocked" else "hard"
        yield Event(
            name,
            outer_id(document.get("sg_event_id")) or "",
            instant(document["timestamp"]),
            "email",
            ours(document.get("message_id")),
            outer_id(str(document.get("sg_message_id") or "").split(".", 1)[0]),
            address=text_of(document.get("email")),
            is_machine=document.get("sg_machine_open") is True,
            bounce_kind=kind,  # type: ignore[arg-type]  # one of the two words
            code=code(document.get("status")) or code(reason.replace(" ", "_") if name == "dropped" else None),
            lost=_DROPPED.get(reason) if name == "dropped" else None,
        )
