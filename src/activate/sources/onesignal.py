"""Events of OneSignal (event streams and event webhooks)."""

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

_CHANNELS = {"push": "push", "email": "email", "sms": "sms", "iam": "in_app"}
_NAMES: dict[str, Name] = {
    "received": "delivered", "delivered": "delivered", "clicked": "clicked", "opened": "opened", "failed": "failed",
    "undelivered": "bounced", "unsubscribed": "unsubscribed", "reported_as_spam": "complained", "displayed": "impression",
    "hardbounced": "bounced", "bounced": "bounced", "supressed": "dropped", "suppressed": "dropped", "dismissed": "dismissed",
}  # fmt: skip


class OneSignal(Source):
    """OneSignal's event streams: documentation.onesignal.com/docs/en/event-streams-data (kinds and fields). The body is the one
    that the stream's template makes; OneSignal signs nothing, a header of yours is the secret.
    """

    type = "onesignal"
    summary = "OneSignal's event streams (push, e-mail, SMS, in-app)."
    example = {"token": "{{ env_var('ONESIGNAL_EVENTS_TOKEN') }}"}
    declared = (
        Option("token", "A secret that the stream sends as `Authorization: Bearer …`.", required=True, secret=True),
    )
    notes = """\
OneSignal signs nothing: give the event stream a header `Authorization: Bearer TOKEN`, and this body:

```
{"event": {"kind": "{{ event.kind }}", "id": "{{ event.id }}", "timestamp": {{ event.timestamp }}},
 "message": {"id": "{{ message.id }}"}, "user": {"external_id": "{{ user.external_id }}"}}
```

The message is found by OneSignal's id in `deliveries` and the person (who may share it with others) by `external_id`. No address is told, so
an unsubscription holds for the person on that channel; hard bounces are recorded, but suppress nothing."""

    def verify(self, request: Captured) -> None:
        if not same(header(request, "authorization"), f"Bearer {self.options['token']}"):
            raise Refused("bad_token")

    def events(self, document: Any, request: Captured) -> Iterator[Read]:
        del request
        event = document["event"]
        _, channel, kind = event["kind"].split(".")
        if channel not in _CHANNELS or kind not in _NAMES:
            yield Ignored(code(event["kind"]) or "unknown")
            return
        yield Event(
            _NAMES[kind],
            outer_id(event["id"]) or "",
            instant(event["timestamp"]),
            _CHANNELS[channel],
            provider_message_id=outer_id((document.get("message") or {}).get("id")),
            user_id=text_of((document.get("user") or {}).get("external_id")),
            address=text_of((document.get("subscription") or {}).get("address")),
            bounce_kind=None if _NAMES[kind] != "bounced" else "hard" if kind == "hardbounced" else "soft",
            code=code(kind),
        )
