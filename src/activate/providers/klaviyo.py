"""Hands messages to Klaviyo as events; a flow that waits for the metric sends them."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from activate.providers.base import Answer, HttpAnswer, HttpRequest, Limits, Outcome, Outgoing, Provider, safe_code
from activate.providers.engagement import KNOWN_BY, has_bad_data, known_as, properties
from activate.providers.json_api import api_url, json_object, json_request
from activate.providers.options import Option

REVISION = Option("revision", "The API's revision.", default="2026-07-15")
_BULK = 1_000
_BULK_PER_SECOND = 2.5
_TEXT_BYTES = 100_000
_CODE = re.compile(r"[a-z_]{1,40}")


def headers(options: Mapping[str, Any]) -> dict[str, str]:
    """What every request to Klaviyo carries."""
    return {
        "Authorization": f"Klaviyo-API-Key {options['api_key']}",
        "revision": options["revision"],
        "Content-Type": "application/vnd.api+json",
        "Accept": "application/vnd.api+json",
    }


def _first_code(answer: HttpAnswer) -> str:
    """The code of the first error in an answer (JSON:API), if it is a plain word, as Klaviyo's are."""
    errors = json_object(answer).get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    code = first.get("code") if isinstance(first, dict) else None
    return code if isinstance(code, str) and _CODE.fullmatch(code) else f"http_{answer.status}"


class Klaviyo(Provider):
    """One event per request, or one bulk job.

    Requests and limits: developers.klaviyo.com/en/reference/create_event (350 a second, 3,500 a minute) and
    bulk_create_events (10 a second, 150 a minute; 1,000 events, 5 MB, 100 KB a text).
    """

    type = "klaviyo"
    summary = "Hands messages to Klaviyo as events; a flow that waits for the metric sends them."
    example: ClassVar[Mapping[str, Any]] = {
        "api_key": "{{ env_var('KLAVIYO_API_KEY') }}", "metric": "Activate Message",
    }  # fmt: skip
    declared = (
        api_url("https://a.klaviyo.com"),
        Option("api_key", "A private API key with `events:write`.", required=True, secret=True),
        Option("metric", "The metric's name (less than 128 characters); the flow is triggered by it.",
               default="Activate Message", check=lambda name: None if len(name) < 128 else "is too long"),
        KNOWN_BY,
        Option("batch", "1: an event per request, deduplicated; more: bulk jobs, which are faster and are not.",
               "whole", default=1, low=1, high=_BULK),
        REVISION,
    )  # fmt: skip
    defaults: ClassVar[Limits] = Limits(batch=1, per_second=58, concurrency=8)
    notes = """\
An event has the metric's name, and as properties the blocks by name, `message_id`, `campaign`, `step` and `variant`; the
flow's message shows them (`{{ event.subject }}`). Filter the flow by `campaign` where several share the metric. The
profile is known by `external_id` (the profile's key), or with `known_by: address` by `email` or, on the channels sms and
whatsapp, `phone_number`; one that Klaviyo does not know is made. A text of more than 100 KB is rejected as `too_long`.

Deduplication: `unique_id` is the message's id. "If the unique_id is repeated for the same profile and metric, only the first
processed event will be recorded", so `unknown` messages are repeated. Of bulk jobs (`batch` above 1) the same documentation
says that a request with a repeated id fails as a whole, and a job's events are told to nobody: there `unknown` stays.

| answer | meaning |
|---|---|
| 202 | taken: validated, and processed later |
| 400, 413, 422 | rejected with Klaviyo's code; a bulk request is halved until the event is found |
| 401, 403, 404 | we are refused |
| 429 | not taken; tried again after `Retry-After` |
| 5xx | not taken; tried again |

The pace is Klaviyo's steady limit: 3,500 requests a minute, 150 with bulk jobs.\
"""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        super().__init__(name, options)
        self._bulk = self.options["batch"] > 1
        self._url = self.options["url"].rstrip("/")
        self._headers = headers(self.options)

    @property
    def limits(self) -> Limits:
        found = super().limits
        return (
            replace(found, per_second=min(found.per_second or _BULK_PER_SECOND, _BULK_PER_SECOND))
            if self._bulk
            else found
        )

    @property
    def idempotent(self) -> bool:
        return not self._bulk

    def refuses(self, message: Outgoing) -> str | None:
        if any(len(text.encode()) > _TEXT_BYTES for text in message.content.values()):
            return "too_long"
        return "bad_data" if has_bad_data(message) else None

    def build(self, batch: Sequence[Outgoing], at: dt.datetime) -> HttpRequest:
        del at
        if not self._bulk:
            attributes = {**self._attributes(batch[0]), "profile": self._profile(batch[0])}
            body: Any = {"data": {"type": "event", "attributes": attributes}}
            return json_request(f"{self._url}/api/events", self._headers, body)
        events = [
            {"type": "event-bulk-create", "attributes": {
                "profile": self._profile(message),
                "events": {"data": [{"type": "event", "attributes": self._attributes(message)}]}}}
            for message in batch
        ]  # fmt: skip
        body = {"data": {"type": "event-bulk-create-job", "attributes": {"events-bulk-create": {"data": events}}}}
        return json_request(f"{self._url}/api/event-bulk-create-jobs", self._headers, body)

    def _attributes(self, message: Outgoing) -> dict[str, Any]:
        metric = {"data": {"type": "metric", "attributes": {"name": self.options["metric"]}}}
        return {"properties": properties(message), "metric": metric, "unique_id": message.message_id}

    def _profile(self, message: Outgoing) -> dict[str, Any]:
        kind = "external_id"
        if self.options["known_by"] == "address":
            kind = {"email": "email", "sms": "phone_number", "whatsapp": "phone_number"}.get(message.channel, kind)
        return {"data": {"type": "profile", "attributes": {kind: known_as(self.options, message)}}}

    def read_http(self, answer: HttpAnswer, batch: Sequence[Outgoing]) -> list[Outcome]:
        outcomes = super().read_http(answer, batch)
        if outcomes[0].status != "rejected" or len(batch) > 1:
            return outcomes
        return [outcomes[0]._replace(error_code=safe_code(_first_code(answer), batch[0]))]

    def splits(self, answer: Answer) -> bool:
        return self._bulk and super().splits(answer)
