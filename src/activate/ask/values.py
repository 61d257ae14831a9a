"""Warns of values that nobody has: `berlin` where the warehouse says `Berlin` is no mistake, but nobody fits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from activate.ask.check import Leaf, listed
from activate.ask.known import Known
from activate.errors import Mistake, nearest
from activate.load.parse import Document, Path_
from activate.request import Comparison


def unknown_values(leaves: Iterable[Leaf], known: Known, document: Document) -> Iterator[Mistake]:
    """A warning for each text that a property or a field with few different texts never has."""
    for leaf in leaves:
        happening = leaf.happening
        event = None if happening is None else happening.event
        path = leaf.line.path if happening is None else (*leaf.line.path, "where")
        for (found, comparison), name in zip(leaf.compared, _names(leaf), strict=False):
            wanted = list(_texts(comparison, (*path, name)))
            if not wanted or found.family not in ("text", "document", None):
                continue
            values = known.few_values(found, event)
            for text, place in wanted:
                if values and text not in values:
                    who = "nobody's" if event is None else f"no {event}'s"
                    message = f"{who} {name} is {text!r}{listed('values', values)}{nearest(text, values)}"
                    yield document.mistake(place, message, severity="warning")


def _names(leaf: Leaf) -> Iterable[str]:
    happening = leaf.happening
    return happening.where if happening is not None else leaf.line.condition.profile or ()


def _texts(comparison: Comparison, path: Path_) -> Iterator[tuple[str, Path_]]:
    for key, value in (("is", comparison.is_), *(("in", value) for value in comparison.in_ or ())):
        if isinstance(value, str):
            yield value, (*path, key)
    if comparison.not_ is not None:
        yield from _texts(comparison.not_, (*path, "not"))
