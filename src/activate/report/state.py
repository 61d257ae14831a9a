"""Reading the state tables: the only place in report/ that knows where they are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlglot import exp

from activate.project import Relation
from activate.tables import DELIVERIES, MESSAGES, RUNS, SCANS, Table
from activate.warehouses.base import Warehouse, literal

Row = dict[str, Any]


def column(name: str, alias: str | None = None) -> exp.Column:
    """A quoted column, so that no name of a user's model needs to be free of keywords."""
    return exp.column(name, table=alias, quoted=True)


def count(condition: exp.Expr | None = None) -> exp.Expression:
    """How many rows (for which `condition` is true), as a BIGINT on every warehouse."""
    if condition is None:
        return exp.cast(exp.Count(this=exp.Star()), "BIGINT")
    case = exp.Case().when(condition, exp.Literal.number(1))
    return exp.cast(exp.Count(this=case), "BIGINT")


class State:
    """The state tables of one project. Rows come back as dictionaries in the order of the table's columns."""

    def __init__(self, warehouse: Warehouse, schema: str) -> None:
        self.warehouse = warehouse
        self.schema = schema

    def table(self, table: Table, alias: str | None = None) -> exp.Expression:
        """The table in the state schema."""
        return Relation(self.schema, table.name).table(alias)

    def exists(self) -> bool:
        """Whether a tick has ever made the tables."""
        relation = Relation(self.schema, RUNS.name)
        return relation in self.warehouse.columns([relation])

    def ask(self, query: exp.Expression) -> list[Row]:
        """Run a query with a small result."""
        rows: list[Row] = self.warehouse.query(query).to_pylist()
        return rows

    def rows(self, table: Table, order: Iterable[str] = (), **equal: object) -> list[Row]:
        """The rows of `table` whose columns equal the values given (None leaves the column out of the question)."""
        query = exp.select(*(column(name) for name in table.names)).from_(self.table(table))
        for name, value in equal.items():
            if value is not None:
                query = query.where(column(name).eq(literal(value)))
        return self.ask(query.order_by(*(column(name) for name in order)) if order else query)

    def deliveries_of(self, person: str) -> list[Row]:
        """All deliveries of one person's messages, oldest first."""
        query = (
            exp.select(*(column(name, "d") for name in DELIVERIES.names))
            .from_(self.table(DELIVERIES, "d"))
            .join(
                self.table(MESSAGES, "m"), on=column("message_id", "m").eq(column("message_id", "d")), join_type="inner"
            )
            .where(column("user_id", "m").eq(literal(person)))
            .order_by(column("recorded_at", "d"), column("attempt", "d"), column("final", "d"))
        )
        return self.ask(query)

    def last_tick(self) -> Row | None:
        """The latest tick that was recorded."""
        query = (
            exp.select(*(column(name) for name in RUNS.names))
            .from_(self.table(RUNS))
            .where(column("status").eq(literal("decided")))
            .order_by(exp.Ordered(this=column("now"), desc=True, nulls_first=False))
            .limit(1)
        )
        return next(iter(self.ask(query)), None)

    def scanned(self) -> dict[str, Row]:
        """Per campaign its `launch` (the first tick that had it) and `cursor` (the last)."""
        query = (
            exp.select(
                column("campaign"),
                exp.alias_(exp.Min(this=column("scanned_to")), "launch"),
                exp.alias_(exp.Max(this=column("scanned_to")), "cursor"),
            )
            .from_(self.table(SCANS))
            .group_by(column("campaign"))
        )
        return {row["campaign"]: row for row in self.ask(query)}
