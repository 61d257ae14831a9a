"""Iterable's static list: subscribe, unsubscribe, getUsers."""

from __future__ import annotations

import json
from typing import Any

from activate.providers.base import HttpAnswer, HttpRequest
from tests.destinations.vendors import SECRET


class Peer:
    def __init__(self) -> None:
        self.section: dict[str, Any] = {"api_key": SECRET, "list_id": 42}
        self.audience = "vips"
        self.members: set[str] = set()
        self.bad: set[str] = set()

    def member(self, n: int) -> str:
        return f"iterable person {n}"

    def fields(self, n: int) -> dict[str, Any]:
        return {"first_name": f"Name {n}"}

    def answer(self, request: HttpRequest) -> HttpAnswer:
        assert request.headers["Api-Key"] == SECRET
        if request.method == "GET":
            assert request.url == "https://api.iterable.com/api/lists/getUsers?listId=42&preferUserId=true"
            return HttpAnswer(200, {}, "".join(f"{member}\n" for member in sorted(self.members)).encode())
        told = json.loads(request.body)
        assert told["listId"] == 42
        people = {one["userId"] for one in told["subscribers"]}
        if request.url == "https://api.iterable.com/api/lists/subscribe":
            assert all(set(one["dataFields"]) == {"first_name"} for one in told["subscribers"])
            failed = {"invalidUserIds": sorted(people & self.bad)}
            self.members |= people - self.bad
        else:
            assert request.url == "https://api.iterable.com/api/lists/unsubscribe"
            failed = {"notFoundUserIds": sorted(people - self.members)}
            self.members -= people
        count = sum(map(len, failed.values()))
        body = {"successCount": len(people) - count, "failCount": count, "failedUpdates": failed, "invalidEmails": []}
        return HttpAnswer(200, {}, json.dumps(body).encode())
