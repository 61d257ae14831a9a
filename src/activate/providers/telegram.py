"""Sends messages from a Telegram bot."""

from __future__ import annotations

import datetime as dt
import html
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from activate.providers.base import (
    Answer,
    Capabilities,
    HttpAnswer,
    HttpRequest,
    Limits,
    Lost,
    Outcome,
    Outgoing,
    Provider,
    Unusable,
    safe_id,
)
from activate.providers.json_api import api_url, json_object, json_request
from activate.providers.options import Option

_TEXT = 4_096
_CAPTION = 1_024
_TAG = re.compile(r"<[^<>]*>")
_TOKEN = re.compile(r"[0-9]+:[A-Za-z0-9_-]{20,}")
_CHAT = re.compile(r"-?[0-9]{1,20}|@[A-Za-z0-9_]{4,64}")
# How the Bot API describes what happened; its texts are matched, never kept.
_REFUSALS: tuple[tuple[str, str, Lost | None], ...] = (
    ("bot was blocked by the user", "blocked", "opted_out"),
    ("user is deactivated", "user_deactivated", "unregistered"),
    ("can't initiate conversation", "not_started", None),
    ("bot was kicked", "kicked", "unregistered"),
    ("chat not found", "chat_not_found", "unregistered"),
    ("upgraded to a supergroup", "chat_migrated", "unregistered"),
    ("message is too long", "too_long", None),
    ("caption is too long", "too_long", None),
    ("can't parse entities", "bad_html", None),
    ("message text is empty", "no_body", None),
    ("wrong file identifier/http url", "bad_media", None),
    ("failed to get http url content", "bad_media", None),
)


class Telegram(Provider):
    """One POST per message to `sendMessage`, or to `sendPhoto` where there is a picture.

    Source: core.telegram.org/bots/api (making requests: the token is part of the path; `ok`, `description`,
    `parameters.retry_after`; sendMessage: 1 to 4,096 characters after entities parsing; sendPhoto: caption of 0 to 1,024),
    core.telegram.org/bots/faq (30 messages per second in all, one per second to a chat, 20 per minute to a group). The
    descriptions of errors are not part of the published interface; those known here are collected at
    github.com/TelegramBotAPI/errors.
    """

    type = "telegram"
    summary = "Sends messages from a Telegram bot."
    example: ClassVar[Mapping[str, Any]] = {"token": "{{ env_var('TELEGRAM_BOT_TOKEN') }}"}
    declared: ClassVar[tuple[Option, ...]] = (
        Option("token", "The bot's token, as BotFather gave it.", required=True, secret=True,
               check=lambda token: None if _TOKEN.fullmatch(token) else "is not a bot's token (digits, `:`, letters)"),
        Option("silent", "Whether messages arrive without a sound.", "flag", default=False),
        Option("preview", "Whether links get a preview.", "flag", default=False),
        api_url("https://api.telegram.org"),
    )  # fmt: skip
    defaults: ClassVar[Limits] = Limits(batch=1, per_second=30, concurrency=4)
    capabilities: ClassVar[Capabilities] = Capabilities(channels=("chat",))
    notes = """\
A person's address is the id of the chat with the bot (a number), which the bot learns when the person starts it; `@name`
works for channels.

Blocks of a template: `body`, shown as it is written; or `html`, in the tags that Telegram knows (`<b>`, `<i>`,
`<a href="...">` and so on), where what comes from data is escaped by itself. Optionally `media_url`, the address of a
picture, which the text is then the caption of. A text may have 4,096 characters without its tags, a caption 1,024; more
is `too_long`.

| answer | meaning |
|---|---|
| `ok` | taken; the provider's message id is the message's number in its chat |
| 403, blocked by the user | rejected; the person is not written to again (`opted_out`) |
| 403, user is deactivated, bot was kicked; 400, chat not found, group became a supergroup | rejected; the address is dead (`unregistered`) |
| 403, bot can't initiate conversation | rejected as `not_started`; the address may come to life |
| other 400 and 403 | rejected |
| 429 | not taken; tried again after `parameters.retry_after` seconds |
| 5xx except 502 and 504 | not taken; tried again |
| 502, 504, a 200 that cannot be read | `unknown`: Telegram may have taken it |
| 401, 404 | the token is wrong: this provider stops for this run, no message is lost |

Telegram knows no deduplication, so an `unknown` message is not repeated. The token is part of every request's address;
Activate keeps addresses out of logs and errors."""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        super().__init__(name, options)
        self._url = f"{self.options['url'].rstrip('/')}/bot{self.options['token']}"

    def refuses(self, message: Outgoing) -> str | None:
        content = message.content
        if not _CHAT.fullmatch(message.address):
            return "bad_address"
        if not content.get("html") and not content.get("body") and not content.get("media_url"):
            return "no_body"
        return "too_long" if _length(content) > (_CAPTION if content.get("media_url") else _TEXT) else None

    @classmethod
    def misfits(cls, options: Mapping[str, Any], channel: str, content: Mapping[str, str], kind: str) -> list[str]:
        del options, channel, kind
        if not {"body", "html", "media_url"} & content.keys():
            return ["the template has none of the blocks body, html and media_url, so nothing would be sent"]
        block = "html" if content.get("html") else "body"
        most, what = (_CAPTION, "beside a picture") if content.get("media_url") else (_TEXT, "in a message")
        if _length(content) <= most:
            return []
        return [f"the fixed text of {block} has {_length(content):,} characters; Telegram takes {most:,} {what}"]

    def build(self, batch: Sequence[Outgoing], at: dt.datetime) -> HttpRequest:
        del at
        message = batch[0]
        markup, picture = message.content.get("html"), message.content.get("media_url")
        text = markup or message.content.get("body", "")
        body: dict[str, Any] = {"chat_id": message.address}
        body |= {"photo": picture, "caption": text} if picture else {"text": text}
        if markup:
            body["parse_mode"] = "HTML"
        if self.options["silent"]:
            body["disable_notification"] = True
        if not picture and not self.options["preview"]:
            body["link_preview_options"] = {"is_disabled": True}
        return json_request(f"{self._url}/{'sendPhoto' if picture else 'sendMessage'}", {}, body)

    def read_http(self, answer: HttpAnswer, batch: Sequence[Outgoing]) -> list[Outcome]:
        message, told = batch[0], json_object(answer)
        if 200 <= answer.status < 300:
            result = told.get("result")
            if told.get("ok") is not True:
                return [Outcome(message.message_id, "unknown", None, "bad_answer", "the answer cannot be read")]
            number = result.get("message_id") if isinstance(result, dict) else None
            return [Outcome(message.message_id, "accepted", safe_id(number, message))]
        if answer.status in (401, 404):
            raise Unusable(f"http_{answer.status}", f"Telegram answered {answer.status}; check the bot's token")
        if answer.status not in (400, 403):
            return super().read_http(answer, batch)
        description = str(told.get("description")).lower()
        for words, code, lost in _REFUSALS:
            if words in description:
                return [Outcome(message.message_id, "rejected", None, code, None, lost)]
        return [Outcome(message.message_id, "rejected", None, f"http_{answer.status}")]

    def asked_wait(self, answer: HttpAnswer, at: dt.datetime) -> float | None:
        del at
        parameters = json_object(answer).get("parameters")
        seconds = parameters.get("retry_after") if isinstance(parameters, dict) else None
        return float(seconds) if isinstance(seconds, int) and not isinstance(seconds, bool) and seconds >= 0 else None

    def splits(self, answer: Answer) -> bool:
        del answer
        return False  # one message each: what is wrong with it is told in words


def _length(content: Mapping[str, str]) -> int:
    """Characters after entities parsing: without tags, and with `&amp;` as one."""
    markup = content.get("html")
    return len(html.unescape(_TAG.sub("", markup)).strip() if markup else content.get("body", ""))
