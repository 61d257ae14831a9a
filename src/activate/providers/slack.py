"""Posts messages to Slack channels and direct messages."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import urlencode

from activate.providers.base import (
    Answer,
    Capabilities,
    HttpAnswer,
    HttpRequest,
    Limits,
    Outcome,
    Outgoing,
    Provider,
    Status,
    Unusable,
    safe_code,
    safe_id,
)
from activate.providers.json_api import USER_AGENT, api_url, json_object
from activate.providers.options import Option

_TEXT = 40_000
_SECTION = 3_000
# docs.slack.dev/reference/methods/chat.postMessage, errors.
_OURS = frozenset({
    "not_authed", "invalid_auth", "account_inactive", "token_revoked", "token_expired", "missing_scope", "no_permission",
    "not_allowed_token_type", "access_denied", "accesslimited", "org_login_required", "ekm_access_denied",
    "enterprise_is_restricted", "team_access_not_granted", "team_not_found", "two_factor_setup_required",
    "deprecated_endpoint", "method_deprecated", "invalid_post_type",
})  # fmt: skip
_LATER = frozenset({
    "ratelimited", "rate_limited", "message_limit_exceeded", "service_unavailable", "request_timeout", "team_added_to_org",
})  # fmt: skip
# "It's possible some aspect of the operation succeeded before the error was raised."
_IN_DOUBT = frozenset({"internal_error", "fatal_error"})


class Slack(Provider):
    """One POST per message to `chat.postMessage`, form-encoded, with the bot's token.

    Source: docs.slack.dev/reference/methods/chat.postMessage (text is cut off beyond 40,000 characters),
    docs.slack.dev/apis/web-api/rate-limits (one message per second and channel, and a limit for the workspace that is not
    put into figures: five a second are a guess, and 429 says more by `Retry-After`),
    docs.slack.dev/reference/block-kit/blocks/section-block (3,000 characters). Slack's own clients send a
    `client_msg_id`; its maintainers say that it is not for other apps (slackapi/java-slack-sdk#852), so a message cannot
    be told apart from its repetition.
    """

    type = "slack"
    summary = "Posts messages to Slack channels and direct messages."
    example: ClassVar[Mapping[str, Any]] = {"token": "{{ env_var('SLACK_BOT_TOKEN') }}"}
    declared: ClassVar[tuple[Option, ...]] = (
        Option("token", "The bot's token, `xoxb-...`, with the scope `chat:write`.", required=True, secret=True),
        Option("markup", "Whether templates write Slack's markup (`*bold*`, `<https://example.com|link>`, `<@U123>`); "
               "without it, text is shown as it is.", "flag", default=False),
        Option("unfurl", "Whether links get a preview.", "flag", default=False),
        api_url("https://slack.com/api"),
    )  # fmt: skip
    defaults: ClassVar[Limits] = Limits(batch=1, per_second=5, concurrency=2)
    capabilities: ClassVar[Capabilities] = Capabilities(channels=("chat",), needs=("body",))
    notes = """\
A person's address is the id of a channel the bot is in (`C...`), of a direct message (`D...`), or of a user (`U...`),
to whom the bot then writes directly.

Blocks of a template: `body`, and optionally `media_url`, the https address of a picture shown below it, with
`media_alt`, what it shows. The body may have 40,000 characters, or 3,000 with a picture. It is shown as it is written; with `markup: true` it is Slack's own
markup, and what comes from data has to be escaped by the template: a name such as `<!channel>` would call everybody.

Slack answers 200 with `"ok": false` for most errors:

| answer | meaning |
|---|---|
| `ok` | taken; `ts` is kept as the provider's message id |
| 429, `ratelimited`, `message_limit_exceeded`, `service_unavailable`, `request_timeout` | not taken; tried again, after `Retry-After` |
| `channel_not_found`, `is_archived`, `not_in_channel`, `msg_too_long` and others | rejected under this name |
| `internal_error`, `fatal_error`, a 200 that cannot be read, 502, 504 | `unknown`: Slack may have taken it |
| `invalid_auth`, `not_authed`, `account_inactive`, `token_revoked`, `missing_scope` and the like | we are refused: this provider stops for this run, no message is lost |

An address is never given up: a channel can be opened again, and the bot invited. Slack documents no deduplication, so
an `unknown` message is not repeated; nor does it report opens or clicks. `per_second` is for the whole workspace, whose
limit Slack does not publish in figures; to one channel it takes one message per second."""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        super().__init__(name, options)
        self._url = f"{self.options['url'].rstrip('/')}/chat.postMessage"
        self._headers = {
            "Authorization": f"Bearer {self.options['token']}",
            "Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json", "User-Agent": USER_AGENT,
        }  # fmt: skip

    def refuses(self, message: Outgoing) -> str | None:
        most = _SECTION if message.content.get("media_url") else _TEXT
        if len(self._text(message)) > most:
            return "too_long"
        return super().refuses(message)

    @classmethod
    def misfits(cls, options: Mapping[str, Any], channel: str, content: Mapping[str, str], kind: str) -> list[str]:
        del options, channel, kind
        most, length = _SECTION if content.get("media_url") else _TEXT, len(content.get("body", ""))
        beside = " beside a picture" if most == _SECTION else ""
        if length <= most:
            return []
        return [f"the fixed text of the body has {length:,} characters; Slack takes {most:,}{beside}"]

    def build(self, batch: Sequence[Outgoing], at: dt.datetime) -> HttpRequest:
        del at
        message = batch[0]
        text, picture = self._text(message), message.content.get("media_url")
        markup, unfurl = (str(self.options[name]).lower() for name in ("markup", "unfurl"))
        form = {
            "channel": message.address,
            "text": text,
            "mrkdwn": markup,
            "unfurl_links": unfurl,
            "unfurl_media": unfurl,
        }
        if picture:
            kind, shown = ("mrkdwn", text) if self.options["markup"] else ("plain_text", message.content["body"])
            blocks = [
                {"type": "section", "text": {"type": kind, "text": shown}},
                {"type": "image", "image_url": picture, "alt_text": message.content.get("media_alt") or "picture"},
            ]
            form["blocks"] = json.dumps(blocks, ensure_ascii=False)
        return HttpRequest("POST", self._url, self._headers, urlencode(form).encode())

    def _text(self, message: Outgoing) -> str:
        text = message.content.get("body", "")
        if self.options["markup"]:
            return text
        # The three characters that are markup wherever text stands (docs.slack.dev/messaging/formatting-message-text).
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    def read_http(self, answer: HttpAnswer, batch: Sequence[Outgoing]) -> list[Outcome]:
        message, told = batch[0], json_object(answer)
        error = str(told.get("error"))
        if error in _OURS:
            raise Unusable(error, f"Slack refuses us ({error}); check the bot's token and scopes")
        if not 200 <= answer.status < 300:
            return super().read_http(answer, batch)
        if told.get("ok") is True:
            return [Outcome(message.message_id, "accepted", safe_id(told.get("ts"), message))]
        if told.get("ok") is not False:
            return [Outcome(message.message_id, "unknown", None, "bad_answer", "the answer cannot be read")]
        status: Status = "failed" if error in _LATER else "unknown" if error in _IN_DOUBT else "rejected"
        return [Outcome(message.message_id, status, None, safe_code(error, message))]

    def splits(self, answer: Answer) -> bool:
        del answer
        return False  # one message each: what is wrong with it is told by name
