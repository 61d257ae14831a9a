"""Twilio's Messages resource with WhatsApp addresses and a content template."""

from __future__ import annotations

import json
from typing import Any

from activate.providers.base import HttpAnswer, Lost, Outgoing, Request, Status
from tests.providers.vendors import SECRET
from tests.providers.vendors.twilio import ACCOUNT, KEY, created, form_of, refusal

TEMPLATE = "HX" + "0e" * 16


class Peer:
    section: dict[str, Any] = {"account_sid": ACCOUNT, "key": KEY, "secret": SECRET, "from": "+14155552345"}
    channel = "whatsapp"
    content = {"content_sid": TEMPLATE, "content_variables": '{"1": "Zoë"}'}

    def address(self, n: int) -> str:
        return f"+49151000{n:05}"

    def taken(self, request: Request, batch: list[Outgoing]) -> HttpAnswer:
        form = form_of(request)
        assert json.loads(form.pop("ContentVariables")[0]) == {"1": "Zoë"}
        assert form == {
            "To": [f"whatsapp:{batch[0].address}"], "From": ["whatsapp:+14155552345"], "ContentSid": [TEMPLATE],
            "ValidityPeriod": ["3600"],
        }  # fmt: skip
        return created(form)

    def refused(self, request: Request, batch: list[Outgoing]) -> tuple[HttpAnswer, Status, Lost | None]:
        to = form_of(request)["To"][0]
        return refusal(63003, f"Channel could not find To address {to}"), "rejected", "hard_bounce"
