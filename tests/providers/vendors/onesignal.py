"""OneSignal's `POST /notifications`."""

from __future__ import annotations

import json
import uuid
from typing import Any

from activate.providers.base import HttpAnswer, HttpRequest, Lost, Outgoing, Request, Status
from tests.providers.vendors import SECRET

APP = "8250eaf6-1a58-489e-b136-7c74a864b434"
NOTIFICATION = "bfc9ea0a-8488-441d-9208-7154794d426a"


class Peer:
    section: dict[str, Any] = {"app_id": APP, "api_key": SECRET, "batch": 500}
    channel = "push"
    content = {
        "title": "Grüße \U0001f44b", "body": "Your cart waits", "url": "https://shop.example.com/cart",
        "image": "https://shop.example.com/tea.jpg", "data": '{"cart": {"id": 42}}',
    }  # fmt: skip

    def address(self, n: int) -> str:
        return f"1dd608f2-c6a1-11e3-851d-{n:012x}"

    def taken(self, request: Request, batch: list[Outgoing]) -> HttpAnswer:
        assert isinstance(request, HttpRequest)
        assert (request.method, request.url) == ("POST", "https://api.onesignal.com/notifications")
        assert request.headers["Authorization"] == f"Key {SECRET}"
        body = json.loads(request.body)
        assert body["app_id"] == APP
        assert uuid.UUID(body["idempotency_key"]).version == 4
        assert body["include_subscription_ids"] == [message.address for message in batch]
        assert (body["contents"], body["headings"]) == ({"en": "Your cart waits"}, {"en": self.content["title"]})
        assert (body["data"], body["ttl"]) == ({"cart": {"id": 42}}, 3600)
        return HttpAnswer(200, {}, json.dumps({"id": NOTIFICATION, "external_id": None}).encode())

    def refused(self, request: Request, batch: list[Outgoing]) -> tuple[HttpAnswer, Status, Lost | None]:
        told = {"id": NOTIFICATION, "errors": {"invalid_player_ids": [batch[-1].address]}}
        return HttpAnswer(200, {}, json.dumps(told).encode()), "rejected", "unregistered"
