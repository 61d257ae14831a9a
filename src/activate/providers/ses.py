"""Hands e-mail to Amazon Simple Email Service."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from email.utils import formataddr
from typing import Any, ClassVar

from activate.providers.aws import AWS_OPTIONS, sign_aws
from activate.providers.base import (
    HttpAnswer,
    HttpRequest,
    Limits,
    Outcome,
    Outgoing,
    Status,
    Unusable,
    safe_code,
    safe_id,
)
from activate.providers.json_api import json_object, json_request
from activate.providers.mail import AS_MAIL, MAIL_OPTIONS, Mail
from activate.providers.options import Option
from activate.providers.signing import check_url

_BETWEEN = re.compile(r"[\s,;<>]+")
_NOT_IN_TAGS = re.compile(r"[^A-Za-z0-9_-]")
# What concerns the account and no message: botocore's model of sesv2, and the common errors of AWS.
_ACCOUNT = frozenset({
    "AccountSuspendedException", "SendingPausedException", "MailFromDomainNotVerifiedException", "NotFoundException",
    "LimitExceededException", "AccessDeniedException", "ExpiredTokenException", "IncompleteSignature",
    "InvalidClientTokenId", "InvalidSignatureException", "MissingAuthenticationToken", "OptInRequired",
    "SignatureDoesNotMatch", "UnrecognizedClientException",
})  # fmt: skip
_SLOW_DOWN = frozenset({"TooManyRequestsException", "ThrottlingException", "Throttling", "RequestThrottled"})


class Ses(Mail):
    """POST /v2/email/outbound-emails (SESv2 SendEmail), one message each, signed.

    Names of errors and their statuses are those of botocore's service model sesv2/2019-09-27. The rate is the account's
    (docs.aws.amazon.com/ses/latest/dg/quotas.html): one per second in the sandbox, and what was granted outside it.
    """

    type = "ses"
    summary = "Hands e-mail to Amazon SES."
    example: ClassVar[Mapping[str, Any]] = {
        "region": "eu-central-1", "access_key_id": "{{ env_var('AWS_ACCESS_KEY_ID') }}",
        "secret_access_key": "{{ env_var('AWS_SECRET_ACCESS_KEY') }}", "from": "Shop <hello@shop.example.com>",
        "configuration_set": "activate",
    }  # fmt: skip
    declared = (
        *AWS_OPTIONS,
        *MAIL_OPTIONS,
        Option("configuration_set", "The configuration set, which says where events go."),
        Option("url", "Where the API answers; by default the region's own address.", check=check_url),
    )
    defaults: ClassVar[Limits] = Limits(per_second=14, concurrency=8, timeout_seconds=30)
    notes = f"""\
{AS_MAIL}

Needs `pip install dbt-activate[aws]` (botocore, for the signature). Credentials are read from the options only: profiles,
roles and the metadata service are not looked up. One request per message; set `per_second` to your account's rate.

The tags `message_id` and `campaign` come back in events, where a configuration set publishes them. SES signs
`List-Unsubscribe` with DKIM for a verified domain.

| answer | meaning |
|---|---|
| 200 | taken; `MessageId` is kept. An address on the suppression list is taken, too: an event tells |
| `TooManyRequestsException`, throttling, 5xx | not taken; tried again |
| `LimitExceededException` (the day's quota), `AccountSuspendedException`, `SendingPausedException`, `MailFromDomainNotVerifiedException`, `NotFoundException` (the configuration set), 401, 403, a sender that is not verified | we are refused: this provider stops for this run |
| `MessageRejected`, `BadRequestException` | rejected |

SES has no deduplication, so a request whose answer is lost leaves its message `unknown`."""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        super().__init__(name, options)
        base = self.options["url"] or f"https://email.{self.options['region']}.amazonaws.com"
        self._url = f"{base.rstrip('/')}/v2/email/outbound-emails"

    def build(self, batch: Sequence[Outgoing], at: dt.datetime) -> HttpRequest:
        del at
        message = batch[0]
        simple: dict[str, Any] = {
            "Subject": _text(self.subject(message)),
            "Body": {
                kind: _text(message.content[block])
                for block, kind in (("text", "Text"), ("html", "Html"))
                if message.content.get(block)
            },
        }
        if headers := self.one_click(message):
            simple["Headers"] = [{"Name": name, "Value": value} for name, value in headers.items()]
        tags = {"message_id": message.message_id, "campaign": message.campaign}
        body: dict[str, Any] = {
            "FromEmailAddress": formataddr((self.sender_name, self.sender)),
            "Destination": {"ToAddresses": [self.recipient(message)]},
            "Content": {"Simple": simple},
            "EmailTags": [{"Name": name, "Value": _NOT_IN_TAGS.sub("_", value)[:256]} for name, value in tags.items()],
        }
        if self.options["reply_to"]:
            body["ReplyToAddresses"] = [formataddr(self.reply_to)]
        if self.options["configuration_set"]:
            body["ConfigurationSetName"] = self.options["configuration_set"]
        return json_request(self._url, {}, body)

    def sign(self, request: HttpRequest, at: int) -> HttpRequest:
        return sign_aws(request, self.options, "ses", at)

    def read_http(self, answer: HttpAnswer, batch: Sequence[Outgoing]) -> list[Outcome]:
        message = batch[0]
        told = json_object(answer)
        if 200 <= answer.status < 300:
            return [Outcome(message.message_id, "accepted", safe_id(told.get("MessageId"), message))]
        kind = str(answer.headers.get("x-amzn-errortype") or told.get("__type") or "")
        kind = kind.partition(":")[0].rpartition("#")[2]
        if kind in _ACCOUNT:
            raise Unusable(kind, f"SES refuses us ({kind}); check the account, its credentials and the sender")
        if kind == "MessageRejected" and self._blames_sender(str(told.get("message") or told.get("Message"))):
            raise Unusable("sender_not_verified", "SES refuses our sender: its address or domain is not verified")
        status: Status = "failed" if kind in _SLOW_DOWN else "rejected"
        if answer.status in (400, 429) and kind:
            return [Outcome(message.message_id, status, None, safe_code(kind, message))]
        return super().read_http(answer, batch)

    def splits(self, answer: object) -> bool:
        del answer
        return False  # a batch is one message

    def _blames_sender(self, text: str) -> bool:
        """Whether a message is refused because of who sends it (an unverified recipient, in the sandbox, is another)."""
        low, sender = text.lower(), self.sender.lower()
        named = set(_BETWEEN.split(low))
        return "not verified" in low and not named.isdisjoint((sender, sender.rpartition("@")[2]))


def _text(value: str) -> dict[str, str]:
    return {"Data": value, "Charset": "UTF-8"}
