"""Sends push notifications through Firebase Cloud Messaging (HTTP v1)."""

from __future__ import annotations

import calendar
import datetime as dt
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

from activate.errors import SettingsError
from activate.providers.base import (
    Capabilities,
    HttpAnswer,
    HttpRequest,
    Limits,
    Outcome,
    Outgoing,
    Provider,
    Token,
    Unusable,
    safe_code,
    safe_id,
)
from activate.providers.json_api import USER_AGENT, api_url, json_object, json_request
from activate.providers.jwt import rs256, rsa_key
from activate.providers.options import Option
from activate.providers.push import collapse_id, data_of, strings, text_size, too_long
from activate.providers.signing import check_url

_PAYLOAD = 4_096
_LONGEST_TTL = 28 * 86_400
_SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
_TOKEN_URL = "https://oauth2.googleapis.com/token"  # noqa: S105  # an address
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_NO_LABEL = re.compile(r"[^A-Za-z0-9\-_.~%]")
_CODE = re.compile(r"[A-Z][A-Z_]{2,39}")
_NAME = re.compile(r"projects/[^/]+/messages/([\w:%.\-]{1,100})")
_RESERVED = re.compile(r"(from|message_type|(google|gcm).*)\Z")


def _account(secret: str) -> dict[str, Any]:
    found = json.loads(secret)
    if not isinstance(found, dict):
        raise ValueError("not an object")
    return found


def _check_account(secret: str) -> str | None:
    try:
        account = _account(secret)
    except (ValueError, RecursionError):
        return "is not JSON; give the content of the key file that Google Cloud makes for a service account"
    missing = [name for name in ("client_email", "private_key") if not isinstance(account.get(name), str)]
    if missing:
        return f"is not a service account's key: {' and '.join(missing)} missing"
    if check_url(str(account.get("token_uri", _TOKEN_URL))):
        return "names a token_uri that is not an https address"
    try:
        rsa_key(account["private_key"])
    except SettingsError as error:
        return f"cannot be read: {error}"
    except Exception:  # whatever the parser says may quote the key
        return "holds a private_key that is not an RSA key in PEM"
    return None


class Fcm(Provider):
    """One message per request, as HTTP v1 has it.

    Sources: firebase.google.com/docs/reference/fcm/rest/v1 (projects.messages, ErrorCode; revision 20261023 of the
    discovery document), /docs/cloud-messaging/throttling-and-quotas (600,000 messages a minute and project),
    developers.google.com/identity/protocols/oauth2/service-account (the exchange of the key for a token).
    """

    type = "fcm"
    summary = "Sends push notifications through Firebase Cloud Messaging (HTTP v1)."
    example: ClassVar[Mapping[str, Any]] = {
        "project_id": "shop-app", "credentials": "{{ env_var('FIREBASE_CREDENTIALS') }}",
    }  # fmt: skip
    declared = (
        Option("project_id", "The Firebase project.", required=True),
        Option("credentials", "The key of a service account that may send: the content of its JSON file.",
               required=True, secret=True, check=_check_account),
        Option("collapse", "Whether a later message of the same campaign takes the place of one that is not yet "
               "delivered.", "flag", default=False),
        Option("analytics_label", "Whether messages carry their campaign as the label of Firebase's reports.", "flag",
               default=False),
        api_url("https://fcm.googleapis.com"),
    )  # fmt: skip
    defaults: ClassVar[Limits] = Limits(batch=1, per_second=10_000, concurrency=16)
    capabilities: ClassVar[Capabilities] = Capabilities(channels=("push", "web_push"), needs=("body",))
    notes = """\
Needs `pip install 'dbt-activate[push]'`. The address is a registration token. The key is exchanged for a bearer token
of an hour at its `token_uri`; a token that is refused is renewed once.

Blocks: `title`, `body` (needed) and `image` make the notification; `data` (a JSON object) goes to the app, as strings,
with `message_id`, `campaign` and `url` added unless it has them. `url` is also the link of web push, if it is https.
The names `from`, `message_type` and those that begin with `google` or `gcm` are Firebase's: with one of them, or with
`data` that is no JSON object, a message is rejected as `bad_data`. Notification and data together may take 4,096
bytes, else it is `too_long`.

The time until a message expires goes along as `android.ttl` (4 weeks at most), `apns-expiration` and web push's `TTL`.
With `collapse`, the campaign is the collapse key; Firebase keeps 4 keys for one device at a time.

| answer | meaning |
|---|---|
| 200 | taken; the provider's id is the last part of `name` |
| 404 `UNREGISTERED` | the token is no longer used: rejected, and its address is not used again |
| 400 `INVALID_ARGUMENT`, 403 `SENDER_ID_MISMATCH` | rejected; the token may be another project's |
| 401 `THIRD_PARTY_AUTH_ERROR` | tried again: the APNs key or web push key in Firebase is missing or wrong |
| 401, 403, 404 otherwise | we are refused: this provider stops for this run, no message is lost |
| 429 `QUOTA_EXCEEDED`, 500, 503 | not taken; tried again, after `Retry-After` if it says so |

Firebase drops no repeated messages, so what is `unknown` stays so. The quota is 600,000 messages a minute for a
project, and answers from 400 to 499 count. Events: Firebase reports deliveries to BigQuery, by its own id and the
label."""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        super().__init__(name, options)
        account = _account(self.options["credentials"])
        self._email = account["client_email"]
        self._token_url = account.get("token_uri", _TOKEN_URL)
        self._key_id = account.get("private_key_id")
        self._key = rsa_key(account["private_key"])
        project = quote(self.options["project_id"], safe="")
        self._url = f"{self.options['url'].rstrip('/')}/v1/projects/{project}/messages:send"

    @classmethod
    def misfits(cls, options: Mapping[str, Any], channel: str, content: Mapping[str, str], kind: str) -> list[str]:
        del options, channel, kind
        return too_long(content, _PAYLOAD, "Firebase")

    def refuses(self, message: Outgoing) -> str | None:
        data = data_of(message.content)
        if data is None or any(_RESERVED.match(name) for name in data):
            return "bad_data"
        if text_size(_notification(message)) + text_size(_data(message)) > _PAYLOAD:
            return "too_long"
        return super().refuses(message)

    def token_request(self, at: int) -> HttpRequest:
        claims = {"iss": self._email, "scope": _SCOPE, "aud": self._token_url, "iat": at, "exp": at + 3600}
        header = {"kid": self._key_id} if isinstance(self._key_id, str) else {}
        form = {"grant_type": _GRANT, "assertion": rs256(claims, self._key, **header)}
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json",
                   "User-Agent": USER_AGENT}  # fmt: skip
        return HttpRequest("POST", self._token_url, headers, urlencode(form).encode())

    def read_token(self, answer: HttpAnswer) -> Token:
        told = json_object(answer)
        token, seconds = told.get("access_token"), told.get("expires_in")
        if not isinstance(token, str) or not token:
            raise Unusable("no_token", "Google's answer holds no token; check the service account's key")
        return Token(token, float(seconds) if isinstance(seconds, int | float) else 3600.0)

    def build(self, batch: Sequence[Outgoing], at: dt.datetime) -> HttpRequest:
        message = batch[0]
        android: dict[str, Any] = {}
        apns: dict[str, str] = {}
        web: dict[str, str] = {}
        if message.ttl_seconds is not None:
            seconds = min(max(0, message.ttl_seconds), _LONGEST_TTL)
            android["ttl"] = f"{seconds}s"
            apns["apns-expiration"] = str(calendar.timegm(at.utctimetuple()) + seconds)
            web["TTL"] = str(seconds)
        if self.options["collapse"]:
            android["collapseKey"] = apns["apns-collapse-id"] = collapse_id(message)
            web["Topic"] = collapse_id(message, 32)
        webpush: dict[str, Any] = {"headers": web} if web else {}
        url = message.content.get("url", "")
        if url.startswith("https://"):
            webpush["fcmOptions"] = {"link": url}
        body: dict[str, Any] = {"token": message.address, "notification": _notification(message)}
        body |= {"data": _data(message), "android": android, "webpush": webpush}
        if apns:
            body["apns"] = {"headers": apns}
        if self.options["analytics_label"]:
            body["fcmOptions"] = {"analyticsLabel": _NO_LABEL.sub("-", message.campaign)[:50]}
        return json_request(self._url, {}, {"message": {name: part for name, part in body.items() if part}})

    def read_http(self, answer: HttpAnswer, batch: Sequence[Outgoing]) -> list[Outcome]:
        message = batch[0]
        told = json_object(answer)
        if 200 <= answer.status < 300:
            name = _NAME.fullmatch(str(told.get("name")))
            taken_as = safe_id(name[1], message) if name else None
            return [Outcome(message.message_id, "accepted", taken_as)]
        found = _error_code(told)
        code = safe_code(found or f"http_{answer.status}", message)
        if answer.status == 404 and found == "UNREGISTERED":
            return [Outcome(message.message_id, "rejected", None, code, None, "unregistered")]
        if answer.status == 403 and found == "SENDER_ID_MISMATCH":
            return [Outcome(message.message_id, "rejected", None, code)]
        if answer.status == 401 and found == "THIRD_PARTY_AUTH_ERROR":
            return [Outcome(message.message_id, "failed", None, code)]
        return [outcome._replace(error_code=code) for outcome in super().read_http(answer, batch)]

    def splits(self, answer: object) -> bool:
        del answer
        return False  # one message per request: what is wrong with it, `read_http` tells


def _notification(message: Outgoing) -> dict[str, str]:
    return {block: message.content[block] for block in ("title", "body", "image") if message.content.get(block)}


def _data(message: Outgoing) -> dict[str, str]:
    own = {"message_id": message.message_id, "campaign": message.campaign}
    if message.content.get("url"):
        own["url"] = message.content["url"]
    return own | strings(data_of(message.content) or {})


def _error_code(told: Mapping[str, Any]) -> str | None:
    """Firebase's own code where the answer has one, else Google's status."""
    error = told.get("error")
    if not isinstance(error, dict):
        return None
    details = error.get("details")
    codes = (
        [detail.get("errorCode") for detail in details if isinstance(detail, dict)] if isinstance(details, list) else []
    )
    return next(
        (code for code in (*codes, error.get("status")) if isinstance(code, str) and _CODE.fullmatch(code)), None
    )
