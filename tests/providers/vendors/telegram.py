"""Telegram's Bot API (core.telegram.org/bots/api, making requests, sendMessage and sendPhoto)."""

from __future__ import annotations

import html
import json
import re
from typing import Any

from activate.providers.base import HttpAnswer, HttpRequest, Lost, Outgoing, Request, Status
from tests.providers.vendors import SECRET

TOKEN = f"123456789:{SECRET}"


class Bot:
    """The published rules of both methods, as a server. `chats` are those that exist; the others are not found."""

    def __init__(self, chats: set[str], blocked: frozenset[str] = frozenset()) -> None:
        self.chats, self.blocked = chats, blocked
        self.sent: list[dict[str, Any]] = []

    def answer(self, request: Request) -> HttpAnswer:
        assert isinstance(request, HttpRequest)
        match = re.fullmatch(r"https://api\.telegram\.org/bot([^/]+)/(\w+)", request.url)
        assert match is not None
        assert request.method == "POST"
        assert request.headers["Content-Type"] == "application/json"
        if match[1] != TOKEN:
            return failure(401, "Unauthorized")
        body = json.loads(request.body)
        known = {"chat_id", "parse_mode", "disable_notification"}
        key, least, most, more = {
            "sendMessage": ("text", 1, 4096, {"text", "link_preview_options"}),
            "sendPhoto": ("caption", 0, 1024, {"photo", "caption"}),
        }[match[2]]
        assert set(body) <= known | more
        assert isinstance(body["chat_id"], int | str)
        text = body.get(key, "")
        if body.get("parse_mode") == "HTML":
            if re.sub(r"</?(b|i|u|s|code|pre|a)( href=\"[^\"]*\")?>", "", text).count("<"):
                return failure(400, "Bad Request: can't parse entities: unsupported start tag")
            text = html.unescape(re.sub(r"<[^>]*>", "", text))
        if len(text.strip()) < least:
            return failure(400, "Bad Request: message text is empty")
        if len(text) > most:
            return failure(400, f"Bad Request: message {'' if key == 'text' else 'caption '}is too long")
        if body["chat_id"] in self.blocked:
            return failure(403, "Forbidden: bot was blocked by the user")
        if body["chat_id"] not in self.chats:
            return failure(400, "Bad Request: chat not found")
        self.sent.append(body)
        chat = {"id": int(body["chat_id"]), "type": "private", "first_name": "Ann"}
        result = {"message_id": 40 + len(self.sent), "date": 1772452800, "chat": chat, "text": text}
        return HttpAnswer(200, {}, json.dumps({"ok": True, "result": result}).encode())


def failure(code: int, description: str, **parameters: int) -> HttpAnswer:
    body: dict[str, Any] = {"ok": False, "error_code": code, "description": description}
    if parameters:
        body["parameters"] = parameters
    return HttpAnswer(code, {}, json.dumps(body).encode())


class Peer:
    section: dict[str, Any] = {"token": TOKEN}
    channel = "chat"
    content = {"body": "1 < 2 & 'so on'"}

    def address(self, n: int) -> str:
        return f"77001{n:04}"

    def taken(self, request: Request, batch: list[Outgoing]) -> HttpAnswer:
        bot = Bot({batch[0].address})
        answer = bot.answer(request)
        assert [body["text"] for body in bot.sent] == ["1 < 2 & 'so on'"]
        return answer

    def refused(self, request: Request, batch: list[Outgoing]) -> tuple[HttpAnswer, Status, Lost | None]:
        return Bot(set(), frozenset({batch[0].address})).answer(request), "rejected", "opted_out"
