"""What destinations that speak JSON have in common: rows as they are sent, and what HTTP statuses mean."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from activate.destinations.base import MEMBER, ROW, Changes, Verdict
from activate.errors import ActivateError
from activate.providers.base import HttpAnswer, Unusable

_WORD = re.compile(r"[A-Za-z][A-Za-z_]{0,63}")
# A proxy in front of the peer gave up waiting for it, or lost it: the peer itself may have taken the request.
_IN_DOUBT = frozenset({502, 504, 520, 521, 522, 523, 524})


def members_of(changes: Changes) -> list[str]:
    """What the destination knows each person by, in the order of the rows."""
    return [str(member) for member in changes.rows.column(MEMBER).to_pylist()]


def fields_of(changes: Changes) -> list[dict[str, Any]]:
    """The mapped fields of each row; empty in removals."""
    found = [json.loads(row) if row else {} for row in changes.rows.column(ROW).to_pylist()]
    return [row.get("fields") or {} for row in found]


def verdict_of(answer: HttpAnswer, code: str | None = None) -> Verdict:
    """The usual meaning of a status that is no success, for the whole batch.

    Raises Unusable where the destination refuses us as a whole.
    """
    status, named = answer.status, code or f"http_{answer.status}"
    if 300 <= status < 400 or status in (401, 402, 403, 404, 405, 407, 410):
        said = f"{status} ({code})" if code else f"{status}"
        raise Unusable(named, f"the service answered {said}; check the destination's credentials, account and ids")
    if status in _IN_DOUBT:
        return Verdict("unknown", named)
    return Verdict("failed" if status in (408, 421, 425, 429) or status >= 500 else "rejected", named)


def word(value: object, known: Sequence[str] = (), default: str = "refused") -> str:
    """A peer's error code as it may be stored: a small number, a name in capitals, or one that is known.

    Anything else could quote what was sent.
    """
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10_000_000:
        return str(value)
    if isinstance(value, str) and (value in known or (value.isupper() and _WORD.fullmatch(value))):
        return value.lower()
    return default


class Unreadable(ActivateError):
    """A destination's answer to a question is not what it should be."""
