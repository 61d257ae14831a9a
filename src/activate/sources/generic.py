"""Events from anybody, signed as Standard Webhooks are."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterator
from typing import Any

from activate.providers.options import Option
from activate.providers.signing import check_secret, signing_key
from activate.sources.base import (
    NAMES,
    TOLERANCE,
    Bad,
    Captured,
    Event,
    Read,
    Refused,
    Source,
    code,
    fresh,
    header,
    instant,
    ours,
    outer_id,
    same,
    text_of,
)

_LOST = ("unregistered", "hard_bounce", "opted_out", "complained")


class Generic(Source):
    """Standard Webhooks: github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md."""

    type = "generic"
    summary = "Events in our own words, from any sender (Standard Webhooks)."
    example = {"secret": "{{ env_var('EVENTS_SECRET') }}", "channel": "push"}
    declared = (
        Option("secret", "Signs the requests; with `whsec_` in front it is base64.", required=True, secret=True,
               check=check_secret),
        Option("channel", "The channel of events that name none."),
        TOLERANCE,
    )  # fmt: skip
    notes = f"""\
The body is an event, or a list of events: `{{"id", "name", "occurred_at"}}`, and where they are known `message_id` (ours),
`provider_message_id`, `user_id`, `channel`, `address`, `is_machine`, `bounce_kind` (`hard` or `soft`), `code`, and `lost`, the reason why the
address is not to be used again: {", ".join(f"`{word}`" for word in _LOST)}. `name` is one of {", ".join(f"`{word}`" for word in NAMES)}.
`occurred_at` is Unix seconds or ISO 8601. Give `address` with whatever concerns the address; it is hashed and not kept."""

    def verify(self, request: Captured) -> None:
        outer, timestamp = header(request, "webhook-id"), header(request, "webhook-timestamp")
        signed = f"{outer}.{timestamp}.".encode() + request.body
        made = base64.b64encode(hmac.digest(signing_key(self.options["secret"]), signed, "sha256")).decode()
        given = header(request, "webhook-signature").split()
        if not any(same(each, f"v1,{made}") for each in given):
            raise Refused("bad_signature")
        fresh(timestamp, request, self.options["tolerance"])

    def events(self, document: Any, request: Captured) -> Iterator[Read]:
        del request
        name, kind, lost = document["name"], document.get("bounce_kind"), document.get("lost")
        if name not in NAMES or kind not in (None, "hard", "soft") or lost not in (None, *_LOST):
            yield Bad("unknown_name", document)
            return
        yield Event(
            name,
            outer_id(document.get("id")) or "",
            instant(document["occurred_at"]),
            text_of(document.get("channel")) or self.options["channel"],
            ours(document.get("message_id")),
            outer_id(document.get("provider_message_id")),
            text_of(document.get("user_id")),
            text_of(document.get("address")),
            document.get("is_machine") is True,
            kind,
            code(document.get("code")),
            lost,
        )
