"""Keeps an audience in Iterable as a static list."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, ClassVar

from activate.audience import Mapped
from activate.destinations.base import Abilities, Changes, Destination, Page, Pending, Refusal, Verdict
from activate.destinations.engagement import page_of, people, reserved, usual_verdict
from activate.providers.base import HttpAnswer, HttpRequest, Limits
from activate.providers.iterable import failed_people
from activate.providers.json_api import USER_AGENT, api_url, json_object, json_request
from activate.providers.options import Option


class IterableAudience(Destination):
    """One POST to `/api/lists/subscribe` or `/api/lists/unsubscribe` per batch.

    Requests and answers: api.iterable.com/api/docs (its description: api.iterable.com/api-docs).
    """

    type = "iterable"
    summary = "Keeps an audience in Iterable as a static list."
    example: ClassVar[Mapping[str, Any]] = {
        "api_key": "{{ env_var('ITERABLE_API_KEY') }}", "list_id": 123456,
    }  # fmt: skip
    declared = (
        api_url("https://api.iterable.com", "Where the API answers; in the EU https://api.eu.iterable.com."),
        Option("api_key", "A server-side API key.", required=True, secret=True),
        Option("list_id", "The number of the static list that holds the audience.", "whole", required=True, low=1),
        Option("create_people", "Whether people whom Iterable does not know are made.", "flag", default=True),
        Option("batch", "People per request.", "whole", default=1_000, low=1, high=1_000),
    )  # fmt: skip
    defaults: ClassVar[Limits] = Limits(batch=1_000, per_second=5, concurrency=2, timeout_seconds=30)
    notes = """\
People are known by their key, which is Iterable's `userId`. Mapped fields become `dataFields` of the person; map
`email` too, so that those whom Iterable does not know can be written to. Those who leave are taken off the list and
stay subscribed to its channel.

| answer | meaning |
|---|---|
| 200 | taken, except those listed in `failedUpdates` (invalid, forgotten, in conflict, not found), who are rejected; that somebody to be removed is not found is no error. Failures that are counted and not listed: `unknown`, sent again at the next sync |
| 400 | the batch is halved until the row is found |
| 401, 403, 404 | we are refused |
| 429, 5xx | not taken; tried again (502, 504: `unknown`) |

With `create_people: false`, projects that identify people by user id or by both ignore unknown ones. Members are read
back from `/api/lists/getUsers` (those without a `userId` by their address, so they are taken for strangers), one a
line, in one answer of at most a megabyte (some 30,000 ids): a longer list cannot be read back. Iterable allows that
question 5 times a minute. For subscribing, the API's description states neither a limit of people nor of requests:
1,000 people, 5 times a second, is our choice.\
"""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        super().__init__(name, options)
        self._url = self.options["url"].rstrip("/")
        self._headers = {"Api-Key": self.options["api_key"]}

    @classmethod
    def abilities_of(cls, options: Mapping[str, Any]) -> Abilities:
        del options
        return Abilities(reads_back=True)

    @classmethod
    def holds_several(cls, options: Mapping[str, Any]) -> bool:
        del options
        return False

    @classmethod
    def audience_problems(
        cls, options: Mapping[str, Any], identify_by: Mapped, fields: Mapping[str, Mapped]
    ) -> list[str]:
        del options, identify_by
        return reserved(cls.type, ("userId",), fields)

    def build(self, changes: Changes, at: dt.datetime) -> HttpRequest:
        del at
        body: dict[str, Any] = {"listId": self.options["list_id"]}
        if changes.phase == "remove":
            body["subscribers"] = [{"userId": member} for member, _ in people(changes)]
            return json_request(f"{self._url}/api/lists/unsubscribe", self._headers, body)
        create = bool(self.options["create_people"])
        body["subscribers"] = [{"userId": member, "dataFields": fields, "preferUserId": create}
                               for member, fields in people(changes)]  # fmt: skip
        body["updateExistingUsersOnly"] = not create
        return json_request(f"{self._url}/api/lists/subscribe", self._headers, body)

    def read(self, answer: HttpAnswer | None, changes: Changes) -> Verdict | Pending:
        assert answer is not None
        verdict = usual_verdict(answer)
        if verdict is not None:
            return verdict
        told = json_object(answer)
        failures = failed_people(told)
        named = {
            at: failures[name]
            for at, (member, fields) in enumerate(people(changes))
            for name in (str(fields.get("email", "")).lower(), member)
            if name in failures
        }
        remove = changes.phase == "remove"
        but = {at: Refusal("rejected", why) for at, why in named.items() if not (remove and why.startswith("notFound"))}
        count = told.get("failCount")
        if isinstance(count, int) and count > len(named):
            return Verdict("unknown", "failures_not_listed", but=but)
        return Verdict(but=but)

    def ask_members(self, audience: str) -> HttpRequest | None:
        del audience
        url = f"{self._url}/api/lists/getUsers?listId={self.options['list_id']}&preferUserId=true"
        return HttpRequest("GET", url, {**self._headers, "User-Agent": USER_AGENT}, b"")

    def read_members(self, answer: HttpAnswer) -> Page:
        return Page([line for line in page_of(answer).body.decode().splitlines() if line])
