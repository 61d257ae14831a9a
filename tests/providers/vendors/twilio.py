"""Twilio's Messages resource (twilio.com/docs/messaging/api/message-resource and /docs/api/errors)."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import parse_qs

from activate.providers.base import HttpAnswer, HttpRequest, Lost, Outgoing, Request, Status
from tests.providers.vendors import SECRET

ACCOUNT = "AC" + "0a" * 16
KEY = "SK" + "0b" * 16
SERVICE = "MG" + "0c" * 16


def form_of(request: Request) -> dict[str, list[str]]:
    """The parameters, once path and login are as Twilio asks."""
    assert isinstance(request, HttpRequest)
    assert request.method == "POST"
    assert request.url == f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
    scheme, _, login = request.headers["Authorization"].partition(" ")
    assert (scheme, base64.b64decode(login).decode()) == ("Basic", f"{KEY}:{SECRET}")
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    return parse_qs(request.body.decode("ascii"), strict_parsing=True)


def created(form: dict[str, list[str]]) -> HttpAnswer:
    answer = {
        "account_sid": ACCOUNT, "api_version": "2010-04-01", "body": form.get("Body", [""])[0], "direction": "outbound-api",
        "error_code": None, "error_message": None, "messaging_service_sid": form.get("MessagingServiceSid", [None])[0],
        "from": form.get("From", [None])[0], "num_segments": "0", "sid": "SM" + "0d" * 16, "status": "accepted",
        "to": form["To"][0], "uri": f"/2010-04-01/Accounts/{ACCOUNT}/Messages/SM{'0d' * 16}.json",
    }  # fmt: skip
    return HttpAnswer(201, {"content-type": "application/json"}, json.dumps(answer).encode())


def refusal(code: int, text: str, status: int = 400) -> HttpAnswer:
    answer = {
        "code": code,
        "message": text,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    return HttpAnswer(status, {"content-type": "application/json"}, json.dumps(answer).encode())


class Peer:
    section: dict[str, Any] = {
        "account_sid": ACCOUNT, "key": KEY, "secret": SECRET, "from": SERVICE, "opt_out": "Reply STOP to end",
    }  # fmt: skip
    channel = "sms"
    content = {"body": "Grüße & 1+1=2 €"}

    def address(self, n: int) -> str:
        return f"+49151000{n:05}"

    def taken(self, request: Request, batch: list[Outgoing]) -> HttpAnswer:
        form = form_of(request)
        assert form == {
            "To": [batch[0].address], "MessagingServiceSid": [SERVICE], "ValidityPeriod": ["3600"],
            "Body": ["Grüße & 1+1=2 €\nReply STOP to end"],
        }  # fmt: skip
        return created(form)

    def refused(self, request: Request, batch: list[Outgoing]) -> tuple[HttpAnswer, Status, Lost | None]:
        to = form_of(request)["To"][0]
        return refusal(21610, f"Attempt to send to unsubscribed recipient {to}"), "rejected", "opted_out"
