"""Keeps an audience in Braze as a custom attribute of its people."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, ClassVar

from activate.audience import Mapped
from activate.destinations.base import Changes, Destination, Pending, Refusal, Verdict
from activate.destinations.engagement import people, reserved, usual_verdict
from activate.providers.base import HttpAnswer, HttpRequest, Limits
from activate.providers.braze import read_errors
from activate.providers.json_api import api_url, epoch_wait, json_object, json_request
from activate.providers.options import Option

_RESERVED = ("external_id", "braze_id", "user_alias", "_update_existing_only", "push_token_import")


class BrazeAudience(Destination):
    """One POST to `/users/track` per batch of attribute objects.

    Requests and limits: www.braze.com/docs/api/endpoints/user_data/post_user_track (75 objects; 3,000 requests in 3
    seconds) and docs/api/objects_filters/user_attributes_object (null removes an attribute; arrays are sets).
    """

    type = "braze"
    summary = "Keeps an audience in Braze as a custom attribute of its people."
    example: ClassVar[Mapping[str, Any]] = {
        "url": "https://rest.fra-01.braze.eu", "api_key": "{{ env_var('BRAZE_API_KEY') }}",
        "attribute": "in_{audience}",
    }  # fmt: skip
    declared = (
        api_url("https://rest.iad-01.braze.com", "The REST endpoint of your Braze instance."),
        Option("api_key", "A REST API key with `users.track`.", required=True, secret=True),
        Option("attribute", "The custom attribute that marks members; `{audience}` is the audience's name.",
               default="activate_{audience}"),
        Option("membership", "`flag`: the attribute is true, and null for others; `list`: it is an array of audiences' "
               "names.", default="flag", choices=("flag", "list")),
        Option("create_people", "Whether people whom Braze does not know are made.", "flag", default=True),
        Option("batch", "People per request; 50 on plans that allow no more.", "whole", default=75, low=1, high=75),
    )  # fmt: skip
    defaults: ClassVar[Limits] = Limits(batch=75, per_second=800, concurrency=4)
    notes = """\
People are known by their key, which is Braze's `external_id`. Mapped fields become attributes: `first_name`, `email`,
`phone`, `country` and so on are Braze's own, others are custom ones. In Braze, make a segment of the people whose attribute
is true (or whose array contains the audience's name). An array holds 25 names by default, and the flags of audiences count
as custom attributes.

`/users/track` queues: it cannot tell who is unknown, and members cannot be read back. People are removed by a null (or by
`remove` from the array); nobody is made to be removed.

| answer | meaning |
|---|---|
| 2xx | taken, except those that `errors` tell by `index`, which are rejected; an error without an index: `unknown`, sent again at the next sync |
| 400 | the batch is halved until the row is found |
| 401, 403, 404 | we are refused |
| 429 | not taken; tried again at `X-RateLimit-Reset` |
| 5xx | not taken; tried again (502, 504: `unknown`) |\
"""

    @classmethod
    def holds_several(cls, options: Mapping[str, Any]) -> bool:
        return options.get("membership") == "list" or "{audience}" in str(options.get("attribute") or "{audience}")

    @classmethod
    def audience_problems(
        cls, options: Mapping[str, Any], identify_by: Mapped, fields: Mapping[str, Mapped]
    ) -> list[str]:
        del options, identify_by
        return reserved(cls.type, _RESERVED, fields)

    def build(self, changes: Changes, at: dt.datetime) -> HttpRequest:
        del at
        remove = changes.phase == "remove"
        name = self.options["attribute"].replace("{audience}", changes.audience)
        if self.options["membership"] == "list":
            mark: Any = {"remove" if remove else "add": [changes.audience]}
        else:
            mark = None if remove else True
        known = {"_update_existing_only": True} if remove or not self.options["create_people"] else {}
        attributes = [{**fields, "external_id": member, name: mark, **known} for member, fields in people(changes)]
        url = self.options["url"].rstrip("/") + "/users/track"
        return json_request(url, {"Authorization": f"Bearer {self.options['api_key']}"}, {"attributes": attributes})

    def read(self, answer: HttpAnswer | None, changes: Changes) -> Verdict | Pending:
        assert answer is not None
        verdict = usual_verdict(answer)
        if verdict is not None:
            return verdict
        at, lost = read_errors(json_object(answer), len(changes), "attributes_processed")
        but = {number: Refusal("rejected", "refused") for number in at}
        return Verdict("unknown", "told_error", but=but) if lost else Verdict(but=but)

    def asked_wait(self, answer: HttpAnswer, at: dt.datetime) -> float | None:
        return epoch_wait(answer, "x-ratelimit-reset", at) if answer.status == 429 else None
