"""Keeps an audience as the members of a Mailchimp list."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import io
import json
import re
import tarfile
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

from activate.audience import Mapped
from activate.destinations.answers import Unreadable, fields_of, members_of, verdict_of, word
from activate.destinations.base import (
    CHANGE,
    Abilities,
    Changes,
    Destination,
    Page,
    Pending,
    Refusal,
    Verdict,
)
from activate.providers.base import HttpAnswer, HttpRequest, Limits
from activate.providers.json_api import USER_AGENT, json_object, json_request
from activate.providers.options import Option
from activate.providers.signing import check_url

ADDRESS = "email_address"
_OWN = ("email_type", "language", "vip")
_TAGS = "tags"
_PAGE = 1000
_CENTRE = re.compile(r"-([a-z]{2,4}\d{1,4})$")
_RUNNING = ("pending", "preprocessing", "started", "finalizing")
# Of a member that is to be archived: nobody there, or archived already (or bounced, which Mailchimp leaves as it is).
_GONE = (200, 204, 404, 405)
_LONGEST_RESULT = 5_000_000


class Mailchimp(Destination):
    """Additions and updates: POST /lists/ID, 500 at once. Removals: DELETE of each member in one batch operation.

    Limits and fields: mailchimp.com/developer/marketing/api/lists/batch-subscribe-or-unsubscribe and /list-members;
    batches: mailchimp.com/developer/marketing/guides/run-async-requests-batch-endpoint (10 connections, 120 seconds).
    """

    type = "mailchimp"
    summary = "Keeps an audience as the members of a Mailchimp list (which Mailchimp calls an audience, too)."
    example: ClassVar[Mapping[str, Any]] = {"api_key": "{{ env_var('MAILCHIMP_API_KEY') }}", "list_id": "ab12cd34ef"}
    declared = (
        Option("api_key", "An API key, with its data centre at the end, e.g. `-us21`.", required=True, secret=True),
        Option("list_id", "The list's id.", required=True),
        Option("status", "What somebody becomes who is added: `subscribed`, `pending` (Mailchimp asks them first) or "
               "`transactional`.", default="subscribed", choices=("subscribed", "pending", "transactional")),
        Option("tags", "Tags for whoever is added, between commas."),
        Option("url", "Where the API answers; by default `https://DATACENTRE.api.mailchimp.com/3.0`, by the key.",
               check=check_url),
        Option("batch", "Members per request.", "whole", default=500, low=1, high=500),
    )  # fmt: skip
    defaults: ClassVar[Limits] = Limits(batch=500, concurrency=4, timeout_seconds=120)
    notes = """\
Mailchimp knows a member by the MD5 of the address in lower case, and so does Activate, which keeps no address:

```yaml
identify_by: {column: email, normalise: email, hash: md5}
fields:
  email_address: email          # needed: who is added is told by the address itself
  FNAME: first_name             # merge fields by their tag
```

Fields: `email_address`, `email_type`, `language`, `vip` and `tags` (between commas) are the member's; any other name is a
merge field. A list holds one audience. Who is added gets `status`; who is updated keeps theirs. Who leaves is archived, and
subscribed again by a later addition.

Mailchimp does not let an API subscribe people who unsubscribed there, and may say nothing of it. It cannot know so of
somebody who was archived: give the audience a `consent`, and let `dbt-activate ingest` bring unsubscribes home.

| answer | meaning |
|---|---|
| 200 with `errors` | these members were rejected: `compliance_state`, `error_contact_exists`, `error_generic` |
| 200 with a batch operation | asked every two seconds until it is `finished`; its results are fetched if it tells of errors. 404 and 405 mean that nobody was there to archive |
| 400, 413, 422 | some row is bad: the batch is halved until it is found, the others go on |
| 429, 5xx | not taken; tried again |
| 401, 403, 404, other 4xx of this kind | we are refused: the sync stops, nothing is lost |

Members are read back with their hash, a thousand at a time; unsubscribed and bounced ones count as members, so that
`reconcile` does not send them again."""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        super().__init__(name, options)
        centre = _CENTRE.search(self.options["api_key"])
        base = self.options["url"] or f"https://{centre[1] if centre else ''}.api.mailchimp.com/3.0"
        self._url = base.rstrip("/")
        self._list = f"/lists/{quote(self.options['list_id'], safe='')}"
        key = base64.b64encode(f"activate:{self.options['api_key']}".encode()).decode()
        self._headers = {"Authorization": f"Basic {key}"}
        self._read_back = 0

    @classmethod
    def conflicts(cls, options: Mapping[str, Any]) -> list[str]:
        key = str(options.get("api_key") or "")
        if not key or "{{" in key or options.get("url") or _CENTRE.search(key):
            return []
        return ["'api_key' does not end in a data centre, e.g. `-us21`; copy it whole, or write 'url'"]

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
        found = []
        if identify_by.hash != "md5" or identify_by.normalise not in ("email", "lower"):
            found.append(
                "mailchimp knows people by the MD5 of their address in lower case; "
                "write `identify_by: {column: email, normalise: email, hash: md5}`"
            )
        address = fields.get(ADDRESS)
        if address is None:
            found.append(f"mailchimp adds people by their address; write `{ADDRESS}: email` among the fields")
        elif address.hash is not None:
            found.append(f"`{ADDRESS}` must be the address itself, not its hash")
        elif address.column != identify_by.column:
            found.append(f"`{ADDRESS}` and `identify_by` must name one column: the identifier is the address's hash")
        return found

    # -- requests -------------------------------------------------------------------------------------------------

    def build(self, changes: Changes, at: dt.datetime) -> HttpRequest:
        del at
        if changes.phase == "remove":
            operations = [
                {"method": "DELETE", "path": f"{self._list}/members/{member}", "operation_id": str(place)}
                for place, member in enumerate(members_of(changes))
            ]
            return json_request(f"{self._url}/batches", self._headers, {"operations": operations})
        kinds = changes.rows.column(CHANGE).to_pylist()
        people = [self._person(fields, kind) for fields, kind in zip(fields_of(changes), kinds, strict=True)]
        body = {"members": people, "update_existing": True, "sync_tags": False}
        return json_request(f"{self._url}{self._list}?skip_merge_validation=true", self._headers, body)

    def _person(self, fields: Mapping[str, Any], kind: str) -> dict[str, Any]:
        person = {name: fields[name] for name in (ADDRESS, *_OWN) if fields.get(name) is not None}
        merge = {name: _plain(value) for name, value in fields.items() if name not in (ADDRESS, _TAGS, *_OWN)}
        tags = [*_list(fields.get(_TAGS)), *(_list(self.options["tags"]) if kind == "add" else [])]
        if merge:
            person["merge_fields"] = merge
        if tags:
            person["tags"] = list(dict.fromkeys(tags))
        if kind == "add":
            person["status"] = self.options["status"]
        return person

    def _get(self, url: str, headers: Mapping[str, str]) -> HttpRequest:
        return HttpRequest("GET", url, {"User-Agent": USER_AGENT, **headers}, b"")

    # -- answers --------------------------------------------------------------------------------------------------

    def read(self, answer: HttpAnswer | None, changes: Changes) -> Verdict | Pending:
        if answer is None:
            raise AssertionError("HTTP is always answered")
        if not 200 <= answer.status < 300:
            return verdict_of(answer)
        if changes.phase == "upsert":
            return _added(json_object(answer), changes)
        if (results := _results(answer.body)) is not None:
            return _archived(results, changes)
        return self._job(json_object(answer))

    def _job(self, told: Mapping[str, Any]) -> Verdict | Pending:
        state, job, errors = told.get("status"), told.get("id"), told.get("errored_operations")
        if state in _RUNNING and isinstance(job, str):
            return Pending(self._get(f"{self._url}/batches/{quote(job, safe='')}", self._headers), 2)
        if state != "finished":
            return Verdict("unknown", "bad_answer")
        if errors == 0:
            return Verdict()
        address = told.get("response_body_url")
        if not isinstance(address, str) or check_url(address):
            return Verdict("unknown", "no_results")
        return Pending(self._get(address, {}), 0)  # kept elsewhere, so without our key

    # -- members --------------------------------------------------------------------------------------------------

    def ask_members(self, audience: str) -> HttpRequest:
        del audience
        self._read_back = 0
        return self._page()

    def _page(self) -> HttpRequest:
        asked = {"fields": "members.id,members.status,total_items", "count": _PAGE, "offset": self._read_back}
        return self._get(f"{self._url}{self._list}/members?{urlencode(asked, safe=',')}", self._headers)

    def read_members(self, answer: HttpAnswer) -> Page:
        if answer.status != 200:
            verdict_of(answer)
            raise Unreadable(f"asked for the members, Mailchimp answered {answer.status}")
        told = json_object(answer).get("members")
        if not isinstance(told, list) or not all(
            isinstance(one, dict) and isinstance(one.get("id"), str) for one in told
        ):
            raise Unreadable("Mailchimp's answer has no list of members")
        # An answer does not say which page it is, so how far we are is counted.
        self._read_back += len(told)
        members = [one["id"] for one in told if one.get("status") != "archived"]
        return Page(members, self._page() if len(told) == _PAGE else None)


def _plain(value: Any) -> Any:
    return "" if value is None else value


def _list(text: Any) -> list[str]:
    return [part for part in (part.strip() for part in str(text or "").split(",")) if part]


def _added(told: Mapping[str, Any], changes: Changes) -> Verdict:
    errors = told.get("errors")
    if not isinstance(errors, list) or not isinstance(told.get("error_count"), int):
        return Verdict("unknown", "bad_answer")
    places = {member: place for place, member in enumerate(members_of(changes))}
    but: dict[int, Refusal] = {}
    for error in (error for error in errors if isinstance(error, dict)):
        place = places.get(_hash(str(error.get(ADDRESS))))
        if place is None:
            continue
        known = "compliance_state" if "compliance state" in str(error.get("error")) else None
        but[place] = Refusal("rejected", known or word(error.get("error_code")))
    if max(len(errors), told["error_count"]) > len(but):
        return Verdict("unknown", "errors_of_nobody", but=but)
    return Verdict(but=but)


def _hash(address: str) -> str:
    return hashlib.md5(address.strip().lower().encode("utf-8", "replace"), usedforsecurity=False).hexdigest()


def _results(body: bytes) -> list[Any] | None:
    """The results of a batch operation: a tar archive (gzipped, unless it was unpacked on its way) of JSON lists."""
    if not (body.startswith(b"\x1f\x8b") or body[257:262] == b"ustar"):
        return None
    found: list[Any] = []
    try:
        with tarfile.open(fileobj=io.BytesIO(body), mode="r:*") as archive:
            for entry in archive:
                content = archive.extractfile(entry) if entry.isfile() and entry.size < _LONGEST_RESULT else None
                told = json.loads(content.read()) if content else []
                found += told if isinstance(told, list) else []
    except (tarfile.TarError, OSError, EOFError, ValueError):
        return []
    return found


def _archived(results: list[Any], changes: Changes) -> Verdict:
    told = {result.get("operation_id"): result.get("status_code") for result in results if isinstance(result, dict)}
    but: dict[int, Refusal] = {}
    for place in range(len(changes)):
        status = told.get(str(place))
        if not isinstance(status, int):
            but[place] = Refusal("unknown", "not_told")
        elif status not in _GONE:
            but[place] = Refusal("failed" if status == 429 or status >= 500 else "rejected", f"http_{status}")
    return Verdict(but=but)
