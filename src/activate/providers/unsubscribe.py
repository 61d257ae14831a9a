"""Signed tokens that name a person and a list, for one-click unsubscribe links (RFC 8058).

A token holds the person's key and the list, not the address, and cannot be made without the secret. Reading it twice
gives the same answer, so that a replayed request changes nothing more.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

_SIGNATURE_BYTES = 16


def make_token(user_id: str, list_name: str, secret: str) -> str:
    """Return a token of URL-safe characters."""
    payload = json.dumps([user_id, list_name], separators=(",", ":")).encode()
    return f"{_text(payload)}.{_text(_signature(payload, secret))}"


def read_token(token: str, secret: str) -> tuple[str, str]:
    """Return (user_id, list name) of a token; raises ValueError when it was not made with this secret."""
    try:
        payload, signature = (_bytes(part) for part in token.split("."))
    except ValueError:
        raise ValueError("not an unsubscribe token") from None
    if not hmac.compare_digest(signature, _signature(payload, secret)):
        raise ValueError("not an unsubscribe token")
    user_id, list_name = json.loads(payload)
    return user_id, list_name


def _signature(payload: bytes, secret: str) -> bytes:
    return hmac.digest(secret.encode(), b"unsubscribe:" + payload, hashlib.sha256)[:_SIGNATURE_BYTES]


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
