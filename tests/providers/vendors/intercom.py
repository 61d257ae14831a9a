"""Intercom's API 2.15: POST /messages."""

from __future__ import annotations

import json
from typing import Any

from activate.providers.base import HttpAnswer, HttpRequest, Lost, Outgoing, Request, Status
from tests.providers.vendors import SECRET


class Peer:
    section: dict[str, Any] = {"access_token": SECRET, "admin_id": "394051"}
    channel = "in_app"
    content = {"title": "Grüße & more", "body": "<b>héllo</b>", "url": "https://shop.example.com/?a=1&b=2"}

    def address(self, n: int) -> str:
        return f"536e564f316c83104c{n:06x}"

    def taken(self, request: Request, batch: list[Outgoing]) -> HttpAnswer:
        self._check(request, batch)
        told = {"type": "admin_message", "id": "19", "created_at": 1734537786, "message_type": "inapp",
                "owner": {"type": "admin", "id": "394051", "email": "admin299@email.com"}}  # fmt: skip
        return HttpAnswer(200, {}, json.dumps(told).encode())

    def refused(self, request: Request, batch: list[Outgoing]) -> tuple[HttpAnswer, Status, Lost | None]:
        self._check(request, batch)
        told = {"type": "error.list", "errors": [{"code": "parameter_invalid", "message": "Body is required"}]}
        return HttpAnswer(400, {}, json.dumps(told).encode()), "rejected", None

    def _check(self, request: Request, batch: list[Outgoing]) -> None:
        assert isinstance(request, HttpRequest)
        assert (request.method, request.url) == ("POST", "https://api.intercom.io/messages")
        assert request.headers["Authorization"] == f"Bearer {SECRET}"
        assert request.headers["Intercom-Version"] == "2.15"
        (message,) = batch
        assert json.loads(request.body) == {
            "message_type": "in_app", "from": {"type": "admin", "id": 394051},
            "to": {"type": "user", "id": message.address},
            "body": '<p><b>Grüße &amp; more</b></p><b>héllo</b><p><a href="https://shop.example.com/?a=1&amp;b=2">'
                    "https://shop.example.com/?a=1&amp;b=2</a></p>",
        }  # fmt: skip
