"""A plan is data: the list of statements that decide one tick, in order, and what each is for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
from sqlglot import exp


@dataclass(frozen=True)
class Load:
    """Fill a small temporary table with rows made in Python (rules and clocks as tables)."""

    name: str
    doc: str
    table: str
    rows: pa.Table


@dataclass(frozen=True)
class Statement:
    """Run one statement. `creates` names the temporary table that it makes, if any."""

    name: str
    doc: str
    sql: exp.Expression
    creates: str | None = None


@dataclass(frozen=True)
class Fetch:
    """Ask for one row; its columns become parameters (`:name`) of the statements that follow."""

    name: str
    doc: str
    sql: exp.Expression
    binds: tuple[str, ...]


@dataclass(frozen=True)
class Rounds:
    """Run `body` once for each value of `:round` from `first` to the parameter `last`."""

    name: str
    doc: str
    first: int
    last: str
    body: tuple[Statement, ...]


Stage = Load | Statement | Fetch | Rounds


@dataclass(frozen=True)
class Plan:
    """Everything that one tick executes, in order."""

    stages: tuple[Stage, ...]

    def statements(self) -> Iterator[tuple[str, str, exp.Expression]]:
        """Yield (name, doc, statement) of all that is SQL, rounds once."""
        for stage in self.stages:
            if isinstance(stage, Statement | Fetch):
                yield stage.name, stage.doc, stage.sql
            elif isinstance(stage, Rounds):
                for statement in stage.body:
                    yield statement.name, statement.doc, statement.sql

    @property
    def temporary_tables(self) -> tuple[str, ...]:
        """The temporary tables that the plan leaves behind."""
        names: list[str] = []
        for stage in self.stages:
            if isinstance(stage, Load):
                names.append(stage.table)
            elif isinstance(stage, Statement) and stage.creates:
                names.append(stage.creates)
        return tuple(dict.fromkeys(names))
