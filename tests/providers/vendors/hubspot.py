"""HubSpot's single-send API (OpenAPI description: PublicSingleSendRequestEgg, EmailSendStatusView)."""

from __future__ import annotations

import json
from typing import Any

from activate.providers.base import HttpAnswer, HttpRequest, Lost, Outgoing, Request, Status
from tests.providers.vendors import SECRET


class Peer:
    section: dict[str, Any] = {"access_token": SECRET, "email_id": 4126643121, "from": "Shop <hello@shop.example.com>"}
    channel = "email"
    content = {"subject": "Grüße\n", "html": "<b>héllo</b>"}

    def address(self, n: int) -> str:
        return f"person{n}@private.example.com"

    def taken(self, request: Request, batch: list[Outgoing]) -> HttpAnswer:
        self._check(request, batch)
        told = {"status": "PENDING", "statusId": "2VyjbnYxrXkMYaGkTPPmNV1g", "requestedAt": "2026-03-02T12:00:00Z"}
        return HttpAnswer(200, {}, json.dumps(told).encode())

    def refused(self, request: Request, batch: list[Outgoing]) -> tuple[HttpAnswer, Status, Lost | None]:
        self._check(request, batch)
        told = {"status": "COMPLETE", "statusId": "2Vyj", "sendResult": "PREVIOUSLY_BOUNCED"}
        return HttpAnswer(200, {}, json.dumps(told).encode()), "rejected", "hard_bounce"

    def _check(self, request: Request, batch: list[Outgoing]) -> None:
        assert isinstance(request, HttpRequest)
        assert (request.method, request.url) == (
            "POST", "https://api.hubapi.com/marketing/v3/transactional/single-email/send",
        )  # fmt: skip
        assert request.headers["Authorization"] == f"Bearer {SECRET}"
        (message,) = batch
        assert json.loads(request.body) == {
            "emailId": 4126643121, "customProperties": self.content,
            "message": {"to": message.address, "sendId": message.message_id, "from": "Shop <hello@shop.example.com>"},
        }  # fmt: skip
