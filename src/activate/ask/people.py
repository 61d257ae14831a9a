"""Made-up people for a dbt unit test: one who fits the request, and for each outermost line one who just does not.

They are made from the lines one by one, and then the query itself is asked about them, on an empty DuckDB: people who
do not come out as intended (lines can contradict one another) are left out, and without anybody who fits there is no test.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from activate.ask.known import Field
from activate.ask.lines import Line
from activate.ask.question import Question
from activate.ask.rehearse import rehearse
from activate.errors import WarehouseError
from activate.families import family
from activate.request import Comparison, Did, Happening
from activate.words import parse_instant

MOST_MISSES = 6
_EARLIEST_NOW = dt.datetime(2026, 1, 31)


@dataclass(frozen=True)
class Rows:
    """The rows of a unit test: of each model by its name, and what must come out. Times are texts, as in YAML."""

    now: dt.datetime
    given: dict[str, list[dict[str, Any]]]
    expected: list[dict[str, Any]]


class _Contradiction(Exception):
    """Nobody can be made like that: two lines want different things, or a value cannot be thought of."""


@dataclass
class _Person:
    name: Any
    profile: dict[str, Any] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    segments: dict[str, bool] = field(default_factory=dict)

    def have(self, facts: dict[str, Any], name: str, value: Any) -> None:
        if facts.setdefault(name, value) != value:
            raise _Contradiction


def make_rows(question: Question) -> Rows | None:
    """The rows of a unit test, or None where nobody who fits can be made up."""
    names = _names(question)
    if names is None:
        return None
    candidates: dict[int, list[_Person]] = {}
    # Each is made in two ways, for lines can be in one another's way: `any` by its first line, then by its last.
    for turned in (False, True):
        maker = _Maker(question, turned)
        for number, make in enumerate(maker.plans()):
            person = _Person(names[2 * number + turned])
            try:
                make(person)
            except _Contradiction:
                continue
            candidates.setdefault(number, []).append(person)
    try:
        people = [person for tried in candidates.values() for person in tried]
        found = rehearse(question, maker.now, _given(question, people))
    except WarehouseError:
        return None  # DuckDB cannot play this warehouse's part; the model itself is none the worse
    kept = []
    for number, tried in sorted(candidates.items()):
        good = [person for person in tried if (person.name in found) == (number == 0)]
        kept += good[:1]
    if not kept or kept[0].name not in found:
        return None
    fits = found[kept[0].name]
    for number, person in enumerate(kept):
        person.name = names[2 * number] if isinstance(names[0], int) else person.name.removesuffix("_too")
    expected = {question.key: kept[0].name}
    expected |= {count.name: fits[count.name] for count in question.shown if count.total is None}
    return Rows(maker.now, _given(question, kept), [expected])


def _names(question: Question) -> list[Any] | None:
    """Keys for everybody, two for each."""
    kind = family(question.profiles.columns[question.key])
    if kind == "integer":
        return list(range(1, 2 * MOST_MISSES + 3))
    if kind == "text" and question.profiles.columns[question.key] != "uuid":
        names = ["fits", *(f"misses_line_{number}" for number in range(1, MOST_MISSES + 1))]
        return [f"{name}{suffix}" for name in names for suffix in ("", "_too")]
    return None


class _Maker:
    def __init__(self, question: Question, turned: bool) -> None:
        self.question = question
        self.turned = turned
        since = [count.happening.since for count in question.counts.values() if count.happening.since is not None]
        self.now = max([_EARLIEST_NOW, *(instant + dt.timedelta(days=30) for instant in since)])

    def plans(self) -> Iterator[Callable[[_Person], None]]:
        """How to make the one who fits, then those who miss one line each."""
        root = self.question.root
        yield lambda person: self._line(person, root, True)
        lines = root.children if root.key == "all" and not root.negated else (root,)
        for missed in lines[:MOST_MISSES]:

            def make(person: _Person, missed: Line = missed) -> None:
                for line in lines:
                    self._line(person, line, line is not missed)

            yield make

    def _line(self, person: _Person, line: Line, wanted: bool) -> None:
        wanted = wanted != line.negated
        if not line.is_group:
            self._leaf(person, line, wanted)
        elif wanted == (line.key == "all"):
            for child in line.children:
                self._line(person, child, wanted)
        else:
            self._first_that_goes(person, line.children, wanted)

    def _first_that_goes(self, person: _Person, lines: tuple[Line, ...], wanted: bool) -> None:
        for line in reversed(lines) if self.turned else lines:
            trial = replace(
                person, profile=dict(person.profile), events=list(person.events), segments=dict(person.segments)
            )
            try:
                self._line(trial, line, wanted)
            except _Contradiction:
                continue
            person.profile, person.events, person.segments = trial.profile, trial.events, trial.segments
            return
        raise _Contradiction

    def _leaf(self, person: _Person, line: Line, wanted: bool) -> None:
        leaf, condition = self.question.leaves[line.number], line.condition
        if leaf.segment is not None:
            person.have(person.segments, leaf.segment.name, wanted == (condition.in_segment is not None))
        elif condition.did is not None:
            self._did(person, condition.did, leaf.compared, leaf.total, wanted)
        elif condition.did_not is not None:
            if not wanted:
                self._happens(person, condition.did_not, leaf.compared, inside=True)
        else:
            for index, (found, comparison) in enumerate(leaf.compared):
                # Who is not to fit fails by the first field alone.
                person.have(person.profile, found.name, self._value(found, comparison, wanted or index > 0))

    def _did(
        self,
        person: _Person,
        did: Did,
        compared: tuple[tuple[Field, Comparison], ...],
        total: Field | None,
        wanted: bool,
    ) -> None:
        amounts = {key: amount.number for key, amount in did.amounts.items()}
        if total is not None:
            low = amounts.get("exactly", amounts.get("at_least"))
            value = low if low is not None else amounts["more_than"] + 1 if "more_than" in amounts else None
            if value is None:
                value = amounts["at_most"] if "at_most" in amounts else amounts["less_than"] - 1
            elif not wanted:
                value -= 1
            self._happens(person, did, compared, inside=wanted or low is not None, more={total: value})
            return
        times = int(amounts.get("exactly", amounts.get("at_least", amounts.get("more_than", 0) + 1)))
        if times > 20:
            raise _Contradiction  # nobody reads a test of so many rows
        if wanted or times > 1:
            for number in range(times if wanted else times - 1):
                self._happens(person, did, compared, inside=True, later=number)
        else:
            self._happens(person, did, compared, inside=False)

    def _happens(
        self, person: _Person, happening: Happening, compared: tuple[tuple[Field, Comparison], ...], *, inside: bool,
        more: dict[Field, Any] | None = None, later: int = 0,
    ) -> None:  # fmt: skip
        """One event, inside its period or at the first instant outside; without a period there is no outside."""
        step = dt.timedelta(minutes=later)
        if happening.within is not None:
            ago = dt.timedelta(seconds=happening.within)
            time = self.now - (min(ago / 2, dt.timedelta(days=1)) - step if inside else ago)
        elif happening.since is not None:
            time = happening.since + step if inside else happening.since - dt.timedelta(seconds=1)
        elif inside:
            time = self.now - dt.timedelta(days=1) + step
        else:
            return
        values = {found: self._value(found, comparison, True) for found, comparison in compared}
        for found, value in (more or {}).items():
            if values.setdefault(found, value) != value:
                raise _Contradiction
        person.events.append({"name": happening.event, "time": time, "values": values})

    def _value(self, found: Field, comparison: Comparison, wanted: bool) -> Any:
        """A value that fits the comparison, or one that does not."""
        if comparison.missing is not None:
            return None if comparison.missing == wanted else _something(found)
        if comparison.is_ is not None or comparison.in_:
            values = [comparison.is_] if comparison.is_ is not None else list(comparison.in_ or ())
            return values[0] if wanted else _another(found, values)
        if comparison.within is not None:
            ago = dt.timedelta(seconds=comparison.within)
            return _written(self.now - (ago / 2 if wanted else ago))
        for key, step in (("at_least", 0), ("at_most", 0), ("more_than", 1), ("less_than", -1)):
            size = getattr(comparison, key)
            if size is not None:
                more = step if wanted else {"at_least": -1, "at_most": 1}.get(key, 0)
                if found.family == "instant":
                    return _written(parse_instant(size) + dt.timedelta(days=more))
                return size + more
        if comparison.not_ is None:
            raise _Contradiction
        return self._value(found, comparison.not_, not wanted)


def _another(found: Field, values: list[Any]) -> Any:
    """A value that is none of these."""
    if isinstance(values[0], bool):
        return None if len(set(values)) > 1 else not values[0]
    if isinstance(values[0], str):
        if found.family == "instant":
            return _written(max(parse_instant(value) for value in values) + dt.timedelta(days=1))
        return f"not {values[0]}" if f"not {values[0]}" not in values else None
    return max(values, key=float) + 1


def _something(found: Field) -> Any:
    values = {"integer": 1, "decimal": 1, "float": 1, "boolean": True, "instant": _written(_EARLIEST_NOW)}
    if found.family not in (*values, "text", "document"):
        raise _Contradiction
    return values.get(found.family or "", "something")


def _written(instant: dt.datetime) -> str:
    return instant.isoformat(sep=" ")


def _given(question: Question, people: list[_Person]) -> dict[str, list[dict[str, Any]]]:
    events, key = question.policy.events, question.key
    columns = dict.fromkeys(found.name for leaf in question.leaves.values() if leaf.happening is None
                            for found, _ in leaf.compared)  # fmt: skip
    given = {question.profiles.name: [{key: person.name, **columns, **person.profile} for person in people]}
    if question.counts:
        rows = given[question.events.name] = []
        for person in people:
            for event in person.events:
                row: dict[str, Any] = {events.key: person.name, events.name: event["name"]}
                row |= dict.fromkeys(
                    dict.fromkeys((events.time, events.loaded or events.time)), _written(event["time"])
                )
                row |= {found.name: None for found in question.properties if not found.is_document} | row
                document: dict[str, Any] = {}
                for found, value in event["values"].items():
                    (document if found.is_document else row)[found.name] = value
                if any(found.is_document for found in question.properties):
                    row[str(events.properties)] = json.dumps({k: v for k, v in document.items() if v is not None})
                rows.append(row)
    for name, segment in question.segments.items():
        given[name] = [{str(segment.key): person.name} for person in people if person.segments.get(name)]
    return given
