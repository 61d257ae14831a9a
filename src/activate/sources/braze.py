"""Events of Braze: files of Currents as JSON lines."""

from __future__ import annotations

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
    header,
    instant,
    outer_id,
    same,
    text_of,
)

_CHANNELS = {
    "email": "email", "sms": "sms", "whatsapp": "whatsapp", "pushnotification": "push", "inappmessage": "in_app",
    "contentcard": "card",
}  # fmt: skip
_NAMES: dict[str, Name] = {
    "delivery": "delivered", "bounce": "bounced", "softbounce": "bounced", "open": "opened", "click": "clicked",
    "markasspam": "complained", "unsubscribe": "unsubscribed", "deliveryfailure": "failed", "rejection": "failed",
    "inboundreceive": "replied", "impression": "impression", "dismiss": "dismissed", "read": "opened",
    "failure": "failed",
}  # fmt: skip


class Braze(Source):
    """Braze's Currents: braze.com/docs/user_guide/data/distribution/braze_currents/event_glossary/message_engagement_events
    (`id`, `external_user_id`, `time`, `email_address`, `dispatch_id`). Which event it is stands in `event_type`, or in the file's path.
    """

    type = "braze"
    summary = "Braze's Currents, as JSON lines (all channels)."
    example = {"token": "{{ env_var('BRAZE_EVENTS_TOKEN') }}"}
    declared = (
        Option("token", "A secret that the connector sends as `Authorization: Bearer …`.", required=True, secret=True),
    )
    notes = """\
Currents writes files to your storage; what reads them as Avro has to write JSON lines with `event_type` (or `name`) in each, e.g.
`users.messages.email.Open`: `dbt-activate ingest braze --unsigned FILES`. Avro itself is not read. A custom connector posts `{"events": […]}` with its
token. Braze returns no id of ours for a message: events are joined by person (`external_user_id`), and by `dispatch_id` where
`deliveries` has it. `machine_open` marks an open by a machine."""

    def verify(self, request: Captured) -> None:
        if not same(header(request, "authorization"), f"Bearer {self.options['token']}"):
            raise Refused("bad_token")

    def documents(self, request: Captured) -> Iterator[Any]:
        for document in super().documents(request):
            yield from document["events"] if isinstance(document, dict) and "events" in document else (document,)

    def events(self, document: Any, request: Captured) -> Iterator[Read]:
        del request
        facts = {**(document.get("properties") or {}), **(document.get("user") or {}), **document}
        whole = str(facts.get("event_type") or facts["name"])
        parts = whole.lower().split(".")
        channel, kind = (_CHANNELS.get(parts[-2]), parts[-1]) if len(parts) > 2 else (None, "")
        if parts[:2] != ["users", "messages"] or channel is None or kind not in _NAMES:
            yield Ignored(code(whole) or "unknown")
            return
        name = _NAMES[kind]
        yield Event(
            name,
            outer_id(facts["id"]) or "",
            instant(facts["time"]),
            channel,
            provider_message_id=outer_id(facts.get("dispatch_id")),
            user_id=text_of(facts.get("external_user_id")),
            address=text_of(facts.get("email_address") or facts.get("to_phone_number")) if name != "replied" else None,
            is_machine=facts.get("machine_open") in (True, "true"),
            bounce_kind=None if name != "bounced" else "soft" if kind == "softbounce" else "hard",
            code=code(facts.get("provider_error_code")),
        )
