"""Keeps an audience in Iterable as a static list."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from activate.destinations.answers import no_hash, page_of, people, usual_verdict
from activate.destinations.base import MEMBER, Abilities, Changes, Destination, Page, Pending, Refusal, Verdict
from activate.providers.base import HttpAnswer, HttpRequest, Limits
from activate.providers.iterable import failed_people
from activate.providers.json_api import USER_AGENT, api_url, json_object, json_request
from activate.providers.options import Option

if TYPE_CHECKING:
    from activate.audience import Mapped


class IterableAudience(Destination):
    """One POST to `/api/lists/subscribe` or `/api/lists/unsubscribe` per batch.

    Requests and answers: api.iterable.com/api/docs (its description: api.iterable.com/api-docs).
    """

    type = "iterable"
    summary = "Keeps an audience in Iterable as a static list."
    example: ClassVar[Mapping[str, Any]] = {
        "api_key": "{{ env_var('ITERABLE_API_KEY') }}", "list_id": 123456, "id_type": "email",
    }  # fmt: skip
    declared = (
        api_url("https://api.iterable.com", "Where the API answers; in the EU https://api.eu.iterable.com."),
        Option("api_key", "A server-side API key.", required=True, secret=True),
        Option("list_id", "The number of the static list that holds the audience.", "whole", required=True, low=1),
        Option("id_type", "What `identify_by` is, as the project identifies people.", default="user_id",
               choices=("user_id", "email")),
        Option("create_people", "Whether people whom Iterable does not know are made.", "flag", default=True),
        Option("batch", "People per request.", "whole", default=1_000, low=1, high=1_000),
    )  # fmt: skip
    defaults: ClassVar[Limits] = Limits(batch=1_000, per_second=5, concurrency=2, timeout_seconds=30)
    notes = """\
Mapped fields become `dataFields` of the person. Those who leave are taken off the list and stay subscribed to its channel.

| answer | meaning |
|---|---|
| 200 | taken, except those listed in `failedUpdates` (invalid, forgotten, in conflict, not found), who are rejected; that somebody to be removed is not found is no error. Failures that are counted and not listed: `unknown`, sent again at the next sync |
| 400 | the batch is halved until the row is found |
| 401, 403, 404 | we are refused |
| 429, 5xx | not taken; tried again (502, 504: `unknown`) |

With `create_people: false`, projects that identify people by user id or by both ignore unknown ones. Members are read back
from `/api/lists/getUsers`, one a line, in one answer of at most a megabyte (some 30,000 addresses): a longer list cannot be
read back. Iterable allows that question 5 times a minute. For subscribing, the API's description states neither a limit of
people nor of requests: 1,000 people, 5 times a second, is our choice.\
"""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        super().__init__(name, options)
        self._url = self.options["url"].rstrip("/")
        self._headers = {"Api-Key": self.options["api_key"]}
        self._key = "email" if self.options["id_type"] == "email" else "userId"

    @classmethod
    def abilities_of(cls, options: Mapping[str, Any]) -> Abilities:
        del options
        return Abilities(reads_back=True)

    @classmethod
    def holds_several(cls, options: Mapping[str, Any]) -> bool:
        del options
        return False

    @classmethod
    def audience_problems(cls, options: Mapping[str, Any], identify_by: Mapped, fields: Sequence[str]) -> list[str]:
        del options
        return no_hash(cls.type, identify_by) + [
            f"iterable knows people by {name!r}; write it as `identify_by`, not as a field"
            for name in fields if name in ("email", "userId")
        ]  # fmt: skip

    def build(self, changes: Changes, at: dt.datetime) -> HttpRequest:
        del at
        body: dict[str, Any] = {"listId": self.options["list_id"]}
        if changes.phase == "remove":
            body["subscribers"] = [{self._key: member} for member, _ in people(changes)]
            return json_request(f"{self._url}/api/lists/unsubscribe", self._headers, body)
        create = bool(self.options["create_people"])
        made = {"preferUserId": True} if create and self._key == "userId" else {}
        body["subscribers"] = [{self._key: member, "dataFields": fields, **made} for member, fields in people(changes)]
        body["updateExistingUsersOnly"] = not create
        return json_request(f"{self._url}/api/lists/subscribe", self._headers, body)

    def read(self, answer: HttpAnswer | None, changes: Changes) -> Verdict | Pending:
        assert answer is not None
        verdict = usual_verdict(answer)
        if verdict is not None:
            return verdict
        told = json_object(answer)
        failures = failed_people(told)
        members = changes.rows.column(MEMBER).to_pylist()
        named = {at: failures[member.lower()] for at, member in enumerate(members) if member.lower() in failures}
        remove = changes.phase == "remove"
        but = {at: Refusal("rejected", why) for at, why in named.items() if not (remove and why.startswith("notFound"))}
        count = told.get("failCount")
        if isinstance(count, int) and count > len(named):
            return Verdict("unknown", "failures_not_listed", but=but)
        return Verdict(but=but)

    def ask_members(self, audience: str) -> HttpRequest | None:
        del audience
        prefer = "true" if self._key == "userId" else "false"
        url = f"{self._url}/api/lists/getUsers?listId={self.options['list_id']}&preferUserId={prefer}"
        return HttpRequest("GET", url, {**self._headers, "User-Agent": USER_AGENT}, b"")

    def read_members(self, answer: HttpAnswer) -> Page:
        return Page([line for line in page_of(answer).body.decode().splitlines() if line])
