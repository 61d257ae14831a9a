"""What signed webhooks have in common: Standard Webhooks' signature, and the checks of address, headers and secret.

Signature and headers are those of Standard Webhooks (https://github.com/standard-webhooks/standard-webhooks), so that
receivers can verify with a library that exists; `Idempotency-Key` repeats the webhook's id.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from activate.providers.base import HttpRequest

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OWN_HEADERS = ("content-type", "content-length", "host", "idempotency-key", "webhook-id", "webhook-signature",
                "webhook-timestamp", "transfer-encoding", "user-agent")  # fmt: skip


def check_url(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        known = False
        parts = urlsplit("")
    if not known or not url.isascii() or any(character <= " " for character in url):
        return "not a web address; write e.g. https://messages.example.com/batch"
    if parts.username or parts.password:
        return "a web address in a file must not hold a password; use `headers` with env_var"
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        return "messages would travel in plain sight; write https (http is for this machine only)"
    return None


def check_headers(headers: Mapping[str, Any]) -> str | None:
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            return f"{name!r} is not a header's name"
        if name.lower() in _OWN_HEADERS:
            return f"{name!r} is set by Activate itself"
        text = str(value)
        if not text.isascii() or any(character < " " for character in text):
            return f"the value of {name!r} may hold visible ASCII characters only"
    return None


def check_secret(secret: str) -> str | None:
    if secret.startswith("whsec_"):
        try:
            length = len(base64.b64decode(secret[6:], validate=True))
        except binascii.Error:
            return "is not base64 after 'whsec_'"
    else:
        length = len(secret)
    return None if length >= 16 else "is too short; use 24 random bytes or more"


def signing_key(secret: str) -> bytes:
    """The bytes to sign with: what `whsec_` encodes, else the text itself."""
    return base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()


def sign(request: HttpRequest, key: bytes, at: int) -> HttpRequest:
    """The request with its time (Unix seconds) and signature; `webhook-id` must be among its headers."""
    signed = b"%s.%d." % (request.headers["webhook-id"].encode(), at) + request.body
    signature = base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    added = {"webhook-timestamp": str(at), "webhook-signature": f"v1,{signature}"}
    return replace(request, headers={**request.headers, **added})
