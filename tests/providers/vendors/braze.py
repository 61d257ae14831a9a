"""Braze's `/users/track`, whose answer tells which object it refused; the other ways are in tests/providers/test_braze.py."""

from __future__ import annotations

import json
from typing import Any

from activate.providers.base import HttpAnswer, HttpRequest, Lost, Outgoing, Request, Status
from tests.providers.vendors import SECRET


class Peer:
    section: dict[str, Any] = {"url": "https://rest.iad-01.braze.com", "api_key": SECRET, "send_by": "event",
                               "known_by": "address", "event": "reminder"}  # fmt: skip
    channel = "push"
    content = {"title": "Grüße", "body": 'Hello "you"\n', "data": '{"cart": 7}'}

    def address(self, n: int) -> str:
        return f"braze person {n}"

    def taken(self, request: Request, batch: list[Outgoing]) -> HttpAnswer:
        assert isinstance(request, HttpRequest)
        assert (request.method, request.url) == ("POST", "https://rest.iad-01.braze.com/users/track")
        assert request.headers["Authorization"] == f"Bearer {SECRET}"
        assert request.headers["Content-Type"] == "application/json"
        events = json.loads(request.body)["events"]
        assert len(events) <= 75
        for event, message in zip(events, batch, strict=True):
            assert set(event) == {"external_id", "name", "time", "properties"}
            assert (event["external_id"], event["name"]) == (message.address, "reminder")
            assert event["time"] == "2026-03-02T12:00:00+00:00"
            assert event["properties"]["message_id"] == message.message_id
            assert event["properties"]["data"] == {"cart": 7}
            texts = [value for value in event["properties"].values() if isinstance(value, str)]
            assert all(len(text) <= 255 for text in texts)
        return HttpAnswer(201, {}, json.dumps({"message": "success", "events_processed": len(events)}).encode())

    def refused(self, request: Request, batch: list[Outgoing]) -> tuple[HttpAnswer, Status, Lost | None]:
        error = {"type": "'time' must be an ISO 8601 date", "input_array": "events", "index": len(batch) - 1}
        body = {"message": "success", "events_processed": len(batch) - 1, "errors": [error]}
        return HttpAnswer(201, {}, json.dumps(body).encode()), "rejected", None
