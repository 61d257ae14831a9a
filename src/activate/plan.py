"""A plan is data: the list of statements that decide one tick, in order, and what each is for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True)
class Text:
    """A printed statement with holes for named constants: `parts[0] names[0] parts[1] names[1] … parts[-1]`.

    The constants are themselves printed from trees; a plan is printed once and bound anew at every tick.
    """

    parts: tuple[str, ...]
    names: tuple[str, ...] = ()

    def bind(self, constants: Mapping[str, str]) -> str:
        """Return the statement with its holes filled. Raises KeyError for a constant that is missing."""
        pieces = [self.parts[0]]
        for name, part in zip(self.names, self.parts[1:], strict=True):
            pieces += (constants[name], part)
        return "".join(pieces)


@dataclass(frozen=True)
class Load:
    """Fill a small temporary table with rows made in Python (rules and clocks as tables)."""

    name: str
    doc: str
    table: str
    rows: pa.Table


@dataclass(frozen=True)
class Statement:
    """Run one statement.

    `creates` names the temporary table that it makes, if any. `needs` names a fetched count: when that is 0 there is
    nothing to do and the statement is left out.
    """

    name: str
    doc: str
    sql: Text
    creates: str | None = None
    needs: str | None = None


@dataclass(frozen=True)
class Fetch:
    """Ask for one row; its columns become constants of the statements that follow."""

    name: str
    doc: str
    sql: Text
    binds: tuple[str, ...]
    needs: str | None = None


@dataclass(frozen=True)
class Rounds:
    """Run `body` once for each value of the constant `round` from `first` to the fetched number `last`.

    `left`, if any, is asked after each round: when it answers 0, the rounds are over.
    """

    name: str
    doc: str
    first: int
    last: str
    body: tuple[Statement, ...]
    needs: str | None = None
    left: Text | None = None


Stage = Load | Statement | Fetch | Rounds


@dataclass(frozen=True)
class Plan:
    """Everything that one tick executes, in order, and the constants that are known before it starts."""

    stages: tuple[Stage, ...]
    constants: Mapping[str, str]

    def statements(self) -> Iterator[tuple[str, str, Text]]:
        """Yield (name, doc, statement) of all that is SQL, the body of rounds once."""
        for stage in self.stages:
            if isinstance(stage, Statement | Fetch):
                yield stage.name, stage.doc, stage.sql
            elif isinstance(stage, Rounds):
                for statement in stage.body:
                    yield statement.name, statement.doc, statement.sql
                if stage.left is not None:
                    yield f"{stage.name}.left", "How many are left.", stage.left

    def script(self) -> Iterator[tuple[str, str]]:
        """Yield (name, SQL) to be read by people; a constant known only while it runs stays as `:name`."""
        for name, _, text in self.statements():
            holes = {hole: f":{hole}" for hole in text.names}
            yield name, text.bind(holes | dict(self.constants))
