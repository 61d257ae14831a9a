"""Hands e-mail to Postmark, up to 500 different messages in one request."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from activate.providers.base import HttpAnswer, HttpRequest, Limits, Lost, Outcome, Outgoing, Status, Unusable, safe_id
from activate.providers.json_api import api_url, json_answer, json_object, json_request
from activate.providers.mail import AS_MAIL, MAIL_OPTIONS, Mail, mailbox
from activate.providers.options import Option

# Codes of errors (postmarkapp.com/developer/api/overview#error-codes) that concern the account: token, sender signature
# not found or not confirmed, not allowed to send, account pending, account may not send.
_ACCOUNT = frozenset({10, 400, 401, 405, 412, 413})
_LATER = frozenset({100, 429})  # maintenance, rate limit
_INACTIVE = 406


class Postmark(Mail):
    """POST /email/batch.

    Limits: 500 messages and 50 MB per request (postmarkapp.com/developer/user-guide/send-email-with-api/batch-emails).
    The answer has one result per message, in the request's order.
    """

    type = "postmark"
    summary = "Hands e-mail to Postmark."
    example: ClassVar[Mapping[str, Any]] = {
        "server_token": "{{ env_var('POSTMARK_SERVER_TOKEN') }}", "from": "Shop <hello@shop.example.com>",
    }  # fmt: skip
    declared = (
        Option("server_token", "The server's API token.", required=True, secret=True),
        *MAIL_OPTIONS,
        Option("marketing_stream", "The message stream of marketing mail.", default="broadcast"),
        Option("transactional_stream", "The message stream of transactional mail.", default="outbound"),
        api_url("https://api.postmarkapp.com"),
        Option("batch", "Messages per request.", "whole", default=500, low=1, high=500),
    )
    defaults: ClassVar[Limits] = Limits(batch=500, concurrency=4, timeout_seconds=60)
    notes = f"""\
{AS_MAIL}

Marketing mail goes through a broadcast stream, where Postmark adds an unsubscribe link of its own; with `unsubscribe_url`,
have that stream's unsubscribe handling set to custom. `Metadata` holds `message_id`, and webhooks bring it back; `Tag` is
the campaign.

| answer | meaning |
|---|---|
| 200 | each message has a result: `ErrorCode` 0 was taken, and `MessageID` is kept |
| `ErrorCode` 406 (inactive: a hard bounce, a complaint or a suppression) | rejected, and the address is not used again |
| `ErrorCode` 100, 429 | this message was not taken; tried again |
| `ErrorCode` 10, 400, 401, 405, 412, 413 for all | token, sender or account: this provider stops for this run |
| another `ErrorCode`, e.g. 300 | rejected with that number |
| 401 | we are refused: this provider stops for this run |
| 413, 422 | the batch is halved until what spoils it is found |
| 429, 5xx | not taken; tried again |

Postmark has no deduplication, so a request whose answer is lost leaves its messages `unknown`."""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        super().__init__(name, options)
        self._from = mailbox(self.sender_name, self.sender)
        self._headers = {"X-Postmark-Server-Token": self.options["server_token"]}
        self._url = f"{self.options['url'].rstrip('/')}/email/batch"

    @classmethod
    def unsubscribes(cls, options: Mapping[str, Any]) -> bool:
        return options.get("marketing_stream") != "outbound" or super().unsubscribes(options)

    def build(self, batch: Sequence[Outgoing], at: dt.datetime) -> HttpRequest:
        del at
        return json_request(self._url, self._headers, [self._item(message) for message in batch])

    def _item(self, message: Outgoing) -> dict[str, Any]:
        stream = "marketing_stream" if message.message_class == "marketing" else "transactional_stream"
        item: dict[str, Any] = {
            "From": self._from,
            "To": self.recipient(message),
            "Subject": self.subject(message),
            "MessageStream": self.options[stream],
            "Metadata": {"message_id": message.message_id},
            "Tag": message.campaign,
        }
        for block, name in (("text", "TextBody"), ("html", "HtmlBody")):
            if message.content.get(block):
                item[name] = message.content[block]
        if self.options["reply_to"]:
            item["ReplyTo"] = mailbox(*self.reply_to)
        if headers := self.one_click(message):
            item["Headers"] = [{"Name": name, "Value": value} for name, value in headers.items()]
        return item

    def read_http(self, answer: HttpAnswer, batch: Sequence[Outgoing]) -> list[Outcome]:
        if 200 <= answer.status < 300:
            results = json_answer(answer)
            if not isinstance(results, list) or len(results) != len(batch):
                return [Outcome(message.message_id, "unknown", None, "bad_answer") for message in batch]
            codes = {_code(result) for result in results}
            if codes <= _ACCOUNT:
                raise _unusable(min(codes))  # nothing of the batch was taken
            return [_told(message, result) for message, result in zip(batch, results, strict=True)]
        code = _code(json_object(answer)) if answer.status == 422 else -1
        if code in _ACCOUNT:
            raise _unusable(code)
        if code in _LATER:
            return [Outcome(message.message_id, "failed", None, str(code)) for message in batch]
        return super().read_http(answer, batch)

    def splits(self, answer: object) -> bool:
        if not isinstance(answer, HttpAnswer) or answer.status not in (400, 413, 422):
            return False
        return answer.status != 422 or _code(json_object(answer)) not in _ACCOUNT | _LATER


def _unusable(code: int) -> Unusable:
    return Unusable(f"postmark_{code}", f"Postmark refuses us (ErrorCode {code}); check token, sender and account")


def _code(result: object) -> int:
    code = result.get("ErrorCode") if isinstance(result, dict) else None
    return code if isinstance(code, int) and not isinstance(code, bool) else -1


def _told(message: Outgoing, result: object) -> Outcome:
    code = _code(result)
    if code == 0 and isinstance(result, dict):
        return Outcome(message.message_id, "accepted", safe_id(result.get("MessageID"), message))
    if code < 0:
        return Outcome(message.message_id, "unknown", None, "bad_result")
    status: Status = "failed" if code in _LATER | _ACCOUNT else "rejected"
    lost: Lost | None = "hard_bounce" if code == _INACTIVE else None
    return Outcome(message.message_id, status, None, str(code), lost=lost)
