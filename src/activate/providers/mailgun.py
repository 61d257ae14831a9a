"""Hands e-mail to Mailgun, many people in one request: what differs travels as each one's recipient variables."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import re
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar

from activate.providers.base import HttpAnswer, HttpRequest, Limits, Outcome, Outgoing, Unusable, safe_id
from activate.providers.json_api import USER_AGENT, api_url, json_object
from activate.providers.mail import AS_MAIL, MAIL_OPTIONS, Mail, mailbox
from activate.providers.options import Option

_PARTS = ("text", "html")
_MARK = "%recipient"
_ID = re.compile(r"<[^<>@\s]+@[^<>@\s]+>")
_SHORTEST, _LONGEST = 5, 24 * 60  # minutes that `o:deliver-within` may say
# What a 400 says when the sender or the domain is at fault, and no recipient.
_ACCOUNT = ("from parameter", "sandbox subdomain", "free account", "not allowed to send")


class Mailgun(Mail):
    """POST /v3/DOMAIN/messages with recipient variables.

    Limits: 1,000 recipients per request (documentation.mailgun.com/docs/mailgun/user-manual/sending-messages/batch-sending)
    and 25 MB (the same manual, sending-messages). Fields are those of Mailgun's OpenAPI description; substitution in
    `v:` and `h:` fields is that of mailgun/documentation#192 and of Ghost's client.
    """

    type = "mailgun"
    summary = "Hands e-mail to Mailgun."
    example: ClassVar[Mapping[str, Any]] = {
        "domain": "mg.shop.example.com", "api_key": "{{ env_var('MAILGUN_API_KEY') }}",
        "from": "Shop <hello@mg.shop.example.com>",
    }  # fmt: skip
    declared = (
        Option("domain", "The sending domain.", required=True),
        Option("api_key", "A sending key.", required=True, secret=True),
        *MAIL_OPTIONS,
        Option(
            "tracking", "Opens and clicks: `yes`, `no`, or as the domain has it.", choices=("yes", "no", "htmlonly")
        ),
        Option("require_tls", "Whether mail goes out over TLS or not at all.", "flag", default=False),
        Option("test_mode", "Whether messages are taken and not delivered.", "flag", default=False),
        api_url("https://api.mailgun.net", "Where the API answers; in the EU `https://api.eu.mailgun.net`."),
        Option("batch", "Recipients per request.", "whole", default=200, low=1, high=1000),
    )
    defaults: ClassVar[Limits] = Limits(batch=200, concurrency=4, timeout_seconds=60)
    notes = f"""\
{AS_MAIL}

Messages of one campaign share a request of up to `batch` people (Mailgun takes 1,000): each one's `subject`, `text`,
`html`, `message_id` and unsubscribe link are recipient variables, and the request's fields refer to them. 200 messages of
100 kB stay under the 25 MB that a request may have; a larger one is halved when Mailgun refuses it. For the variables
themselves no limit is documented; `batch: 1` does without them, as does any message that is alone in its request.

A message whose own text holds `{_MARK}` goes alone, so that nothing in it is filled in. Two messages to one address do not
share a request, since Mailgun would send one of them. Mailgun's own `%unsubscribe_url%` works in templates.

`v:message_id` comes back in webhooks (`user-variables`) and stands in the mail's headers; tags (`o:tag`) are the campaign and
its tags. What is left until a message expires, from 5 minutes to 24 hours, is sent as `o:deliver-within`.

| answer | meaning |
|---|---|
| 200 | all were taken; `id` is kept |
| 400 about sender or domain | we are refused: this provider stops for this run |
| other 400, 413 | the batch is halved until what spoils it is found |
| 401, 402, 403, 404 | we are refused: this provider stops for this run |
| 429, 5xx | not taken; tried again |

Mailgun has no deduplication, so a request whose answer is lost leaves its messages `unknown`."""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        super().__init__(name, options)
        self._from = mailbox(self.sender_name, self.sender)
        self._url = f"{self.options['url'].rstrip('/')}/v3/{self.options['domain']}/messages"
        key = base64.b64encode(f"api:{self.options['api_key']}".encode()).decode()
        self._headers = {"Authorization": f"Basic {key}", "Accept": "application/json", "User-Agent": USER_AGENT}

    @classmethod
    def conflicts(cls, options: Mapping[str, Any]) -> list[str]:
        domain = str(options.get("domain") or "")
        odd = "{{" not in domain and any(character in "/?#% @" for character in domain)
        return [*super().conflicts(options), *(["'domain': not a domain's name"] if odd else [])]

    @classmethod
    def misfits(cls, options: Mapping[str, Any], channel: str, content: Mapping[str, str], kind: str) -> list[str]:
        found = super().misfits(options, channel, content, kind)
        if any(_MARK in part for part in content.values()):
            found.append(f"`{_MARK}...%` would be sent as it stands: Activate fills templates in, not Mailgun")
        return found

    def together(self, message: Outgoing) -> Hashable:
        if any(_MARK in part for part in message.content.values()):
            return message.message_id
        parts = tuple(bool(message.content.get(part)) for part in _PARTS)
        return message.campaign, message.tags, message.message_class, _within(message), parts, message.channel

    def build(self, batch: Sequence[Outgoing], at: dt.datetime) -> HttpRequest:
        del at
        people = self.distinct_recipients(batch)
        values = [self._values(message) for message in batch]
        alone = len(batch) == 1
        # Alone, a message needs no variables: what it says is what is sent.
        shown = values[0] if alone else {name: f"{_MARK}.{name}%" for name in values[0]}
        first = batch[0]
        fields = [("from", self._from), *(("to", address) for address in people), ("subject", shown["subject"])]
        fields += [(part, shown[part]) for part in _PARTS if part in shown]
        fields += [("v:message_id", shown["message_id"])]
        if "unsubscribe" in shown:
            fields += [("h:List-Unsubscribe", f"<{shown['unsubscribe']}>")]
            fields += [("h:List-Unsubscribe-Post", "List-Unsubscribe=One-Click")]
        if self.options["reply_to"]:
            fields += [("h:Reply-To", mailbox(*self.reply_to))]
        fields += [("o:tag", tag) for tag in dict.fromkeys((first.campaign, *first.tags))]
        if (minutes := _within(first)) is not None:
            fields += [("o:deliver-within", f"{minutes // 60}h{minutes % 60}m")]
        if self.options["tracking"]:
            fields += [("o:tracking", self.options["tracking"])]
        fields += [(name, "yes") for name, option in (("o:require-tls", "require_tls"), ("o:testmode", "test_mode"))
                   if self.options[option]]  # fmt: skip
        if not alone:
            variables = dict(zip(people, values, strict=True))
            fields += [("recipient-variables", json.dumps(variables, ensure_ascii=False))]
        kind, body = _form(fields)
        return HttpRequest("POST", self._url, {**self._headers, "Content-Type": kind}, body)

    def _values(self, message: Outgoing) -> dict[str, str]:
        """What differs from person to person."""
        values = {"subject": self.subject(message), "message_id": message.message_id}
        values |= {part: message.content[part] for part in _PARTS if message.content.get(part)}
        if link := self.one_click(message).get("List-Unsubscribe"):
            values["unsubscribe"] = link.strip("<>")
        return values

    def read_http(self, answer: HttpAnswer, batch: Sequence[Outgoing]) -> list[Outcome]:
        if 200 <= answer.status < 300:
            told = str(json_object(answer).get("id"))
            taken_as = told if _ID.fullmatch(told) else None
            return [Outcome(one.message_id, "accepted", safe_id(taken_as, one)) for one in batch]
        if _blames_us(answer):
            raise Unusable("http_400", "Mailgun refuses us (400); check the sender, the domain and the account")
        return super().read_http(answer, batch)

    def splits(self, answer: object) -> bool:
        return isinstance(answer, HttpAnswer) and answer.status in (400, 413, 422) and not _blames_us(answer)


def _blames_us(answer: HttpAnswer) -> bool:
    told = str(json_object(answer).get("message")).lower().replace("'", "") if answer.status == 400 else ""
    return any(words in told for words in _ACCOUNT)


def _within(message: Outgoing) -> int | None:
    """Minutes that are left, rounded down to five so that messages can share a request; None: no need to say."""
    minutes = None if message.ttl_seconds is None else max(_SHORTEST, message.ttl_seconds // 300 * 5)
    return minutes if minutes is not None and minutes <= _LONGEST else None


def _form(fields: Sequence[tuple[str, str]]) -> tuple[str, bytes]:
    """multipart/form-data (RFC 7578); names are ours. The same fields make the same bytes."""
    values = [(name, value.encode("utf-8", "replace")) for name, value in fields]
    digest = hashlib.sha256()
    for _, value in values:
        digest.update(value)
    boundary = digest.hexdigest().encode()
    parts = [
        b'--%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (boundary, name.encode(), value)
        for name, value in values
    ]
    return f"multipart/form-data; boundary={boundary.decode()}", b"".join(parts) + b"--%b--\r\n" % boundary
