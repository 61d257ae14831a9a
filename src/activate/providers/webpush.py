"""Sends encrypted push messages to browsers (Web Push: RFC 8030, RFC 8291, RFC 8292)."""

from __future__ import annotations

import datetime as dt
import hmac
import ipaddress
import json
import os
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple
from urllib.parse import urlsplit

import orjson

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
from activate.providers.json_api import USER_AGENT
from activate.providers.jwt import b64url, check_key, es256, from_b64url, p256_key
from activate.providers.options import Option
from activate.providers.push import collapse_id, data_of, reason_of, size, too_long

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

_RECORD = 4_096
_PLAIN = 3_993  # what is left of a record of 4,096 bytes: 86 of header, 1 of padding, 16 of the cipher's tag
_LONGEST_TTL = 28 * 86_400
_SLOT = 3_600
_TOKEN_SECONDS = 12 * 3_600
_ENDPOINT = re.compile(r"(https?)://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?(/[!-\[\]-~]*)")
_SERVICES = "fcm.googleapis.com, .push.services.mozilla.com, .push.apple.com, .notify.windows.com"
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_PRIVATE = (".localhost", ".local", ".internal", ".lan", ".home", ".home.arpa", ".intranet", ".test", ".onion")


def _check_subject(value: str) -> str | None:
    known = re.fullmatch(r"mailto:[!-~]+@[!-~]+|https://[!-~]+", value)
    return None if known else "write how a push service can reach you: mailto:… or https://…"


def _check_hosts(value: str) -> str | None:
    for host in _hosts(value):
        if host != "*" and not re.fullmatch(r"\.?[a-z0-9.-]+|\[[0-9a-f:.]+\]", host):
            return f"{host!r} is not a host's name"
    return None


def _hosts(value: str) -> tuple[str, ...]:
    return tuple(host.strip().lower() for host in value.split(",") if host.strip())


class Subscription(NamedTuple):
    """Where a browser takes messages, and the keys to encrypt them with: its public point and its secret."""

    endpoint: str
    point: bytes
    secret: bytes


def read_subscription(address: str, hosts: Sequence[str]) -> Subscription | None:
    """The subscription in an address, or None if it is none, or leads to a host that is not among `hosts`.

    A subscription comes from whoever visits the site, so its endpoint could name any machine that we can reach.
    """
    try:
        found = json.loads(address)
        endpoint, keys = found["endpoint"], found["keys"]
        point, secret = from_b64url(keys["p256dh"]), from_b64url(keys["auth"])
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return None
    if len(point) != 65 or point[0] != 4 or len(secret) != 16:
        return None
    return Subscription(endpoint, point, secret) if isinstance(endpoint, str) and _is_open(endpoint, hosts) else None


def _is_open(endpoint: str, hosts: Sequence[str]) -> bool:
    found = _ENDPOINT.fullmatch(endpoint)
    if found is None:
        return False
    scheme, host, port = found[1], found[2].lower(), int(found[3] or 443)
    if host in hosts:
        return scheme == "https" or host in _LOOPBACK
    if scheme != "https" or port != 443:
        return False
    below = any(known.startswith(".") and host.endswith(known) for known in hosts)
    return below or ("*" in hosts and _is_public(host))


def _is_public(host: str) -> bool:
    """Whether a host is named as one of the internet: no address in numbers (in any spelling), no name of a network."""
    last = host.rstrip(".").rpartition(".")[2]
    if host.startswith("[") or "." not in host.rstrip(".") or not last.isalpha():
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return not host.rstrip(".").endswith(_PRIVATE)
    return False


def encrypt(text: bytes, to: Subscription, salt: bytes, key: EllipticCurvePrivateKey) -> bytes:
    """A message as one record of aes128gcm (RFC 8188) under the keys of RFC 8291; `salt` has 16 bytes.

    `salt` and `key` are of one message only: used twice, they would give the text away.
    """
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415  # slow to import, of use to few
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415  # as above

    ours = _point(key)
    theirs = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), to.point)
    shared = key.exchange(ec.ECDH(), theirs)
    keyed = _derive(to.secret, shared, b"WebPush: info\0" + to.point + ours, 32)
    content_key = _derive(salt, keyed, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _derive(salt, keyed, b"Content-Encoding: nonce\0", 12)
    head = salt + _RECORD.to_bytes(4, "big") + bytes([len(ours)]) + ours
    return head + AESGCM(content_key).encrypt(nonce, text + b"\x02", None)


def _derive(salt: bytes, secret: bytes, info: bytes, length: int) -> bytes:
    """HKDF with SHA-256 (RFC 5869), for at most 32 bytes."""
    return hmac.digest(hmac.digest(salt, secret, "sha256"), info + b"\x01", "sha256")[:length]


def _point(key: EllipticCurvePrivateKey) -> bytes:
    numbers = key.public_key().public_numbers()
    return b"\x04" + numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")


class WebPush(Provider):
    """One message per request, each under a key of its own, so the same message never makes the same request twice.

    Sources: RFC 8030 (TTL, Urgency, Topic, 404 and 413), RFC 8291 (encryption), RFC 8292 (VAPID). That an expired
    subscription is answered with 410, and one of another key with 403 by Google and 401 by Mozilla (errno 109, "VAPID
    public key mismatch"), is what their services do: github.com/mozilla-services/autopush/issues/1436,
    github.com/zaru/webpush/pull/59.
    """

    type = "webpush"
    summary = "Sends encrypted push messages to browsers (Web Push: RFC 8030, RFC 8291, RFC 8292)."
    example: ClassVar[Mapping[str, Any]] = {
        "private_key": "{{ env_var('VAPID_PRIVATE_KEY') }}", "subject": "mailto:push@shop.example.com",
    }  # fmt: skip
    declared = (
        Option("private_key", "The application server's (VAPID) P-256 key: PEM, or its 32 bytes in base64.",
               required=True, secret=True, check=check_key(p256_key, "a P-256 private key")),
        Option("subject", "How a push service can reach you: `mailto:` or `https://`.", required=True,
               check=_check_subject),
        Option("ttl", "How long a push service keeps a message that has no expiry of its own.", "duration",
               default=_LONGEST_TTL, low=0, high=_LONGEST_TTL),
        Option("urgency", "What a device in want of power is woken for.", default="normal",
               choices=("very-low", "low", "normal", "high")),
        Option("collapse", "Whether a later message of the same campaign takes the place of one that is not yet "
               "delivered.", "flag", default=False),
        Option("hosts", "The push services' hosts, with commas; one with a leading dot stands for all below it, `*` for "
               "any public host.", default=_SERVICES, check=_check_hosts),
    )  # fmt: skip
    defaults: ClassVar[Limits] = Limits(batch=1, concurrency=8)
    capabilities: ClassVar[Capabilities] = Capabilities(channels=("web_push",), needs=("body",))
    notes = """\
Needs `pip install 'dbt-activate[push]'`. The address is the browser's subscription as JSON: `{"endpoint":
"https://...", "keys": {"p256dh": "...", "auth": "..."}}`.

The site's service worker gets JSON: `title`, `body` (needed), `url` and `image` as the template's blocks say, `data`
(a JSON object), `message_id` and `campaign`. It may take 3,993 bytes, else the message is rejected as `too_long`:
services take 4,096 bytes of ciphertext. `data` that is no JSON object is `bad_data`.

An endpoint comes from a visitor's browser, so it must be https, and its host one of `hosts`; anything else is rejected
as `bad_address`. With `*`, names are looked at but not resolved: let the network's own rules keep requests from
machines inside.

`TTL` is the time until the message expires, `Topic` the campaign with `collapse`, `Authorization` a VAPID token of 12
hours for the endpoint's host. Web Push knows no repeated messages, so what is `unknown` stays so.

| answer | meaning |
|---|---|
| 2xx | taken by the push service |
| 404, 410 | the subscription is no longer used: rejected, and its address is not used again |
| 400, 413 and other 4xx | rejected |
| 401, 403; 3xx, 402, 405, 407 | tried again. One subscription that was made for another key is answered so (401, 403), and must not stop the others; where all are, this provider stops for this run as for any service that takes nothing |
| 408, 421, 425, 429, 5xx | not taken; tried again, after `Retry-After` if it says so |
| 502, 504, 520 to 524 | `unknown` |"""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        super().__init__(name, options)
        self._key = p256_key(self.options["private_key"])
        self._public = b64url(_point(self._key))
        self._hosts = _hosts(self.options["hosts"])
        self._lock = threading.Lock()
        self._tokens: dict[tuple[str, int], str] = {}

    @classmethod
    def misfits(cls, options: Mapping[str, Any], channel: str, content: Mapping[str, str], kind: str) -> list[str]:
        del options, channel, kind
        return too_long(content, _PLAIN, "Web Push")

    def refuses(self, message: Outgoing) -> str | None:
        if read_subscription(message.address, self._hosts) is None:
            return "bad_address"
        if data_of(message.content) is None:
            return "bad_data"
        return "too_long" if size(_payload(message)) > _PLAIN else super().refuses(message)

    def build(self, batch: Sequence[Outgoing], at: dt.datetime) -> HttpRequest:
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415  # slow to import, of use to few

        del at
        message = batch[0]
        to = read_subscription(message.address, self._hosts)
        if to is None:
            raise ValueError("not a subscription")
        body = encrypt(orjson.dumps(_payload(message)), to, os.urandom(16), ec.generate_private_key(ec.SECP256R1()))
        seconds = self.options["ttl"] if message.ttl_seconds is None else message.ttl_seconds
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Encoding": "aes128gcm",
            "TTL": str(int(min(max(0, seconds), _LONGEST_TTL))),
            "Urgency": self.options["urgency"],
            "User-Agent": USER_AGENT,
        }
        if self.options["collapse"]:
            headers["Topic"] = collapse_id(message, 32)
        return HttpRequest("POST", to.endpoint, headers, body)

    def sign(self, request: HttpRequest, at: int) -> HttpRequest:
        parts = urlsplit(request.url)
        place = (f"{parts.scheme}://{parts.netloc}", at - at % _SLOT)
        with self._lock:
            if place not in self._tokens:
                if len(self._tokens) >= 1_000:
                    self._tokens.clear()
                claims = {"aud": place[0], "exp": place[1] + _TOKEN_SECONDS, "sub": self.options["subject"]}
                self._tokens[place] = es256(claims, self._key)
            token = self._tokens[place]
        return replace(request, headers={**request.headers, "Authorization": f"vapid t={token}, k={self._public}"})

    def read_http(self, answer: HttpAnswer, batch: Sequence[Outgoing]) -> list[Outcome]:
        message = batch[0]
        code = safe_code(reason_of(answer) or f"http_{answer.status}", message)  # only Apple gives a reason
        if answer.status in (404, 410):
            return [Outcome(message.message_id, "rejected", None, code, None, "unregistered")]
        try:
            outcome = super().read_http(answer, batch)[0]
        except Unusable:
            return [Outcome(message.message_id, "failed", None, code)]
        return [outcome._replace(error_code=None if outcome.status == "accepted" else code)]

    def splits(self, answer: object) -> bool:
        del answer
        return False  # one message per request: what is wrong with it, `read_http` tells


def _payload(message: Outgoing) -> dict[str, Any]:
    content = message.content
    shown: dict[str, Any] = {block: content[block] for block in ("title", "body", "url", "image") if content.get(block)}
    data = data_of(content)
    if data:
        shown["data"] = data
    return {**shown, "message_id": message.message_id, "campaign": message.campaign}
