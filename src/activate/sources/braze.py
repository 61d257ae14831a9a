"""Events of Braze: files of Currents, as Avro or JSON lines, and its custom connector's requests."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
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
    "delivery": "delivered", "bounce": "bounced", "softbounce": "bounced", "deferral": "deferred", "open": "opened",
    "click": "clicked", "shortlinkclick": "clicked", "markasspam": "complained", "unsubscribe": "unsubscribed",
    "deliveryfailure": "failed", "rejection": "failed", "inboundreceive": "replied", "impression": "impression",
    "dismiss": "dismissed", "read": "opened", "failure": "failed",
}  # fmt: skip
# What a text message did (`action`), and where a person stands with a channel (`subscription_status`): letters only.
_ACTIONS: dict[str, Name] = {"unsubscribed": "unsubscribed", "subscribed": "resubscribed"}
_STATES: dict[str, Name] = {"unsubscribed": "unsubscribed", "optedin": "resubscribed"}
_ADDRESSES = ("email_address", "to_phone_number", "user_phone_number")
# `…/event_type=users.messages.email.Open/date=…/x.avro`, or `users.messages.email.Open.avro`; `users.` came later.
_IN_PATH = re.compile(
    r"event_type=([^/]+)/|(?:^|/)((?:users|messages|behaviors|campaigns|canvas)\.[A-Za-z.]+?)\.(?:avro|json|jsonl|ndjson)\b"
)
_BOXED = ({"string"}, {"int"}, {"long"}, {"boolean"})


class Braze(Source):
    """Braze's Currents: braze.com/docs/user_guide/data/distribution/braze_currents/event_glossary/message_engagement_events
    (`id`, `external_user_id`, `time`, `email_address`, `dispatch_id`) and …/customer_behavior_events; files and their names:
    …/braze_currents/setting_up_currents/event_delivery_semantics; samples: github.com/Appboy/currents-examples.
    """

    type = "braze"
    summary = "Braze's Currents, as Avro files, JSON lines or requests (all channels)."
    example = {"token": "{{ env_var('BRAZE_EVENTS_TOKEN') }}"}
    declared = (
        Option("token", "A secret that the connector sends as `Authorization: Bearer …`.", required=True, secret=True),
    )
    notes = """\
Currents for data storage writes Avro files into your bucket. They are read as they are, one by one, a folder or a whole prefix at
a time, and need no `token`:

```
pip install 'dbt-activate[avro,files]'
dbt-activate ingest braze --unsigned s3://bucket/currents/dataexport.prod-01.S3.integration.1234
```

Which event a record is stands in the path (`event_type=users.messages.email.Open/`), or in the record as `event_type`; JSON lines
are read alike. A custom connector posts `{"events": […]}` with its token. Braze may write an event twice, under the same `id`: it counts once.

Braze returns no id of ours for a message: events are joined by person (`external_user_id`), and by `dispatch_id` where
`deliveries` has it. `machine_open` marks an open by a machine. A text message whose `action` is `Unsubscribed` opts the number out,
`Subscribed` opts it in. `users.behaviors.subscription.GlobalStateChange` to `Unsubscribed` opts the e-mail address (or, for push, the
person) out; only an explicit opt-in releases it, for `Subscribed` is where every profile begins. Changes of subscription groups
are left out: a group is not a channel."""

    def verify(self, request: Captured) -> None:
        if not same(header(request, "authorization"), f"Bearer {self.options['token']}"):
            raise Refused("bad_token")

    def documents(self, request: Captured) -> Iterator[Any]:
        for document in super().documents(request):
            yield from document["events"] if isinstance(document, dict) and "events" in document else (document,)

    def events(self, document: Any, request: Captured) -> Iterator[Read]:
        facts = _flat(document)
        whole = str(facts.get("event_type") or _in_path(request.url) or facts["name"])
        kind = whole.lower().removeprefix("users.")
        if kind == "behaviors.subscription.globalstatechange":
            yield self._state(facts)
            return
        parts = kind.split(".")
        channel = _CHANNELS.get(parts[1]) if len(parts) == 3 and parts[0] == "messages" else None
        name = _NAMES.get(parts[-1])
        if channel is None or name is None:
            yield Ignored(code(whole) or "unknown")
            return
        if name == "replied":
            name = _ACTIONS.get(_letters(facts.get("action")), name)
        yield _event(
            facts,
            name,
            channel,
            address=next((facts[field] for field in _ADDRESSES if facts.get(field)), None),
            bounce_kind=None if name != "bounced" else "soft" if parts[-1] == "softbounce" else "hard",
        )

    @staticmethod
    def _state(facts: Mapping[str, Any]) -> Read:
        """The event of a person who opted out of a channel, or in again, otherwise than by a message."""
        channel, name = facts.get("channel"), _STATES.get(_letters(facts.get("subscription_status")))
        if channel not in ("email", "push") or name is None:
            return Ignored("subscription_state")
        return _event(facts, name, channel, address=facts.get("email_address") if channel == "email" else None)


def _event(facts: Mapping[str, Any], name: Name, channel: str, *, address: Any, **more: Any) -> Event:
    return Event(
        name,
        outer_id(facts["id"]) or "",
        instant(facts["time"]),
        channel,
        provider_message_id=outer_id(facts.get("dispatch_id")),
        user_id=text_of(facts.get("external_user_id")),
        address=text_of(address) if name != "replied" else None,
        is_machine=facts.get("machine_open") in (True, "true"),
        code=code(facts.get("provider_error_code")),
        **more,
    )


def _flat(document: Any) -> dict[str, Any]:
    """An event's facts: a connector's are in three parts, and avro-tools writes `{"string": …}` for what may be null."""
    facts = {**(document.get("properties") or {}), **(document.get("user") or {}), **document}
    return {
        name: next(iter(value.values())) if isinstance(value, dict) and set(value) in _BOXED else value
        for name, value in facts.items()
    }


def _in_path(path: str | None) -> str | None:
    found = _IN_PATH.search(path or "")
    return (found[1] or found[2]) if found else None


def _letters(value: Any) -> str:
    return "".join(letter for letter in str(value or "").lower() if letter.isalpha())
