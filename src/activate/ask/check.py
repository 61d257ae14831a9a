"""Holds a request against what the warehouse has: what no model has is refused, with the nearest match."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from activate.ask.known import Field, Known
from activate.ask.lines import Line
from activate.errors import Mistake, nearest
from activate.load.parse import Document, Path_
from activate.project import Model
from activate.request import Comparison, Happening, Value
from activate.words import parse_instant

_NUMBERS = ("integer", "decimal", "float")
_COMPARABLE = ("text", *_NUMBERS, "boolean", "instant", "document", None)
_LISTED = 12


@dataclass(frozen=True)
class Leaf:
    """A line that holds no others, with what it names found in the warehouse."""

    line: Line
    compared: tuple[tuple[Field, Comparison], ...] = ()
    total: Field | None = None
    segment: Model | None = None

    @property
    def happening(self) -> Happening | None:
        """The event that the line is about."""
        return self.line.condition.did or self.line.condition.did_not


@dataclass
class Findings:
    """The leaves by the numbers of their lines, and what was found wrong on the way."""

    leaves: dict[str, Leaf] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)


def check(root: Line, known: Known, document: Document, name: str, *, allow_unseen: bool = False) -> Findings:
    """Find what every line names. `name` is the request's own: it cannot be a segment of itself.

    With `allow_unseen` an event or a JSON key that was never seen is a warning instead of an error.
    """
    return _Checker(known, document, name, "warning" if allow_unseen else "error").run(root)


class _Checker:
    def __init__(self, known: Known, document: Document, name: str, unseen: str) -> None:
        self.known = known
        self.document = document
        self.name = name
        self.unseen = unseen
        self.findings = Findings()

    def run(self, root: Line) -> Findings:
        for line in root.leaves():
            self.findings.leaves[line.number] = self._leaf(line)
        return self.findings

    def _leaf(self, line: Line) -> Leaf:
        condition = line.condition
        happening = condition.did or condition.did_not
        if happening is not None:
            return self._happening(line, happening)
        if condition.profile is not None:
            return Leaf(line, tuple(self._fields(line.path, condition.profile)))
        return Leaf(line, segment=self._segment(line, str(condition.in_segment or condition.not_in_segment)))

    def _happening(self, line: Line, happening: Happening) -> Leaf:
        event, total = happening.event, None
        if not self.known.has_event(event):
            names = self.known.event_names
            message = f"no event {event!r} was ever seen{listed('events', names)}{nearest(event, names)}"
            self._add((*line.path, "event"), message, self.unseen)
            if self.unseen == "error":
                return Leaf(line)  # what properties it would have, nobody knows
        did = line.condition.did
        if did is not None and did.sum is not None:
            total = self._property((*line.path, "sum"), event, did.sum, part_of_key=False)
            if total is not None and total.family not in (*_NUMBERS, "document"):
                message = f"{total.name!r} cannot be added up: its column holds {_kind(total)}"
                self._add((*line.path, "sum"), message)
        compared = []
        for name, comparison in happening.where.items():
            path = (*line.path, "where", name)
            found = self._property(path, event, name, is_absence=comparison.missing is not None)
            if found is not None:
                self._compare(path, found, comparison)
                compared.append((found, comparison))
        return Leaf(line, tuple(compared), total)

    def _property(
        self, path: Path_, event: str, name: str, *, part_of_key: bool = True, is_absence: bool = False
    ) -> Field | None:
        found = self.known.property_of(event, name)
        if found is not None:
            if not (found.is_document or is_absence or self.known.has_value(event, found)):
                names = tuple(self.known.json_keys(event))
                message = f"no {event} ever had a value in {found.name!r}{listed('properties', names)}"
                self._add(path, message, self.unseen, is_key=part_of_key)
            return found
        names = self.known.property_names(event)
        message = f"no {event} ever had a property {name!r}{listed('properties', names)}{nearest(name, names)}"
        has_document = self.known.policy.events.properties is not None
        severity = self.unseen if has_document else "error"
        self._add(path, message, severity, is_key=part_of_key)
        return Field(name, "", "document") if severity == "warning" else None

    def _fields(self, path: Path_, wanted: dict[str, Comparison]) -> Iterator[tuple[Field, Comparison]]:
        for name, comparison in wanted.items():
            found = self.known.profile_field(name)
            if found is None:
                names = self.known.profiles.columns
                message = f"the profiles have no field {name!r}{listed('fields', tuple(names))}{nearest(name, names)}"
                self._add((*path, name), message, is_key=True)
                continue
            self._compare((*path, name), found, comparison)
            yield found, comparison

    def _segment(self, line: Line, name: str) -> Model | None:
        found = self.known.segments.get(name)
        if found is None or name == self.name:
            names = [segment for segment in self.known.segments if segment != self.name]
            said = "a request cannot ask for its own segment" if name == self.name else f"no segment {name!r}"
            self._add(line.path, f"{said}{listed('segments', tuple(names))}{nearest(name, names)}")
            return None
        if not found.columns:
            self._add(
                line.path, f"the segment {name!r} ({found.relation}) is not in the warehouse yet; run `dbt build`"
            )
            return None
        return found

    def _compare(self, path: Path_, found: Field, comparison: Comparison) -> None:
        """Whether the values that are written can be compared with those of the column."""
        if comparison.missing is not None:
            return
        if found.family not in _COMPARABLE:
            self._add(
                path,
                f"{found.name!r} holds {_kind(found)}, which a request cannot compare; only `missing` can be asked",
            )
            return
        values = [("is", comparison.is_), *(("in", value) for value in comparison.in_ or ())]
        for key, value in values:
            if value is not None and (complaint := _misfit(found, value)):
                self._add((*path, key), complaint)
        for key in comparison.SIZES:
            value = getattr(comparison, key)
            if value is not None and (complaint := _no_size(found) or _misfit(found, value, is_size=True)):
                self._add((*path, key), complaint)
        if comparison.within is not None and found.family != "instant":
            self._add((*path, "within"), f"{found.name!r} holds {_kind(found)}, so `within` cannot be asked of it")
        if comparison.not_ is not None:
            self._compare((*path, "not"), found, comparison.not_)

    def _add(self, path: Path_, message: str, severity: str = "error", *, is_key: bool = False) -> None:
        part = "key" if is_key else "value"
        self.findings.mistakes.append(self.document.mistake(path, message, severity=severity, part=part))  # type: ignore[arg-type]  # a conditional of two literals


def listed(what: str, names: tuple[str, ...]) -> str:
    """`; events: purchase, app_opened and 7 more`."""
    if not names:
        return f"; there are no {what}"
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"; {what}: {', '.join(names[:_LISTED])}{more}"


def _kind(found: Field) -> str:
    """What a column holds, in words."""
    words = {"integer": "whole numbers", "decimal": "numbers", "float": "numbers", "instant": "times",
             "boolean": "true or false", "text": "text"}  # fmt: skip
    return words.get(found.family or "", f"values of the type {found.type_name}")


def _no_size(found: Field) -> str:
    if found.family in (*_NUMBERS, "instant", "document"):
        return ""
    return f"{found.name!r} holds {_kind(found)}, which is neither larger nor smaller than anything"


def _misfit(found: Field, value: Value, *, is_size: bool = False) -> str:
    """Why a value cannot be compared with the column's; empty if it can."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if found.is_document:
        if is_size and not is_number:
            return f"{value!r} is not a number; of a key of the JSON column only numbers can be compared by size"
        return ""
    if found.family == "instant":
        try:
            parse_instant(value)
        except ValueError as error:
            return f"{found.name!r} holds times: {error}"
        return ""
    if found.family in _NUMBERS:
        fits = is_number
    elif found.family == "boolean":
        fits = isinstance(value, bool)
    else:
        fits = isinstance(value, str)
    if fits:
        return ""
    help_ = (
        f"; put it in quotes: '{str(value).lower() if isinstance(value, bool) else value}'"
        if found.family in ("text", None)
        else ""
    )
    return f"{found.name!r} holds {_kind(found)}, and {value!r} is none{help_}"
