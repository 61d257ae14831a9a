"""The request language again, in plain Python, one person at a time: written from docs/requests.md, not from the SQL."""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import dataclass, field
from typing import Any

from activate.request import Comparison, Condition, Did, Happening, Request

NUMBER = re.compile(r"[-+]?[0-9]{1,200}([.][0-9]{1,200})?([eE][-+]?[0-9]{1,2})?")
SIZES = {
    "exactly": lambda a, b: a == b, "at_least": lambda a, b: a >= b, "at_most": lambda a, b: a <= b,
    "more_than": lambda a, b: a > b, "less_than": lambda a, b: a < b,
}  # fmt: skip


@dataclass
class Person:
    """A row of the profiles, what the person did (rows of the events), and the segments that the person is in."""

    profile: dict[str, Any]
    events: list[dict[str, Any]] = field(default_factory=list)
    segments: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Oracle:
    """`columns` are those of the events; another property is a key of `properties`."""

    now: dt.datetime
    columns: frozenset[str]

    def fits(self, request: Request, person: Person) -> bool:
        return self.holds(request.who, person)

    def holds(self, line: Condition, person: Person) -> bool:
        if line.all is not None:
            return all(self.holds(inner, person) for inner in line.all)
        if line.any is not None:
            return any(self.holds(inner, person) for inner in line.any)
        if line.not_ is not None:
            return not self.holds(line.not_, person)
        if line.did is not None:
            return self.did(line.did, person)
        if line.did_not is not None:
            return not self.matching(line.did_not, person)
        if line.profile is not None:
            return all(self.compares(person.profile[name], wanted, False) for name, wanted in line.profile.items())
        if line.in_segment is not None:
            return line.in_segment in person.segments
        return line.not_in_segment not in person.segments

    def did(self, did: Did, person: Person) -> bool:
        found = self.matching(did, person)
        amounts = [(SIZES[key], amount.number) for key, amount in did.amounts.items()]
        if did.sum is None:
            return bool(found) and all(compare(len(found), number) for compare, number in amounts)
        values = [self.number(event, did.sum) for event in found]
        known = [value for value in values if value is not None]
        return bool(known) and all(compare(sum(known), number) for compare, number in amounts)

    def matching(self, happening: Happening, person: Person) -> list[dict[str, Any]]:
        return [event for event in person.events if self.matches(happening, event)]

    def matches(self, happening: Happening, event: dict[str, Any]) -> bool:
        at = event["occurred_at"]
        if event["event_name"] != happening.event or at > self.now or event["loaded_at"] > self.now:
            return False
        if happening.within is not None and at <= self.now - dt.timedelta(seconds=happening.within):
            return False
        if happening.since is not None and at < happening.since:
            return False
        return all(
            self.compares(*self.property(event, name), wanted=wanted) for name, wanted in happening.where.items()
        )

    def property(self, event: dict[str, Any], name: str) -> tuple[Any, bool]:
        """The value, and whether it comes out of the JSON document."""
        if name in self.columns:
            return event[name], False
        document = json.loads(event["properties"]) if event["properties"] is not None else {}
        return document.get(name), True

    def number(self, event: dict[str, Any], name: str) -> float | None:
        value, is_document = self.property(event, name)
        return _as_number(value) if is_document else value

    def compares(self, value: Any, is_document: Any = False, wanted: Any = None) -> bool:
        if isinstance(is_document, Comparison):  # a profile's field: compares(value, wanted, False)
            is_document, wanted = False, is_document
        if wanted.missing is not None:
            return (value is None) == wanted.missing
        checks = []
        if wanted.is_ is not None:
            checks.append(_equal(value, wanted.is_, is_document))
        if wanted.in_:
            checks.append(any(_equal(value, one, is_document) for one in wanted.in_))
        for key in wanted.SIZES:
            size = getattr(wanted, key)
            if size is not None:
                left, right = _as_number(value) if is_document else value, size
                if isinstance(left, dt.datetime):
                    right = dt.datetime.fromisoformat(size)
                checks.append(left is not None and SIZES[key](left, right))
        if wanted.within is not None:
            earliest = self.now - dt.timedelta(seconds=wanted.within)
            checks.append(value is not None and earliest < value <= self.now)
        if wanted.not_ is not None:
            checks.append(not self.compares(value, is_document, wanted.not_))
        return all(checks)


def _equal(value: Any, wanted: Any, is_document: bool) -> bool:
    if value is None:
        return False
    if is_document and isinstance(wanted, bool):
        return _as_text(value) == str(wanted).lower()
    if is_document and not isinstance(wanted, str):
        return _as_number(value) == wanted
    if is_document:
        return _as_text(value) == wanted
    if isinstance(value, dt.datetime):
        return value == dt.datetime.fromisoformat(wanted)
    return value == wanted


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _as_number(value: Any) -> float | None:
    return None if value is None or not NUMBER.fullmatch(_as_text(value)) else float(_as_text(value))
