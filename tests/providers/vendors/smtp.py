"""An SMTP server, as far as its replies go; a real one is talked to in tests/deliver."""

from __future__ import annotations

from typing import Any

from activate.providers.base import Lost, MailAnswer, MailRequest, Outgoing, Request, Status
from tests.providers.vendors import SECRET


class Peer:
    section: dict[str, Any] = {
        "host": "mail.example.com", "from": "a@example.com", "username": "me", "password": SECRET,
        "unsubscribe_url": "https://example.com/{token}", "unsubscribe_secret": SECRET,
    }  # fmt: skip
    channel = "email"
    content = {"subject": "Grüße\n", "text": 'Hello "you"\n', "html": "<b>héllo</b>"}

    def address(self, n: int) -> str:
        return f"person{n}@private.example.com"

    def taken(self, request: Request, batch: list[Outgoing]) -> MailAnswer:
        assert isinstance(request, MailRequest)
        assert request.recipient == batch[0].address
        return MailAnswer(250)

    def refused(self, request: Request, batch: list[Outgoing]) -> tuple[MailAnswer, Status, Lost | None]:
        return MailAnswer(550, "5.1.1"), "rejected", "hard_bounce"
