"""A table takes everything."""

from __future__ import annotations

from typing import Any

from activate.providers.base import Lost, Outgoing, Request, RowsRequest, Status


class Peer:
    section: dict[str, Any] = {"table": "app.inbox"}
    channel = "card"
    content = {"title": "Grüße", "body": 'Hello "you"', "url": "https://shop.example.com/a", "image": "/a.png",
               "data": '{"pinned": true}'}  # fmt: skip

    def address(self, n: int) -> str:
        return f"person{n}@private.example.com"

    def taken(self, request: Request, batch: list[Outgoing]) -> None:
        assert isinstance(request, RowsRequest)
        assert str(request.relation) == "app.inbox"
        rows = request.rows.to_pylist()
        assert [row[request.key] for row in rows] == [message.message_id for message in batch]
        assert all(row[part] == text for row in rows for part, text in self.content.items())

    def refused(self, request: Request, batch: list[Outgoing]) -> tuple[None, Status, Lost | None]:
        return None, "accepted", None
