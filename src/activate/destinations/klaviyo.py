"""Keeps an audience in Klaviyo as a list."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote, urljoin, urlsplit

from activate.audience import Mapped
from activate.destinations.base import (
    MEMBER,
    Abilities,
    Changes,
    Destination,
    Page,
    Pending,
    Phase,
    Refusal,
    Verdict,
)
from activate.destinations.engagement import Unreadable, page_of, people, reserved, usual_verdict
from activate.providers.base import HttpAnswer, HttpRequest, Limits
from activate.providers.json_api import USER_AGENT, api_url, json_object, json_request
from activate.providers.klaviyo import REVISION, headers
from activate.providers.options import Option

_OWN = frozenset({"email", "phone_number", "first_name", "last_name", "organization", "locale", "title",
                  "image"})  # fmt: skip
_PAGE = 100
_JOB_SECONDS, _STEP_SECONDS = 2.0, 0.5
_AT = re.compile(r"/profiles/data/(\d+)(?:/|$)")
_LIST = re.compile(r"[A-Za-z0-9]{1,40}")


class KlaviyoAudience(Destination):
    """Additions are bulk import jobs; removals look the profiles' ids up and take them off the list.

    Requests and limits: developers.klaviyo.com/en/reference/bulk_import_profiles (10,000 profiles, 5 MB; 10 a second, 150 a
    minute), get_bulk_import_profiles_job, get_errors_for_bulk_import_profiles_job, get_profiles (100 a page),
    remove_profiles_from_list (1,000 profiles; 10 a second, 150 a minute) and get_profiles_for_list.
    """

    type = "klaviyo"
    summary = "Keeps an audience in Klaviyo as a list."
    example: ClassVar[Mapping[str, Any]] = {
        "api_key": "{{ env_var('KLAVIYO_API_KEY') }}", "list_id": "Y6nRLr",
    }  # fmt: skip
    declared = (
        api_url("https://a.klaviyo.com"),
        Option("api_key", "A private API key with `lists` and `profiles`, read and write.", required=True, secret=True),
        Option("list_id", "The list that holds the audience, e.g. `Y6nRLr`.", required=True,
               check=lambda name: None if _LIST.fullmatch(name) else "is not a list's id"),
        Option("batch", "People per import job; removals are always at most 100 a request.", "whole", default=1_000, low=1,
               high=10_000),
        REVISION,
    )  # fmt: skip
    defaults: ClassVar[Limits] = Limits(batch=1_000, per_second=2.5, concurrency=2, timeout_seconds=30)
    notes = """\
People are known by their key, which is Klaviyo's `external_id`. Additions and changes: one import job per batch,
which makes people whom Klaviyo does not know and adds all to the list; the job is asked every two seconds until it is
complete. Fields named `email`, `phone_number`, `first_name`, `last_name`, `organization`, `locale`, `title` or
`image` are the profile's own, others its custom properties; a field that is null clears nothing. To be on a list is
no consent: Klaviyo keeps that apart.

Removals take two requests per 100 people, since Klaviyo takes profiles off a list by its own ids only: those of the
people are looked up, and taken off. Whom Klaviyo does not know need not be removed.

| answer | meaning |
|---|---|
| a job that is complete | taken, except those in its `import-errors`, which are rejected |
| more than 100 import errors in a job | those that are told are rejected, the rest is `unknown` and sent again at the next sync |
| a job that is cancelled | not taken; tried again |
| 400, 413, 422 | the batch is halved until the row is found |
| 401, 403, 404 | we are refused |
| 429 | not taken; tried again after `Retry-After` |
| 5xx | not taken; tried again (502, 504: `unknown`) |

An import error is joined to its row by `original_payload`, or by the position in `source.pointer`; the API's
description does not tell which of them is always there. An error that cannot be joined leaves the batch `unknown`.
Members are read back 100 a page; those on the list without an `external_id` are not shown.\
"""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        super().__init__(name, options)
        self._url = self.options["url"].rstrip("/")
        self._headers = headers(self.options)

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
        return reserved(cls.type, ("external_id",), fields)

    def batch_of(self, phase: Phase) -> int:
        return min(self.limits.batch, _PAGE) if phase == "remove" else self.limits.batch

    def build(self, changes: Changes, at: dt.datetime) -> HttpRequest:
        del at
        if changes.phase == "remove":
            members = json.dumps(changes.rows.column(MEMBER).to_pylist(), ensure_ascii=False)
            asked = quote(f"any(external_id,{members})", safe="")
            fields = quote("fields[profile]=external_id", safe="=")
            return self._get(f"{self._url}/api/profiles?filter={asked}&{fields}&{quote('page[size]')}={_PAGE}")
        body = {"data": {
            "type": "profile-bulk-import-job",
            "attributes": {"profiles": {"data": [self._profile(member, fields) for member, fields in people(changes)]}},
            "relationships": {"lists": {"data": [{"type": "list", "id": self.options["list_id"]}]}},
        }}  # fmt: skip
        return json_request(f"{self._url}/api/profile-bulk-import-jobs", self._headers, body)

    def _profile(self, member: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        attributes: dict[str, Any] = {name: value for name, value in fields.items() if name in _OWN}
        attributes["properties"] = {name: value for name, value in fields.items() if name not in _OWN}
        return {"type": "profile", "attributes": {**attributes, "external_id": member}}

    def _get(self, url: str) -> HttpRequest:
        return HttpRequest("GET", url, {**self._headers, "User-Agent": USER_AGENT}, b"")

    def read(self, answer: HttpAnswer | None, changes: Changes) -> Verdict | Pending:
        """Which step the answer belongs to is told by what it holds: profiles, a job, import errors, or nothing."""
        assert answer is not None
        verdict = usual_verdict(answer)
        if verdict is not None:
            return verdict
        data = json_object(answer).get("data")
        if changes.phase == "remove":
            if answer.status == 204:
                return Verdict()
            return self._take_off(data) if isinstance(data, list) else Verdict("unknown", "unreadable")
        if isinstance(data, list):
            return self._refusals(json_object(answer), data, changes)
        return self._job(data) if isinstance(data, dict) else Pending(None)

    def _take_off(self, profiles: Sequence[Any]) -> Verdict | Pending:
        ids = [one.get("id") for one in profiles if isinstance(one, dict)]
        named = [{"type": "profile", "id": found} for found in ids if isinstance(found, str)]
        if len(named) != len(profiles):
            return Verdict("unknown", "unreadable")
        if not named:
            return Verdict()
        url = f"{self._url}/api/lists/{self.options['list_id']}/relationships/profiles"
        return Pending(json_request(url, self._headers, {"data": named}, "DELETE"), _STEP_SECONDS)

    def _job(self, job: Mapping[str, Any]) -> Verdict | Pending:
        name, attributes = job.get("id"), job.get("attributes")
        if not isinstance(name, str) or not isinstance(attributes, dict):
            return Pending(None)
        url = f"{self._url}/api/profile-bulk-import-jobs/{quote(name, safe='')}"
        state = attributes.get("status")
        if state == "cancelled":
            return Verdict("failed", "job_cancelled")
        if state != "complete":
            return Pending(self._get(url), _JOB_SECONDS)
        if not attributes.get("failed_count"):
            return Verdict()
        return Pending(self._get(f"{url}/import-errors?{quote('page[size]')}={_PAGE}"), _STEP_SECONDS)

    def _refusals(self, told: Mapping[str, Any], errors: Sequence[Any], changes: Changes) -> Verdict:
        positions = {member: at for at, member in enumerate(changes.rows.column(MEMBER).to_pylist())}
        found = [self._position(error, positions) for error in errors]
        but = {at: Refusal("rejected", "invalid_profile") for at in found if at is not None}
        links = told.get("links")
        more = isinstance(links, dict) and bool(links.get("next"))
        whole = bool(found) and None not in found and not more
        return Verdict(but=but) if whole else Verdict("unknown", "errors_not_told", but=but)

    def _position(self, error: Any, positions: Mapping[str, int]) -> int | None:
        attributes = error.get("attributes") if isinstance(error, dict) else None
        if not isinstance(attributes, dict):
            return None
        payload, source = attributes.get("original_payload"), attributes.get("source")
        for part in (payload, payload.get("attributes") if isinstance(payload, dict) else None):
            known = part.get("external_id") if isinstance(part, dict) else None
            if isinstance(known, str) and known in positions:
                return positions[known]
        match = _AT.search(str(source.get("pointer"))) if isinstance(source, dict) else None
        return int(match[1]) if match and int(match[1]) < len(positions) else None

    def ask_members(self, audience: str) -> HttpRequest | None:
        del audience
        fields = quote("fields[profile]=external_id", safe="=")
        return self._get(
            f"{self._url}/api/lists/{self.options['list_id']}/profiles?{fields}&{quote('page[size]')}={_PAGE}"
        )

    def read_members(self, answer: HttpAnswer) -> Page:
        told = json_object(page_of(answer))
        profiles, links = told.get("data"), told.get("links")
        if not isinstance(profiles, list):
            raise Unreadable("the answer has no list `data`")
        shown = [one.get("attributes") for one in profiles if isinstance(one, dict)]
        found = [
            part["external_id"] for part in shown if isinstance(part, dict) and isinstance(part.get("external_id"), str)
        ]
        following = links.get("next") if isinstance(links, dict) else None
        return Page(found, self._following(following) if isinstance(following, str) else None)

    def _following(self, following: str) -> HttpRequest:
        address = urljoin(self._url, following)
        if urlsplit(address)[:2] != urlsplit(self._url)[:2]:
            raise Unreadable("the answer's next page is at another host; our key is not sent there")
        return self._get(address)
