"""SendGrid's side of POST /v3/mail/send (sendgrid/sendgrid-oai; docs.sendgrid.com/api-reference/mail-send/errors)."""

from __future__ import annotations

import json
from typing import Any

from activate.providers.base import HttpAnswer, HttpRequest, Lost, Outgoing, Request, Status
from tests.providers.vendors import SECRET


class Peer:
    section: dict[str, Any] = {
        "api_key": SECRET, "from": "Läden <a@shop.example.com>", "reply_to": "Help <help@shop.example.com>",
        "unsubscribe_url": "https://shop.example.com/{token}", "unsubscribe_secret": SECRET,
    }  # fmt: skip
    channel = "email"
    content = {"subject": "Grüße\n", "text": 'Hello "you"\n', "html": "<b>héllo</b>"}

    def address(self, n: int) -> str:
        return f"person{n}@private.example.com"

    def taken(self, request: Request, batch: list[Outgoing]) -> HttpAnswer:
        assert isinstance(request, HttpRequest)
        assert (request.method, request.url) == ("POST", "https://api.sendgrid.com/v3/mail/send")
        assert request.headers["Authorization"] == f"Bearer {SECRET}"
        assert request.headers["Content-Type"] == "application/json"
        body = json.loads(request.body)
        assert body["from"] == {"email": "a@shop.example.com", "name": "Läden"}
        assert body["reply_to"] == {"email": "help@shop.example.com", "name": "Help"}
        assert [part["type"] for part in body["content"]] == ["text/plain", "text/html"]
        assert [part["value"] for part in body["content"]] == [self.content["text"], self.content["html"]]
        assert len(body["categories"]) <= 10
        people = body["personalizations"]
        assert len(people) <= 1000
        addresses = [one["to"][0]["email"] for one in people]
        assert addresses == [message.address for message in batch]
        assert len(set(addresses)) == len(addresses)
        for one, message in zip(people, batch, strict=True):
            assert one["subject"] == "Grüße"
            assert one["custom_args"] == {"message_id": message.message_id}
            assert one["headers"]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
            assert one["headers"]["List-Unsubscribe"].startswith("<https://shop.example.com/")
        return HttpAnswer(202, {"x-message-id": "14c5d75ce93.dfd.64b469"}, b"")

    def refused(self, request: Request, batch: list[Outgoing]) -> tuple[HttpAnswer, Status, Lost | None]:
        # A bad recipient refuses the whole request (tests/providers/test_mail_apis.py); a dead one is taken and dropped.
        return self.taken(request, batch), "accepted", None
