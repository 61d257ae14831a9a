"""What destinations with a JSON API have in common: the usual meaning of HTTP statuses, and the fields of a row."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from activate.destinations.base import MEMBER, ROW, Changes, Verdict
from activate.errors import ActivateError
from activate.providers.base import HttpAnswer, Unusable

# The first megabyte of an answer is read (`HttpAnswer`); more of it was cut off.
_WHOLE_ANSWER = 1_000_000
_NOT_NOW = (408, 421, 425, 429)
# A proxy in front of the peer gave up waiting for it or lost it: the peer itself may have taken the request.
_IN_DOUBT = frozenset({502, 504, 520, 521, 522, 523, 524})


class Unreadable(ActivateError):
    """The destination's answer to a question is not what it should be."""


def usual_verdict(answer: HttpAnswer) -> Verdict | None:
    """What a status says of all rows; None for 2xx, whose body has the details.

    Raises Unusable when the destination refuses us as a whole.
    """
    status, code = answer.status, f"http_{answer.status}"
    if 200 <= status < 300:
        return None
    if 300 <= status < 400 or status in (401, 402, 403, 404, 405, 407, 410):
        raise Unusable(code, f"the endpoint answered {status}; check the destination's url, key and list")
    if status in _IN_DOUBT:
        return Verdict("unknown", code)
    return Verdict("failed" if status in _NOT_NOW or status >= 500 else "rejected", code)


def people(changes: Changes) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each row's member and mapped fields; removals have none."""
    members = changes.rows.column(MEMBER).to_pylist()
    if changes.phase == "remove":
        yield from ((member, {}) for member in members)
        return
    for member, row in zip(members, changes.rows.column(ROW).to_pylist(), strict=True):
        yield member, json.loads(row).get("fields") or {}


def page_of(answer: HttpAnswer) -> HttpAnswer:
    """The answer to a question for members. Raises Unusable when it is refused, Unreadable when it is cut off."""
    if answer.status != 200:
        raise Unusable(f"http_{answer.status}", f"asked for its members, the endpoint answered {answer.status}")
    if len(answer.body) > _WHOLE_ANSWER:
        raise Unreadable("the answer is larger than a megabyte: its members cannot be read back")
    return answer


def reserved(kind: str, names: Sequence[str], fields: Iterable[str]) -> list[str]:
    """Why fields cannot be mapped whose names the destination uses for the person's key and for membership."""
    return [f"{kind} keeps {name!r} for itself; give the field another name" for name in fields if name in names]
