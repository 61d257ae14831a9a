"""Klaviyo's `POST /api/events`; bulk jobs are in tests/providers/test_klaviyo.py."""

from __future__ import annotations

import json
from typing import Any

from activate.providers.base import HttpAnswer, HttpRequest, Lost, Outgoing, Request, Status
from tests.providers.vendors import SECRET


class Peer:
    section: dict[str, Any] = {"api_key": SECRET, "metric": "Reminder", "known_by": "address"}
    channel = "email"
    content = {"subject": "Grüße", "text": 'Hello "you"\n', "html": "<b>héllo</b>"}

    def address(self, n: int) -> str:
        return f"person{n}@private.example.com"

    def taken(self, request: Request, batch: list[Outgoing]) -> HttpAnswer:
        assert isinstance(request, HttpRequest)
        assert (request.method, request.url) == ("POST", "https://a.klaviyo.com/api/events")
        assert request.headers["Authorization"] == f"Klaviyo-API-Key {SECRET}"
        assert request.headers["revision"] == "2026-07-15"
        assert request.headers["Content-Type"] == "application/vnd.api+json"
        [message] = batch
        data = json.loads(request.body)["data"]
        attributes = data["attributes"]
        assert data["type"] == "event"
        assert attributes["unique_id"] == message.message_id
        assert attributes["metric"] == {"data": {"type": "metric", "attributes": {"name": "Reminder"}}}
        assert attributes["profile"] == {"data": {"type": "profile", "attributes": {"email": message.address}}}
        assert attributes["properties"]["html"] == "<b>héllo</b>"
        return HttpAnswer(202, {}, b"")

    def refused(self, request: Request, batch: list[Outgoing]) -> tuple[HttpAnswer, Status, Lost | None]:
        error = {"id": "1", "code": "invalid", "title": "Invalid input.", "detail": f"{batch[-1].address} is not valid",
                 "source": {"pointer": "/data/attributes/profile/data/attributes/email"}}  # fmt: skip
        return HttpAnswer(400, {}, json.dumps({"errors": [error]}).encode()), "rejected", None
