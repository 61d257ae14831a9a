"""The request as numbered lines, in the order of reading: 1, 2, 3, 3.1, 3.2."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from activate.load.parse import Path_
from activate.request import Condition, Request

GROUPS = ("all", "any")
MAX_LINES = 100
MAX_DEPTH = 8


@dataclass(frozen=True)
class Line:
    """One line of a request. The outermost group has no number; `not` around a line makes it `negated`.

    `path` is where the line's key (`did`, `all`, ...) stands in the file.
    """

    number: str
    path: Path_
    key: str
    negated: bool
    condition: Condition
    children: tuple[Line, ...] = ()

    @property
    def is_group(self) -> bool:
        """Whether the line holds other lines."""
        return self.key in GROUPS

    @property
    def column(self) -> str:
        """The column that holds the answer to the line."""
        return f"line_{self.number.replace('.', '_')}"

    def walk(self) -> Iterator[Line]:
        """The line and all lines in it, in the order of reading."""
        yield self
        for child in self.children:
            yield from child.walk()

    def leaves(self) -> Iterator[Line]:
        """The lines that hold no others."""
        return (line for line in self.walk() if not line.is_group)


def number_lines(request: Request) -> Line:
    """The outermost line of a request. A request of one line is line 1. Raises ValueError for far too many lines."""
    root = _line(request.who, ("who",), "", negated=False, depth=0)
    count = sum(1 for _ in root.walk())
    if count > MAX_LINES:
        raise ValueError(f"has {count} lines; at most {MAX_LINES} can be read by anybody")
    return root


def _line(condition: Condition, path: Path_, number: str, negated: bool, depth: int) -> Line:
    if depth > MAX_DEPTH:
        raise ValueError(f"groups are nested more than {MAX_DEPTH} levels deep")
    key = condition.key
    path = (*path, key)
    if key == "not":
        return _line(condition.get("not"), path, number, not negated, depth)
    if key not in GROUPS:
        return Line(number or "1", path, key, negated, condition)
    children = tuple(
        _line(child, (*path, index), f"{number}.{index + 1}" if number else str(index + 1), False, depth + 1)
        for index, child in enumerate(condition.get(key))
    )
    return Line(number, path, key, negated, condition, children)
