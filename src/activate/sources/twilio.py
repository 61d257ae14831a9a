"""Events of Twilio: what became of a message, and the keywords that people answer with."""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

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
    form,
    header,
    ours,
    outer_id,
    same,
)
from activate.suppression import Reason

_NAMES: dict[str, Name] = {
    "delivered": "delivered", "undelivered": "bounced", "failed": "failed", "read": "opened",
}  # fmt: skip
# Twilio's error dictionary: the recipient has replied STOP; the number does not exist, or cannot take messages.
_LOST: dict[str, Reason] = {"21610": "opted_out", "30005": "hard_bounce", "30006": "hard_bounce"}
_STOP = ("STOP", "STOPALL", "STOP ALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT", "OPT OUT")
_START = ("START", "UNSTOP")


class Twilio(Source):
    """Twilio's webhooks: twilio.com/docs/usage/security (X-Twilio-Signature),
    twilio.com/docs/messaging/guides/track-outbound-message-status and …/webhook-request (parameters).
    """

    type = "twilio"
    summary = "Twilio's status callbacks and incoming messages (SMS, WhatsApp)."
    example = {"auth_token": "{{ env_var('TWILIO_AUTH_TOKEN') }}", "url": "https://events.example.com/events/twilio"}
    declared = (
        Option("auth_token", "The account's auth token, which signs the requests.", required=True, secret=True),
        Option("url", "The public address that Twilio posts to, as it is written at Twilio.", required=True),
        Option(
            "stop_keywords", "Further words that opt out, e.g. in other languages, separated by commas.", default=""
        ),
        Option("start_keywords", "Further words that opt in again, separated by commas.", default=""),
    )
    notes = """\
The signature covers the address and all parameters, but no time: the same request is known again by its message and status, and counts
once. A captured request's own `url` is used where it has one, else `url` with the request's query.

An incoming message whose whole text is one of STOP, STOPALL, UNSUBSCRIBE, CANCEL, END, QUIT, REVOKE, OPTOUT (in any spelling, with
punctuation, with or without PLEASE) opts the number out; START and UNSTOP opt it in again; so does Twilio's own `OptOutType`. YES does
not: people say yes to many things. Any other text is `replied`. The text is not kept. WhatsApp numbers are another channel than SMS.

The message is found by Twilio's id in `deliveries`, or by `message_id` in the query of the status callback. Error 21610 (the
recipient has replied STOP) opts out; 30005 and 30006 (no such number, or one that takes no messages) are hard; any other
undelivered message is soft."""
    reply = ("text/xml", b"<Response/>")

    def verify(self, request: Captured) -> None:
        given = header(request, "x-twilio-signature")
        try:
            fields = form(request.body)
        except ValueError:
            raise Refused("not_a_form") from None
        # Each name with its different values, both sorted (twilio-python, request_validator.py).
        signed = self._url(request) + "".join(name + value for name, value in sorted(set(fields)))
        made = hmac.digest(self.options["auth_token"].encode(), signed.encode(), "sha1")
        if not same(given, base64.b64encode(made).decode()):
            raise Refused("bad_signature")

    def documents(self, request: Captured) -> Iterator[Any]:
        yield dict(form(request.body))

    def events(self, document: Any, request: Captured) -> Iterator[Read]:
        sid = document.get("MessageSid") or document["SmsSid"]
        status = document.get("MessageStatus") or document.get("SmsStatus", "")
        if "Body" in document and status in ("", "received"):
            yield self._incoming(document, sid)
            return
        name = _NAMES.get(status)
        if name is None:
            yield Ignored(code(status) or "unknown")
            return
        error = code(document.get("ErrorCode"))
        lost = _LOST.get(error or "")
        channel, address = _number(document["To"])
        query = parse_qs(urlsplit(request.url or "").query)
        yield Event(
            name,
            f"{outer_id(sid)}:{status}",
            None,
            channel,
            ours(query.get("message_id", [""])[0]),
            outer_id(sid),
            address=address,
            bounce_kind=None if name != "bounced" else "hard" if lost == "hard_bounce" else "soft",
            code=error,
            lost=lost,
        )

    def _incoming(self, document: Any, sid: str) -> Event:
        said = " ".join(re.sub(r"[^\w\s]", " ", document["Body"].upper()).split())
        bare = " ".join(word for word in said.split() if word != "PLEASE")
        told = str(document.get("OptOutType", "")).upper()
        name: Name = "replied"
        if told == "STOP" or bare in (*_STOP, *_words(self.options["stop_keywords"])):
            name = "unsubscribed"
        elif told == "START" or said in (*_START, *_words(self.options["start_keywords"])):
            name = "resubscribed"
        channel, address = _number(document["From"])
        return Event(name, outer_id(sid) or "", None, channel, address=address)

    def _url(self, request: Captured) -> str:
        own = urlsplit(request.url or "")
        if own.scheme:
            return request.url or ""
        url: str = self.options["url"]
        return f"{url}?{own.query}" if own.query and "?" not in url else url


def _words(text: str) -> list[str]:
    return [" ".join(word.upper().split()) for word in text.split(",") if word.strip()]


def _number(text: str) -> tuple[str, str]:
    """The channel and the number: `whatsapp:+49…` is WhatsApp, `+49…` SMS."""
    return ("whatsapp", text[9:]) if text.startswith("whatsapp:") else ("sms", text)
