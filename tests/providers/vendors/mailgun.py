"""Mailgun's side of POST /v3/DOMAIN/messages (its OpenAPI description and its manual, batch sending)."""

from __future__ import annotations

import email
import email.policy
import json
import re
from typing import Any

from activate.providers.base import HttpAnswer, HttpRequest, Lost, Outgoing, Request, Status
from tests.providers.vendors import SECRET


def read_form(request: HttpRequest) -> dict[str, list[str]]:
    """The fields of a multipart form, read by the standard library's mail parser."""
    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
    form = email.message_from_bytes(head + request.body, policy=email.policy.HTTP)
    found: dict[str, list[str]] = {}
    for part in form.iter_parts():
        name = part.get_param("name", header="content-disposition")
        found.setdefault(str(name), []).append(part.get_payload(decode=True).decode())
    return found


def delivered(form: dict[str, list[str]]) -> dict[str, dict[str, str]]:
    """What each recipient gets, by address: the fields with that person's variables filled in."""
    variables: dict[str, dict[str, str]] = json.loads(form.get("recipient-variables", ["{}"])[0])
    return {address: _filled(form, variables.get(address, {})) for address in form["to"]}


def _filled(form: dict[str, list[str]], variables: dict[str, str]) -> dict[str, str]:
    return {
        name: re.sub(r"%recipient\.(\w+)%", lambda hit: variables.get(hit[1], hit[0]), values[0])
        for name, values in form.items()
        if name in ("subject", "text", "html") or name[:2] in ("v:", "h:")
    }


class Peer:
    section: dict[str, Any] = {
        "domain": "mg.shop.example.com", "api_key": SECRET, "from": "Läden & Co. <a@shop.example.com>",
        "unsubscribe_url": "https://shop.example.com/{token}", "unsubscribe_secret": SECRET,
    }  # fmt: skip
    channel = "email"
    content = {"subject": "Grüße\n", "text": 'Hello "you"\nand you', "html": "<b>héllo</b>"}

    def address(self, n: int) -> str:
        return f"person{n}@private.example.com"

    def taken(self, request: Request, batch: list[Outgoing]) -> HttpAnswer:
        assert isinstance(request, HttpRequest)
        assert (request.method, request.url) == ("POST", "https://api.mailgun.net/v3/mg.shop.example.com/messages")
        assert request.headers["Authorization"] == "Basic YXBpOmEtc2VjcmV0LXRoYXQtbm9ib2R5LW1heS1zZWU="
        form = read_form(request)
        assert form["from"] == ['"Läden & Co." <a@shop.example.com>']
        assert len(form["to"]) <= 1000
        assert form["o:deliver-within"] == ["1h0m"]
        got = delivered(form)
        assert list(got) == [message.address for message in batch]
        for message in batch:
            mine = got[message.address]
            assert (mine["subject"], mine["text"], mine["html"]) == (
                "Grüße",
                self.content["text"],
                self.content["html"],
            )
            assert mine["v:message_id"] == message.message_id
            assert mine["h:List-Unsubscribe"].startswith("<https://shop.example.com/")
            assert mine["h:List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert len({mine["h:List-Unsubscribe"] for mine in got.values()}) == len(batch)
        return HttpAnswer(200, {}, b'{"id": "<2026.1.ABC@mg.shop>", "message": "Queued. Thank you."}')

    def refused(self, request: Request, batch: list[Outgoing]) -> tuple[HttpAnswer, Status, Lost | None]:
        # A bad recipient refuses the whole request, which is then halved; a suppressed one is taken and fails later.
        return self.taken(request, batch), "accepted", None
