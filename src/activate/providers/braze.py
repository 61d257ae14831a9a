"""Hands messages to Braze: as content, as triggers of its campaigns and Canvases, or as events."""

from __future__ import annotations

import datetime as dt
import html
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar

import orjson

from activate.providers.base import (
    Answer,
    HttpAnswer,
    HttpRequest,
    Limits,
    Outcome,
    Outgoing,
    Provider,
    Unusable,
    safe_id,
)
from activate.providers.engagement import KNOWN_BY, data_of, has_bad_data, is_liquid, known_as, properties
from activate.providers.json_api import api_url, epoch_wait, json_object, json_request
from activate.providers.options import Option

_PATHS = {
    "message": "/messages/send", "campaign": "/campaigns/trigger/send", "canvas": "/canvas/trigger/send",
    "event": "/users/track",
}  # fmt: skip
# The blocks that a channel's message object cannot do without, and the options.
_NEEDS = {
    "email": (("subject",), ("app_id", "from")),
    "sms": (("body",), ("app_id", "subscription_group_id")),
    "push": (("title", "body"), ()),
    "web_push": (("title", "body"), ()),
    "card": (("title", "body"), ()),
}
_RECIPIENTS, _EVENTS = 50, 75
_EVENT_TEXT, _APPLE_BYTES, _CARD_BYTES = 255, 1912, 2048
_CARD_SECONDS = 30 * 86_400
# Fatal errors that speak of the account's set-up and of no recipient (api/errors/#fatal-errors).
_SETUP = ("campaign", "canvas", "variant", "variation", "message type", "app_id", "subscription group")


class Braze(Provider):
    """One POST per batch. Limits and answers: www.braze.com/docs/api/api_limits and /docs/api/errors.

    Requests: docs/api/endpoints/messaging/send_messages/ and docs/api/endpoints/user_data/post_user_track; message
    objects: docs/api/objects_filters/messaging/.
    """

    type = "braze"
    summary = "Hands messages to Braze: as content, as triggers of its campaigns and Canvases, or as events."
    example: ClassVar[Mapping[str, Any]] = {
        "url": "https://rest.fra-01.braze.eu", "api_key": "{{ env_var('BRAZE_API_KEY') }}",
        "send_by": "campaign", "campaign_id": "417220e4-5a2a-b634-7f7d-9ec891532368",
    }  # fmt: skip
    declared = (
        api_url("https://rest.iad-01.braze.com", "The REST endpoint of your Braze instance."),
        Option("api_key", "A REST API key with the permission that `send_by` needs.", required=True, secret=True),
        Option("send_by", "`message`: our rendered content; `campaign` or `canvas`: triggers one of Braze's, with our "
               "blocks as properties; `event`: a custom event.", default="message", choices=tuple(_PATHS)),
        Option("campaign_id", "The API-triggered campaign; with `send_by: message`, where Braze counts the sends."),
        Option("message_variation_id", "With `send_by: message`, the campaign's message that sends are counted under."),
        Option("canvas_id", "The API-triggered Canvas."),
        Option("event", "The custom event's name.", default="activate_message"),
        Option("app_id", "The app identifier; e-mail and SMS messages need one."),
        Option("from", "E-mail's sender, e.g. `Shop <hello@shop.example.com>`; e-mail messages need one."),
        Option("reply_to", "Where answers to e-mail go."),
        Option("subscription_group_id", "The subscription group that sends SMS; SMS messages need one."),
        KNOWN_BY,
        Option("batch", "People per request: at most 50, and 75 for events.", "whole", default=_RECIPIENTS, low=1,
               high=_EVENTS),
    )  # fmt: skip
    # 250,000 requests an hour, shared by most endpoints.
    defaults: ClassVar[Limits] = Limits(batch=_RECIPIENTS, per_second=69, concurrency=4)
    notes = """\
People are Braze's `external_id`: the profile's key, or the channel's address with `known_by: address`. Braze reaches
them by the address, token or phone number in its own profile.

| `send_by` | request | what Braze gets |
|---|---|---|
| `message` | `/messages/send` | the rendered message. One content per request, so personalised texts travel one by one |
| `campaign` | `/campaigns/trigger/send` | `trigger_properties` for each of up to 50 people: the blocks by name, `message_id`, `campaign`, `step`, `variant`. In Braze: `{{api_trigger_properties.${body}}}` |
| `canvas` | `/canvas/trigger/send` | the same as `context`. In Braze: `{{context.${body}}}` |
| `event` | `/users/track` | a custom event with the same as properties; a text longer than 255 characters is rejected (`too_long`) |

Blocks with `send_by: message`: `email` uses `subject`, `html` (or `text`), `text`, `preheader`; `sms` uses `body`;
`push` and `web_push` use `title`, `body`, `url`, `image`, `data` (an Apple and an Android push are sent, for
whichever the person has); `card` uses the same and makes a Content Card of at most 2 KB, which lives as long as the
message, at most 30 days. Other channels are carried by the other ways only. Transactional messages reach people who
are unsubscribed (`recipient_subscription_state: all`). A rendered text that holds `{{` or `{%` is rejected as
`liquid`: Braze would evaluate it.

| answer | meaning |
|---|---|
| 2xx | taken, except those that `errors` tell by `index`, which are rejected. Errors without an index: `unknown` |
| 2xx with a `notice`: the campaign or Canvas is paused or archived, and nothing is sent | we are refused |
| 400 that names the campaign, Canvas, variation, app or subscription group, 401, 403, 404 | we are refused |
| other 400 | the batch is halved until the message is found |
| 429 | not taken; tried again at `X-RateLimit-Reset` |
| 5xx | not taken (Braze asks for retries), but 502 and 504 are `unknown` |

Braze takes a person that it does not know without a word. It documents no deduplication of these requests ("duplicate
events are treated as separate"), so `unknown` messages stay unknown. `dispatch_id`, one per request, is kept as the
provider's message id; Currents and postbacks tell it back. `/users/track` allows 3,000 requests in 3 seconds by
default; some plans take 50 events per request and have an hourly limit.\
"""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        super().__init__(name, options)
        self._way = str(self.options["send_by"])
        self._url = self.options["url"].rstrip("/") + _PATHS[self._way]
        self._headers = {"Authorization": f"Bearer {self.options['api_key']}"}

    @classmethod
    def conflicts(cls, options: Mapping[str, Any]) -> list[str]:
        way = options.get("send_by") or "message"
        found = []
        if way in ("campaign", "canvas") and not options.get(f"{way}_id"):
            found.append(f"'{way}_id' is missing: with `send_by: {way}` it is triggered")
        if way == "message" and bool(options.get("campaign_id")) != bool(options.get("message_variation_id")):
            found.append("'campaign_id' and 'message_variation_id' go together with `send_by: message`")
        if way != "event" and str(options.get("batch") or "").isdigit() and int(options["batch"]) > _RECIPIENTS:
            found.append(f"'batch' is at most {_RECIPIENTS} unless `send_by: event`")
        return found

    @classmethod
    def misfits(cls, options: Mapping[str, Any], channel: str, content: Mapping[str, str], kind: str) -> list[str]:
        del kind
        if (options.get("send_by") or "message") != "message":
            return []
        if channel not in _NEEDS:
            carried = ", ".join(_NEEDS)
            return [f"braze carries {carried} with `send_by: message`, not {channel}; trigger a campaign instead"]
        blocks, settings = _NEEDS[channel]
        found = [f"a braze {channel} message needs the block `{block}`" for block in blocks if block not in content]
        if channel == "email" and not content.keys() & {"text", "html"}:
            found.append("a braze email message needs the block `html` or `text`")
        return found + [f"a braze {channel} message needs the option `{name}`" for name in settings
                        if not options.get(name)]  # fmt: skip

    def refuses(self, message: Outgoing) -> str | None:
        if has_bad_data(message):
            return "bad_data"
        if self._way == "event":
            texts = [text for block, text in message.content.items() if block != "data"]
            return "too_long" if any(len(text) > _EVENT_TEXT for text in texts) else None
        return self._unfit(message) if self._way == "message" else None

    def _unfit(self, message: Outgoing) -> str | None:
        content, channel = message.content, message.channel
        if channel not in _NEEDS:
            return "wrong_channel"
        blocks, settings = _NEEDS[channel]
        missing = [block for block in blocks if not content.get(block)]
        missing += [name for name in settings if not self.options[name]]
        if channel == "email" and not (content.get("html") or content.get("text")):
            missing.append("text")
        if missing:
            return f"no_{missing[0]}"
        if is_liquid(message):
            return "liquid"
        if channel == "sms" and content.get("media_url"):
            return "no_media"
        bytes_ = len(orjson.dumps(dict(content)))
        most = {"push": _APPLE_BYTES, "card": _CARD_BYTES}.get(channel)
        return "too_long" if most is not None and bytes_ > most else None

    def together(self, message: Outgoing) -> Hashable:
        if self._way != "message":
            return None
        content = tuple(sorted(message.content.items()))
        return message.channel, message.message_class, message.ttl_seconds, content

    def build(self, batch: Sequence[Outgoing], at: dt.datetime) -> HttpRequest:
        if self._way == "message":
            body = self._messages(batch, at)
        elif self._way == "event":
            time = at.replace(tzinfo=dt.UTC).isoformat()
            body = {"events": [{"external_id": known_as(self.options, message), "name": self.options["event"],
                                "time": time, "properties": properties(message)} for message in batch]}  # fmt: skip
            if self.options["app_id"]:
                body["events"] = [{**event, "app_id": self.options["app_id"]} for event in body["events"]]
        else:
            name = "trigger_properties" if self._way == "campaign" else "context"
            body = {f"{self._way}_id": self.options[f"{self._way}_id"], "broadcast": False,
                    "recipients": [{"external_user_id": known_as(self.options, message), name: properties(message)}
                                   for message in batch]}  # fmt: skip
        return json_request(self._url, self._headers, body)

    def _messages(self, batch: Sequence[Outgoing], at: dt.datetime) -> dict[str, Any]:
        first = batch[0]
        body: dict[str, Any] = {
            "external_user_ids": [known_as(self.options, message) for message in batch],
            "broadcast": False,
            "recipient_subscription_state": "all" if first.message_class == "transactional" else "subscribed",
            "messages": self._objects(first, at),
        }
        if self.options["campaign_id"]:
            body["campaign_id"] = self.options["campaign_id"]
            for part in body["messages"].values():
                part["message_variation_id"] = self.options["message_variation_id"]
        return body

    def _objects(self, message: Outgoing, at: dt.datetime) -> dict[str, dict[str, Any]]:
        content, options, ttl = message.content, self.options, message.ttl_seconds
        if message.channel == "email":
            text = content.get("text")
            return {"email": _told(
                app_id=options["app_id"], subject=content["subject"], **{"from": options["from"]},
                reply_to=options["reply_to"], body=content.get("html") or _as_html(text or ""), plaintext_body=text,
                preheader=content.get("preheader"),
            )}  # fmt: skip
        if message.channel == "sms":
            return {"sms": {"app_id": options["app_id"], "subscription_group_id": options["subscription_group_id"],
                            "body": content["body"]}}  # fmt: skip
        title, text, url, image = content["title"], content["body"], content.get("url"), content.get("image")
        if message.channel == "card":
            return {"content_card": _told(
                type="CAPTIONED_IMAGE" if image else "CLASSIC", title=title, description=text, image_url=image,
                time_to_live=min(ttl or _CARD_SECONDS, _CARD_SECONDS), ios_uri=url, android_uri=url, web_uri=url,
                extra=data_of(message),
            )}  # fmt: skip
        extra = data_of(message)
        if message.channel == "web_push":
            return {"web_push": _told(title=title, alert=text, custom_uri=url, large_image_url=image,
                                      time_to_live=ttl, extra=extra)}  # fmt: skip
        expiry = None if ttl is None else (at.replace(tzinfo=dt.UTC) + dt.timedelta(seconds=ttl)).isoformat()
        pictured = {**extra, "appboy_image_url": image} if image else extra
        return {
            "apple_push": _told(alert={"title": title, "body": text}, custom_uri=url, expiry=expiry, extra=extra),
            "android_push": _told(title=title, alert=text, custom_uri=url, time_to_live=ttl, extra=pictured),
        }

    def read_http(self, answer: HttpAnswer, batch: Sequence[Outgoing]) -> list[Outcome]:
        if _is_setup(answer):
            raise Unusable(
                "http_400", "Braze refuses the request's set-up: check the campaign, Canvas and app that it names"
            )
        outcomes = super().read_http(answer, batch)
        if not 200 <= answer.status < 300:
            return outcomes
        told = json_object(answer)
        if told.get("notice"):
            raise Unusable(
                "not_running", "Braze answers that the campaign or Canvas is paused or archived: it sends nothing"
            )
        dispatch = told.get("dispatch_id")
        at, lost = read_errors(told, len(batch), "events_processed")
        return [
            Outcome(message.message_id, "rejected", None, "refused") if number in at
            else Outcome(message.message_id, "unknown", safe_id(dispatch, message), "told_error") if lost
            else Outcome(message.message_id, "accepted", safe_id(dispatch, message))
            for number, message in enumerate(batch)
        ]  # fmt: skip

    def asked_wait(self, answer: HttpAnswer, at: dt.datetime) -> float | None:
        return epoch_wait(answer, "x-ratelimit-reset", at) if answer.status == 429 else None

    def splits(self, answer: Answer) -> bool:
        return super().splits(answer) and not (isinstance(answer, HttpAnswer) and _is_setup(answer))


def read_errors(told: Mapping[str, Any], count: int, processed: str) -> tuple[set[int], bool]:
    """The positions that an answer's minor errors name, and whether some error names none.

    Errors without a position harmed nobody if the answer counts (`processed`) everybody as taken.
    """
    errors = told.get("errors")
    if not errors:
        return set(), False
    items = errors if isinstance(errors, list) else [errors]
    found = [item.get("index") if isinstance(item, dict) else None for item in items]
    at = {index for index in found if isinstance(index, int) and not isinstance(index, bool) and 0 <= index < count}
    placed = all(isinstance(index, int) and index in at for index in found)
    return at, not placed and told.get(processed) != count


def _is_setup(answer: HttpAnswer) -> bool:
    if answer.status != 400:
        return False
    text = str(json_object(answer).get("message", "")).lower()
    return any(word in text for word in _SETUP)


def _told(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in (None, "", {})}


def _as_html(text: str) -> str:
    return html.escape(text).replace("\n", "<br>\n")
