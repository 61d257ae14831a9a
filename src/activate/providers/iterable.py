"""Hands messages to Iterable: as sends of its campaigns, one by one, or as events that its journeys wait for."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from activate.providers.base import (
    Answer,
    HttpAnswer,
    HttpRequest,
    Limits,
    Outcome,
    Outgoing,
    Provider,
    Status,
    Unusable,
)
from activate.providers.engagement import KNOWN_BY, has_bad_data, known_as, properties
from activate.providers.json_api import api_url, json_object, json_request
from activate.providers.options import Option

_TARGETS = {
    "email": "/api/email/target", "sms": "/api/sms/target", "push": "/api/push/target",
    "web_push": "/api/webPush/target", "in_app": "/api/inApp/target", "whatsapp": "/api/whatsApp/target",
}  # fmt: skip
_TELL_METADATA = ("email", "push")
_KEYS = {"user_id": ("recipientUserId", "userId"), "email": ("recipientEmail", "email")}
_REFUSED = ("BadApiKey", "BadAuthorizationHeader", "Unauthorized", "Forbidden", "InvalidJwtPayload")
_FINAL = (
    "BadJsonBody", "BadParams", "BatchTooLarge", "ForgottenUserError", "ForbiddenParamsError",
    "InvalidEmailAddressError", "InvalidUserIdError", "NotFound", "RequestFieldsTypesMismatched",
    "UniqueFieldsLimitExceeded", "UnknownEmailError", "UnknownUserIdError",
)  # fmt: skip
_AGAIN = ("DatabaseError", "QueueEmailError", "RateLimitExceeded")
_FAILURES = tuple(f"{why}{who}" for why in ("invalid", "notFound", "forgotten", "invalidData", "conflict")
                  for who in ("Emails", "UserIds"))  # fmt: skip
_BATCH, _EVENTS_PER_SECOND = 1_000, 10.0


class Iterable(Provider):
    """One POST per message (`/api/{channel}/target`), or one per batch of events (`/api/events/trackBulk`).

    Requests, answers and the limit of trackBulk: api.iterable.com/api/docs (its description: api.iterable.com/api-docs).
    """

    type = "iterable"
    summary = "Hands messages to Iterable: as sends of its campaigns, or as events that its journeys wait for."
    example: ClassVar[Mapping[str, Any]] = {
        "api_key": "{{ env_var('ITERABLE_API_KEY') }}", "send_by": "campaign", "campaign_id": 123456,
    }  # fmt: skip
    declared = (
        api_url("https://api.iterable.com", "Where the API answers; in the EU https://api.eu.iterable.com."),
        Option("api_key", "A server-side API key.", required=True, secret=True),
        Option("send_by", "`campaign`: sends an API campaign to one person; `event`: a custom event.",
               required=True, choices=("campaign", "event")),
        Option("campaign_id", "The campaign's number; its template shows our blocks.", "whole", low=1),
        Option("event", "The custom event's name.", default="activate_message"),
        Option("id_type", "How the project identifies people.", default="user_id", choices=tuple(_KEYS)),
        KNOWN_BY,
        Option("batch", "Events per request; a campaign's messages travel one by one.", "whole", default=_BATCH, low=1,
               high=_BATCH),
    )  # fmt: skip
    defaults: ClassVar[Limits] = Limits(batch=_BATCH, concurrency=4)
    notes = """\
With `send_by: campaign`, a message is one request to the channel's `target` (`email`, `sms`, `push`, `web_push`,
`in_app`, `whatsapp`) with `dataFields`: one object, `activate`, that holds the blocks by name, `message_id`,
`campaign`, `step` and `variant`, so that no field of the profile is hidden. The campaign's template shows them:
`{{activate.subject}}`. For `email` and `push`, `metadata` carries `message_id`, which system webhooks tell back.

With `send_by: event`, the same values are `dataFields` of a custom event, for any channel; its `id` is the message's.

| answer | meaning |
|---|---|
| 200 | taken, except events whose person is listed in `failedUpdates`, which are rejected |
| 200 with `disallowedEventNames`, 400 that speaks of the campaign, 401, 403 | we are refused |
| 400 | rejected with Iterable's code; a batch is halved until the event is found |
| 429, 5xx, the codes DatabaseError, QueueEmailError, RateLimitExceeded | not taken; tried again (502, 504: `unknown`) |

Iterable documents 10 requests a second for trackBulk, which is the pace of events unless `per_second` says otherwise;
for `target` the API's description states no limit, so there is none until it answers 429. An event whose id exists
"will be updated": whether a journey then starts again is not documented, so `unknown` messages are not repeated.
1,000 events per request is from a secondary source.\
"""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        super().__init__(name, options)
        self._events = self.options["send_by"] == "event"
        self._url = self.options["url"].rstrip("/")
        self._headers = {"Api-Key": self.options["api_key"]}
        self._to, self._key = _KEYS[self.options["id_type"]]

    @classmethod
    def conflicts(cls, options: Mapping[str, Any]) -> list[str]:
        if options.get("send_by") == "campaign" and not options.get("campaign_id"):
            return ["'campaign_id' is missing: `send_by: campaign` needs it"]
        return []

    @classmethod
    def misfits(cls, options: Mapping[str, Any], channel: str, content: Mapping[str, str], kind: str) -> list[str]:
        del content, kind
        if options.get("send_by") != "campaign" or channel in _TARGETS:
            return []
        return [f"iterable's campaigns carry {', '.join(_TARGETS)}, not {channel}; send an event"]

    @property
    def limits(self) -> Limits:
        found = super().limits
        if self.options["send_by"] == "event":
            return replace(found, per_second=found.per_second or _EVENTS_PER_SECOND)
        return replace(found, batch=1)

    def refuses(self, message: Outgoing) -> str | None:
        if has_bad_data(message):
            return "bad_data"
        return None if self._events or message.channel in _TARGETS else "wrong_channel"

    def build(self, batch: Sequence[Outgoing], at: dt.datetime) -> HttpRequest:
        if self._events:
            seconds = int(at.replace(tzinfo=dt.UTC).timestamp())
            events = [{self._key: known_as(self.options, message), "eventName": self.options["event"],
                       "id": message.message_id, "createdAt": seconds, "dataFields": properties(message)}
                      for message in batch]  # fmt: skip
            return json_request(f"{self._url}/api/events/trackBulk", self._headers, {"events": events})
        message = batch[0]
        body: dict[str, Any] = {
            "campaignId": self.options["campaign_id"], self._to: known_as(self.options, message),
            "dataFields": {"activate": properties(message)},
        }  # fmt: skip
        if message.channel in _TELL_METADATA:
            body["metadata"] = {"message_id": message.message_id}
        return json_request(self._url + _TARGETS[message.channel], self._headers, body)

    def read_http(self, answer: HttpAnswer, batch: Sequence[Outgoing]) -> list[Outcome]:
        told = json_object(answer)
        code = str(told.get("code", ""))
        if code in _REFUSED or (answer.status == 400 and "campaign" in str(told.get("msg", "")).lower()):
            raise Unusable(code if code in _REFUSED + _FINAL else "http_400",
                           f"Iterable refuses us ({answer.status}): check the API key and the campaign")  # fmt: skip
        outcomes = super().read_http(answer, batch)
        if code in _AGAIN + _FINAL and not self._events:
            status: Status = "failed" if code in _AGAIN else "rejected"
            return [outcome._replace(status=status, error_code=code) for outcome in outcomes]
        if not 200 <= answer.status < 300:
            return outcomes
        names = told.get("disallowedEventNames")
        if isinstance(names, list) and self.options["event"] in names:
            raise Unusable("disallowed_event", "Iterable does not take events of this name; check `event`")
        failures = failed_people(told)
        return [
            Outcome(message.message_id, "rejected", None, failures[known]) if known in failures else outcome
            for message, outcome in zip(batch, outcomes, strict=True)
            for known in [self._known(message)]
        ]

    def _known(self, message: Outgoing) -> str:
        """The person as the answer's lists have it."""
        known = known_as(self.options, message)
        return known.lower() if self._key == "email" else known

    def splits(self, answer: Answer) -> bool:
        return self._events and super().splits(answer) and "campaign" not in _text(answer)


def failed_people(told: Mapping[str, Any]) -> dict[str, str]:
    """Those whom a bulk answer lists as failed, addresses in lower case, with the list's name."""
    found: dict[str, str] = {}
    updates = told.get("failedUpdates")
    for lists in (told, updates if isinstance(updates, dict) else {}):
        for name in _FAILURES:
            people = lists.get(name)
            texts = [one for one in people if isinstance(one, str)] if isinstance(people, list) else []
            found |= {one.lower() if name.endswith("Emails") else one: name for one in texts}
    return found


def _text(answer: Answer) -> str:
    return str(json_object(answer).get("msg", "")).lower() if isinstance(answer, HttpAnswer) else ""
