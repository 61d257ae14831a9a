"""A push service, and the browser that opens what it gets."""

from __future__ import annotations

import functools
import json
from typing import Any

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from activate.providers.base import HttpAnswer, HttpRequest, Lost, Outgoing, Request, Status
from activate.providers.jwt import b64url, from_b64url

SUBJECT = "mailto:push@shop.example.com"


@functools.cache
def vapid_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def point(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


class Browser:
    """A subscription with its private side."""

    def __init__(self, endpoint: str) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.secret = b"sixteen bytes!!!"
        keys = {"p256dh": b64url(point(self.key)), "auth": b64url(self.secret)}
        self.address = json.dumps({"endpoint": endpoint, "expirationTime": None, "keys": keys})

    def open(self, body: bytes) -> Any:
        """What was encrypted, as RFC 8291 and RFC 8188 have the receiver do it."""
        salt, record, length = body[:16], int.from_bytes(body[16:20], "big"), body[20]
        sender, sealed = body[21 : 21 + length], body[21 + length :]
        assert len(body) <= 4096 == record
        assert length == 65
        shared = self.key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender))
        info = b"WebPush: info\x00" + point(self.key) + sender
        keyed = HKDF(hashes.SHA256(), 32, self.secret, info).derive(shared)
        content_key = HKDF(hashes.SHA256(), 16, salt, b"Content-Encoding: aes128gcm\x00").derive(keyed)
        nonce = HKDF(hashes.SHA256(), 12, salt, b"Content-Encoding: nonce\x00").derive(keyed)
        text, _, padding = AESGCM(content_key).decrypt(nonce, sealed, None).rpartition(b"\x02")
        assert not padding.strip(b"\x00")
        return json.loads(text)


@functools.cache
def browser(n: int) -> Browser:
    return Browser(f"https://fcm.googleapis.com/fcm/send/visitor{n}:APA91b")


def check_vapid(authorization: str, origin: str, at: int = 1_772_452_800) -> None:
    """Fails for a VAPID token that a push service would refuse (RFC 8292)."""
    scheme, _, rest = authorization.partition(" ")
    given = dict(part.strip().split("=", 1) for part in rest.split(","))
    assert scheme == "vapid"
    assert from_b64url(given["k"]) == point(vapid_key())
    claims = jwt.decode(given["t"], vapid_key().public_key(), algorithms=["ES256"], audience=origin,
                        options={"verify_exp": False})  # fmt: skip
    assert at < claims["exp"] <= at + 86_400
    assert claims["sub"] == SUBJECT


class Peer:
    channel = "web_push"
    content = {
        "title": "Grüße \U0001f44b", "body": "Your cart waits", "url": "https://shop.example.com/cart",
        "data": '{"cart": {"id": 42}}',
    }  # fmt: skip

    def __init__(self) -> None:
        key = vapid_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        self.section: dict[str, Any] = {"private_key": key, "subject": SUBJECT}

    def address(self, n: int) -> str:
        return browser(n).address

    def taken(self, request: Request, batch: list[Outgoing]) -> HttpAnswer:
        assert isinstance(request, HttpRequest)
        number = int(batch[0].message_id, 16)
        assert (request.method, request.url) == ("POST", json.loads(batch[0].address)["endpoint"])
        assert (request.headers["TTL"], request.headers["Content-Encoding"]) == ("3600", "aes128gcm")
        check_vapid(request.headers["Authorization"], "https://fcm.googleapis.com")
        shown = browser(number).open(request.body)
        assert shown == {"title": self.content["title"], "body": self.content["body"], "url": self.content["url"],
                         "data": {"cart": {"id": 42}}, "message_id": batch[0].message_id, "campaign": "hello"}  # fmt: skip
        return HttpAnswer(201, {"location": "https://fcm.googleapis.com/m/1"}, b"")

    def refused(self, request: Request, batch: list[Outgoing]) -> tuple[HttpAnswer, Status, Lost | None]:
        return HttpAnswer(410, {}, b"push subscription has unsubscribed or expired."), "rejected", "unregistered"
