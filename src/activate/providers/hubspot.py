"""Sends transactional e-mail through HubSpot's single-send API."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from activate.providers.base import (
    Answer,
    Capabilities,
    HttpAnswer,
    HttpRequest,
    Limits,
    Lost,
    Outcome,
    Outgoing,
    Provider,
    Unusable,
    safe_id,
)
from activate.providers.json_api import api_url, json_object, json_request
from activate.providers.options import Option

EMAIL_ID = "email_id"
_TAKEN = frozenset({"SENT", "QUEUED", "IDEMPOTENT_IGNORE"})
_LATER = frozenset({"THROTTLED", "IDEMPOTENT_FAIL"})
# What is about the account, whatever the message.
_ACCOUNT = frozenset({
    "EMAIL_DISABLED", "PORTAL_SUSPENDED", "PORTAL_OVER_LIMIT", "PORTAL_EXPIRED", "PORTAL_MISSING_MARKETING_SCOPE",
    "PORTAL_AUTHENTICATION_FAILURE", "PORTAL_NOT_AUTHORIZED_FOR_APPLICATION", "INVALID_FROM_ADDRESS",
    "UNCONFIGURED_SENDING_DOMAIN", "CANCELLED_ABUSE",
})  # fmt: skip
_LOST: Mapping[str, Lost] = {
    "PREVIOUSLY_BOUNCED": "hard_bounce", "ADDRESS_OPTED_OUT": "opted_out", "PREVIOUS_SPAM": "opted_out",
    "PREVIOUSLY_UNSUBSCRIBED_MESSAGE": "opted_out", "PREVIOUSLY_UNSUBSCRIBED_PORTAL": "opted_out",
    "PREVIOUSLY_UNSUBSCRIBED_BRAND": "opted_out", "PREVIOUSLY_UNSUBSCRIBED_BUSINESS_UNIT": "opted_out",
}  # fmt: skip
_REFUSED = frozenset({
    "INVALID_TO_ADDRESS", "BLOCKED_DOMAIN", "EMAIL_UNCONFIRMED", "CAMPAIGN_CANCELLED", "VALIDATION_FAILED", "MTA_IGNORE",
    "BLOCKED_ADDRESS", "MISSING_TEMPLATE_PROPERTIES", "MISSING_REQUIRED_PARAMETER", "MISSING_CONTENT", "CORRUPT_INPUT",
    "TEMPLATE_RENDER_EXCEPTION", "GRAYMAIL_SUPPRESSED", "UNDELIVERABLE", "QUARANTINED_ADDRESS",
    "ADDRESS_ONLY_ACCEPTED_ON_PROD", "ADDRESS_LIST_BOMBED", "RECIPIENT_FATIGUE_SUPPRESSED", "TOO_MANY_RECIPIENTS",
    "NON_MARKETABLE_CONTACT", "GDPR_DOI_ENABLED",
})  # fmt: skip


class HubSpot(Provider):
    """POST /marketing/v3/transactional/single-email/send, one message each.

    Source: HubSpot's OpenAPI description of the API (PublicSingleSendRequestEgg, EmailSendStatusView) and
    developers.hubspot.com/docs/api-reference/marketing-transactional-emails-v3. The endpoint is exempt from the limits of 10
    seconds and of a day (x-hubspot-rate-limit-exemptions).
    """

    type = "hubspot"
    summary = "Sends transactional e-mail that is designed in HubSpot, through its single-send API."
    example: ClassVar[Mapping[str, Any]] = {
        "access_token": "{{ env_var('HUBSPOT_TOKEN') }}", "email_id": "4126643121",
    }  # fmt: skip
    declared = (
        Option("access_token", "A private app's token with the scope `transactional-email`.", required=True, secret=True),
        Option("email_id", "The e-mail's id in HubSpot, where a template names none.", "whole", low=1, high=2**53),
        Option("from", "The sender, instead of the e-mail's own: `Shop <hello@shop.example.com>`."),
        api_url("https://api.hubapi.com"),
    )  # fmt: skip
    defaults: ClassVar[Limits] = Limits(batch=1, per_second=50, concurrency=8, timeout_seconds=30.0)
    capabilities: ClassVar[Capabilities] = Capabilities(channels=("email",), idempotent=True)
    notes = """\
The e-mail is designed in HubSpot, and published for single send (it needs the transactional e-mail add-on). Every block of a template is
a custom property: the block `subject` is `{{ custom.subject }}` there, `html` is `{{ custom.html }}`, and so on. The block
`email_id` names another e-mail than the option's. HubSpot allows transactional mail only.

`sendId` is the message's id: HubSpot sends one e-mail for it at most, so a message in doubt is handed over again. A message has no
time limit there.

| answer | meaning |
|---|---|
| PENDING, PROCESSING; COMPLETE with SENT, QUEUED, IDEMPOTENT_IGNORE | accepted |
| PREVIOUSLY_BOUNCED | rejected; the address is not used again (`hard_bounce`) |
| ADDRESS_OPTED_OUT, PREVIOUSLY_UNSUBSCRIBED_..., PREVIOUS_SPAM | rejected; the address is not used again (`opted_out`) |
| THROTTLED, 429, 5xx | tried again |
| PORTAL_..., EMAIL_DISABLED, INVALID_FROM_ADDRESS; 401, 403, 404 | this provider stops for this run |
| other results; 400 | rejected |

What becomes of it later (bounces, opens) is told to HubSpot's own timeline and its e-mail events, which carry `sendId`'s `statusId`, not
the message's id."""

    def refuses(self, message: Outgoing) -> str | None:
        chosen = message.content.get(EMAIL_ID) or self.options["email_id"]
        if chosen is None:
            return "no_email_id"
        return None if str(chosen).strip().isdigit() else "bad_email_id"

    @classmethod
    def misfits(cls, options: Mapping[str, Any], channel: str, content: Mapping[str, str], kind: str) -> list[str]:
        del channel
        problems = []
        if kind == "marketing":
            problems.append(
                "hubspot's single-send API is for transactional e-mail; make the campaign's class transactional"
            )
        if EMAIL_ID not in content and not options.get("email_id"):
            problems.append("neither the template (block `email_id`) nor the provider names the e-mail to send")
        return problems

    def build(self, batch: Sequence[Outgoing], at: dt.datetime) -> HttpRequest:
        del at
        (message,) = batch
        content = dict(message.content)
        chosen = content.pop(EMAIL_ID, None) or self.options["email_id"]
        envelope: dict[str, Any] = {"to": message.address, "sendId": message.message_id}
        if sender := self.options["from"]:
            envelope["from"] = sender
        body = {"emailId": int(chosen), "message": envelope, "customProperties": content}
        url = f"{self.options['url']}/marketing/v3/transactional/single-email/send"
        return json_request(url, {"Authorization": f"Bearer {self.options['access_token']}"}, body)

    def read_http(self, answer: HttpAnswer, batch: Sequence[Outgoing]) -> list[Outcome]:
        (message,) = batch
        told = json_object(answer)
        if not 200 <= answer.status < 300:
            return super().read_http(answer, batch)
        status_id = safe_id(told.get("statusId"), message)
        result = told.get("sendResult")
        if result in _ACCOUNT:
            raise Unusable(str(result).lower(), f"HubSpot does not send for us ({result})")
        if told.get("status") == "CANCELED" and result not in _LOST:
            code = str(result).lower() if result in _REFUSED else "canceled"
            return [Outcome(message.message_id, "rejected", status_id, code)]
        if result in _LATER:
            return [Outcome(message.message_id, "failed", status_id, str(result).lower())]
        if result in _REFUSED or result in _LOST:
            return [
                Outcome(message.message_id, "rejected", status_id, str(result).lower(), None, _LOST.get(str(result)))
            ]
        if result is not None and result not in _TAKEN:
            return [Outcome(message.message_id, "unknown", status_id, "bad_result")]
        return [Outcome(message.message_id, "accepted", status_id)]

    def splits(self, answer: Answer) -> bool:
        del answer
        return False  # one message in a request
