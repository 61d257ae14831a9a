"""Meta's Marketing API: POST and DELETE /{audience}/users (guides/custom-audiences; graph-api/guides/error-handling)."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

from activate.providers.base import HttpAnswer, HttpRequest
from tests.destinations.vendors import SECRET

APP_SECRET = "the-secret-of-an-app"


class Peer:
    def __init__(self) -> None:
        self.section: dict[str, Any] = {
            "audience_id": "23850000000000000",
            "access_token": SECRET,
            "app_secret": APP_SECRET,
        }
        self.audience = "vip"
        self.members: set[str] = set()
        self.bad: set[str] = set()
        self.requests: list[HttpRequest] = []

    def member(self, n: int) -> str:
        return hashlib.sha256(f"person{n}@private.example.com".encode()).hexdigest()

    def fields(self, n: int) -> dict[str, Any]:
        return {"LOOKALIKE_VALUE": f"{n + 0.5}12345"}

    def answer(self, request: HttpRequest) -> HttpAnswer:
        self.requests.append(request)
        place = urlsplit(request.url)
        assert place.path == "/v25.0/23850000000000000/users"
        assert not place.query
        assert request.headers["Authorization"] == f"Bearer {SECRET}"
        form = {name: values[0] for name, values in parse_qs(request.body.decode(), strict_parsing=True).items()}
        assert form["appsecret_proof"] == hmac.new(APP_SECRET.encode(), SECRET.encode(), hashlib.sha256).hexdigest()
        session = json.loads(form["session"])
        assert 0 < session["session_id"] < 2**63
        assert (session["batch_seq"], session["last_batch_flag"]) == (1, True)
        payload = json.loads(form["payload"])
        assert payload["schema"][0] == "EMAIL"
        assert len(payload["data"]) == session["estimated_num_total"] <= 10_000
        invalid = 0
        for row in payload["data"]:
            assert len(row) == len(payload["schema"])
            if row[0] in self.bad or len(row[0]) != 64:
                invalid += 1
            elif request.method == "DELETE":
                self.members.discard(row[0])
            else:
                assert request.method == "POST"
                self.members.add(row[0])
        told = {"audience_id": "23850000000000000", "session_id": str(session["session_id"]),
                "num_received": len(payload["data"]), "num_invalid_entries": invalid, "invalid_entry_samples": {}}  # fmt: skip
        return HttpAnswer(200, {}, json.dumps(told).encode())
