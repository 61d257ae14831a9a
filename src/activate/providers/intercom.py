"""Sends in-app messages and e-mail to Intercom contacts, in the name of a teammate."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, ClassVar

from activate.providers.base import (
    Answer,
    Capabilities,
    HttpAnswer,
    HttpRequest,
    Limits,
    Outcome,
    Outgoing,
    Provider,
    safe_id,
)
from activate.providers.json_api import api_url, json_object, json_request
from activate.providers.options import Option

_CODES = ("parameter_invalid", "parameter_not_found", "not_found", "user_not_found", "bad_request")
_CONTACT = re.compile(r"[0-9a-zA-Z\-]{1,64}")


class Intercom(Provider):
    """POST /messages, one message each. Source: Intercom's OpenAPI description 2.15 (create_message_request, recipient);
    developers.intercom.com/docs/references/rest-api/errors/rate-limiting (10,000 calls a minute, in windows of 10 seconds).
    """

    type = "intercom"
    summary = "Sends in-app messages and e-mail to Intercom contacts, in the name of a teammate."
    example: ClassVar[Mapping[str, Any]] = {
        "access_token": "{{ env_var('INTERCOM_TOKEN') }}", "admin_id": "394051",
    }  # fmt: skip
    declared = (
        Option("access_token", "An access token of your app.", required=True, secret=True),
        Option("admin_id", "The teammate in whose name messages are sent.", "whole", required=True, low=1, high=2**53),
        Option("template", "The style of e-mail.", choices=("plain", "personal"), default="plain"),
        Option("role", "What contacts are: `user` or `lead`.", choices=("user", "lead"), default="user"),
        Option("version", "The API's version.", default="2.15",
               check=lambda value: None if re.fullmatch(r"\d+\.\d+", str(value)) else "write e.g. 2.15"),
        api_url("https://api.intercom.io", "Where the API answers; `https://api.eu.intercom.io` and `https://api.au.intercom.io` "
                "for workspaces there."),
    )  # fmt: skip
    defaults: ClassVar[Limits] = Limits(batch=1, per_second=150, concurrency=8, timeout_seconds=30.0)
    capabilities: ClassVar[Capabilities] = Capabilities(channels=("in_app", "email"))
    notes = """\
The address of both channels is the contact's **Intercom id** (a column of the profiles): the API takes neither your own key nor an e-mail
address.

| channel | blocks |
|---|---|
| `in_app` | `body`; optional `title` (bold, above), `image` (below), `url` (a link at the end) |
| `email` | `subject`, and `html` or `text` |

Intercom documents no deduplication and no time limit: a lost answer leaves the message `unknown`. It returns none of our ids in its
webhooks; the message's own id is kept.

| answer | meaning |
|---|---|
| 200 | accepted |
| 404 `not_found` | `failed`, tried again: a contact made minutes ago cannot be messaged yet (Intercom's words) |
| 400, 422 | rejected, with Intercom's code |
| 401, 403; other 404 | this provider stops for this run |
| 429, 5xx | not taken; tried again |"""

    def refuses(self, message: Outgoing) -> str | None:
        if not _CONTACT.fullmatch(message.address):
            return "bad_contact_id"
        content = message.content
        if message.channel == "email":
            if not content.get("subject"):
                return "no_subject"
            return None if content.get("html") or content.get("text") else "no_text"
        return None if content.get("body") else "no_body"

    @classmethod
    def misfits(cls, options: Mapping[str, Any], channel: str, content: Mapping[str, str], kind: str) -> list[str]:
        del options, kind
        if channel != "email":
            return [] if "body" in content else ["an in-app message of Intercom needs the block `body`"]
        problems = [] if "subject" in content else ["an e-mail of Intercom needs the block `subject`"]
        if not {"html", "text"} & set(content):
            problems.append("an e-mail of Intercom needs the block `html` or `text`")
        return problems

    def build(self, batch: Sequence[Outgoing], at: dt.datetime) -> HttpRequest:
        del at
        (message,) = batch
        body: dict[str, Any] = {
            "from": {"type": "admin", "id": int(self.options["admin_id"])},
            "to": {"type": self.options["role"], "id": message.address},
        }
        if message.channel == "email":
            body |= {
                "message_type": "email",
                "subject": message.content["subject"],
                "body": message.content.get("html") or message.content["text"],
                "template": self.options["template"],
            }
        else:
            body |= {"message_type": "in_app", "body": _in_app(message.content)}
        headers = {"Authorization": f"Bearer {self.options['access_token']}",
                   "Intercom-Version": str(self.options["version"])}  # fmt: skip
        return json_request(f"{self.options['url']}/messages", headers, body)

    def read_http(self, answer: HttpAnswer, batch: Sequence[Outgoing]) -> list[Outcome]:
        (message,) = batch
        told = json_object(answer)
        if 200 <= answer.status < 300:
            known = told.get("id") if str(told.get("id")).isdigit() else None
            return [Outcome(message.message_id, "accepted", safe_id(known, message))]
        errors = told.get("errors")
        first = errors[0] if isinstance(errors, list) and errors else None
        code = first.get("code") if isinstance(first, dict) else None
        if answer.status == 404 and code in ("not_found", "user_not_found"):
            return [Outcome(message.message_id, "failed", None, str(code))]
        outcomes = super().read_http(answer, batch)
        return [outcome._replace(error_code=code) for outcome in outcomes] if code in _CODES else outcomes

    def splits(self, answer: Answer) -> bool:
        del answer
        return False  # one message in a request


def _in_app(content: Mapping[str, str]) -> str:
    """The message as HTML: blocks that are not the body are text and addresses, and escaped."""
    parts = [f"<p><b>{escape(content['title'])}</b></p>"] if content.get("title") else []
    parts.append(content["body"])
    if image := content.get("image"):
        parts.append(f'<p><img src="{escape(image)}"></p>')
    if url := content.get("url"):
        parts.append(f'<p><a href="{escape(url)}">{escape(url)}</a></p>')
    return "".join(parts)
