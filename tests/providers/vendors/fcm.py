"""Firebase Cloud Messaging HTTP v1, and Google's exchange of a signed assertion for a token."""

from __future__ import annotations

import functools
import json
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from activate.providers.base import HttpAnswer, HttpRequest, Lost, Outgoing, Request, Status
from tests.providers.vendors import SECRET

TOKEN_URL = "https://oauth2.googleapis.com/token"


@functools.cache
def signing_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def credentials(token_uri: str = TOKEN_URL) -> str:
    """A service account's key file."""
    key = signing_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return json.dumps({
        "type": "service_account", "project_id": "shop-app", "private_key_id": SECRET, "private_key": key,
        "client_email": "sender@shop-app.iam.gserviceaccount.com", "token_uri": token_uri,
    })  # fmt: skip


def error(code: int, status: str, name: str) -> bytes:
    """An error as Firebase words it."""
    detail = {"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": name}
    return json.dumps({"error": {"code": code, "message": "words", "status": status, "details": [detail]}}).encode()


class Peer:
    channel = "push"
    content = {
        "title": "Grüße \U0001f44b", "body": "Your cart waits", "url": "https://shop.example.com/cart",
        "image": "https://shop.example.com/tea.jpg", "data": '{"cart": {"id": 42}, "kind": "reminder"}',
    }  # fmt: skip

    def __init__(self) -> None:
        self.section: dict[str, Any] = {"project_id": "shop-app", "credentials": credentials()}

    def address(self, n: int) -> str:
        return f"fGx{n}kQ:APA91bHun4MxP5egoKMwt2KZFBaFUH"

    def token(self, request: HttpRequest) -> HttpAnswer:
        assert (request.method, request.url) == ("POST", TOKEN_URL)
        assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
        form = parse_qs(request.body.decode(), strict_parsing=True)
        assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
        claims = jwt.decode(form["assertion"][0], signing_key().public_key(), algorithms=["RS256"], audience=TOKEN_URL,
                            options={"verify_exp": False, "verify_iat": False})  # fmt: skip
        assert claims["iss"] == "sender@shop-app.iam.gserviceaccount.com"
        assert claims["scope"] == "https://www.googleapis.com/auth/firebase.messaging"
        assert claims["exp"] - claims["iat"] == 3600
        told = {"access_token": f"ya29.{SECRET}", "expires_in": 3599, "token_type": "Bearer"}
        return HttpAnswer(200, {}, json.dumps(told).encode())

    def taken(self, request: Request, batch: list[Outgoing]) -> HttpAnswer:
        assert isinstance(request, HttpRequest)
        assert request.url == "https://fcm.googleapis.com/v1/projects/shop-app/messages:send"
        assert request.headers["Authorization"] == f"Bearer ya29.{SECRET}"
        (message,) = json.loads(request.body).values()
        assert message["token"] == batch[0].address
        assert set(message["notification"]) == {"title", "body", "image"}
        assert all(isinstance(value, str) for value in message["data"].values())
        assert message["data"]["message_id"] == batch[0].message_id
        assert message["android"]["ttl"] == "3600s"
        return HttpAnswer(200, {}, json.dumps({"name": "projects/shop-app/messages/0:1500415314455276%31bd"}).encode())

    def refused(self, request: Request, batch: list[Outgoing]) -> tuple[HttpAnswer, Status, Lost | None]:
        return HttpAnswer(404, {}, error(404, "NOT_FOUND", "UNREGISTERED")), "rejected", "unregistered"
