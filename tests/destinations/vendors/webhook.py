"""A service of one's own that keeps an audience (docs/destinations.md, webhook)."""

from __future__ import annotations

import json
from typing import Any

from activate.providers.base import HttpAnswer, HttpRequest
from tests.destinations.vendors import SECRET


class Peer:
    def __init__(self) -> None:
        self.section: dict[str, Any] = {
            "url": "https://example.com/audiences", "members_url": "https://example.com/members", "secret": SECRET,
        }  # fmt: skip
        self.audience = "vip"
        self.members: set[str] = set()
        self.bad: set[str] = set()

    def member(self, n: int) -> str:
        return f"person{n}@private.example.com"

    def fields(self, n: int) -> dict[str, Any]:
        return {"first_name": f"Name {n}"}

    def answer(self, request: HttpRequest) -> HttpAnswer:
        assert request.headers["webhook-signature"].startswith("v1,")
        if request.method == "GET":
            return HttpAnswer(200, {}, json.dumps({"members": sorted(self.members)}).encode())
        assert request.url == self.section["url"]
        errors = []
        for at, change in enumerate(json.loads(request.body)["changes"]):
            if change["member"] in self.bad:
                errors.append({"index": at, "code": "unknown_person"})
            elif change["change"] == "remove":
                self.members.discard(change["member"])
            else:
                assert set(change["fields"]) == {"first_name"}
                self.members.add(change["member"])
        return HttpAnswer(200, {}, json.dumps({"errors": errors}).encode())
