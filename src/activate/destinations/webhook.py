"""Posts batches of changes as signed JSON to a service of your own, and asks it who is in an audience."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote, urljoin, urlsplit

from activate.destinations.answers import Unreadable
from activate.destinations.base import (
    MEMBER,
    ROW,
    Abilities,
    Changes,
    Destination,
    Page,
    Pending,
    Refusal,
    RowStatus,
    Verdict,
)
from activate.providers.base import HttpAnswer, HttpRequest, Limits, Unusable
from activate.providers.options import Option
from activate.providers.signing import check_headers, check_secret, check_url, sign, signing_key

_CODE = re.compile(r"[A-Za-z][A-Za-z_\-]{0,39}")
_STATUSES: Mapping[str, RowStatus] = {"accepted": "accepted", "rejected": "rejected", "failed": "failed"}
_RUNNING, _DONE, _FAILED = ("queued", "pending", "running"), ("done", "completed", "succeeded"), ("failed", "error")
_IN_DOUBT = frozenset({502, 504, 520, 521, 522, 523, 524})


class AudienceWebhook(Destination):
    """One POST per batch: `{"audience": ..., "changes": [...]}`."""

    type = "webhook"
    summary = "Posts batches of changes as signed JSON to a service of your own."
    example: ClassVar[Mapping[str, Any]] = {
        "url": "https://crm.example.com/audiences", "secret": "{{ env_var('ACTIVATE_SECRET') }}",
    }  # fmt: skip
    declared = (
        Option("url", "Where to post.", required=True, check=check_url),
        Option("secret", "The signing secret: `whsec_` and base64 (24 to 64 random bytes), or any text.",
               required=True, secret=True, check=check_secret),
        Option("members_url", "Where to ask who is in an audience; needed for `reconcile`.", check=check_url),
        Option("headers", "Further headers, e.g. `Authorization`; secrets are written with env_var.", "mapping", default={},
               check=check_headers),
        Option("batch", "Rows per request.", "whole", default=75, low=1, high=10_000),
        Option("compress", "Whether the service takes bodies in gzip (signed as they are sent).", "flag", default=False),
    )  # fmt: skip
    defaults: ClassVar[Limits] = Limits(batch=75, concurrency=4)
    notes = """\
A request holds `{"audience": ..., "run_id": ..., "changes": [...]}`; a change has `change` (`add`, `update` or `remove`),
`user_id`, `member` (the hashed identifier where `identify_by` asks for one, else the person's key) and, unless it is a
removal, `fields`. All removals of a sync come before its additions. To receive a change twice must do no harm.

The signature is that of Standard Webhooks: `webhook-id` and `Idempotency-Key` (a hash of the request), `webhook-timestamp`
and `webhook-signature`.

A 2xx answer means that all were taken, unless it says otherwise:

| answer | meaning |
|---|---|
| `{"results": [{"member": ..., "status": "rejected", "error_code": ...}]}` | this row was `rejected`, or `failed` (try again); `index` (from 0) may stand for `member` |
| `{"errors": [{"index": 3, "code": ...}]}` | these rows were rejected, though the status says 200 |
| `{"success": false}` or `{"error": ...}` | nothing was taken; tried again |
| 202 with `{"job": "https://..."}` or `Location` | the service works on it: asked every second until it says `{"status": "done"}` (with `results` or `errors`), or `failed` |
| 400, 413, 422 | some row is bad: the batch is halved until it is found, the others go on |
| 408, 421, 425, 429, 5xx | not taken; tried again, after `Retry-After` if it says so |
| 502, 504, 520 to 524, a lost connection | `unknown`: sent again at the next sync |
| 3xx, 401, 402, 403, 404, 405, 407, 410 | we are refused: the sync of this audience stops, nothing is lost |
| other 4xx | rejected |

`members_url` is asked with `?audience=NAME`, signed like a POST with an empty body, and answers
`{"members": ["...", ...], "next": "https://..."}`; `next` is left out on the last page."""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        super().__init__(name, options)
        self._key = signing_key(self.options["secret"])
        self._headers = {name: str(value) for name, value in self.options["headers"].items()}
        self._headers |= {"Content-Type": "application/json", "User-Agent": "dbt-activate"}

    @classmethod
    def abilities_of(cls, options: Mapping[str, Any]) -> Abilities:
        compresses = str(options.get("compress")).lower() == "true"
        return Abilities(shape="json", reads_back=bool(options.get("members_url")), compresses=compresses)

    def build(self, changes: Changes, at: dt.datetime) -> HttpRequest:
        del at
        head = json.dumps({"audience": changes.audience, "run_id": changes.run_id})[:-1]
        rows = ",".join(changes.rows.column(ROW).to_pylist())
        body = f'{head}, "changes": [{rows}]}}'.encode()
        key = hashlib.sha256(body).hexdigest()[:32]  # half as dear as MD5 where the processor has it
        return HttpRequest(
            "POST", self.options["url"], {**self._headers, "Idempotency-Key": key, "webhook-id": key}, body
        )

    def sign(self, request: HttpRequest, at: int) -> HttpRequest:
        return sign(request, self._key, at)

    def read(self, answer: HttpAnswer | None, changes: Changes) -> Verdict | Pending:
        if answer is None:
            raise AssertionError("HTTP is always answered")
        status, code = answer.status, f"http_{answer.status}"
        if 200 <= status < 300:
            return self._taken(answer, changes)
        if 300 <= status < 400 or status in (401, 402, 403, 404, 405, 407, 410):
            raise Unusable(code, f"the endpoint answered {status}; check the destination's url and credentials")
        if status in _IN_DOUBT:
            return Verdict("unknown", code)
        return Verdict("failed" if status in (408, 421, 425, 429) or status >= 500 else "rejected", code)

    def _taken(self, answer: HttpAnswer, changes: Changes) -> Verdict | Pending:
        told = _document(answer.body)
        job = told.get("job") or (answer.headers.get("location") if answer.status == 202 else None)
        state = str(told.get("status", "")).lower()
        if isinstance(job, str) and state not in _DONE + _FAILED:
            return self._pending(job)
        if state in _RUNNING:
            return Pending(None)
        if state in _FAILED:
            return Verdict("failed", _word(told.get("code"), "job_failed"))
        if told.get("success") is False or told.get("error"):
            return Verdict("failed", _word(told.get("code"), "told_error"), "the answer's body tells of an error")
        return Verdict(but=_refusals(told, changes))

    def _pending(self, job: str) -> Pending:
        """A job; one at another host is not asked for, since our headers are not for that host."""
        address = urljoin(self.options["url"], job)
        return Pending(self._question(address) if _same_origin(address, self.options["url"]) else None)

    def _question(self, url: str) -> HttpRequest:
        key = hashlib.md5(url.encode(), usedforsecurity=False).hexdigest()
        return HttpRequest("GET", url, {**self._headers, "webhook-id": key}, b"")

    def ask_members(self, audience: str) -> HttpRequest | None:
        url = self.options["members_url"]
        if not url:
            return None
        return self._question(f"{url}{'&' if '?' in url else '?'}audience={quote(audience)}")

    def read_members(self, answer: HttpAnswer) -> Page:
        if answer.status != 200:
            raise Unusable(f"http_{answer.status}", f"asked for its members, the endpoint answered {answer.status}")
        told = _document(answer.body)
        members, following = told.get("members"), told.get("next")
        if not isinstance(members, list) or not all(isinstance(member, str | int) for member in members):
            raise Unreadable("the endpoint's answer has no list `members` of texts")
        more = None
        if isinstance(following, str):
            address = urljoin(self.options["members_url"], following)
            if not _same_origin(address, self.options["members_url"]):
                raise Unreadable("the endpoint's `next` names another host; our headers are not sent there")
            more = self._question(address)
        return Page([str(member) for member in members], more)


def _same_origin(address: str, known: str) -> bool:
    """Whether an address that a peer names is the peer's own: headers may hold secrets."""
    theirs, ours = urlsplit(address), urlsplit(known)
    return (theirs.scheme, theirs.netloc) == (ours.scheme, ours.netloc)


def _document(body: bytes) -> dict[str, Any]:
    if not body.lstrip().startswith(b"{"):
        return {}
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _refusals(told: Mapping[str, Any], changes: Changes) -> dict[int, Refusal]:
    results, errors = told.get("results"), told.get("errors")
    found: dict[int, Refusal] = {}
    items = [(item, "unknown") for item in results] if isinstance(results, list) else []
    items += [(item, "rejected") for item in errors] if isinstance(errors, list) else []
    if not items:
        return found
    positions = {member: at for at, member in enumerate(changes.rows.column(MEMBER).to_pylist())}
    for item, default in items:
        if not isinstance(item, dict):
            continue
        index = item.get("index", positions.get(str(item.get("member", item.get("user_id")))))
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(changes):
            continue
        status = _STATUSES.get(str(item.get("status")), "rejected" if default == "rejected" else "unknown")
        if status != "accepted":
            found[index] = Refusal(status, _word(item.get("error_code") or item.get("code"), "refused"))
    return found


def _word(value: object, default: str) -> str:
    """A peer's error code as it may be stored: a short word, never free text, which could quote somebody's address."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 100_000:
        return str(value)
    return value if isinstance(value, str) and _CODE.fullmatch(value) else default
