"""Events of Mailgun, signed within the body."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from typing import Any

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
    fresh,
    instant,
    ours,
    outer_id,
    same,
    text_of,
)

_NAMES: dict[str, Name] = {
    "delivered": "delivered", "failed": "bounced", "rejected": "dropped", "opened": "opened", "clicked": "clicked",
    "complained": "complained", "unsubscribed": "unsubscribed",
}  # fmt: skip


class Mailgun(Source):
    """Mailgun's webhooks: documentation.mailgun.com/docs/mailgun/user-manual/webhooks (payload `signature` and `event-data`;
    the signature is HMAC-SHA256 over timestamp and token).
    """

    type = "mailgun"
    summary = "Mailgun's webhooks (e-mail)."
    example = {"signing_key": "{{ env_var('MAILGUN_SIGNING_KEY') }}"}
    declared = (
        Option("signing_key", "The account's HTTP webhook signing key.", required=True, secret=True),
        Option("tolerance", "How far the signature's time may lie from the time of receipt.", "duration", default=43_200,
               low=1, high=172_800),
    )  # fmt: skip
    notes = """\
The signature covers a time and a token, but **not the events**: whoever reads one request can post other events with its signature for as long as
`tolerance` allows (Mailgun posts again for up to 8 hours). Let the listener be reached by TLS only. The provider `mailgun` sends
our message id as `v:message_id`. A failure of severity `permanent` is hard, unless Mailgun itself refused to try (its reason begins with
`suppress-`: the address had bounced, complained or unsubscribed before, and is suppressed for that)."""

    def verify(self, request: Captured) -> None:
        try:
            told = orjson.loads(request.body)["signature"]
            timestamp, token, given = str(told["timestamp"]), str(told["token"]), str(told["signature"])
        except (ValueError, KeyError, TypeError):
            raise Refused("not_signed") from None
        made = hmac.digest(self.options["signing_key"].encode(), (timestamp + token).encode(), "sha256").hex()
        if not same(given, made):
            raise Refused("bad_signature")
        fresh(timestamp, request, self.options["tolerance"])

    def events(self, document: Any, request: Captured) -> Iterator[Read]:
        del request
        told = document.get("event-data", document)
        name = _NAMES.get(told["event"])
        if name is None:
            yield Ignored(code(told["event"]) or "unknown")
            return
        status = told.get("delivery-status") or {}
        reason = code(told.get("reason"))
        lost = {"suppress-complaint": "complained", "suppress-unsubscribe": "opted_out"}.get(reason or "")
        if name == "bounced" and told.get("severity") == "temporary":
            name, kind = "deferred", None
        else:
            kind = "hard" if name == "bounced" and lost is None else None
        if lost is not None:
            name = "dropped"
        client = (told.get("client-info") or {}).get("bot")
        yield Event(
            name,
            outer_id(told.get("id")) or "",
            instant(told["timestamp"]),
            "email",
            ours((told.get("user-variables") or {}).get("message_id")),
            outer_id(((told.get("message") or {}).get("headers") or {}).get("message-id")),
            address=text_of(told.get("recipient")),
            is_machine=name in ("opened", "clicked") and bool(client),
            bounce_kind=kind,  # type: ignore[arg-type]  # one of the two words
            code=code(status.get("enhanced-code")) or code(status.get("code")) or reason,
            lost=lost,  # type: ignore[arg-type]  # of the vocabulary
        )
