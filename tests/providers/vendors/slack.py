"""Slack's chat.postMessage (docs.slack.dev/reference/methods/chat.postMessage)."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

from activate.providers.base import HttpAnswer, HttpRequest, Lost, Outgoing, Request, Status
from tests.providers.vendors import SECRET


class Peer:
    section: dict[str, Any] = {"token": SECRET}
    channel = "chat"
    content = {"body": "1 < 2 & *not bold*"}

    def address(self, n: int) -> str:
        return f"U0PRIVATE{n}"

    def taken(self, request: Request, batch: list[Outgoing]) -> HttpAnswer:
        assert isinstance(request, HttpRequest)
        assert (request.method, request.url) == ("POST", "https://slack.com/api/chat.postMessage")
        assert request.headers["Authorization"] == f"Bearer {SECRET}"
        assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
        form = parse_qs(request.body.decode("ascii"), strict_parsing=True)
        assert form == {
            "channel": [batch[0].address], "text": ["1 &lt; 2 &amp; *not bold*"], "mrkdwn": ["false"],
            "unfurl_links": ["false"], "unfurl_media": ["false"],
        }  # fmt: skip
        message = {"text": form["text"][0], "type": "message", "subtype": "bot_message", "ts": "1503435956.000247"}
        answer = {"ok": True, "channel": "D0123", "ts": "1503435956.000247", "message": message}
        return HttpAnswer(200, {}, json.dumps(answer).encode())

    def refused(self, request: Request, batch: list[Outgoing]) -> tuple[HttpAnswer, Status, Lost | None]:
        return HttpAnswer(200, {}, b'{"ok": false, "error": "channel_not_found"}'), "rejected", None
