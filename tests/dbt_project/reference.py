"""The reference project in a directory of its own."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import sqlglot

from activate.demo.dbt import dbt_build
from activate.demo.generate import Shop
from activate.demo.load import RAW, load, make_room
from activate.project import Relation
from activate.settings import Options, Target
from activate.warehouses.registry import connect


@dataclass
class Reference:
    """A copy of the project, a warehouse, and a shop to load into it."""

    options: Options
    target: Target
    shop: Shop

    def build(self, now: dt.datetime, *arguments: str) -> None:
        """Run `dbt build` as of `now`."""
        dbt_build(self.options, self.target, now, arguments)

    def load(self, start: dt.datetime | None, end: dt.datetime) -> None:
        """Load the shop's rows of [start, end), into empty tables if there is no start."""
        warehouse = connect(self.target)
        try:
            if start is None:
                make_room(warehouse, self.shop, "analytics", "activate")
            load(warehouse, self.shop, start, end)
        finally:
            warehouse.close()

    def fill(self, **tables: list[dict[str, Any]]) -> None:
        """Append rows written by hand; they are loaded five seconds after they happened where they do not say."""
        warehouse = connect(self.target)
        try:
            for name, rows in tables.items():
                schema = self.shop.tables[name].schema
                warehouse.ingest(Relation(RAW, name), pa.Table.from_pylist([_loaded(row) for row in rows], schema))
        finally:
            warehouse.close()

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a query written for DuckDB."""
        warehouse = connect(self.target)
        try:
            found = warehouse.query(sqlglot.parse_one(sql, read="duckdb"))
            return list(zip(*(column.to_pylist() for column in found.columns), strict=True))
        finally:
            warehouse.close()


def _loaded(row: dict[str, Any]) -> dict[str, Any]:
    happened = next(row[name] for name in ("occurred_at", "identified_at", "updated_at") if name in row)
    return {"loaded_at": happened + dt.timedelta(seconds=5), **row}
