"""Sends push notifications through Apple's push service, with a signing key (.p8)."""

from __future__ import annotations

import calendar
import datetime as dt
import re
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from activate.providers.base import (
    Capabilities,
    HttpAnswer,
    HttpRequest,
    Limits,
    Outcome,
    Outgoing,
    Provider,
    Unusable,
    safe_code,
)
from activate.providers.extras import require
from activate.providers.json_api import api_url, json_request
from activate.providers.jwt import check_key, es256, p256_key
from activate.providers.options import Option
from activate.providers.push import collapse_id, data_of, reason_of, size, too_long, uuid_of

_PAYLOAD = 4_096
_RENEWED_EVERY = 1_800
_DEVICE = re.compile(r"[0-9a-fA-F]{8,400}")
_TEN = re.compile(r"[A-Z0-9]{10}")
_GONE = frozenset({"BadDeviceToken", "DeviceTokenNotForTopic", "Unregistered", "ExpiredToken"})
# Our settings are wrong for every message alike.
_OURS = frozenset({"BadTopic", "TopicDisallowed", "MissingTopic", "MissingProviderToken", "InvalidPushType"})


def _check_ten(value: str) -> str | None:
    return None if _TEN.fullmatch(value) else f"{value!r} is not ten capital letters and digits"


def _check_topic(value: str) -> str | None:
    return None if re.fullmatch(r"[A-Za-z0-9.\-]{1,200}", value) else f"{value!r} is not an app's bundle id"


class Apns(Provider):
    """One message per request over HTTP/2.

    Sources: developer.apple.com/documentation/usernotifications: Sending notification requests to APNs, Establishing a
    token-based connection to APNs, Handling notification responses from APNs.
    """

    type = "apns"
    transport = "http2"
    summary = "Sends push notifications through Apple's push service, with a signing key (.p8)."
    example: ClassVar[Mapping[str, Any]] = {
        "key": "{{ env_var('APNS_KEY') }}", "key_id": "ABC123DEFG", "team_id": "DEF123GHIJ",
        "topic": "com.example.shop",
    }  # fmt: skip
    declared = (
        Option("key", "The signing key: the content of the .p8 file.", required=True, secret=True,
               check=check_key(p256_key, "a signing key of Apple's (.p8)")),
        Option("key_id", "The key's id.", required=True, check=_check_ten),
        Option("team_id", "The developer team's id.", required=True, check=_check_ten),
        Option("topic", "The app's bundle id.", required=True, check=_check_topic),
        Option("priority", "`10` delivers at once, `5` when it suits the device's battery.", default="10",
               choices=("10", "5")),
        Option("sound", "The name of the sound to play, e.g. `default`; none: silent."),
        Option("collapse", "Whether a later message of the same campaign takes the place of an earlier one.", "flag",
               default=False),
        api_url("https://api.push.apple.com",
                "Where the API answers; `https://api.sandbox.push.apple.com` for apps under development."),
    )  # fmt: skip
    defaults: ClassVar[Limits] = Limits(batch=1, concurrency=8)
    capabilities: ClassVar[Capabilities] = Capabilities(channels=("push",), needs=("body",))
    notes = """\
Needs `pip install 'dbt-activate[push]'`. The address is a device token. Requests go over HTTP/2, `concurrency`
connections at once.

Blocks: `title` and `body` (needed) are the alert; `image` is given to the app under that name, with `mutable-content`,
for its notification service extension to load; `url` likewise; `data` (a JSON object) is put beside `aps`, with
`message_id` and `campaign` added unless it has them. `data` that is no JSON object, or has a part named `aps`, is
`bad_data`; a payload of more than 4,096 bytes is `too_long`; an address that is not hexadecimal is `bad_address`.

`apns-id` is made of the message's id, `apns-expiration` of the time until it expires; with `collapse`,
`apns-collapse-id` is the campaign. Apple drops no repeated messages by their id, so what is `unknown` stays so.

Requests carry a token that is signed anew every half hour, at the same instants in every process: Apple refuses tokens
of over an hour, and those renewed more often than every 20 minutes.

| answer | meaning |
|---|---|
| 200 | taken |
| 410 (`Unregistered`, `ExpiredToken`), 400 `BadDeviceToken`, `DeviceTokenNotForTopic` | rejected, and the address is not used again. Tokens of the sandbox and of other apps look so, too: try a new `url` or `topic` with a device of your own |
| 400 `BadTopic`, `TopicDisallowed`, `MissingTopic`, `InvalidPushType`; 403, 404, 405 | we are refused: this provider stops for this run, no message is lost |
| 400 otherwise, 413 | rejected |
| 429, 500, 503 | not taken; tried again |"""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        super().__init__(name, options)
        require("push", "httpx", "h2")
        self._key = p256_key(self.options["key"])
        self._url = f"{self.options['url'].rstrip('/')}/3/device/"
        self._lock = threading.Lock()
        self._token = ""
        self._signed_at = -1

    @classmethod
    def misfits(cls, options: Mapping[str, Any], channel: str, content: Mapping[str, str], kind: str) -> list[str]:
        del options, channel, kind
        return too_long(content, _PAYLOAD, "Apple")

    def refuses(self, message: Outgoing) -> str | None:
        if not _DEVICE.fullmatch(message.address):
            return "bad_address"
        data = data_of(message.content)
        if data is None or "aps" in data:
            return "bad_data"
        return "too_long" if size(self._payload(message)) > _PAYLOAD else super().refuses(message)

    def _payload(self, message: Outgoing) -> dict[str, Any]:
        content = message.content
        aps: dict[str, Any] = {"alert": {block: content[block] for block in ("title", "body") if content.get(block)}}
        if self.options["sound"]:
            aps["sound"] = self.options["sound"]
        if content.get("image"):
            aps["mutable-content"] = 1
        own: dict[str, Any] = {"message_id": message.message_id, "campaign": message.campaign}
        own |= {block: content[block] for block in ("url", "image") if content.get(block)}
        return {"aps": aps, **own, **(data_of(content) or {})}

    def build(self, batch: Sequence[Outgoing], at: dt.datetime) -> HttpRequest:
        message = batch[0]
        headers = {
            "apns-topic": self.options["topic"],
            "apns-push-type": "alert",
            "apns-priority": self.options["priority"],
            "apns-id": _apns_id(message.message_id),
        }
        if message.ttl_seconds is not None:
            expires = calendar.timegm(at.utctimetuple()) + max(0, message.ttl_seconds)
            headers["apns-expiration"] = str(expires)
        if self.options["collapse"]:
            headers["apns-collapse-id"] = collapse_id(message)
        return json_request(self._url + message.address, headers, self._payload(message))

    def sign(self, request: HttpRequest, at: int) -> HttpRequest:
        # Not `at` itself: runs a few minutes apart would each bring a new token, which Apple refuses.
        slot = at - at % _RENEWED_EVERY
        with self._lock:
            if slot != self._signed_at:
                self._token = es256(
                    {"iss": self.options["team_id"], "iat": slot}, self._key, kid=self.options["key_id"]
                )
                self._signed_at = slot
            token = self._token
        return replace(request, headers={**request.headers, "authorization": f"bearer {token}"})

    def read_http(self, answer: HttpAnswer, batch: Sequence[Outgoing]) -> list[Outcome]:
        message = batch[0]
        if 200 <= answer.status < 300:
            return [Outcome(message.message_id, "accepted", _canonical(answer.headers.get("apns-id", "")))]
        reason = reason_of(answer)
        code = safe_code(reason or f"http_{answer.status}", message)
        if answer.status == 410 or (answer.status == 400 and reason in _GONE):
            return [Outcome(message.message_id, "rejected", None, code, None, "unregistered")]
        if answer.status == 403 or (answer.status == 400 and reason in _OURS):
            raise Unusable(code, f"Apple refuses us ({code}); check key, key_id, team_id, topic and url")
        return [outcome._replace(error_code=code) for outcome in super().read_http(answer, batch)]

    def splits(self, answer: object) -> bool:
        del answer
        return False  # one message per request: what is wrong with it, `read_http` tells


def _apns_id(message_id: str) -> str:
    return _canonical(message_id) or uuid_of(message_id)


def _canonical(value: str) -> str | None:
    try:
        return str(uuid.UUID(value))
    except ValueError:
        return None
