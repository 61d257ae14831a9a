"""Keeps a tag on Intercom contacts equal to a segment."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote

from activate.audience import EXTERNAL_ID, Mapped
from activate.destinations.answers import Unreadable, fields_of, members_of, verdict_of, word
from activate.destinations.base import Abilities, Changes, Destination, Page, Pending, Verdict
from activate.providers.base import HttpAnswer, HttpRequest, Limits, Unusable
from activate.providers.json_api import USER_AGENT, api_url, json_object, json_request
from activate.providers.options import Option

_PER_PAGE = 150
_ID = re.compile(r"[A-Za-z0-9]{1,64}")
# Attributes of a contact itself (Create Contact, API 2.15); all other fields are custom attributes.
_OWN = frozenset({"email", "phone", "name", "avatar", "signed_up_at", "last_seen_at", "owner_id",
                  "unsubscribed_from_emails"})  # fmt: skip
_CODES = ("not_found", "conflict", "parameter_invalid", "parameter_not_found", "unauthorized", "api_plan_restricted",
          "rate_limit_exceeded", "bad_request", "company_not_found", "invalid_document", "unique_user_constraint")  # fmt: skip


class Intercom(Destination):
    """Contacts are searched by external id, made or updated, then tagged or untagged: one at a time.

    Sources: Intercom's OpenAPI description 2.15 (contacts, contacts/search, contacts/{id}/tags) and
    developers.intercom.com/docs/references/rest-api/errors/rate-limiting (10,000 calls a minute for a private app, counted in
    windows of 10 seconds).
    """

    type = "intercom"
    summary = "Keeps a tag on Intercom contacts equal to a segment, and their attributes up to date."
    example: ClassVar[Mapping[str, Any]] = {
        "tag_id": "7522907", "access_token": "{{ env_var('INTERCOM_TOKEN') }}",
    }  # fmt: skip
    declared = (
        Option("tag_id", "The tag's id.", required=True,
               check=lambda value: None if str(value).isdigit() else "a tag's id has digits only"),
        Option("access_token", "An access token of your app.", required=True, secret=True),
        Option("version", "The API's version.", default="2.15",
               check=lambda value: None if re.fullmatch(r"\d+\.\d+", str(value)) else "write e.g. 2.15"),
        api_url("https://api.intercom.io", "Where the API answers; `https://api.eu.intercom.io` and `https://api.au.intercom.io` "
                "for workspaces there."),
    )  # fmt: skip
    defaults: ClassVar[Limits] = Limits(batch=1, per_second=150, concurrency=8)
    notes = """\
Make the tag in Intercom, and write one destination for each. A person's contact is the one whose `external_id` is their key; one that
is missing is made, as a user. `fields` named `email`, `phone`, `name`, `avatar`, `signed_up_at`, `last_seen_at`, `owner_id` and
`unsubscribed_from_emails` are the contact's own attributes, all others custom attributes, which must exist in Intercom.

Each person takes two or three requests (search; make or update; tag): Intercom documents tagging of many contacts at once, but
no untagging, no limit, and no answer for each. A contact that was made minutes ago may not be found by search yet (Intercom's words):
making it again is a `conflict` and is tried again; taking the tag away finds nobody, and counts as done. Members are read back by
search.

| answer | meaning |
|---|---|
| the tag | taken |
| 400, 422 | the row is rejected, with Intercom's code |
| 404 when tagging; 409 | `failed`: the contact was merged, or is not to be found yet; tried again |
| 401, 403; 404 when searching | we are refused: the sync stops |
| 429, 5xx | not taken; tried again |"""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        super().__init__(name, options)
        self._url = self.options["url"]
        self._headers = {"Authorization": f"Bearer {self.options['access_token']}",
                         "Intercom-Version": str(self.options["version"])}  # fmt: skip

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
        del options
        problems = []
        if identify_by.column != EXTERNAL_ID and identify_by.hash is None:
            problems.append("intercom finds contacts by their external id; write `identify_by: external_id`")
        problems += [f"{name!r} cannot be set in Intercom" for name in fields if name in ("id", "external_id", "role")]
        return problems

    def build(self, changes: Changes, at: dt.datetime) -> HttpRequest:
        del at
        (member,) = members_of(changes)
        return self._search({"field": "external_id", "operator": "=", "value": member}, 1)

    def read(self, answer: HttpAnswer | None, changes: Changes) -> Verdict | Pending:
        """The answer to the search."""
        assert answer is not None
        told = json_object(answer)
        if not 200 <= answer.status < 300:
            return verdict_of(answer, _code(told, answer))
        found = told.get("data")
        if not isinstance(found, list):
            return Verdict("failed", "not_told")  # a search changes nothing
        (member,) = members_of(changes)
        contact = next((_id(one) for one in found if isinstance(one, dict) and one.get("external_id") == member), None)
        if changes.phase == "remove":
            return self._untag(contact) if contact else Verdict("accepted", "no_contact")
        fields = _attributes(fields_of(changes)[0])
        if contact is None:
            body = {"role": "user", "external_id": member, **fields}
            return Pending(
                json_request(f"{self._url}/contacts", self._headers, body), 0.0, step=True, reader=self._kept
            )
        if not fields:
            return self._tag(contact)
        update = json_request(f"{self._url}/contacts/{contact}", self._headers, fields, "PUT")
        return Pending(update, 0.0, step=True, reader=self._kept)

    def _kept(self, answer: HttpAnswer, changes: Changes) -> Verdict | Pending:
        """The answer to a contact's creation or update."""
        del changes
        told = json_object(answer)
        if not 200 <= answer.status < 300:
            return _refusal(answer, told)
        contact = _id(told)
        return self._tag(contact) if contact else Verdict("failed", "not_told")

    def _tag(self, contact: str) -> Pending:
        body = {"id": self.options["tag_id"]}
        return Pending(json_request(f"{self._url}/contacts/{contact}/tags", self._headers, body), 0.0, step=True,
                       reader=_tagged)  # fmt: skip

    def _untag(self, contact: str) -> Pending:
        url = f"{self._url}/contacts/{contact}/tags/{self.options['tag_id']}"
        headers = {**self._headers, "Accept": "application/json", "User-Agent": USER_AGENT}
        return Pending(HttpRequest("DELETE", url, headers, b""), 0.0, step=True, reader=_untagged)

    def _search(self, query: Mapping[str, Any], per_page: int, after: str | None = None) -> HttpRequest:
        pagination = {"per_page": per_page} | ({"starting_after": after} if after else {})
        return json_request(f"{self._url}/contacts/search", self._headers, {"query": query, "pagination": pagination})

    def splits(self, answer: HttpAnswer | None) -> bool:
        del answer
        return False  # one row in a request

    def ask_members(self, audience: str) -> HttpRequest:
        del audience
        return self._members(None)

    def _members(self, after: str | None) -> HttpRequest:
        return self._search({"field": "tag_id", "operator": "=", "value": self.options["tag_id"]}, _PER_PAGE, after)

    def read_members(self, answer: HttpAnswer) -> Page:
        told = json_object(answer)
        if not 200 <= answer.status < 300:
            raise Unusable(f"http_{answer.status}", f"asked for the tag's contacts, Intercom answered {answer.status}")
        found = told.get("data")
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise Unreadable("Intercom's answer has no list `data`")
        pages = told.get("pages")
        following = pages.get("next") if isinstance(pages, dict) else None
        after = following.get("starting_after") if isinstance(following, dict) else None
        names = [str(one["external_id"]) for one in found if one.get("external_id")]
        return Page(names, self._members(after) if isinstance(after, str) else None)


def _tagged(answer: HttpAnswer, changes: Changes) -> Verdict:
    del changes
    told = json_object(answer)
    if 200 <= answer.status < 300:
        return Verdict() if told.get("type") == "tag" else Verdict("unknown", "not_told")
    return _refusal(answer, told)


def _untagged(answer: HttpAnswer, changes: Changes) -> Verdict:
    if answer.status == 404 and _code(json_object(answer), answer) == "not_found":
        return Verdict("accepted", "not_found")  # the contact, or the tag on it, is gone
    return _tagged(answer, changes)


def _refusal(answer: HttpAnswer, told: Mapping[str, Any]) -> Verdict:
    code = _code(told, answer)
    if answer.status in (404, 409):
        return Verdict("failed", code)
    return verdict_of(answer, code)


def _code(told: Mapping[str, Any], answer: HttpAnswer) -> str:
    errors = told.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    return word(first.get("code") if isinstance(first, dict) else None, _CODES, f"http_{answer.status}")


def _id(contact: Mapping[str, Any]) -> str | None:
    """A contact's id, as it may stand in an address."""
    found = contact.get("id")
    return quote(found) if isinstance(found, str) and _ID.fullmatch(found) else None


def _attributes(fields: Mapping[str, Any]) -> dict[str, Any]:
    own = {name: value for name, value in fields.items() if name in _OWN}
    custom = {name: value for name, value in fields.items() if name not in _OWN}
    return own | ({"custom_attributes": custom} if custom else {})
