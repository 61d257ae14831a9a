"""Customer.io's App API, which takes one transactional message a request; events are in tests/providers/test_customerio.py."""

from __future__ import annotations

import json
from typing import Any

from activate.providers.base import HttpAnswer, HttpRequest, Lost, Outgoing, Request, Status
from tests.providers.vendors import SECRET


class Peer:
    section: dict[str, Any] = {"url": "https://api-eu.customer.io", "send_by": "transactional", "app_key": SECRET,
                               "transactional_message_id": "reminder"}  # fmt: skip
    channel = "email"
    content = {"subject": "Grüße", "text": 'Hello "you"\n', "html": "<b>héllo</b>", "preheader": "one more thing"}

    def address(self, n: int) -> str:
        return f"person{n}@private.example.com"

    def taken(self, request: Request, batch: list[Outgoing]) -> HttpAnswer:
        assert isinstance(request, HttpRequest)
        assert (request.method, request.url) == ("POST", "https://api-eu.customer.io/v1/send/email")
        assert request.headers["Authorization"] == f"Bearer {SECRET}"
        told = json.loads(request.body)
        [message] = batch
        assert told.pop("message_data")["message_id"] == message.message_id
        assert told == {
            "transactional_message_id": "reminder", "identifiers": {"id": message.user_id}, "to": message.address,
            "subject": "Grüße", "body": "<b>héllo</b>", "body_plain": 'Hello "you"\n', "preheader": "one more thing",
            "send_to_unsubscribed": False,
        }  # fmt: skip
        return HttpAnswer(200, {}, b'{"delivery_id": "RPILAgABcRhIBqSrsnk7", "queued_at": 1772452800}')

    def refused(self, request: Request, batch: list[Outgoing]) -> tuple[HttpAnswer, Status, Lost | None]:
        body = {"meta": {"error": f"invalid email address {batch[-1].address}"}}
        return HttpAnswer(400, {}, json.dumps(body).encode()), "rejected", None
