"""TikTok's Business API v1.3: /segment/mapping/, which answers 200 with a code."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from activate.providers.base import HttpAnswer, HttpRequest
from tests.destinations.vendors import SECRET


class Peer:
    def __init__(self) -> None:
        self.section: dict[str, Any] = {"advertiser_id": "717", "audience_id": "167", "access_token": SECRET}
        self.audience = "vip"
        self.members: set[str] = set()
        self.bad: set[str] = set()

    def member(self, n: int) -> str:
        return hashlib.sha256(f"person{n}@private.example.com".encode()).hexdigest()

    def fields(self, n: int) -> dict[str, Any]:
        del n
        return {}

    def answer(self, request: HttpRequest) -> HttpAnswer:
        assert (request.method, request.url) == (
            "POST",
            "https://business-api.tiktok.com/open_api/v1.3/segment/mapping/",
        )
        if request.headers.get("Access-Token") != SECRET:
            return _answer(40105, "Access token is incorrect or has been revoked.")
        body = json.loads(request.body)
        assert set(body) == {"advertiser_ids", "action", "id_schema", "batch_data"}
        assert (body["advertiser_ids"], body["id_schema"]) == (["717"], ["EMAIL_SHA256"])
        assert len(body["batch_data"]) <= 10_000
        assert all(len(user) == 1 and user[0]["audience_ids"] == ["167"] for user in body["batch_data"])
        members = [user[0]["id"] for user in body["batch_data"]]
        if wrong := [member for member in members if member in self.bad or len(member) != 64]:
            return _answer(40002, f"batch_data: {wrong[0]} is not valid")
        if body["action"] == "add":
            self.members |= set(members)
        else:
            assert body["action"] == "delete"
            self.members -= set(members)
        return _answer(0, "OK")


def _answer(code: int, message: str) -> HttpAnswer:
    return HttpAnswer(200, {}, json.dumps({"code": code, "message": message, "request_id": "x", "data": {}}).encode())
