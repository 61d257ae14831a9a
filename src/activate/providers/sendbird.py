"""Writes to people in an app's own chat, through Sendbird."""

from __future__ import annotations

import calendar
import datetime as dt
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote

from activate.providers.base import (
    Answer,
    Capabilities,
    HttpAnswer,
    HttpRequest,
    Limits,
    Outcome,
    Outgoing,
    Provider,
    Status,
    Unusable,
    safe_code,
    safe_id,
)
from activate.providers.json_api import json_object, json_request
from activate.providers.options import Option
from activate.providers.signing import check_url

_SHORTEST = 600  # seconds: an announcement's end is at least ten minutes after its beginning
_TAKEN_BEFORE = 400202
_OURS = frozenset({400108, 400401, 403100})
_LATER = frozenset({500910, 900200})


class Sendbird(Provider):
    """One POST per message: an announcement to one user, or a message to a group channel.

    Source: sendbird.com/docs/chat/platform-api/v3, pages "Create an announcement" (target_users_only_channels,
    create_channel, unique_id, end_at), "Send a message" (MESG and ADMM, dedup_id: "the server performs a duplicate check"),
    "Rate limits" (5 to 200 POST requests per second by plan, X-RateLimit-RetryAfter) and "Error codes".
    """

    type = "sendbird"
    summary = "Writes to people in an app's own chat, through Sendbird."
    example: ClassVar[Mapping[str, Any]] = {
        "application": "00000000-0000-0000-0000-000000000000", "token": "{{ env_var('SENDBIRD_API_TOKEN') }}",
        "sender": "shop",
    }  # fmt: skip
    declared: ClassVar[tuple[Option, ...]] = (
        Option("application", "The application's id.", required=True,
               check=lambda name: None if re.fullmatch(r"[A-Za-z0-9-]{1,64}", name) else "is not an application's id"),
        Option("token", "An API token of the application.", required=True, secret=True),
        Option("sender", "The id of the user (or bot) that writes.", required=True),
        Option("to", "What an address is: a `user`'s id, or the URL of a `channel` that the sender is a member of.",
               default="user", choices=("user", "channel")),
        Option("push", "Whether Sendbird also sends its push notification.", "flag", default=True),
        Option("custom_type", "Sendbird's custom type of the messages, e.g. for its statistics."),
        Option("url", "Where the API answers; by default `https://api-APPLICATION.sendbird.com`.", check=check_url),
    )  # fmt: skip
    defaults: ClassVar[Limits] = Limits(batch=1, per_second=5, concurrency=2)
    capabilities: ClassVar[Capabilities] = Capabilities(channels=("chat", "in_app"), needs=("body",))
    notes = """\
With `to: user`, a message is an announcement to one user: Sendbird delivers it into the distinct channel of the sender
and that user, and makes the channel if there is none. With `to: channel`, it is a text message to a group channel.

Blocks of a template: `body`, and optionally `data`, a text (often JSON) that the app gets with the message. The message's
id goes along as `unique_id` or `dedup_id`. Of an announcement, `ttl_seconds` of ten minutes or more become `end_at`.

| answer | meaning |
|---|---|
| 200 | taken; an announcement is a task of Sendbird's from then on, and its report tells whom it reached |
| 400202 | the id was taken before: accepted |
| 400201 | rejected: no such channel or user |
| 400108, 400401, 401, 403 | the token or the application is wrong: this provider stops for this run, no message is lost |
| 429, 500910, 900200 | not taken; tried again after `X-RateLimit-RetryAfter` |
| other 400 | rejected, as `sendbird_` and the code |
| 502, 504 | `unknown`, unless `to: channel` |
| other 5xx | not taken; tried again |

Sendbird documents a duplicate check for `dedup_id`, so with `to: channel` an `unknown` message is repeated; of an
announcement's `unique_id` it says that it is unique, not what becomes of a repetition, so with `to: user` it is not.

`per_second` is the least of Sendbird's plans; set your own. Sendbird publishes no greatest length of a message here that
could be verified, so none is checked."""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        super().__init__(name, options)
        url = self.options["url"] or f"https://api-{self.options['application']}.sendbird.com"
        self._url = f"{url.rstrip('/')}/v3"
        self._headers = {"Api-Token": self.options["token"]}

    @property
    def idempotent(self) -> bool:
        return bool(self.options["to"] == "channel")

    def build(self, batch: Sequence[Outgoing], at: dt.datetime) -> HttpRequest:
        message = batch[0]
        if self.options["to"] == "channel":
            url = f"{self._url}/group_channels/{quote(message.address, safe='')}/messages"
            return json_request(url, self._headers, self._message(message))
        return json_request(f"{self._url}/announcements", self._headers, self._announcement(message, at))

    def _message(self, message: Outgoing) -> dict[str, Any]:
        body: dict[str, Any] = {
            "message_type": "MESG", "user_id": self.options["sender"], "message": message.content["body"],
            "dedup_id": message.message_id, "send_push": self.options["push"],
        }  # fmt: skip
        return body | self._extras(message)

    def _announcement(self, message: Outgoing, at: dt.datetime) -> dict[str, Any]:
        text = {"type": "MESG", "user_id": self.options["sender"], "content": message.content["body"]}
        body: dict[str, Any] = {
            "unique_id": message.message_id, "message": text | self._extras(message),
            "target_at": "target_users_only_channels", "target_list": [message.address],
            "target_channel_type": "distinct", "create_channel": True, "create_channel_options": {"distinct": True},
            "enable_push": self.options["push"],
        }  # fmt: skip
        if message.ttl_seconds is not None and message.ttl_seconds >= _SHORTEST:
            body["end_at"] = (calendar.timegm(at.timetuple()) + message.ttl_seconds) * 1000
        return body

    def _extras(self, message: Outgoing) -> dict[str, str]:
        found = {"custom_type": self.options["custom_type"], "data": message.content.get("data")}
        return {key: value for key, value in found.items() if value}

    def read_http(self, answer: HttpAnswer, batch: Sequence[Outgoing]) -> list[Outcome]:
        message, told = batch[0], json_object(answer)
        code = told["code"] if isinstance(told.get("code"), int) else None
        if 200 <= answer.status < 300:
            taken_as = told.get("message_id") if self.options["to"] == "channel" else told.get("unique_id")
            return [Outcome(message.message_id, "accepted", safe_id(taken_as, message))]
        if code in _OURS:
            raise Unusable(f"sendbird_{code}", f"Sendbird refuses us with error {code}; check application and token")
        if answer.status != 400 or code is None:
            return super().read_http(answer, batch)
        if code == _TAKEN_BEFORE:
            return [Outcome(message.message_id, "accepted")]
        status: Status = "failed" if code in _LATER else "rejected"
        return [Outcome(message.message_id, status, None, safe_code(f"sendbird_{code}", message))]

    def asked_wait(self, answer: HttpAnswer, at: dt.datetime) -> float | None:
        del at
        seconds = answer.headers.get("x-ratelimit-retryafter", "")
        return float(seconds[:6]) if seconds.isascii() and seconds.isdigit() else None

    def splits(self, answer: Answer) -> bool:
        del answer
        return False  # one message each: what is wrong with it is told by its code
