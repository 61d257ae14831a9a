"""Tokens that let one person read one feed: JSON Web Tokens (RFC 7519) signed with HMAC-SHA256.

Claims: `sub` (the person's key), `aud` (`activate-feed`), `exp` (at most 31 days ahead) and, to narrow it down, `channels`
(a list). The header's `kid`, if there is one, names the secret by the first eight hexadecimal digits of its SHA-256. Any
backend can make them with a JWT library; docs/feed.md has the recipe.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import jwt

AUDIENCE = "activate-feed"
LONGEST = 31 * 86_400
_ALGORITHM = "HS256"
_MOST_CHARACTERS = 4_096


class BadToken(Exception):
    """The token is malformed, forged, expired or meant for something else; which one is not told."""


class Grant(NamedTuple):
    """Whose feed may be read, and which of its channels (None: all)."""

    user_id: str
    channels: frozenset[str] | None


class Keys:
    """The secrets: the first signs, all of them verify, so that one can be exchanged without anybody noticing."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = {_key_id(secret): secret.encode() for secret in secrets}

    def sign(self, user_id: str, seconds: int, channels: Sequence[str] = ()) -> tuple[str, int]:
        """Make a token for a person that holds for some seconds from now; also returns its `exp` (Unix seconds)."""
        key_id, secret = next(iter(self._secrets.items()))
        expires = int(time.time()) + seconds
        claims: dict[str, Any] = {"sub": user_id, "aud": AUDIENCE, "exp": expires}
        if channels:
            claims["channels"] = list(channels)
        return jwt.encode(claims, secret, _ALGORITHM, {"kid": key_id}), expires

    def read(self, token: str) -> Grant:
        """What a token allows; raises BadToken."""
        if len(token) > _MOST_CHARACTERS:
            raise BadToken
        for secret in self._candidates(token):
            claims = _verified(token, secret)
            if claims is not None:
                return _grant(claims)
        raise BadToken

    def _candidates(self, token: str) -> Sequence[bytes]:
        try:
            named = jwt.get_unverified_header(token).get("kid")
        except Exception:
            raise BadToken from None
        if named is None:
            return list(self._secrets.values())
        return [secret for key_id, secret in self._secrets.items() if key_id == named]


def _verified(token: str, secret: bytes) -> dict[str, Any] | None:
    try:
        claims: dict[str, Any] = jwt.decode(
            token, secret, algorithms=[_ALGORITHM], audience=AUDIENCE, options={"require": ["sub", "aud", "exp"]}
        )
    except Exception:  # whatever is wrong with a stranger's text, it is no token
        return None
    return claims


def _grant(claims: dict[str, Any]) -> Grant:
    user_id, channels = claims["sub"], claims.get("channels")
    if not isinstance(user_id, str) or not user_id or "\0" in user_id:
        raise BadToken
    if int(claims["exp"]) - time.time() > LONGEST:
        raise BadToken
    if channels is None:
        return Grant(user_id, None)
    if not isinstance(channels, list) or not all(isinstance(channel, str) for channel in channels):
        raise BadToken
    return Grant(user_id, frozenset(channels))


def _key_id(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()[:8]
