"""Keeps an audience segment of TikTok equal to a segment, by hashed identifiers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, ClassVar

from activate.audience import Mapped
from activate.destinations.answers import members_of, verdict_of
from activate.destinations.base import Abilities, Changes, Destination, Verdict
from activate.providers.base import HttpAnswer, HttpRequest, Limits, Unusable
from activate.providers.json_api import api_url, json_object, json_request
from activate.providers.options import Option

_SCHEMAS: Mapping[str, str] = {"email": "EMAIL_SHA256", "phone": "PHONE_SHA256"}
# "Return codes" of the Business API: 0 is success, 20001 success in part, 4xxxx our fault, 5xxxx the service's.
_LATER = frozenset({40016, 40100, 40132, 40133})
_PARAMETERS = frozenset({40000, 40002, 40011})


class TikTok(Destination):
    """POST /segment/mapping/ with up to 10,000 rows: the streaming API, for audiences made with /segment/audience/.

    It was chosen over /dmp/custom_audience/file/upload/ and /update/, whose files are answered before they are looked into.
    Sources: business-api.tiktok.com/portal/docs (Streaming API: /segment/mapping/; Return codes, id=1737172488964097). The body's
    names were checked against published clients of it; its limits (10,000 users in a request, 50 requests a second) are those
    that TikTok's partners publish, since the page itself could not be read.
    """

    type = "tiktok"
    summary = "Keeps an audience segment of TikTok equal to a segment, by hashed identifiers."
    example: ClassVar[Mapping[str, Any]] = {
        "advertiser_id": "7178918106775994370", "audience_id": "167290896",
        "access_token": "{{ env_var('TIKTOK_ACCESS_TOKEN') }}",
    }  # fmt: skip
    declared = (
        Option("advertiser_id", "The advertiser's id.", required=True),
        Option("audience_id", "The audience's id, as /segment/audience/ gave it.", required=True),
        Option("access_token", "A long-term access token with audience management.", required=True, secret=True),
        Option("key", "What `identify_by` is: `email` or `phone`.", choices=tuple(_SCHEMAS), default="email"),
        api_url("https://business-api.tiktok.com/open_api/v1.3"),
        Option("batch", "Rows per request.", "whole", default=10_000, low=1, high=10_000),
    )  # fmt: skip
    defaults: ClassVar[Limits] = Limits(batch=10_000, per_second=10, concurrency=2, timeout_seconds=60.0)
    notes = """\
The audience must be one of the streaming kind, made once with `POST /segment/audience/` (TikTok Ads Manager cannot make it); write
one destination for each.

```yaml
identify_by: {column: email, normalise: email, hash: sha256}                            # key: email
identify_by: {column: phone, normalise: phone, country_code: "+1", hash: sha256}        # key: phone, with the plus sign
```

Two pages of TikTok's help differ: one wants phone numbers with the `+` (E.164) and white space and capitals of addresses gone, as
above; an older one wants no `+`, and nothing from a `+` on in an address. The newer one also takes numbers without it
(`normalise: phone_digits`).

TikTok answers 200 to almost anything; the code in the body counts. Members cannot be read back. Changes take effect within one or
two days.

| code | meaning |
|---|---|
| 0 | taken |
| 20001 | `unknown`: taken in part, and TikTok does not say which |
| 40000, 40002, 40011 | the batch is halved until the row is found |
| 40016, 40100, 40132, 40133; 5xxxx; HTTP 429, 5xx | not taken; tried again |
| 40001, 40101 to 40110 and all others; HTTP 4xx | we are refused: the sync stops |"""

    @classmethod
    def abilities_of(cls, options: Mapping[str, Any]) -> Abilities:
        del options
        return Abilities(needs_hash=True)

    @classmethod
    def holds_several(cls, options: Mapping[str, Any]) -> bool:
        del options
        return False

    @classmethod
    def audience_problems(
        cls, options: Mapping[str, Any], identify_by: Mapped, fields: Mapping[str, Mapped]
    ) -> list[str]:
        problems = []
        allowed = ("phone", "phone_digits") if options.get("key") == "phone" else ("email",)
        if identify_by.hash is not None and (identify_by.normalise not in allowed or identify_by.hash != "sha256"):
            problems.append(
                f"tiktok matches by `normalise: {allowed[0]}` and `hash: sha256` here; write both in `identify_by`"
            )
        if fields:
            problems.append("tiktok takes nothing but the identifier; leave `fields` out")
        return problems

    def build(self, changes: Changes, at: dt.datetime) -> HttpRequest:
        del at
        audiences = [str(self.options["audience_id"])]
        body = {
            "advertiser_ids": [str(self.options["advertiser_id"])],
            "action": "delete" if changes.phase == "remove" else "add",
            "id_schema": [_SCHEMAS[self.options["key"]]],
            "batch_data": [[{"id": member, "audience_ids": audiences}] for member in members_of(changes)],
        }
        headers = {"Access-Token": self.options["access_token"]}
        return json_request(f"{self.options['url']}/segment/mapping/", headers, body)

    def read(self, answer: HttpAnswer | None, changes: Changes) -> Verdict:
        del changes
        assert answer is not None
        if not 200 <= answer.status < 300:
            return verdict_of(answer)
        code = _code(answer)
        if code is None:
            return Verdict("unknown", "not_told")
        if code == 0:
            return Verdict()
        word = f"tiktok_{code}"
        if code == 20001:
            return Verdict("unknown", word, "taken in part, and TikTok does not say which")
        if code in _LATER or 50_000 <= code < 60_000:
            return Verdict("failed", word)
        if code in _PARAMETERS:
            return Verdict("rejected", word)
        raise Unusable(word, f"TikTok refuses us (code {code}); check the token, its permissions and the ids")

    def splits(self, answer: HttpAnswer | None) -> bool:
        if answer is None:
            return False
        return answer.status in (400, 413, 422) or (answer.status == 200 and _code(answer) in _PARAMETERS)


def _code(answer: HttpAnswer) -> int | None:
    found = json_object(answer).get("code")
    return found if isinstance(found, int) and not isinstance(found, bool) and 0 <= found < 100_000 else None
