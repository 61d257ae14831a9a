"""Apple's push service, with a signing key."""

from __future__ import annotations

import functools
import json
import uuid
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from activate.providers.base import HttpAnswer, HttpRequest, Lost, Outgoing, Request, Status

KEY_ID, TEAM_ID, TOPIC = "ABC123DEFG", "DEF123GHIJ", "com.example.shop"


@functools.cache
def signing_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def p8() -> str:
    """The key as Apple hands it out."""
    return signing_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def check_token(authorization: str) -> dict[str, Any]:
    """The claims of a token that Apple would take; fails for any other."""
    scheme, _, token = authorization.partition(" ")
    assert scheme.lower() == "bearer"
    assert jwt.get_unverified_header(token) == {"alg": "ES256", "kid": KEY_ID, "typ": "JWT"}
    claims: dict[str, Any] = jwt.decode(token, signing_key().public_key(), algorithms=["ES256"], issuer=TEAM_ID,
                                        options={"verify_iat": False})  # fmt: skip
    assert set(claims) == {"iss", "iat"}
    return claims


class Peer:
    channel = "push"
    content = {
        "title": "Grüße \U0001f44b", "body": "Your cart waits", "url": "https://shop.example.com/cart",
        "image": "https://shop.example.com/tea.jpg", "data": '{"cart": {"id": 42}}',
    }  # fmt: skip

    def __init__(self) -> None:
        self.section: dict[str, Any] = {"key": p8(), "key_id": KEY_ID, "team_id": TEAM_ID, "topic": TOPIC}

    def address(self, n: int) -> str:
        return f"ab{n:062x}"

    def taken(self, request: Request, batch: list[Outgoing]) -> HttpAnswer:
        assert isinstance(request, HttpRequest)
        message = batch[0]
        assert (request.method, request.url) == ("POST", f"https://api.push.apple.com/3/device/{message.address}")
        assert 0 <= 1_772_452_800 - check_token(request.headers["authorization"])["iat"] < 3600
        headers = request.headers
        assert (headers["apns-topic"], headers["apns-push-type"], headers["apns-priority"]) == (TOPIC, "alert", "10")
        assert headers["apns-id"] == str(uuid.UUID(message.message_id))
        assert headers["apns-expiration"] == str(1_772_452_800 + 3600)
        assert len(request.body) <= 4096
        payload = json.loads(request.body)
        assert payload["aps"]["alert"] == {"title": self.content["title"], "body": self.content["body"]}
        assert payload["cart"] == {"id": 42}
        return HttpAnswer(200, {"apns-id": headers["apns-id"]}, b"")

    def refused(self, request: Request, batch: list[Outgoing]) -> tuple[HttpAnswer, Status, Lost | None]:
        body = b'{"reason": "Unregistered", "timestamp": 1772452000000}'
        return HttpAnswer(410, {}, body), "rejected", "unregistered"
