"""Sends WhatsApp messages through Twilio: approved templates, or free text within 24 hours of the person's last word."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import urlencode

from activate.providers.base import Advice, Capabilities, HttpRequest, Outgoing
from activate.providers.options import Option
from activate.providers.twilio import ACCOUNT, E164, SERVICE, STATUSES, Twilio

_BODY = 1_600
_CONTENT = re.compile(r"HX[0-9a-fA-F]{32}")


def _check_sender(value: str) -> str | None:
    if E164.fullmatch(value) or SERVICE.fullmatch(value):
        return None
    return (
        f"{value!r} is not a sender; write a number (+14155552345, without `whatsapp:`) or a messaging service (MG...)"
    )


class WhatsApp(Twilio):
    """Twilio's Messages resource with `whatsapp:` addresses.

    Source: twilio.com/docs/messaging/api/message-resource (ContentSid, ContentVariables),
    twilio.com/docs/api/errors/63016 (only approved templates outside the 24-hour window; no Body beside a template),
    twilio.com/docs/api/errors/21658 (1,600 characters in the body and in each variable).
    """

    type = "whatsapp"
    summary = "Sends WhatsApp messages through Twilio."
    example: ClassVar[Mapping[str, Any]] = {
        "account_sid": "AC00000000000000000000000000000000", "key": "SK00000000000000000000000000000000",
        "secret": "{{ env_var('TWILIO_SECRET') }}", "from": "+14155552345",
    }  # fmt: skip
    declared: ClassVar[tuple[Option, ...]] = (
        *ACCOUNT,
        Option("from", "The WhatsApp sender's number, or the messaging service (`MG...`) that chooses one.", required=True,
               check=_check_sender),
    )  # fmt: skip
    capabilities: ClassVar[Capabilities] = Capabilities(channels=("whatsapp",))
    notes = f"""\
A business may begin a conversation only with a template that WhatsApp approved; free text is taken within 24 hours of
the person's last message, else it fails later with 63016.

Blocks of a template: `content_sid` (the approved template in Twilio's Content Editor, `HX...`) and `content_variables`
(its placeholders as a JSON object of texts); or `body` (free text, at most 1,600 characters) with an optional
`media_url` (one address). With `content_sid`, `body` and `media_url` are left out, as Twilio asks.

```jinja
{{% block content_sid %}}HX00000000000000000000000000000000{{% endblock %}}
{{% block content_variables %}}{{"1": {{{{ profile.first_name | tojson }}}}}}{{% endblock %}}
```

`dbt-activate lint` warns of a marketing template without `content_sid`. Codes: `bad_content_sid`,
`bad_content_variables` (no JSON object of texts, or one of more than 1,600 characters).

{STATUSES}"""

    def refuses(self, message: Outgoing) -> str | None:
        content = message.content
        if not E164.fullmatch(message.address):
            return "bad_address"
        if sid := content.get("content_sid"):
            if not _CONTENT.fullmatch(sid):
                return "bad_content_sid"
            return None if _variables(content) is not None else "bad_content_variables"
        if not content.get("body") and not content.get("media_url"):
            return "no_body"
        if len(content.get("media_url", "").split()) > 1:
            return "too_much_media"
        return "too_long" if len(content.get("body", "")) > _BODY else None

    @classmethod
    def misfits(cls, options: Mapping[str, Any], channel: str, content: Mapping[str, str], kind: str) -> list[str]:
        del options, channel
        if not {"content_sid", "body", "media_url"} & content.keys():
            return ["the template has none of the blocks content_sid, body and media_url, so nothing would be sent"]
        if "content_sid" in content:
            ignored = sorted({"body", "media_url"} & content.keys())
            return [Advice(f"the block {name} is not sent beside content_sid") for name in ignored]
        found: list[str] = []
        if len(content.get("body", "")) > _BODY:
            found.append(f"the fixed text of the body has {len(content['body']):,} characters; Twilio takes {_BODY:,}")
        if kind == "marketing":
            found.append(Advice("a body of free text reaches only those who wrote in the last 24 hours (Twilio's error "
                                "63016); name an approved template in a block content_sid"))  # fmt: skip
        return found

    def build(self, batch: Sequence[Outgoing], at: dt.datetime) -> HttpRequest:
        del at
        message, content = batch[0], batch[0].content
        form = [("To", f"whatsapp:{message.address}"), *self._sender(), *self._shared(message)]
        if sid := content.get("content_sid"):
            form.append(("ContentSid", sid))
            if variables := _variables(content):
                form.append(("ContentVariables", json.dumps(variables, ensure_ascii=False)))
        else:
            form += [(key, content[block]) for key, block in (("Body", "body"), ("MediaUrl", "media_url"))
                     if content.get(block)]  # fmt: skip
        return HttpRequest("POST", self._url, self._headers, urlencode(form).encode())

    def _sender(self) -> list[tuple[str, str]]:
        return [(key, f"whatsapp:{value}" if key == "From" else value) for key, value in super()._sender()]


def _variables(content: Mapping[str, str]) -> dict[str, str] | None:
    """The placeholders' values; None if they are not a JSON object of texts that fit."""
    try:
        found = json.loads(content.get("content_variables") or "{}")
    except (ValueError, RecursionError):
        return None
    fits = isinstance(found, dict) and all(isinstance(value, str) and len(value) <= _BODY for value in found.values())
    return found if fits else None
