"""Sends push notifications, e-mail and SMS through OneSignal."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar

from activate.providers.base import (
    Capabilities,
    HttpAnswer,
    HttpRequest,
    Limits,
    Outcome,
    Outgoing,
    Provider,
)
from activate.providers.json_api import api_url, json_object, json_request
from activate.providers.options import Option
from activate.providers.push import data_of, size, too_long, uuid_of

_DATA = 2_048
_LONGEST_TTL = 28 * 86_400
_NEEDS = {"push": "body", "web_push": "body", "sms": "body", "email": "subject"}
_SUBSCRIPTION = "subscription_id"


def _check_app(value: str) -> str | None:
    return None if _uuid(value) else f"{value!r} is not an app id, which is a UUID"


def _check_target(value: str) -> str | None:
    known = re.fullmatch(r"[A-Za-z0-9_\-]{1,128}", value)
    return None if known else f"{value!r} is neither `subscription_id` nor the label of an alias"


class OneSignal(Provider):
    """One request per content: `POST /notifications`.

    Sources: documentation.onesignal.com/reference: push-notification, email, sms (20,000 recipients), rate-limits (150
    requests a second on free plans, 6,000 on paid ones), idempotent-notification-requests (30 days); the vendor's
    OpenAPI description of 2023 (names of fields, `data` of 2,048 bytes, time to live of 28 days).
    """

    type = "onesignal"
    summary = "Sends push notifications, e-mail and SMS through OneSignal."
    example: ClassVar[Mapping[str, Any]] = {
        "app_id": "8250eaf6-1a58-489e-b136-7c74a864b434", "api_key": "{{ env_var('ONESIGNAL_API_KEY') }}",
        "target": "external_id",
    }  # fmt: skip
    declared = (
        Option("app_id", "The app's id.", required=True, check=_check_app),
        Option("api_key", "The app's API key.", required=True, secret=True),
        Option("target", "What the address is: `subscription_id`, or the label of an alias such as `external_id` or "
               "`onesignal_id`.", default=_SUBSCRIPTION, check=_check_target),
        Option("batch", "People per request at most; those of one request have the same content.", "whole", default=1,
               low=1, high=20_000),
        Option("sms_from", "The number that SMS come from, in E.164."),
        Option("collapse", "Whether a later push of the same campaign takes the place of an earlier one.", "flag",
               default=False),
        api_url("https://api.onesignal.com"),
    )  # fmt: skip
    defaults: ClassVar[Limits] = Limits(batch=1, per_second=150, concurrency=16)
    capabilities: ClassVar[Capabilities] = Capabilities(channels=("push", "web_push", "email", "sms"))
    notes = """\
Blocks: for push and web push `title`, `body` (needed), `url`, `image` and `data` (a JSON object of at most 2,048
bytes, else `too_long`; one that is none is `bad_data`); for e-mail `subject` (needed), `html` or `text`, and
`preheader`; for SMS `body` (needed) and `media_url`. `sms_from` names the sender of SMS. The time until a push expires
goes along as `ttl`.

Every request has an `idempotency_key` made of its messages' ids, which OneSignal remembers for 30 days. With `batch`
1, the default, that is a key of the message: it can be repeated safely, and the id in OneSignal's events is its own.
With a larger `batch` people with the same content share a request; then a lost answer leaves its messages `unknown`,
since the next run may put them together otherwise. Take it for announcements that are the same for all.

| answer | meaning |
|---|---|
| 200 with an `id` | taken, except those in `errors.invalid_player_ids`: rejected, and their address is not used again |
| 200 with an `id` and `errors.invalid_aliases` | taken: some of a person's devices are not subscribed, but others are, which of a larger batch cannot be told |
| 200 without an `id` | nobody is subscribed: rejected as `not_subscribed`; a subscription's id is not used again, an alias is, since a person may subscribe later |
| 400, 413, 422 | some message is bad: the batch is halved until it is found |
| 429, 500, 503 | not taken; tried again, after `Retry-After` if it says so |
| 401, 403, 404 | we are refused: this provider stops for this run, no message is lost |

OneSignal takes 150 requests a second on free plans, 6,000 on paid ones (`per_second`). More than ten messages per
subscriber within 15 minutes, however they are cut into requests, make it disable the app."""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        super().__init__(name, options)
        self._url = f"{self.options['url'].rstrip('/')}/notifications"

    @property
    def idempotent(self) -> bool:
        """Only a request of one message is sure to be made again as it was."""
        return bool(self.options["batch"] == 1)

    @classmethod
    def misfits(cls, options: Mapping[str, Any], channel: str, content: Mapping[str, str], kind: str) -> list[str]:
        del kind
        found = []
        if channel in ("push", "web_push"):
            found += too_long({"data": content.get("data", "")}, _DATA, "OneSignal's `data`")
        needed = _NEEDS.get(channel)
        if needed and needed not in content:
            found.append(f"OneSignal needs the block {needed!r} on the channel {channel!r}")
        if channel == "email" and not ({"html", "text"} & set(content)):
            found.append("OneSignal needs the block 'html' or 'text' for e-mail")
        if channel == "sms" and not options.get("sms_from"):
            found.append("OneSignal needs the option 'sms_from' for SMS")
        return found

    def refuses(self, message: Outgoing) -> str | None:
        content = message.content
        needed = _NEEDS.get(message.channel, "body")
        if not content.get(needed):
            return f"no_{needed}"
        if message.channel == "email":
            return None if content.get("html") or content.get("text") else "no_text"
        if message.channel == "sms":
            return None if self.options["sms_from"] else "no_sender"
        data = data_of(content)
        if data is None:
            return "bad_data"
        return "too_long" if size(data) > _DATA else None

    def together(self, message: Outgoing) -> Hashable:
        content = tuple(sorted(message.content.items()))
        return message.campaign, message.step, message.variant, message.channel, message.ttl_seconds, content

    def build(self, batch: Sequence[Outgoing], at: dt.datetime) -> HttpRequest:
        del at
        first = batch[0]
        addresses = list(dict.fromkeys(message.address for message in batch))
        body: dict[str, Any] = {
            "app_id": self.options["app_id"],
            "name": f"{first.campaign}/{first.step}",
            "idempotency_key": uuid_of(*(message.message_id for message in batch)),
        }
        if self.options["target"] == _SUBSCRIPTION:
            body["include_subscription_ids"] = addresses
        else:
            body["include_aliases"] = {self.options["target"]: addresses}
            body["target_channel"] = "push" if first.channel == "web_push" else first.channel
        body |= self._content(first)
        return json_request(self._url, {"Authorization": f"Key {self.options['api_key']}"}, body)

    def _content(self, message: Outgoing) -> dict[str, Any]:
        content = message.content
        if message.channel == "email":
            body = {"email_subject": content["subject"], "email_body": content.get("html") or content.get("text", "")}
            return body | ({"email_preheader": content["preheader"]} if content.get("preheader") else {})
        if message.channel == "sms":
            media = {"sms_media_urls": [content["media_url"]]} if content.get("media_url") else {}
            return {"contents": {"en": content["body"]}, "sms_from": self.options["sms_from"], **media}
        image = content.get("image")
        parts: dict[str, Any] = {
            "contents": {"en": content["body"]},
            "headings": {"en": content["title"]} if content.get("title") else None,
            "url": content.get("url"),
            "data": data_of(content),
            "big_picture": image,
            "chrome_web_image": image,
            "ios_attachments": {"image": image} if image else None,
            "collapse_id": message.campaign[:64] if self.options["collapse"] else None,
        }
        if message.ttl_seconds is not None:
            parts["ttl"] = min(max(0, message.ttl_seconds), _LONGEST_TTL)
        return {name: part for name, part in parts.items() if part not in (None, "", {})}

    def read_http(self, answer: HttpAnswer, batch: Sequence[Outgoing]) -> list[Outcome]:
        if not 200 <= answer.status < 300:
            return super().read_http(answer, batch)
        told = json_object(answer)
        known = told.get("id")
        errors = told.get("errors")
        invalid = errors.get("invalid_player_ids") if isinstance(errors, dict) else None
        gone = {one for one in invalid if isinstance(one, str)} if isinstance(invalid, list) else set()
        if isinstance(known, str) and known:
            by_subscription = self.options["target"] == _SUBSCRIPTION
            taken_as = _uuid(known) if known not in {message.address for message in batch} else None
            return [
                self._not_subscribed(message) if by_subscription and message.address in gone
                else Outcome(message.message_id, "accepted", taken_as)
                for message in batch
            ]  # fmt: skip
        if errors and not known:
            return [self._not_subscribed(message, lost=not gone or message.address in gone) for message in batch]
        return [Outcome(message.message_id, "unknown", None, "bad_result") for message in batch]

    def _not_subscribed(self, message: Outgoing, lost: bool = True) -> Outcome:
        lost = lost and self.options["target"] == _SUBSCRIPTION
        return Outcome(message.message_id, "rejected", None, "not_subscribed", None, "unregistered" if lost else None)


def _uuid(value: str) -> str | None:
    try:
        return str(uuid.UUID(value))
    except ValueError:
        return None
