"""Sends push notifications through Chabok, to the users that an app has registered there."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit

from activate.providers.base import Capabilities, HttpAnswer, HttpRequest, Limits, Outcome, Outgoing, Provider
from activate.providers.json_api import api_url, json_object, json_request
from activate.providers.options import Option
from activate.providers.push import data_of

_MEDIA = re.compile(r"\.(jpe?g|png|gif)\Z", re.IGNORECASE)


class Chabok(Provider):
    """One user per request: an answer counts devices, so the users of a larger one could not be told apart.

    Source: Chabok's documentation (github.com/chabok-io/chabok-docs, rest-api/send-push.md and guide.md). It gives
    neither limits nor what the statuses of errors mean; these are read in the usual way.
    """

    type = "chabok"
    summary = "Sends push notifications through Chabok, to the users that an app has registered there."
    example: ClassVar[Mapping[str, Any]] = {
        "url": "https://shop.push.adpdigital.com", "access_token": "{{ env_var('CHABOK_TOKEN') }}",
    }  # fmt: skip
    declared = (
        Option("access_token", "The API key, from the panel's accesses and tokens.", required=True, secret=True),
        Option("method", "`toUsers` puts a message into Chabok's inbox and notifies, `notifyUsers` only notifies.",
               default="toUsers", choices=("toUsers", "notifyUsers")),
        Option("channel", "The channel of Chabok to send on; a person's own begins with `private/`."),
        api_url("https://sandbox.push.adpdigital.com",
                "Where the API answers: `https://{APP_ID}.push.adpdigital.com` in production."),
    )  # fmt: skip
    defaults: ClassVar[Limits] = Limits(batch=1, concurrency=4)
    capabilities: ClassVar[Capabilities] = Capabilities(channels=("push",), needs=("body",))
    notes = """\
The address is the user's id, as the app registers it. `*` would be everybody, and is rejected as `bad_address`.

Blocks: `body` (needed) is the message; with a `title` there is a notification of its own, with `url` as its link and
`image` as its picture (jpeg, png or gif by its name), else the message is the notification; `data` is a JSON object
(else `bad_data`). `ttl` is the time until the message expires, `clientId` the message's id, `trackId` the campaign.

A 2xx answer with `{"count": n}` means that it goes to so many devices; 0 is rejected as `no_device`, and the user's id
is used again. Chabok documents neither its limits (set `per_second` as your contract says) nor its errors, which are
read as the webhook's are, and no repeated messages, so what is `unknown` stays so. Its API takes the key in the
address only, so keep addresses out of a proxy's logs."""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        super().__init__(name, options)
        token = quote(self.options["access_token"], safe="")
        self._url = f"{self.options['url'].rstrip('/')}/api/push/{self.options['method']}?access_token={token}"

    def refuses(self, message: Outgoing) -> str | None:
        if message.address.strip() in ("", "*"):
            return "bad_address"
        return "bad_data" if data_of(message.content) is None else super().refuses(message)

    def build(self, batch: Sequence[Outgoing], at: dt.datetime) -> HttpRequest:
        del at
        message = batch[0]
        content = message.content
        body: dict[str, Any] = {
            "user": message.address,
            "content": content["body"],
            "clientId": message.message_id,
            "trackId": message.campaign,
            "channel": self.options["channel"],
            "data": data_of(content),
            "ttl": message.ttl_seconds,
        }
        if content.get("title"):
            body["notification"] = _notification(content)
        else:
            body["useAsAlert"] = True
        return json_request(self._url, {}, {name: part for name, part in body.items() if part not in (None, "", {})})

    def read_http(self, answer: HttpAnswer, batch: Sequence[Outgoing]) -> list[Outcome]:
        if 200 <= answer.status < 300 and json_object(answer).get("count") == 0:
            return [Outcome(message.message_id, "rejected", None, "no_device") for message in batch]
        return super().read_http(answer, batch)


def _notification(content: Mapping[str, str]) -> dict[str, Any]:
    shown: dict[str, Any] = {"title": content["title"], "body": content["body"]}
    if content.get("url"):
        shown["clickUrl"] = content["url"]
    image = content.get("image", "")
    if kind := _MEDIA.search(urlsplit(image).path):
        shown |= {"mediaType": kind[1].lower().replace("jpg", "jpeg"), "mediaUrl": image, "mutableContent": True}
    return shown
