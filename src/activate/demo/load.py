"""Loads the made-up shop into a warehouse, and makes room for it first, without ever dropping anybody's own data."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import sqlglot
from sqlglot import exp

from activate.demo.generate import Shop
from activate.errors import SettingsError
from activate.project import Relation
from activate.warehouses.base import Warehouse

RAW = "raw"
MARKER = Relation(RAW, "made_by_activate_demo")
_TYPES = (
    (pa.types.is_timestamp, "TIMESTAMP"),
    (pa.types.is_boolean, "BOOLEAN"),
    (pa.types.is_floating, "DOUBLE"),
    (pa.types.is_integer, "BIGINT"),
)


def make_room(warehouse: Warehouse, shop: Shop, models: str, state: str) -> bool:
    """Drop what an earlier demo left in the schemas of raw data, models and state, and make empty raw tables.

    Returns whether there was an earlier demo. Raises SettingsError when there is data that no demo has made.
    """
    marked = bool(warehouse.columns([MARKER]))
    if not marked:
        _refuse_own_data(warehouse, shop, state)
    for schema in (models, state, RAW):
        # Parsed, because how a tree of DROP is made differs from one sqlglot 30 to the next.
        name = exp.to_identifier(schema, quoted=True).sql()
        drop: exp.Expression = sqlglot.parse_one(f"DROP SCHEMA IF EXISTS {name} CASCADE")  # type: ignore[assignment]  # widened
        warehouse.execute(drop)
    warehouse.execute(exp.Create(this=exp.Table(db=exp.to_identifier(RAW, quoted=True)), kind="SCHEMA"))
    warehouse.execute(_create(MARKER, pa.schema([("note", pa.string())])))
    for name, table in shop.tables.items():
        warehouse.execute(_create(Relation(RAW, name), table.schema))
    return marked


def load(warehouse: Warehouse, shop: Shop, start: dt.datetime | None, end: dt.datetime) -> int:
    """Append what was loaded in [start, end) to the raw tables; return the number of rows."""
    count = 0
    for name in shop.tables:
        rows = shop.loaded_between(name, start, end)
        if rows.num_rows:
            warehouse.ingest(Relation(RAW, name), rows)
            count += rows.num_rows
    return count


def _refuse_own_data(warehouse: Warehouse, shop: Shop, state: str) -> None:
    own = [Relation(RAW, name) for name in shop.tables] + [Relation(state, name) for name in ("entries", "runs")]
    for relation in warehouse.columns(own):
        if warehouse.scalar(exp.select(exp.Literal.number(1)).from_(relation.table()).limit(1)) is not None:
            raise SettingsError(
                f"{relation} holds data that no demo has made, so the demo will not touch it; "
                "run the demo in another directory, or on another --target"
            )


def _create(relation: Relation, schema: pa.Schema) -> exp.Create:
    columns = [
        exp.ColumnDef(this=exp.to_identifier(field.name, quoted=True), kind=exp.DataType.build(_type(field.type)))
        for field in schema
    ]
    return exp.Create(this=exp.Schema(this=relation.table(), expressions=columns), kind="TABLE")


def _type(arrow: pa.DataType) -> str:
    return next((name for test, name in _TYPES if test(arrow)), "TEXT")
