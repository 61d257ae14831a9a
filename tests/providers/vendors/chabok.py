"""Chabok's `POST /api/push/toUsers`."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

from activate.providers.base import HttpAnswer, HttpRequest, Lost, Outgoing, Request, Status
from tests.providers.vendors import SECRET


class Peer:
    section: dict[str, Any] = {"url": "https://shop.push.adpdigital.com", "access_token": SECRET}
    channel = "push"
    content = {
        "title": "سلام", "body": "سفارش شما ثبت شد", "url": "https://shop.example.com/cart",
        "image": "https://shop.example.com/tea.jpg", "data": '{"offer": "10"}',
    }  # fmt: skip

    def address(self, n: int) -> str:
        return f"private-user-{n}"

    def taken(self, request: Request, batch: list[Outgoing]) -> HttpAnswer:
        assert isinstance(request, HttpRequest)
        parts = urlsplit(request.url)
        assert (request.method, parts.netloc, parts.path) == ("POST", "shop.push.adpdigital.com", "/api/push/toUsers")
        assert parse_qs(parts.query) == {"access_token": [SECRET]}
        body = json.loads(request.body)
        assert (body["user"], body["content"], body["ttl"]) == (batch[0].address, self.content["body"], 3600)
        assert body["notification"]["title"] == self.content["title"]
        assert (body["clientId"], body["data"]) == (batch[0].message_id, {"offer": "10"})
        return HttpAnswer(200, {}, b'{"count": 1}')

    def refused(self, request: Request, batch: list[Outgoing]) -> tuple[HttpAnswer, Status, Lost | None]:
        return HttpAnswer(200, {}, b'{"count": 0}'), "rejected", None
