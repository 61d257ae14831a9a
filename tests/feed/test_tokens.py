"""Tokens: only what this server's secret signed, for this endpoint, and not any longer than it says."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import jwt
import pytest

from activate.feed.tokens import LONGEST, BadToken, Grant, Keys
from tests.feed.conftest import SECRET, Box

KEYS = Keys([SECRET])
GOOD = {"sub": "ann", "aud": "activate-feed", "exp": int(time.time()) + 2 * 86_400}


def _part(value: Any) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def by_hand(claims: Any, header: Any = None, secret: str = SECRET, digest: str = "sha256") -> str:
    """A token as any backend could make it, without a library."""
    signed = f"{_part(header or {'alg': 'HS256', 'typ': 'JWT'})}.{_part(claims)}"
    return f"{signed}.{_part(hmac.digest(secret.encode(), signed.encode(), digest))}"


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in GOOD.items() if key != name}


def test_a_token_says_whose_feed_and_which_channels() -> None:
    assert KEYS.read(KEYS.sign("ann", 60)[0]) == Grant("ann", None)
    assert KEYS.read(KEYS.sign("ann", 60, ["card", "in_app"])[0]) == Grant("ann", frozenset({"card", "in_app"}))


def test_a_token_made_without_any_library_is_taken() -> None:
    assert KEYS.read(by_hand(GOOD)) == Grant("ann", None)
    assert KEYS.read(by_hand(GOOD | {"aud": ["other", "activate-feed"]})) == Grant("ann", None)


def test_ours_are_standard_tokens() -> None:
    token, expires = KEYS.sign("ann", 60)
    assert jwt.decode(token, SECRET, algorithms=["HS256"], audience="activate-feed")["exp"] == expires
    assert jwt.get_unverified_header(token)["kid"] == hashlib.sha256(SECRET.encode()).hexdigest()[:8]


FORGED = {
    "empty": "",
    "not a token": "abc",
    "two parts": "a.b",
    "no signature": by_hand(GOOD).rsplit(".", 1)[0] + ".",
    "another secret": by_hand(GOOD, secret="x" * 32),
    "an empty secret": by_hand(GOOD, secret=""),
    "alg none": f"{_part({'alg': 'none', 'typ': 'JWT'})}.{_part(GOOD)}.",
    "alg None, signed": by_hand(GOOD, {"alg": "None"}),
    "another algorithm": by_hand(GOOD, {"alg": "HS512"}, digest="sha512"),
    "no algorithm": by_hand(GOOD, {"typ": "JWT"}),
    "expired": by_hand(GOOD | {"exp": int(time.time()) - 1}),
    "never expires": by_hand(without("exp")),
    "expires in a year": by_hand(GOOD | {"exp": int(time.time()) + 365 * 86_400}),
    "expires at infinity": by_hand(b'{"sub": "ann", "aud": "activate-feed", "exp": Infinity}'),
    "not yet": by_hand(GOOD | {"nbf": int(time.time()) + 86_400}),
    "another audience": by_hand(GOOD | {"aud": "shop"}),
    "no audience": by_hand(without("aud")),
    "nobody": by_hand(without("sub")),
    "an empty person": by_hand(GOOD | {"sub": ""}),
    "a person with NUL": by_hand(GOOD | {"sub": "a\0"}),
    "a number for a person": by_hand(GOOD | {"sub": 1}),
    "channels as text": by_hand(GOOD | {"channels": "card"}),
    "channels of numbers": by_hand(GOOD | {"channels": [1]}),
    "claims are a list": by_hand([1]),
    "an unknown key": by_hand(GOOD, {"alg": "HS256", "kid": "00000000"}),
    "a key that is no text": by_hand(GOOD, {"alg": "HS256", "kid": ["a"]}),
    "too long": by_hand(GOOD | {"x": "y" * 4096}),
    "deeply nested": by_hand(b"[" * 900),
}  # fmt: skip


@pytest.mark.parametrize("token", FORGED.values(), ids=FORGED)
def test_anything_else_is_refused(token: str) -> None:
    with pytest.raises(BadToken):
        KEYS.read(token)


def test_a_changed_person_breaks_the_signature() -> None:
    head, _, signature = KEYS.sign("ann", 60)[0].split(".")
    with pytest.raises(BadToken):
        KEYS.read(f"{head}.{_part(GOOD | {'sub': 'bob'})}.{signature}")


def test_a_token_may_hold_for_a_month_and_not_longer() -> None:
    assert KEYS.read(KEYS.sign("ann", LONGEST)[0]).user_id == "ann"
    with pytest.raises(BadToken):
        KEYS.read(KEYS.sign("ann", LONGEST + 5)[0])


def test_a_secret_is_exchanged_without_anybody_noticing() -> None:
    before, during, after = Keys(["a" * 32]), Keys(["b" * 32, "a" * 32]), Keys(["b" * 32])
    old, new = before.sign("ann", 60)[0], during.sign("ann", 60)[0]
    assert during.read(old) == during.read(new) == after.read(new) == Grant("ann", None)
    assert during.read(by_hand(GOOD, secret="a" * 32)) == Grant("ann", None), "without a kid, each secret is tried"
    with pytest.raises(BadToken):
        after.read(old)


@pytest.mark.parametrize("token", FORGED.values(), ids=FORGED)
def test_every_refusal_looks_the_same(duckdb_box: Box, token: str) -> None:
    status, headers, body = duckdb_box.ask(token=None, authorization=f"Bearer {token}")
    assert (status, body["detail"]) == (401, "The token is not valid, or not any more.")
    assert headers["WWW-Authenticate"] == 'Bearer realm="feed", error="invalid_token"'
    assert headers["Content-Type"] == "application/problem+json"
