"""Plain tables in a warehouse for worlds and scenarios: made, filled and read back without dbt."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
from sqlglot import exp, parse_one

from activate.project import Relation
from activate.warehouses.base import Warehouse

_ARROW = {
    "text": pa.string(),
    "bigint": pa.int64(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us"),
    "timestamp with time zone": pa.timestamp("us", "UTC"),
}

Rows = Iterable[Mapping[str, Any]]


class Stage:
    """One schema of a warehouse."""

    def __init__(self, warehouse: Warehouse, schema: str) -> None:
        self.warehouse = warehouse
        self.schema = schema
        name = exp.Table(db=exp.to_identifier(schema, quoted=True))
        warehouse.execute(exp.Create(this=name, kind="SCHEMA", exists=True))

    def relation(self, name: str) -> Relation:
        """A table or view of this schema."""
        return Relation(self.schema, name)

    def create(self, name: str, types: Mapping[str, str]) -> None:
        """Make an empty table with these column types."""
        columns = [
            exp.ColumnDef(this=exp.to_identifier(column, quoted=True), kind=exp.DataType.build(type_name))
            for column, type_name in types.items()
        ]
        table = exp.Schema(this=self.relation(name).table(), expressions=columns)
        self.warehouse.execute(exp.Create(this=table, kind="TABLE"))

    def create_view(self, name: str, query: exp.Select) -> None:
        """Make a view."""
        self.warehouse.execute(exp.Create(this=self.relation(name).table(), kind="VIEW", expression=query))

    def append(self, name: str, types: Mapping[str, str], rows: Rows) -> None:
        """Add rows; a column that a row does not have is null, a value that is a dict becomes JSON text."""
        append(self.warehouse, self.relation(name), types, rows)

    def replace(self, name: str, types: Mapping[str, str], rows: Rows) -> None:
        """Put these rows in the place of those there."""
        self.warehouse.execute(exp.Delete(this=self.relation(name).table()))
        self.append(name, types, rows)

    def drop(self) -> None:
        """Drop the schema with everything in it."""
        drop_schema(self.warehouse, self.schema)


def append(warehouse: Warehouse, relation: Relation, types: Mapping[str, str], rows: Rows) -> None:
    """Add rows to any table; see `Stage.append`."""
    plain = [
        {key: json.dumps(value) if isinstance(value, dict) else value for key, value in row.items()} for row in rows
    ]
    if plain:
        schema = pa.schema([(column, _ARROW[type_name]) for column, type_name in types.items()])
        warehouse.ingest(relation, pa.Table.from_pylist(plain, schema=schema))


def read(warehouse: Warehouse, relation: Relation, columns: Sequence[str]) -> list[dict[str, Any]]:
    """All rows of a table, with these columns."""
    query = exp.select(*(exp.column(column, quoted=True) for column in columns)).from_(relation.table())
    rows: list[dict[str, Any]] = warehouse.query(query).to_pylist()
    return rows


def drop_schema(warehouse: Warehouse, schema: str) -> None:
    """Drop a schema with everything in it."""
    quoted = exp.to_identifier(schema, quoted=True).sql("duckdb")
    warehouse.execute(parse_one(f"DROP SCHEMA IF EXISTS {quoted} CASCADE", read="duckdb"))
