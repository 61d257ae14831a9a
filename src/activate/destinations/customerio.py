"""Keeps an audience in Customer.io, as a manual segment or as an attribute of its people."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote

import orjson

from activate.audience import Mapped
from activate.destinations.base import MEMBER, Abilities, Changes, Destination, Page, Pending, Refusal, Verdict
from activate.destinations.engagement import Unreadable, page_of, people, reserved, usual_verdict
from activate.providers.base import HttpAnswer, HttpRequest, Limits
from activate.providers.customerio import basic, batch_errors
from activate.providers.json_api import USER_AGENT, api_url, json_object, json_request
from activate.providers.options import Option
from activate.providers.signing import check_url

_SEGMENT_BATCH, _ATTRIBUTE_BATCH, _PAGE = 1_000, 200, 2_000
_ITEM_BYTES = 32_000


class CustomerIoAudience(Destination):
    """Track API: one POST per batch, to a manual segment (v1) or of people's attributes (v2).

    Requests: docs.customer.io/integrations/api/track (add_customers, remove_customers: 1,000 ids; v2 batch: 500 KB, 32 KB an
    item); 100 requests a second: .../api/customerio-apis. Members: .../api/app/tag/segments/getSegmentMembership.
    """

    type = "customerio"
    summary = "Keeps an audience in Customer.io, as a manual segment or as an attribute of its people."
    example: ClassVar[Mapping[str, Any]] = {
        "site_id": "{{ env_var('CUSTOMERIO_SITE_ID') }}", "track_key": "{{ env_var('CUSTOMERIO_TRACK_KEY') }}",
        "segment_id": 7, "app_key": "{{ env_var('CUSTOMERIO_APP_KEY') }}",
    }  # fmt: skip
    declared = (
        api_url("https://track.customer.io", "Where the Track API answers; in the EU https://track-eu.customer.io."),
        Option("site_id", "The Track API's site id.", required=True),
        Option("track_key", "The Track API's key.", required=True, secret=True),
        Option("segment_id", "The number of the manual segment that holds the audience.", "whole", low=1),
        Option("attribute", "The attribute that marks members instead; `{audience}` is the audience's name."),
        Option("create_people", "With `attribute`: whether people whom Customer.io does not know are made.", "flag",
               default=True),
        Option("app_key", "An App API key; with it the segment's members can be read back.", secret=True),
        Option("app_url", "Where the App API answers; in the EU https://api-eu.customer.io.",
               default="https://api.customer.io", check=check_url),
        Option("batch", "People per request: at most 1,000 for a segment (the default), and 200 for attributes.", "whole",
               low=1, high=_SEGMENT_BATCH),
    )  # fmt: skip
    defaults: ClassVar[Limits] = Limits(batch=_SEGMENT_BATCH, per_second=100, concurrency=4)
    notes = """\
People are known by their key, which is Customer.io's `id`. With `segment_id`, they are added to and removed from a
manual segment, which must exist. The segment takes no fields and makes nobody; what becomes of an id that Customer.io
does not know is not documented. Members are read back from the App API, if `app_key` is given.

With `attribute`, people get an attribute that is true, and the mapped fields as further attributes; those who leave
get it as false, and nobody is made for that. Make a data-driven segment of the people for whom it is true. Members
cannot be read back.

| answer | meaning |
|---|---|
| 200 | taken |
| 207 (attributes) | taken, except those that `errors` tell by `batch_index`, which are rejected |
| 400 | the batch is halved until the row is found |
| 401, 403, 404 | we are refused |
| 429, 5xx | not taken; tried again (502, 504: `unknown`) |\
"""

    @classmethod
    def conflicts(cls, options: Mapping[str, Any]) -> list[str]:
        if bool(options.get("segment_id")) == bool(options.get("attribute")):
            return ["write either 'segment_id' or 'attribute'"]
        if (
            options.get("attribute")
            and str(options.get("batch") or "").isdigit()
            and int(options["batch"]) > _ATTRIBUTE_BATCH
        ):
            return [f"'batch' is at most {_ATTRIBUTE_BATCH} with `attribute`"]
        return []

    @classmethod
    def abilities_of(cls, options: Mapping[str, Any]) -> Abilities:
        return Abilities(reads_back=bool(options.get("app_key") and options.get("segment_id")))

    @classmethod
    def holds_several(cls, options: Mapping[str, Any]) -> bool:
        return "{audience}" in str(options.get("attribute") or "")

    @classmethod
    def audience_problems(
        cls, options: Mapping[str, Any], identify_by: Mapped, fields: Mapping[str, Mapped]
    ) -> list[str]:
        del identify_by
        found = reserved(cls.type, ("id", "cio_id", "_update"), fields)
        if options.get("segment_id") and fields:
            found.append("customerio's manual segments take no fields; leave them out, or write `attribute` instead")
        return found

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        most = _SEGMENT_BATCH if options.get("segment_id") else _ATTRIBUTE_BATCH
        super().__init__(name, {**options, "batch": options.get("batch") or most})
        self._url = self.options["url"].rstrip("/")
        self._headers = {"Authorization": basic(self.options["site_id"], self.options["track_key"])}

    def build(self, changes: Changes, at: dt.datetime) -> HttpRequest:
        del at
        segment = self.options["segment_id"]
        if segment:
            verb = "remove_customers" if changes.phase == "remove" else "add_customers"
            url = f"{self._url}/api/v1/segments/{segment}/{verb}"
            return json_request(url, self._headers, {"ids": changes.rows.column(MEMBER).to_pylist()})
        name = self.options["attribute"].replace("{audience}", changes.audience)
        remove = changes.phase == "remove"
        known = {"_update": True} if remove or not self.options["create_people"] else {}
        items = [{"type": "person", "action": "identify", "identifiers": {"id": member},
                  "attributes": {**fields, name: not remove, **known}} for member, fields in people(changes)]  # fmt: skip
        if any(len(orjson.dumps(item)) > _ITEM_BYTES for item in items):
            raise ValueError("an item is larger than 32 KB")
        return json_request(f"{self._url}/api/v2/batch", self._headers, {"batch": items})

    def read(self, answer: HttpAnswer | None, changes: Changes) -> Verdict | Pending:
        assert answer is not None
        verdict = usual_verdict(answer)
        if verdict is not None:
            return verdict
        errors = batch_errors(json_object(answer))
        return Verdict(but={at: Refusal("rejected", why) for at, why in errors.items() if 0 <= at < len(changes)})

    def ask_members(self, audience: str) -> HttpRequest | None:
        del audience
        return self._ask("") if self.abilities.reads_back else None

    def _ask(self, start: str) -> HttpRequest:
        url = f"{self.options['app_url'].rstrip('/')}/v1/segments/{self.options['segment_id']}/membership?limit={_PAGE}"
        headers = {"Authorization": f"Bearer {self.options['app_key']}", "User-Agent": USER_AGENT}
        return HttpRequest("GET", f"{url}&start={quote(start, safe='')}" if start else url, headers, b"")

    def read_members(self, answer: HttpAnswer) -> Page:
        told = json_object(page_of(answer))
        listed, following = told.get("identifiers"), told.get("next")
        if not isinstance(listed, list):
            raise Unreadable("the answer has no list `identifiers`")
        found = [one["id"] for one in listed if isinstance(one, dict) and isinstance(one.get("id"), str) and one["id"]]
        return Page(found, self._ask(following) if isinstance(following, str) and following else None)
