"""Hands e-mail to Twilio SendGrid, those with one content in one request."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar

from activate.providers.base import HttpAnswer, HttpRequest, Limits, Outcome, Outgoing, Unusable, safe_id
from activate.providers.json_api import api_url, json_object, json_request
from activate.providers.mail import AS_MAIL, MAIL_OPTIONS, Mail
from activate.providers.options import Option

_PLACE = re.compile(r"personalizations\.(\d{1,4})(?:\.|$)")


class Sendgrid(Mail):
    """POST /v3/mail/send. A request has one content and a personalization for each recipient.

    Limits: 1,000 recipients and 30 MB per request, 10,000 bytes of custom arguments
    (docs.sendgrid.com/api-reference/mail-send/limitations); an address may stand once in a request
    (docs.sendgrid.com/api-reference/mail-send/errors).
    """

    type = "sendgrid"
    summary = "Hands e-mail to Twilio SendGrid."
    example: ClassVar[Mapping[str, Any]] = {
        "api_key": "{{ env_var('SENDGRID_API_KEY') }}", "from": "Shop <hello@shop.example.com>",
    }  # fmt: skip
    declared = (
        Option("api_key", "A key with the permission Mail Send.", required=True, secret=True),
        *MAIL_OPTIONS,
        Option("unsubscribe_group", "The id of the unsubscribe group (asm) that marketing mail belongs to.", "whole",
               low=1, high=2**31),
        Option("ip_pool", "The pool of addresses that mail leaves from."),
        Option("sandbox", "Whether requests are checked and nothing is sent.", "flag", default=False),
        api_url("https://api.sendgrid.com", "Where the API answers; in the EU `https://api.eu.sendgrid.com`."),
        Option("batch", "Recipients per request.", "whole", default=1000, low=1, high=1000),
    )  # fmt: skip
    defaults: ClassVar[Limits] = Limits(batch=1000, concurrency=8, timeout_seconds=30)
    notes = f"""\
{AS_MAIL}

A request has one text for all, so up to `batch` messages share it whose `text`, `html`, campaign and tags are the same;
subjects may differ. A template that names the person makes a request of its own for each. Two messages to one address do
not share a request, which SendGrid would refuse.

`custom_args` hold `message_id`, and events bring it back; categories are the campaign and its tags (ten at most).
`unsubscribe_group` lets SendGrid unsubscribe; a header of your own beside its subscription tracking was not tried.

| answer | meaning |
|---|---|
| 202 | all were taken; `X-Message-Id` is kept as the provider's id |
| 400 that names `personalizations.3...` | the fourth message is rejected, the others go into another request |
| other 400, 413 | the batch is halved until what spoils it is found |
| 401, 403 (also: the sender is not verified) | we are refused: this provider stops for this run |
| 429, 5xx | not taken; tried again |

SendGrid has no deduplication, so a request whose answer is lost leaves its messages `unknown`. An address on one of its
suppression lists is taken, and an event `dropped` follows."""

    @classmethod
    def unsubscribes(cls, options: Mapping[str, Any]) -> bool:
        return bool(options.get("unsubscribe_group")) or super().unsubscribes(options)

    def together(self, message: Outgoing) -> Hashable:
        content = message.content
        return message.campaign, message.tags, message.message_class, content.get("text"), content.get("html")

    def build(self, batch: Sequence[Outgoing], at: dt.datetime) -> HttpRequest:
        del at
        first = batch[0]
        body: dict[str, Any] = {
            "personalizations": [
                self._personalization(message, address)
                for message, address in zip(batch, self.distinct_recipients(batch), strict=True)
            ],
            "from": _person(self.sender_name, self.sender),
            "subject": self.subject(first),  # required, though each personalization has its own
            # Plain text must come first.
            "content": [
                {"type": kind, "value": first.content[block]}
                for block, kind in (("text", "text/plain"), ("html", "text/html"))
                if first.content.get(block)
            ],
            "categories": list(dict.fromkeys((first.campaign, *first.tags)))[:10],
        }
        if self.options["reply_to"]:
            body["reply_to"] = _person(*self.reply_to)
        if self.options["unsubscribe_group"] and first.message_class == "marketing":
            body["asm"] = {"group_id": self.options["unsubscribe_group"]}
        if self.options["ip_pool"]:
            body["ip_pool_name"] = self.options["ip_pool"]
        if self.options["sandbox"]:
            body["mail_settings"] = {"sandbox_mode": {"enable": True}}
        headers = {"Authorization": f"Bearer {self.options['api_key']}"}
        return json_request(f"{self.options['url'].rstrip('/')}/v3/mail/send", headers, body)

    def _personalization(self, message: Outgoing, address: str) -> dict[str, Any]:
        made: dict[str, Any] = {
            "to": [{"email": address}],
            "subject": self.subject(message),
            "custom_args": {"message_id": message.message_id},
        }
        if headers := self.one_click(message):
            made["headers"] = headers
        return made

    def read_http(self, answer: HttpAnswer, batch: Sequence[Outgoing]) -> list[Outcome]:
        if answer.status == 403:
            raise Unusable(
                "http_403", "SendGrid refuses us (403): the key's permissions, or a sender that is not verified"
            )
        if 200 <= answer.status < 300:
            taken_as = answer.headers.get("x-message-id")
            return [Outcome(one.message_id, "accepted", safe_id(taken_as, one)) for one in batch]
        bad = _named(answer) if answer.status == 400 else set()
        if not bad & set(range(len(batch))):
            return super().read_http(answer, batch)
        return [
            Outcome(message.message_id, "rejected", None, "bad_recipient") if at in bad
            else Outcome(message.message_id, "failed", None, "batch_refused")
            for at, message in enumerate(batch)
        ]  # fmt: skip

    def splits(self, answer: object) -> bool:
        return isinstance(answer, HttpAnswer) and (
            answer.status in (413, 422) or (answer.status == 400 and not _named(answer))
        )


def _person(name: str, address: str) -> dict[str, str]:
    return {"email": address, "name": name} if name else {"email": address}


def _named(answer: HttpAnswer) -> set[int]:
    """The places in the batch that an answer complains of; empty if it complains of anything else."""
    errors = json_object(answer).get("errors")
    found: set[int] = set()
    for error in errors if isinstance(errors, list) else []:
        place = _PLACE.match(str(error.get("field"))) if isinstance(error, dict) else None
        if place is None:
            return set()
        found.add(int(place[1]))
    return found
