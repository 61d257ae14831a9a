"""Sendbird's Chat Platform API v3: announcements and messages."""

from __future__ import annotations

import json
from typing import Any

from activate.providers.base import HttpAnswer, HttpRequest, Lost, Outgoing, Request, Status
from tests.providers.vendors import SECRET


class Peer:
    section: dict[str, Any] = {"application": "A-1", "token": SECRET, "sender": "shop"}
    channel = "chat"
    content = {"body": "Your cart still waits"}

    def address(self, n: int) -> str:
        return f"private-{n}@chat"

    def taken(self, request: Request, batch: list[Outgoing]) -> HttpAnswer:
        assert isinstance(request, HttpRequest)
        assert (request.method, request.url) == ("POST", "https://api-A-1.sendbird.com/v3/announcements")
        assert request.headers["Api-Token"] == SECRET
        body = json.loads(request.body)
        assert body == {
            "unique_id": batch[0].message_id, "enable_push": True,
            "message": {"type": "MESG", "user_id": "shop", "content": "Your cart still waits"},
            "target_at": "target_users_only_channels", "target_list": [batch[0].address],
            "target_channel_type": "distinct", "create_channel": True, "create_channel_options": {"distinct": True},
            "end_at": 1772456400000,  # noon and an hour
        }  # fmt: skip
        answer = {"unique_id": body["unique_id"], "status": "scheduled", "message": body["message"],
                  "target_user_count": 0, "target_channel_count": 0}  # fmt: skip
        return HttpAnswer(200, {}, json.dumps(answer).encode())

    def refused(self, request: Request, batch: list[Outgoing]) -> tuple[HttpAnswer, Status, Lost | None]:
        told = {"error": True, "code": 400201, "message": f'"User" not found: {batch[-1].address}'}
        return HttpAnswer(400, {}, json.dumps(told).encode()), "rejected", None
