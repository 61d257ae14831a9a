"""Posts batches of messages as signed JSON to a service of your own."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import orjson

from activate.providers.base import (
    Capabilities,
    HttpAnswer,
    HttpRequest,
    Limits,
    Outcome,
    Outgoing,
    Provider,
    Status,
    safe_code,
    safe_id,
)
from activate.providers.options import Option
from activate.providers.signing import check_headers, check_secret, check_url, sign, signing_key

_STATUSES: Mapping[str, Status] = {"accepted": "accepted", "rejected": "rejected", "failed": "failed"}


class Webhook(Provider):
    """One POST per batch: `{"messages": [...]}`."""

    type = "webhook"
    summary = "Posts batches of messages as signed JSON to a service of your own."
    example: ClassVar[Mapping[str, Any]] = {
        "url": "https://messages.example.com/batch", "secret": "{{ env_var('ACTIVATE_SECRET') }}",
    }  # fmt: skip
    declared = (
        Option("url", "Where to post.", required=True, check=check_url),
        Option("secret", "The signing secret: `whsec_` and base64 (24 to 64 random bytes), or any text.",
               required=True, secret=True, check=check_secret),
        Option("headers", "Further headers, e.g. `Authorization`; secrets are written with env_var.", "mapping", default={},
               check=check_headers),
        Option("batch", "Messages per request.", "whole", default=75, low=1, high=10_000),
        Option("compress", "Whether the service takes bodies in gzip (signed as they are sent).", "flag", default=False),
        Option("idempotent", "Whether the service takes each `message_id` once, however often it is posted.", "flag",
               default=False),
    )  # fmt: skip
    defaults: ClassVar[Limits] = Limits(batch=75, concurrency=4)
    capabilities: ClassVar[Capabilities] = Capabilities()
    notes = """\
A request holds `{"messages": [...]}`; a message has `message_id`, `user_id`, `address`, `channel`, `campaign`, `step`,
`variant`, `class`, `tags`, `ttl_seconds` (until it expires) and `content`.

Headers: `webhook-id` and `Idempotency-Key` (a hash of the batch's message ids), `webhook-timestamp` (Unix seconds) and
`webhook-signature`: `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`, as in Standard Webhooks.

A 2xx answer means that all were taken, unless `{"results": [{"message_id": ..., "status": ..., "error_code": ...,
"provider_message_id": ...}]}` says otherwise for single messages: `accepted`, `rejected`, or `failed` (try again).

| answer | meaning |
|---|---|
| 2xx | taken, except as told in `results` |
| 400, 413, 422 | some message is bad: the batch is halved until it is found, the others go on |
| 408, 421, 425, 429, 5xx | not taken; tried again, after `Retry-After` if it says so |
| 502, 504, 520 to 524 | a proxy lost the service: `unknown`, unless `idempotent: true` |
| 3xx, 401, 402, 403, 404, 405, 407, 410 | we are refused: this provider stops for this run, no message is lost |
| other 4xx | rejected |"""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        super().__init__(name, options)
        self._key = signing_key(self.options["secret"])
        self._headers = {name: str(value) for name, value in self.options["headers"].items()}
        self._headers |= {"Content-Type": "application/json", "User-Agent": "dbt-activate"}

    @property
    def compresses(self) -> bool:
        return super().compresses or bool(self.options["compress"])

    @property
    def idempotent(self) -> bool:
        return bool(self.options["idempotent"])

    def build(self, batch: Sequence[Outgoing], at: dt.datetime) -> HttpRequest:
        del at
        body = orjson.dumps({"messages": [_item(message) for message in batch]})
        ids = "".join([message.message_id for message in batch])
        key = hashlib.md5(ids.encode(), usedforsecurity=False).hexdigest()
        headers = {**self._headers, "Idempotency-Key": key, "webhook-id": key}
        return HttpRequest("POST", self.options["url"], headers, body)

    def sign(self, request: HttpRequest, at: int) -> HttpRequest:
        return sign(request, self._key, at)

    def read_http(self, answer: HttpAnswer, batch: Sequence[Outgoing]) -> list[Outcome]:
        outcomes = super().read_http(answer, batch)
        if not 200 <= answer.status < 300 or not answer.body.lstrip().startswith(b"{"):
            return outcomes
        told = _results(answer.body)
        return [_told(message, told[message.message_id]) if message.message_id in told else outcome
                for message, outcome in zip(batch, outcomes, strict=True)] if told else outcomes  # fmt: skip


def _item(message: Outgoing) -> dict[str, Any]:
    return {
        "message_id": message.message_id, "user_id": message.user_id, "address": message.address,
        "channel": message.channel, "campaign": message.campaign, "step": message.step, "variant": message.variant,
        "class": message.message_class, "tags": message.tags, "ttl_seconds": message.ttl_seconds,
        "content": message.content,
    }  # fmt: skip


def _results(body: bytes) -> dict[str, dict[str, Any]]:
    try:
        results = json.loads(body).get("results")
    except (ValueError, RecursionError):
        return {}
    if not isinstance(results, list):
        return {}
    return {
        item["message_id"]: item
        for item in results
        if isinstance(item, dict) and isinstance(item.get("message_id"), str)
    }


def _told(message: Outgoing, result: Mapping[str, Any]) -> Outcome:
    status = _STATUSES.get(str(result.get("status")))
    taken_as = safe_id(result.get("provider_message_id"), message)
    if status is None:
        return Outcome(message.message_id, "unknown", taken_as, "bad_result", "the answer's status is not known")
    code = None if status == "accepted" else safe_code(result.get("error_code"), message)
    return Outcome(message.message_id, status, taken_as, code)
