"""A request that was checked: its lines, what they name in the warehouse, and the names of what is counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from activate.ask.check import Leaf
from activate.ask.known import Field
from activate.ask.lines import Line
from activate.ask.names import count_name, slug, unused
from activate.policy import Policy
from activate.project import Model
from activate.request import Did, Happening, Request


@dataclass(frozen=True)
class Count:
    """One column of the counts: how often, or (with `total`) what a property adds up to."""

    name: str
    leaf: Leaf
    happening: Happening
    total: Field | None


@dataclass(frozen=True)
class Question:
    """Everything that a query is made of."""

    request: Request
    root: Line
    leaves: Mapping[str, Leaf]
    policy: Policy
    profiles: Model
    events: Model

    @property
    def key(self) -> str:
        """The column of the person's key, in the profiles and in what comes out."""
        return self.policy.profiles.key

    @cached_property
    def properties(self) -> dict[Field, str]:
        """The properties that the request looks at, each with the name of its column among what happened."""
        events, found = self.policy.events, dict[Field, str]()
        taken = {self.key, events.name, events.time}
        for leaf in self._about_events:
            for wanted in (*(field for field, _ in leaf.compared), *([leaf.total] if leaf.total else [])):
                if wanted in found:
                    continue
                if wanted.name in (events.name, events.time) and not wanted.is_document:
                    found[wanted] = wanted.name
                    continue
                name = slug(wanted.name) if wanted.is_document else wanted.name
                found[wanted] = name if name not in taken else unused(slug(name), taken)
                taken.add(found[wanted])
        return found

    @cached_property
    def counts(self) -> dict[str, Count]:
        """The count that each line about events needs, by the line's number; lines that need the same one share it."""
        shared: dict[tuple[object, ...], Count] = {}
        found: dict[str, Count] = {}
        taken = {self.key, *(line.column for line in self.root.leaves())}
        for leaf in self._about_events:
            happening = leaf.happening
            if happening is None:
                continue
            total = happening.sum if isinstance(happening, Did) else None
            where = tuple((name, comparison.model_dump_json()) for name, comparison in happening.where.items())
            same = (happening.event, happening.within, happening.since, where, total)
            if same not in shared:
                shared[same] = Count(count_name(happening, taken), leaf, happening, leaf.total)
                taken.add(shared[same].name)
            found[leaf.line.number] = shared[same]
        return found

    @cached_property
    def shown(self) -> tuple[Count, ...]:
        """The counts that come out beside the key: of what people did, not of what they did not."""
        numbers = [line.number for line in _asserted(self.root) if line.key == "did"]
        return tuple({self.counts[number].name: self.counts[number] for number in numbers}.values())

    @property
    def segments(self) -> dict[str, Model]:
        """The segments that the request asks about, by name."""
        found = {leaf.segment.name: leaf.segment for leaf in self.leaves.values() if leaf.segment is not None}
        return dict(sorted(found.items()))

    @property
    def _about_events(self) -> Iterator[Leaf]:
        return (leaf for leaf in self.leaves.values() if leaf.happening is not None)


def _asserted(line: Line) -> Iterator[Line]:
    """The leaves that no `not` stands before."""
    if line.negated:
        return
    if not line.is_group:
        yield line
    for child in line.children:
        yield from _asserted(child)
