"""Sends SMS and MMS through Twilio's Messages resource, one request per message."""

from __future__ import annotations

import base64
import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import urlencode

from activate.providers.base import (
    Advice,
    Answer,
    Capabilities,
    HttpAnswer,
    HttpRequest,
    Limits,
    Lost,
    Outcome,
    Outgoing,
    Provider,
    Status,
    Unusable,
    safe_code,
    safe_id,
)
from activate.providers.json_api import USER_AGENT, api_url, json_object
from activate.providers.options import Option, stated
from activate.providers.signing import check_url
from activate.providers.sms_text import sms_fits, sms_problem

_BODY = 1_600
_LONGEST_QUEUE = 36_000
E164 = re.compile(r"\+[1-9][0-9]{6,14}")
SERVICE = re.compile(r"MG[0-9a-fA-F]{32}")
_MESSAGE = re.compile(r"[SM]M[0-9a-fA-F]{32}")
_CODE_OR_NAME = re.compile(r"[0-9]{3,8}|(?=.*[A-Za-z])[A-Za-z0-9 +_&-]{1,11}")
# How opt-out texts are written: the keywords that Twilio and carriers act on, in capitals, or the words for it.
_OPT_OUT = re.compile(
    r"\b(STOP|STOPALL|UNSUBSCRIBE|CANCEL|END|QUIT|OPTOUT|REVOKE)\b|(?i:\bunsubscribe\b|\bopt[ -]?out\b)"
)

# Codes of twilio.com/docs/api/errors. Those from 30000 come with the status of a message that was created before.
_LOST: Mapping[int, Lost] = {
    21211: "hard_bounce",  # not a phone number
    21217: "hard_bounce",
    21610: "opted_out",  # answered STOP
    21614: "hard_bounce",  # not a mobile number
    21635: "hard_bounce",  # a landline, where none takes messages
    30005: "hard_bounce",  # unknown destination
    30006: "hard_bounce",  # a landline
    63003: "hard_bounce",  # the channel does not know the number
}
_LATER = frozenset({
    20429,  # too many requests at once
    21606, 21659, 21703,  # no sender for this person's country, or none at all: it is mended in Twilio
    21611, 30001,  # the queue of the sender, or of the service, is full
    63017, 63018,  # too many messages of the account, or of the WhatsApp sender
})  # fmt: skip
_OURS = frozenset({
    21212, 21603, 21660, 21661, 63002, 63007,  # the sender
    21701, 21704, 21705,  # the messaging service
    30002,  # the account is suspended
    63038,  # the account's messages of a day are used up
})  # fmt: skip


def _check_sid(prefix: str) -> Callable[[str], str | None]:
    pattern = re.compile(rf"{prefix}[0-9a-fA-F]{{32}}")
    return lambda value: None if pattern.fullmatch(value) else f"must be `{prefix}` and 32 hexadecimal digits"


def _check_sender(value: str) -> str | None:
    if any(pattern.fullmatch(value) for pattern in (SERVICE, E164, _CODE_OR_NAME)):
        return None
    return (
        f"{value!r} is not a sender; write a number (+14155552345), a short code, a name of up to 11 letters and digits, "
        "or a messaging service (MG...)"
    )


ACCOUNT = (
    Option("account_sid", "The account, `AC...`.", required=True, check=_check_sid("AC")),
    Option("key", "An API key's SID, `SK...`; without it `secret` is the account's auth token.",
           check=_check_sid("SK")),
    Option("secret", "The API key's secret, or the account's auth token.", required=True, secret=True),
    api_url("https://api.twilio.com"),
    Option("status_callback", "Where Twilio reports what became of a message; `{message_id}` in it becomes the message's "
           "id.", check=check_url),
)  # fmt: skip

STATUSES = """\
| answer | meaning |
|---|---|
| 201 | taken; queued at Twilio, whose last word comes to `status_callback` |
| 429, 20429, 21611, 30001, 63017, 63018 | not taken: too many at once, or the sender's queue is full; tried again |
| 21606, 21659, 21703 | not taken: no sender for the person's country, or none at all; tried again |
| 21610 | rejected; the person answered STOP, and is not written to again (`opted_out`) |
| 21211, 21217, 21614, 21635, 30005, 30006, 63003 | rejected; no such number, or one that takes no messages (`hard_bounce`) |
| 401, 404, 20xxx, 30002, 63038 | we are refused: this provider stops for this run, no message is lost |
| 21212, 21603, 21660, 21661, 21701, 21704, 21705, 63002, 63007 | the sender or the messaging service is wrong: likewise |
| 502, 504 | `unknown`: a proxy lost Twilio |
| other 5xx | not taken; tried again |
| any other code | rejected, under Twilio's number |

Twilio documents no deduplication for messages, so an `unknown` one is not repeated. Its id, `SM...`, is kept as the
provider's message id, and is what status callbacks name as `MessageSid`."""


class Twilio(Provider):
    """One POST per message to `/2010-04-01/Accounts/{AccountSid}/Messages.json`, form-encoded.

    Source: twilio.com/docs/messaging/api/message-resource (parameters, 1,600 characters, validity of 1 to 36,000
    seconds), twilio.com/docs/api/errors (codes; 429 is never processed and safe to try again). Twilio publishes no number
    of requests per second: it limits how many are under way at once, and queues what a sender cannot send yet.
    """

    type = "twilio"
    summary = "Sends SMS and MMS through Twilio."
    example: ClassVar[Mapping[str, Any]] = {
        "account_sid": "AC00000000000000000000000000000000", "key": "SK00000000000000000000000000000000",
        "secret": "{{ env_var('TWILIO_SECRET') }}", "from": "MG00000000000000000000000000000000",
        "opt_out": "Reply STOP to end",
    }  # fmt: skip
    declared: ClassVar[tuple[Option, ...]] = (
        *ACCOUNT,
        Option("from", "The sender: a number, a short code, a name, or the messaging service (`MG...`) that chooses one.",
               required=True, check=_check_sender),
        Option("max_segments", "SMS segments per message at most; each is charged.", "whole", default=10, low=1, high=24),
        Option("opt_out", "Put below marketing messages that do not say how to opt out, e.g. `Reply STOP to end`.",
               check=lambda text: None if _OPT_OUT.search(text) else "names no keyword such as STOP"),
    )  # fmt: skip
    defaults: ClassVar[Limits] = Limits(batch=1, concurrency=8)
    capabilities: ClassVar[Capabilities] = Capabilities(channels=("sms",))
    notes = f"""\
Blocks of a template: `body`, at most 1,600 characters, and `media_url` (addresses of pictures, one a line, at most 10:
the message then goes out as MMS). A template without blocks is the `body`.

A message is cut into segments, and each is charged: of 160 characters of the GSM alphabet (153 each if there are
several; `^ {{ }} \\ [ ~ ] |` and `€` count twice), or of 70 (67) if a single character is not in that alphabet, such as
a curly quote or an emoji. More than `max_segments` are `too_many_segments`; `dbt-activate lint` tells it where the
fixed text alone already takes more, and which characters make it dear.

Marketing messages have to say how to opt out. Lint warns of a template that does not; with the option `opt_out` that
text is put below such messages (on a line of its own, and counts). STOP itself is Twilio's to answer: further messages
are then refused as 21610. `ttl_seconds` is passed on as `ValidityPeriod`.

{STATUSES}"""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        super().__init__(name, options)
        user = self.options["key"] or self.options["account_sid"]
        login = base64.b64encode(f"{user}:{self.options['secret']}".encode()).decode()
        self._url = f"{self.options['url'].rstrip('/')}/2010-04-01/Accounts/{self.options['account_sid']}/Messages.json"
        self._headers = {
            "Authorization": f"Basic {login}", "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json", "User-Agent": USER_AGENT,
        }  # fmt: skip

    def refuses(self, message: Outgoing) -> str | None:
        media = _media(message.content)
        text = self._text(message)
        if not text and not media:
            return "no_body"
        if not E164.fullmatch(message.address):
            return "bad_address"
        if len(text) > _BODY:
            return "too_long"
        if len(media) > 10:
            return "too_much_media"
        # An MMS is not cut into segments.
        return None if media or sms_fits(text, self.options["max_segments"]) else "too_many_segments"

    @classmethod
    def misfits(cls, options: Mapping[str, Any], channel: str, content: Mapping[str, str], kind: str) -> list[str]:
        del channel
        body = content.get("body", "")
        if "body" not in content and "media_url" not in content:
            return ["the template has neither a block body nor media_url, so nothing would be sent"]
        found: list[str] = []
        if kind == "marketing" and not _OPT_OUT.search(body):
            if options.get("opt_out"):
                body = f"{body}\n{stated(cls.declared, options, 'opt_out') or ''}"
            else:
                found.append(Advice("the fixed text of the body does not say how to opt out, which marketing messages must; write e.g. "
                                    "`Reply STOP to end`, or set the provider's option `opt_out`"))  # fmt: skip
        if len(body) > _BODY:
            found.append(f"the fixed text of the body has {len(body):,} characters; Twilio takes {_BODY:,}")
        most = stated(cls.declared, options, "max_segments")
        if most is not None and "media_url" not in content and (problem := sms_problem(body, most)):
            found.append(f"the fixed text of the body {problem}")
        return found

    def build(self, batch: Sequence[Outgoing], at: dt.datetime) -> HttpRequest:
        del at
        message = batch[0]
        form = [("To", message.address), *self._sender(), *self._shared(message)]
        if text := self._text(message):
            form.append(("Body", text))
        form += [("MediaUrl", url) for url in _media(message.content)]
        return HttpRequest("POST", self._url, self._headers, urlencode(form).encode())

    def _sender(self) -> list[tuple[str, str]]:
        sender = self.options["from"]
        return [("MessagingServiceSid" if SERVICE.fullmatch(sender) else "From", sender)]

    def _shared(self, message: Outgoing) -> list[tuple[str, str]]:
        """The parameters that have nothing to do with the content."""
        found = []
        if message.ttl_seconds is not None:
            found.append(("ValidityPeriod", str(min(max(message.ttl_seconds, 1), _LONGEST_QUEUE))))
        if callback := self.options["status_callback"]:
            found.append(("StatusCallback", callback.replace("{message_id}", message.message_id)))
        return found

    def _text(self, message: Outgoing) -> str:
        text, opt_out = message.content.get("body", ""), self.options["opt_out"]
        if message.message_class != "marketing" or not opt_out or _OPT_OUT.search(text):
            return text
        return f"{text}\n{opt_out}" if text else str(opt_out)

    def read_http(self, answer: HttpAnswer, batch: Sequence[Outgoing]) -> list[Outcome]:
        message, told = batch[0], json_object(answer)
        if 200 <= answer.status < 300:
            code = told.get("error_code")
            sid = told.get("sid")
            taken_as = safe_id(sid, message) if isinstance(sid, str) and _MESSAGE.fullmatch(sid) else None
            if told.get("status") not in ("failed", "undelivered") or not isinstance(code, int):
                return [Outcome(message.message_id, "accepted", taken_as)]
            return [_refused(message, code, taken_as)]
        code = told.get("code")
        if not isinstance(code, int) or isinstance(code, bool) or answer.status >= 500:
            return super().read_http(answer, batch)
        return [_refused(message, code, later=answer.status == 429)]

    def splits(self, answer: Answer) -> bool:
        del answer
        return False  # one message each: what is wrong with it is told by its code


def _refused(message: Outgoing, code: int, taken_as: str | None = None, later: bool = False) -> Outcome:
    later |= code in _LATER
    # 20xxx are about the request's credentials and account, whatever it asks for.
    if code in _OURS or (20_000 <= code < 21_000 and not later):
        raise Unusable(str(code), f"Twilio refuses us with error {code}; see twilio.com/docs/api/errors/{code}")
    status: Status = "failed" if later else "rejected"
    return Outcome(message.message_id, status, taken_as, safe_code(code, message), None, _LOST.get(code))


def _media(content: Mapping[str, str]) -> list[str]:
    return content.get("media_url", "").split()
