"""A service that takes signed batches (docs/providers.md, webhook)."""

from __future__ import annotations

import json
from typing import Any

from activate.providers.base import HttpAnswer, HttpRequest, Lost, Outgoing, Request, Status
from tests.providers.vendors import SECRET


class Peer:
    section: dict[str, Any] = {"url": "https://example.com/messages", "secret": SECRET}
    channel = "email"
    content = {"subject": "Grüße\n", "text": 'Hello "you"\n', "html": "<b>héllo</b>"}

    def address(self, n: int) -> str:
        return f"person{n}@private.example.com"

    def taken(self, request: Request, batch: list[Outgoing]) -> HttpAnswer:
        assert isinstance(request, HttpRequest)
        assert request.headers["webhook-signature"].startswith("v1,")
        messages = json.loads(request.body)["messages"]
        assert [one["message_id"] for one in messages] == [message.message_id for message in batch]
        return HttpAnswer(202, {}, b"")

    def refused(self, request: Request, batch: list[Outgoing]) -> tuple[HttpAnswer, Status, Lost | None]:
        results = [{"message_id": batch[-1].message_id, "status": "rejected", "error_code": "unknown_address"}]
        return HttpAnswer(200, {}, json.dumps({"results": results}).encode()), "rejected", None
