"""Iterable's `/api/events/trackBulk`; its campaigns are in tests/providers/test_iterable.py."""

from __future__ import annotations

import json
from typing import Any

from activate.providers.base import HttpAnswer, HttpRequest, Lost, Outgoing, Request, Status
from tests.providers.vendors import SECRET


class Peer:
    section: dict[str, Any] = {"api_key": SECRET, "send_by": "event", "event": "reminder", "id_type": "email",
                               "known_by": "address"}  # fmt: skip
    channel = "email"
    content = {"subject": "Grüße", "text": 'Hello "you"\n', "html": "<b>héllo</b>"}

    def address(self, n: int) -> str:
        return f"Person{n}@private.example.com"

    def taken(self, request: Request, batch: list[Outgoing]) -> HttpAnswer:
        assert isinstance(request, HttpRequest)
        assert (request.method, request.url) == ("POST", "https://api.iterable.com/api/events/trackBulk")
        assert request.headers["Api-Key"] == SECRET
        events = json.loads(request.body)["events"]
        for event, message in zip(events, batch, strict=True):
            assert (event["email"], event["eventName"], event["id"]) == (
                message.address,
                "reminder",
                message.message_id,
            )
            assert event["createdAt"] == 1_772_452_800
            assert event["dataFields"]["subject"] == "Grüße"
        body = {"successCount": len(events), "failCount": 0, "disallowedEventNames": [], "failedUpdates": {}}
        return HttpAnswer(200, {}, json.dumps(body).encode())

    def refused(self, request: Request, batch: list[Outgoing]) -> tuple[HttpAnswer, Status, Lost | None]:
        failed = {"forgottenEmails": [batch[-1].address.lower()], "invalidEmails": []}
        body = {"successCount": len(batch) - 1, "failCount": 1, "failedUpdates": failed}
        return HttpAnswer(200, {}, json.dumps(body).encode()), "rejected", None
