"""Hands messages to Customer.io: as transactional messages, one by one, or as events that its campaigns wait for."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import orjson

from activate.providers.base import (
    Answer,
    HttpAnswer,
    HttpRequest,
    Limits,
    Outcome,
    Outgoing,
    Provider,
    Unusable,
    safe_id,
)
from activate.providers.engagement import KNOWN_BY, data_of, has_bad_data, is_liquid, known_as, properties
from activate.providers.json_api import api_url, json_object, json_request
from activate.providers.options import Option
from activate.providers.signing import check_url

_PATHS = {"email": "/v1/send/email", "sms": "/v1/send/sms", "push": "/v1/send/push"}
_BASE32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
# Reasons are free to be anything; these are kept, another becomes `refused`.
_REASONS = ("required", "invalid")
_HEX = re.compile(r"[0-9a-f]{32}")
# A batch is less than 500 KB and each of its items 32 KB or less: so many always fit.
_BATCH, _ITEM_BYTES = 15, 32_000


def ulid(message_id: str) -> str:
    """The message's id as a ULID (128 bits in Crockford's base 32), which is what events are deduplicated by."""
    digits = (
        message_id
        if _HEX.fullmatch(message_id)
        else hashlib.md5(message_id.encode(), usedforsecurity=False).hexdigest()
    )
    number = int(digits, 16)
    return "".join(_BASE32[number >> shift & 31] for shift in range(125, -1, -5))


def basic(site_id: str, key: str) -> str:
    """The Track API's `Authorization`."""
    return "Basic " + base64.b64encode(f"{site_id}:{key}".encode()).decode()


class CustomerIo(Provider):
    """App API, one POST per message, or Track API v2, one POST per batch of events.

    Limits: docs.customer.io/integrations/api/customerio-apis (100 transactional messages a second; Track API 100 requests
    a second). Requests: docs.customer.io/integrations/api/app/tag/send-messages and .../api/track (v2 batch).
    """

    type = "customerio"
    summary = "Hands messages to Customer.io: as transactional messages, or as events that its campaigns wait for."
    example: ClassVar[Mapping[str, Any]] = {
        "send_by": "transactional", "app_key": "{{ env_var('CUSTOMERIO_APP_KEY') }}", "transactional_message_id": "order_shipped",
        "from": "Shop <hello@shop.example.com>",
    }  # fmt: skip
    declared = (
        api_url("https://api.customer.io", "Where the App API answers; in the EU https://api-eu.customer.io."),
        Option("track_url", "Where the Track API answers; in the EU https://track-eu.customer.io.",
               default="https://track.customer.io", check=check_url),
        Option("send_by", "`transactional`: our rendered content by the App API; `event`: an event by the Track API.",
               required=True, choices=("transactional", "event")),
        Option("app_key", "An App API key, for transactional messages.", secret=True),
        Option("site_id", "The Track API's site id, for events."),
        Option("track_key", "The Track API's key, for events.", secret=True),
        Option("transactional_message_id", "The transactional message, by number or trigger name. SMS and push need one; "
               "e-mail is overridden by our blocks, and needs none."),
        Option("from", "E-mail's sender; needed without a transactional message."),
        Option("event", "The event's name.", default="activate_message"),
        Option("id_type", "What kind of identifier people are known by.", default="id",
               choices=("id", "email", "cio_id")),
        KNOWN_BY,
        Option("batch", "Events per request; transactional messages travel one by one.", "whole", default=_BATCH,
               low=1, high=500),
    )  # fmt: skip
    defaults: ClassVar[Limits] = Limits(batch=_BATCH, per_second=100, concurrency=8)
    notes = """\
With `send_by: transactional`, `email` uses `subject`, `html` (or `text`), `text` and `preheader`, and goes to the channel's
address; `push` uses `title`, `body`, `url`, `image` and `data`, and goes to the person's devices; `sms` goes to the
channel's address with the transactional message's own text, which Customer.io does not let us override: write
`{{trigger.body}}` there. All blocks, `message_id`, `campaign`, `step` and `variant` are sent as `message_data`
(`{{trigger.subject}}`). A rendered e-mail or push that holds `{{` or `{%` is rejected as `liquid`: Customer.io would
evaluate it. Marketing messages go to people who have not unsubscribed; transactional ones to all
(`send_to_unsubscribed`).

With `send_by: event`, the same values are an event's attributes, for any channel; for e-mail, `recipient` is the channel's
address. An item of more than 32 KB is rejected as `too_long`.

| answer | meaning |
|---|---|
| 200 | taken; `delivery_id` is kept as the provider's message id |
| 207 (events) | taken, except those that `errors` tell by `batch_index`, which are rejected |
| 400 that speaks of the transactional message, 401, 403, 404 | we are refused |
| other 400 | rejected; a batch is halved until the event is found |
| 429, 5xx | not taken; tried again (502 and 504: `unknown`) |

Deduplication: events carry the message's id as a ULID (`id`), and Customer.io ignores an id that it has had; so `unknown`
events are repeated. The id's time part is not a time. For transactional messages no deduplication is documented. Event
webhooks tell `delivery_id` back.\
"""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        super().__init__(name, options)
        self._events = bool(self.options["send_by"] == "event")
        if self._events:
            self._auth = {"Authorization": basic(self.options["site_id"], self.options["track_key"])}
        else:
            self._auth = {"Authorization": f"Bearer {self.options['app_key']}"}

    @classmethod
    def conflicts(cls, options: Mapping[str, Any]) -> list[str]:
        way = str(options.get("send_by"))
        needed = {"event": ("site_id", "track_key"), "transactional": ("app_key",)}.get(way, ())
        return [f"{name!r} is missing: `send_by: {way}` needs it" for name in needed if not options.get(name)]

    @classmethod
    def misfits(cls, options: Mapping[str, Any], channel: str, content: Mapping[str, str], kind: str) -> list[str]:
        del kind
        if options.get("send_by") != "transactional":
            return []
        if channel not in _PATHS:
            return [f"customerio carries {', '.join(_PATHS)} as transactional messages, not {channel}; send an event"]
        template = bool(options.get("transactional_message_id"))
        if channel != "email":
            needs = f"a customerio {channel} message needs the option `transactional_message_id`"
            return [] if template else [needs]
        found = [] if "subject" in content else ["a customerio email needs the block `subject`"]
        if not content.keys() & {"text", "html"}:
            found.append("a customerio email needs the block `html` or `text`")
        if not template and not options.get("from"):
            found.append("a customerio email without `transactional_message_id` needs the option `from`")
        return found

    @property
    def limits(self) -> Limits:
        found = super().limits
        return found if self.options["send_by"] == "event" else replace(found, batch=1)

    @property
    def idempotent(self) -> bool:
        return self._events

    def refuses(self, message: Outgoing) -> str | None:
        if has_bad_data(message):
            return "bad_data"
        if self._events:
            return "too_long" if len(orjson.dumps(self._event(message, 0))) > _ITEM_BYTES else None
        content, channel = message.content, message.channel
        if channel not in _PATHS:
            return "wrong_channel"
        if channel == "email":
            if not content.get("subject"):
                return "no_subject"
            if not (content.get("html") or content.get("text")):
                return "no_text"
            if not (self.options["transactional_message_id"] or self.options["from"]):
                return "no_from"
        elif not self.options["transactional_message_id"]:
            return "no_transactional_message_id"
        return "liquid" if channel != "sms" and is_liquid(message) else None

    def build(self, batch: Sequence[Outgoing], at: dt.datetime) -> HttpRequest:
        if self._events:
            seconds = int(at.replace(tzinfo=dt.UTC).timestamp())
            body = {"batch": [self._event(message, seconds) for message in batch]}
            return json_request(self.options["track_url"].rstrip("/") + "/api/v2/batch", self._auth, body)
        url = self.options["url"].rstrip("/") + _PATHS[batch[0].channel]
        return json_request(url, self._auth, self._transactional(batch[0]))

    def _event(self, message: Outgoing, seconds: int) -> dict[str, Any]:
        attributes = properties(message)
        if message.channel == "email":
            attributes["recipient"] = message.address
        return {
            "type": "person", "action": "event", "identifiers": {self.options["id_type"]: known_as(self.options, message)},
            "name": self.options["event"], "id": ulid(message.message_id), "timestamp": seconds,
            "attributes": attributes,
        }  # fmt: skip

    def _transactional(self, message: Outgoing) -> dict[str, Any]:
        content = message.content
        fields: dict[str, Any] = {
            "transactional_message_id": self.options["transactional_message_id"],
            "identifiers": {self.options["id_type"]: known_as(self.options, message)},
            "message_data": properties(message),
            "send_to_unsubscribed": message.message_class == "transactional",
        }
        if message.channel == "email":
            text = content.get("text")
            fields |= {"to": message.address, "from": self.options["from"], "subject": content["subject"],
                       "body": content.get("html") or text, "preheader": content.get("preheader")}  # fmt: skip
            if content.get("html"):
                fields["body_plain"] = text
        elif message.channel == "push":
            fields |= {"title": content.get("title"), "message": content.get("body"), "link": content.get("url"),
                       "image_url": content.get("image"), "custom_data": data_of(message)}  # fmt: skip
        else:
            fields["to"] = message.address
        return {name: value for name, value in fields.items() if value not in (None, "", {})}

    def read_http(self, answer: HttpAnswer, batch: Sequence[Outgoing]) -> list[Outcome]:
        told = json_object(answer)
        if answer.status == 400 and not self._events and "transactional" in str(told.get("meta")).lower():
            raise Unusable("http_400", "Customer.io refuses the transactional message; check transactional_message_id")
        outcomes = super().read_http(answer, batch)
        if not 200 <= answer.status < 300:
            return outcomes
        if not self._events:
            return [outcome._replace(provider_message_id=safe_id(told.get("delivery_id"), message))
                    for message, outcome in zip(batch, outcomes, strict=True)]  # fmt: skip
        errors = batch_errors(told)
        return [
            Outcome(message.message_id, "rejected", None, errors[at]) if at in errors else outcome
            for at, (message, outcome) in enumerate(zip(batch, outcomes, strict=True))
        ]

    def splits(self, answer: Answer) -> bool:
        return self._events and super().splits(answer)


def batch_errors(told: Mapping[str, Any]) -> dict[int, str]:
    """The reasons for what a batch's answer refuses, by position."""
    errors = told.get("errors")
    return {
        item["batch_index"]: item["reason"] if item.get("reason") in _REASONS else "refused"
        for item in (errors if isinstance(errors, list) else [])
        if isinstance(item, dict) and isinstance(item.get("batch_index"), int)
    }
