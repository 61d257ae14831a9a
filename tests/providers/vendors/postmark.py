"""Postmark's side of POST /email/batch (its OpenAPI description; postmarkapp.com/developer/api/overview)."""

from __future__ import annotations

import json
from typing import Any

from activate.providers.base import HttpAnswer, HttpRequest, Lost, Outgoing, Request, Status
from tests.providers.vendors import SECRET


class Peer:
    section: dict[str, Any] = {
        "server_token": SECRET, "from": "Läden <a@shop.example.com>", "reply_to": '"Help, now" <help@shop.example.com>',
        "unsubscribe_url": "https://shop.example.com/{token}", "unsubscribe_secret": SECRET,
    }  # fmt: skip
    channel = "email"
    content = {"subject": "Grüße\n", "text": 'Hello "you"\n', "html": "<b>héllo</b>"}

    def address(self, n: int) -> str:
        return f"person{n}@private.example.com"

    def _results(self, request: Request, batch: list[Outgoing]) -> list[dict[str, Any]]:
        assert isinstance(request, HttpRequest)
        assert (request.method, request.url) == ("POST", "https://api.postmarkapp.com/email/batch")
        assert request.headers["X-Postmark-Server-Token"] == SECRET
        assert request.headers["Accept"] == request.headers["Content-Type"] == "application/json"
        items = json.loads(request.body)
        assert len(items) <= 500
        for item, message in zip(items, batch, strict=True):
            assert item["From"] == "Läden <a@shop.example.com>"
            assert item["ReplyTo"] == '"Help, now" <help@shop.example.com>'
            assert (item["To"], item["Subject"]) == (message.address, "Grüße")
            assert (item["TextBody"], item["HtmlBody"]) == (self.content["text"], self.content["html"])
            assert item["MessageStream"] == "broadcast"
            assert item["Metadata"] == {"message_id": message.message_id}
            assert {header["Name"] for header in item["Headers"]} == {"List-Unsubscribe", "List-Unsubscribe-Post"}
        return [
            {"To": item["To"], "SubmittedAt": "2026-03-02T12:00:00Z", "MessageID": f"0a129aee-e1cd-480d-b08d-{n:012d}",
             "ErrorCode": 0, "Message": "OK"}
            for n, item in enumerate(items)
        ]  # fmt: skip

    def taken(self, request: Request, batch: list[Outgoing]) -> HttpAnswer:
        return HttpAnswer(200, {}, json.dumps(self._results(request, batch)).encode())

    def refused(self, request: Request, batch: list[Outgoing]) -> tuple[HttpAnswer, Status, Lost | None]:
        results = self._results(request, batch)
        text = f"You tried to send to a recipient that has been marked as inactive. Found: {batch[-1].address}."
        results[-1] = {"ErrorCode": 406, "Message": text}
        return HttpAnswer(200, {}, json.dumps(results).encode()), "rejected", "hard_bounce"
