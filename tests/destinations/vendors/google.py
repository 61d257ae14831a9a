"""Google's OAuth exchange of a refresh token (developers.google.com/identity/protocols/oauth2/web-server#offline)."""

from __future__ import annotations

import hashlib
import json
from urllib.parse import parse_qs

from activate.providers.base import HttpAnswer, HttpRequest
from tests.destinations.vendors import SECRET

CREDENTIALS = {"client_id": "me.apps.googleusercontent.com", "client_secret": SECRET, "refresh_token": f"1//{SECRET}"}
TOKEN = f"ya29.{SECRET}"


def member(n: int) -> str:
    return hashlib.sha256(f"person{n}@private.example.com".encode()).hexdigest()


def token(request: HttpRequest) -> HttpAnswer:
    form = {name: values[0] for name, values in parse_qs(request.body.decode(), strict_parsing=True).items()}
    assert form == {"grant_type": "refresh_token", **CREDENTIALS}
    return HttpAnswer(200, {}, json.dumps({"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"}).encode())
