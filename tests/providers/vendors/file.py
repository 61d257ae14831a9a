"""A file takes everything."""

from __future__ import annotations

from typing import Any

from activate.providers.base import FileRequest, Lost, Outgoing, Request, Status


class Peer:
    section: dict[str, Any] = {"path": "out/{date}.jsonl"}
    channel = "email"
    content = {"subject": "Grüße\n", "text": 'Hello "you"\n', "html": "<b>héllo</b>"}

    def address(self, n: int) -> str:
        return f"person{n}@private.example.com"

    def taken(self, request: Request, batch: list[Outgoing]) -> None:
        assert isinstance(request, FileRequest)
        assert request.lines.count(b"\n") == len(batch)

    def refused(self, request: Request, batch: list[Outgoing]) -> tuple[None, Status, Lost | None]:
        return None, "accepted", None
