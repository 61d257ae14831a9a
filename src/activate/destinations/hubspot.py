"""Keeps a static list of HubSpot equal to a segment, and the contacts' properties with it."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar
from urllib.parse import quote

from activate.audience import EXTERNAL_ID, Mapped
from activate.destinations.answers import Unreadable, fields_of, members_of, verdict_of, word
from activate.destinations.base import Abilities, Changes, Destination, Page, Pending, Refusal, Verdict
from activate.providers.base import HttpAnswer, HttpRequest, Limits, Unusable
from activate.providers.json_api import USER_AGENT, api_url, json_object, json_request
from activate.providers.options import Option

RECORD_ID = "hs_object_id"
_BATCH = 100
_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")


class HubSpot(Destination):
    """Contacts are upserted by a property of unique values, 100 in a request, then put into the list by record id.

    Sources: developers.hubspot.com/docs/api-reference/crm-contacts-v3/batch (upsert, read, update; 100 inputs),
    .../crm-lists-v3/memberships (add, remove; MANUAL or SNAPSHOT lists), .../developer-tooling/platform/usage-guidelines
    (100 requests in 10 seconds, 190 in Professional and Enterprise accounts).
    """

    type = "hubspot"
    summary = "Keeps a static list of HubSpot contacts equal to a segment, and their properties up to date."
    example: ClassVar[Mapping[str, Any]] = {
        "list_id": "42", "access_token": "{{ env_var('HUBSPOT_TOKEN') }}", "id_property": "customer_id",
    }  # fmt: skip
    declared = (
        Option("list_id", "The list's id (ILS); its processing type must be MANUAL or SNAPSHOT.", required=True,
               check=lambda value: None if str(value).isdigit() else "a list's id has digits only"),
        Option("access_token", "A private app's token, with scopes for lists and contacts.", required=True, secret=True),
        Option("id_property", "The contact property (of unique values) that holds the person's key; `hs_object_id`: the key "
               "is HubSpot's own record id.", default=RECORD_ID,
               check=lambda value: None if _NAME.fullmatch(value) else "write a property's internal name"),
        api_url("https://api.hubapi.com"),
        Option("batch", "Rows per request; more than 100 only with `hs_object_id` and without `fields`.", "whole",
               default=_BATCH, low=1, high=10_000),
    )  # fmt: skip
    defaults: ClassVar[Limits] = Limits(batch=_BATCH, per_second=9, concurrency=4, timeout_seconds=30.0)
    notes = """\
Make the list in HubSpot (a static one), and write one destination for each. With `id_property: customer_id`, a person's contact
is the one with their key in that property, which must be one of unique values; a contact that is missing is made. `fields` are
contact properties by their internal names; NULL empties one. With `hs_object_id`, the profiles' key is the record's id.

Each batch is two requests: the contacts (upsert for additions, read for removals), then the list. A removal takes somebody
out of the list and leaves the contact. Members are read back by paging, 100 at a time.

| answer | meaning |
|---|---|
| 200, and the list's 200 | taken |
| 207 with `errors` | the contacts that are missing among the results are rejected, the others go on |
| `recordIdsMissing` | those records do not exist: rejected (nothing, in a removal) |
| 400, 409 for contacts | the batch is halved until the row is found |
| 400 for the list; 401, 403, 404 | we are refused (the list is not static, or not there): the sync stops |
| 429, 5xx | not taken; tried again |

HubSpot's published limit of records in one membership request could not be verified; 10,000 is ours."""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        super().__init__(name, options)
        self._headers = {"Authorization": f"Bearer {self.options['access_token']}"}
        self._property: str = self.options["id_property"]
        self._lists = f"{self.options['url']}/crm/v3/lists/{self.options['list_id']}/memberships"
        self._contacts = f"{self.options['url']}/crm/v3/objects/contacts/batch"

    @classmethod
    def abilities_of(cls, options: Mapping[str, Any]) -> Abilities:
        del options
        return Abilities(reads_back=True)

    @classmethod
    def holds_several(cls, options: Mapping[str, Any]) -> bool:
        del options
        return False

    @classmethod
    def conflicts(cls, options: Mapping[str, Any]) -> list[str]:
        batch = options.get("batch", _BATCH)
        if str(batch).isdigit() and int(batch) > _BATCH and options.get("id_property", RECORD_ID) != RECORD_ID:
            return ["'batch' is at most 100 where contacts are found by a property"]
        return []

    @classmethod
    def audience_problems(
        cls, options: Mapping[str, Any], identify_by: Mapped, fields: Mapping[str, Mapped]
    ) -> list[str]:
        problems = []
        if identify_by.column != EXTERNAL_ID and identify_by.hash is None:
            problems.append(
                "a removal tells the person's key only, so hubspot cannot find contacts by another column: write "
                "`identify_by: external_id` and name the property that holds the key in `id_property`"
            )
        by = str(options.get("id_property") or RECORD_ID)
        batch = options.get("batch", _BATCH)
        if fields and by == RECORD_ID and str(batch).isdigit() and int(batch) > _BATCH:
            problems.append("hubspot updates 100 contacts in a request at most: with fields, `batch` is 100 or less")
        for name in fields:
            if not _NAME.fullmatch(name) or name == by:
                problems.append(f"{name!r} is not a contact property that can be set; write its internal name")
        return problems

    def build(self, changes: Changes, at: dt.datetime) -> HttpRequest:
        del at
        members = members_of(changes)
        if changes.phase == "remove":
            return self._leave(members) if self._property == RECORD_ID else self._find(members)
        rows = [{name: _text(value) for name, value in row.items()} for row in fields_of(changes)]
        if self._property != RECORD_ID:
            inputs = [{"idProperty": self._property, "id": member, "properties": {**row, self._property: member}}
                      for member, row in zip(members, rows, strict=True)]  # fmt: skip
            return json_request(f"{self._contacts}/upsert", self._headers, {"inputs": inputs})
        if not any(rows):
            return self._join(members)
        inputs = [{"id": member, "properties": row} for member, row in zip(members, rows, strict=True)]
        return json_request(f"{self._contacts}/update", self._headers, {"inputs": inputs})

    def read(self, answer: HttpAnswer | None, changes: Changes) -> Verdict | Pending:
        assert answer is not None
        told = json_object(answer)
        if not 200 <= answer.status < 300:
            return verdict_of(answer, word(told.get("category"), default=f"http_{answer.status}"))
        if "recordIdsMissing" in told:
            return self._listed({record: at for at, record in enumerate(members_of(changes))}, answer, changes)
        results = told.get("results")
        if not isinstance(results, list):
            return Verdict("unknown", "not_told")
        members = members_of(changes)
        records = self._records(results, members)
        removes = changes.phase == "remove"
        but = {} if removes else self._missing(told, members, records)
        positions = {record: at for at, record in records.items()}
        if not positions:
            return Verdict(but=but) if removes else Verdict("rejected", "no_contact", but=but)
        request = self._leave(list(positions)) if removes else self._join(list(positions))
        return Pending(request, 0.0, step=True, reader=partial(self._listed, positions), but=but)

    def _records(self, results: Sequence[Any], members: Sequence[str]) -> dict[int, str]:
        """The record of each row, by the row's position."""
        low = {member.lower(): at for at, member in enumerate(members)}
        found: dict[int, str] = {}
        for item in results:
            if isinstance(item, dict) and isinstance(item.get("id"), str):
                name = item["id"] if self._property == RECORD_ID else _properties(item).get(self._property)
                at = low.get(str(name).lower())
                if at is not None:
                    found[at] = item["id"]
        return found

    @staticmethod
    def _missing(told: Mapping[str, Any], members: Sequence[str], records: Mapping[int, str]) -> dict[int, Refusal]:
        errors = told.get("errors")
        codes = [word(error.get("category")) for error in errors or [] if isinstance(error, dict)] if errors else []
        code = codes[0] if codes else "no_contact"
        return {at: Refusal("rejected", code) for at in range(len(members)) if at not in records}

    def _listed(self, positions: Mapping[str, int], answer: HttpAnswer, changes: Changes) -> Verdict:
        """The answer to a change of the list, whose records are those of the rows at these positions."""
        told = json_object(answer)
        if answer.status in (400, 422):
            raise Unusable(
                "bad_list", "HubSpot does not change the list; its processing type must be MANUAL or SNAPSHOT"
            )
        if not 200 <= answer.status < 300:
            return verdict_of(answer, word(told.get("category"), default=f"http_{answer.status}"))
        missing = told.get("recordIdsMissing")
        if not isinstance(missing, list):
            return Verdict("unknown", "not_told")
        if changes.phase == "remove":
            return Verdict()
        gone = {positions[str(record)] for record in missing if str(record) in positions}
        return Verdict(but={at: Refusal("rejected", "record_missing") for at in sorted(gone)})

    def splits(self, answer: HttpAnswer | None) -> bool:
        return answer is not None and answer.status in (400, 409, 413, 422)

    def ask_members(self, audience: str) -> HttpRequest:
        del audience
        return self._memberships(None)

    def read_members(self, answer: HttpAnswer) -> Page:
        """A page of record ids, and then (unless that is what people are known by) the keys of their contacts."""
        told = json_object(answer)
        if not 200 <= answer.status < 300:
            raise Unusable(f"http_{answer.status}", f"asked for the list's members, HubSpot answered {answer.status}")
        results = told.get("results")
        if not isinstance(results, list) or not all(isinstance(item, dict) for item in results):
            raise Unreadable("HubSpot's answer has no list `results`")
        if any("properties" in item for item in results):
            names = [_properties(item).get(self._property) for item in results]
            return Page([str(name) for name in names if name])
        records = [str(item.get("recordId")) for item in results]
        after = _next(told)
        more = self._memberships(after) if after else None
        if self._property == RECORD_ID or not records:
            return Page(records, more)
        return Page([], more, self._read(records))

    # -- requests -------------------------------------------------------------------------------------------------

    def _find(self, members: Sequence[str]) -> HttpRequest:
        body = {"idProperty": self._property, "properties": [self._property],
                "inputs": [{"id": member} for member in members]}  # fmt: skip
        return json_request(f"{self._contacts}/read", self._headers, body)

    def _read(self, records: Sequence[str]) -> HttpRequest:
        body = {"properties": [self._property], "inputs": [{"id": record} for record in records]}
        return json_request(f"{self._contacts}/read", self._headers, body)

    def _join(self, records: Sequence[str]) -> HttpRequest:
        return json_request(f"{self._lists}/add", self._headers, list(records), "PUT")

    def _leave(self, records: Sequence[str]) -> HttpRequest:
        return json_request(f"{self._lists}/remove", self._headers, list(records), "PUT")

    def _memberships(self, after: str | None) -> HttpRequest:
        url = f"{self._lists}?limit={_BATCH}" + (f"&after={quote(after, safe='')}" if after else "")
        return HttpRequest("GET", url, {**self._headers, "Accept": "application/json", "User-Agent": USER_AGENT}, b"")


def _properties(item: Mapping[str, Any]) -> Mapping[str, Any]:
    found = item.get("properties")
    return found if isinstance(found, dict) else {}


def _next(told: Mapping[str, Any]) -> str | None:
    paging = told.get("paging")
    following = paging.get("next") if isinstance(paging, dict) else None
    after = following.get("after") if isinstance(following, dict) else None
    return str(after) if after else None


def _text(value: Any) -> str:
    """A property's value: HubSpot writes all of them as text, and an empty one is none."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
