"""Keeps a Custom Audience of Meta (Facebook, Instagram) equal to a segment, by hashed identifiers."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlencode

from activate.audience import EXTERNAL_ID, Mapped
from activate.destinations.answers import fields_of, members_of, verdict_of, word
from activate.destinations.base import Abilities, Changes, Destination, Verdict
from activate.providers.base import HttpAnswer, HttpRequest, Limits, Unusable
from activate.providers.json_api import USER_AGENT, api_url, json_object
from activate.providers.options import Option

_KEYS: Mapping[str, str] = {"email": "EMAIL", "phone": "PHONE", "extern_id": "EXTERN_ID"}
_NORMALISED: Mapping[str, str] = {"EMAIL": "email", "PHONE": "phone_digits"}
_HASHED = ("EMAIL", "PHONE", "GEN", "DOBY", "DOBM", "DOBD", "LN", "FN", "FI", "CT", "ST", "ZIP", "COUNTRY")
_PLAIN = ("MADID", "LOOKALIKE_VALUE")
# Graph API, Handling Errors; Marketing API, Error Reference and Rate Limiting.
_LATER = frozenset({1, 2, 4, 17, 32, 341, 368, 613, 2446079, 80000, 80001, 80003, 80004, 80014})
_REFUSED = frozenset({3, 10, 102, 104, 190, 270, 294, 2650, 2654, *range(200, 300)})
# To find k bad rows of n by halves takes some 2 k log2(n) requests: worth it for a few.
_FEW, _FEW_SHARE = 2, 0.002


class Meta(Destination):
    """POST or DELETE /{audience}/users with up to 10,000 rows (Marketing API, Customer File Custom Audiences).

    The payload's keys, their hashing and the limit are those of
    developers.facebook.com/docs/marketing-api/audiences/guides/custom-audiences; the error codes those of
    developers.facebook.com/docs/graph-api/guides/error-handling and .../marketing-api/error-reference.
    """

    type = "meta"
    summary = "Keeps a Custom Audience of Meta (Facebook, Instagram) equal to a segment, by hashed identifiers."
    example: ClassVar[Mapping[str, Any]] = {
        "audience_id": "23850000000000000", "access_token": "{{ env_var('META_ACCESS_TOKEN') }}",
        "app_secret": "{{ env_var('META_APP_SECRET') }}",
    }  # fmt: skip
    declared = (
        Option("audience_id", "The Custom Audience's id (subtype CUSTOM).", required=True,
               check=lambda value: None if str(value).isdigit() else "an audience's id has digits only"),
        Option("access_token", "A system user's token with `ads_management`.", required=True, secret=True),
        Option("app_secret", "The app's secret: requests then carry `appsecret_proof`.", secret=True),
        Option("key", "What `identify_by` is: `email`, `phone`, or `extern_id` (your own key, sent as it is).",
               choices=tuple(_KEYS), default="email"),
        Option("version", "The Graph API's version.", default="v25.0",
               check=lambda value: None if re.fullmatch(r"v\d+\.\d", value) else "write e.g. v25.0"),
        api_url("https://graph.facebook.com"),
        Option("batch", "Rows per request.", "whole", default=10_000, low=1, high=10_000),
    )  # fmt: skip
    defaults: ClassVar[Limits] = Limits(batch=10_000, concurrency=2, timeout_seconds=60.0)
    notes = """\
Make the audience in Meta first (subtype CUSTOM), and write one destination for each. `identify_by` is the first key of each
row, `fields` are further ones under Meta's names:

```yaml
identify_by: {column: email, normalise: email, hash: sha256}         # key: email
# or, to match by more than one key, `key: extern_id` and:
identify_by: external_id
fields:
  EMAIL: {column: email, normalise: email, hash: sha256}
  PHONE: {column: phone, normalise: phone_digits, country_code: "+49", hash: sha256}
  LOOKALIKE_VALUE: lifetime_value
```

A removal names the first key only, so further keys need `key: extern_id`: somebody who was matched by phone could not be
taken out by e-mail address. Hashed are all keys but `EXTERN_ID`, `MADID` and `LOOKALIKE_VALUE`.

Each request is a session of its own (`session_id` is made from its rows). The access token travels in a header, never in the
address; `appsecret_proof` is HMAC-SHA256 of it under the app's secret. Meta applies changes within 24 hours; `accepted`
means that it took them. Members cannot be read back. The full set is never replaced (`usersreplace`): removals are told.

| answer | meaning |
|---|---|
| 200, `num_invalid_entries` 0 | taken |
| 200, a few invalid (2, or 0.2 %) | Meta tells how many, not which: the batch is posted again in halves until each is found |
| 200, more, but not all | `unknown`, code `invalid_entries`: look at the mapping; sent again at the next sync, removed when they leave |
| 200, all invalid | rejected |
| error 190, 102, 10, 200 to 299, 270, 2650, 2654; 100 with 33 or 1713230 | we, or the audience, are refused: the sync stops |
| error 1, 2, 4, 17, 32, 341, 368, 613, 80000 to 80014, or `is_transient` | not taken; tried again |
| other errors with 400 | the batch is halved until the row is found |"""

    @classmethod
    def abilities_of(cls, options: Mapping[str, Any]) -> Abilities:
        return Abilities(needs_hash=options.get("key", "email") != "extern_id")

    @classmethod
    def holds_several(cls, options: Mapping[str, Any]) -> bool:
        del options
        return False

    @classmethod
    def audience_problems(
        cls, options: Mapping[str, Any], identify_by: Mapped, fields: Mapping[str, Mapped]
    ) -> list[str]:
        key = _KEYS.get(str(options.get("key") or "email"), "EMAIL")
        problems = []
        if key == "EXTERN_ID" and identify_by.column != EXTERNAL_ID:
            problems.append("with `key: extern_id`, write `identify_by: external_id`")
        elif identify_by.hash and (how := _NORMALISED.get(key)) and _how(identify_by) != (how, "sha256"):
            problems.append(f"meta matches {key} by `normalise: {how}` and `hash: sha256`; write both in `identify_by`")
        for name, mapped in fields.items():
            known = name.upper()
            if known not in _HASHED + _PLAIN or known == key:
                problems.append(f"meta has no further key {name!r}; keys: {', '.join((*_HASHED, *_PLAIN))}")
            elif known in _HASHED and mapped.hash != "sha256":
                problems.append(f"meta takes {known} hashed only; add `hash: sha256`")
            elif known != "LOOKALIKE_VALUE" and key != "EXTERN_ID":
                problems.append(f"meta could not take somebody out who was matched by {known}: use `key: extern_id`")
        return problems

    def build(self, changes: Changes, at: dt.datetime) -> HttpRequest:
        del at
        schema, data = self._table(changes)
        payload = json.dumps({"schema": schema, "data": data}, separators=(",", ":"))
        digest = hashlib.md5(payload.encode(), usedforsecurity=False).digest()
        session = {"session_id": int.from_bytes(digest[:7]), "batch_seq": 1, "last_batch_flag": True,
                   "estimated_num_total": len(data)}  # fmt: skip
        form = {"payload": payload, "session": json.dumps(session)}
        token = self.options["access_token"]
        if secret := self.options["app_secret"]:
            form["appsecret_proof"] = hmac.new(secret.encode(), token.encode(), "sha256").hexdigest()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/x-www-form-urlencoded",
                   "Accept": "application/json", "User-Agent": USER_AGENT}  # fmt: skip
        url = f"{self.options['url']}/{self.options['version']}/{self.options['audience_id']}/users"
        return HttpRequest("DELETE" if changes.phase == "remove" else "POST", url, headers, urlencode(form).encode())

    def _table(self, changes: Changes) -> tuple[list[str], list[list[Any]]]:
        """The schema, and a row of keys for each person; a key that is not known is left blank."""
        members, fields = members_of(changes), fields_of(changes)
        names = sorted({name for row in fields for name in row})
        data = [[member, *(_blank(row.get(name)) for name in names)]
                for member, row in zip(members, fields, strict=True)]  # fmt: skip
        return [_KEYS[self.options["key"]], *(name.upper() for name in names)], data

    def read(self, answer: HttpAnswer | None, changes: Changes) -> Verdict:
        assert answer is not None
        told = json_object(answer)
        error = told.get("error")
        if isinstance(error, dict):
            return _error(answer, error)
        if not 200 <= answer.status < 300:
            return verdict_of(answer)
        received, invalid = _count(told.get("num_received")), _count(told.get("num_invalid_entries"))
        if received is None or received != len(changes):
            return Verdict("unknown", "not_told")
        if not invalid:
            return Verdict()
        if invalid >= received:
            return Verdict("rejected", "invalid_entry")
        few = invalid <= max(_FEW, received * _FEW_SHARE)
        return Verdict(
            "unknown", "invalid_entries", f"{invalid} of {received}, and Meta does not say which", halves=few
        )

    def splits(self, answer: HttpAnswer | None) -> bool:
        if answer is None or answer.status not in (400, 413, 422):
            return False
        error = json_object(answer).get("error")
        if not isinstance(error, dict):
            return True
        return not _is_final(error) and not _is_passing(error)


def _how(mapped: Mapped) -> tuple[str | None, str | None]:
    return mapped.normalise, mapped.hash


def _blank(value: Any) -> Any:
    return "" if value is None else value


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _is_final(error: Mapping[str, Any]) -> bool:
    """Whether the error is about us or the audience, whatever the rows."""
    code, sub = error.get("code"), error.get("error_subcode")
    return code in _REFUSED or (code == 100 and sub in (33, 1713230))


def _is_passing(error: Mapping[str, Any]) -> bool:
    return error.get("code") in _LATER or error.get("is_transient") is True


def _error(answer: HttpAnswer, error: Mapping[str, Any]) -> Verdict:
    code = f"meta_{word(error.get('code'))}"
    if _is_final(error) or answer.status == 401:
        raise Unusable(code, f"Meta refuses us ({code}); check the token, its permissions and the audience's id")
    if _is_passing(error) or answer.status in (408, 429):
        return Verdict("failed", code)
    if answer.status == 400 and error.get("code") is not None:
        return Verdict("rejected", code)
    return verdict_of(answer, code) if answer.status >= 300 else Verdict("unknown", code)
