"""Makes the state tables, and brings older ones up to date."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from sqlglot import exp

from activate.errors import SettingsError
from activate.project import Relation
from activate.tables import (
    APPROVALS,
    AUDIENCE_CHANGES,
    AUDIENCE_MEMBERS,
    AUDIENCE_SYNCS,
    ENGAGEMENTS,
    META,
    SUPPRESSIONS,
    TABLES,
    Column,
    Table,
)
from activate.warehouses.base import Warehouse, literal
from activate.warehouses.dialect import Dialect

VERSION = 3


def migrate(warehouse: Warehouse, schema: str, now: dt.datetime) -> bool:
    """Create what is missing, in one transaction of the caller; return whether anything was done.

    Raises SettingsError when the tables were made by a newer Activate.
    """
    meta = Relation(schema, META.name)
    if warehouse.columns([meta]):
        found = warehouse.scalar(exp.select(exp.func("MAX", exp.column("version"))).from_(meta.table()))
        if found == VERSION:
            return False
        if found in (1, 2):
            if found == 1:
                _audiences(warehouse, schema)
            _make(warehouse, schema, (ENGAGEMENTS, SUPPRESSIONS))  # version 3
            _applied(warehouse, schema, now)
            return True
        raise SettingsError(
            f"the state tables in schema {schema!r} have version {found}; this Activate knows version {VERSION}: "
            "install the Activate that made them"
        )
    schema_name = exp.to_identifier(schema, quoted=True)
    warehouse.execute(exp.Create(this=exp.Table(db=schema_name), kind="SCHEMA", exists=True))
    _make(warehouse, schema, TABLES)
    _applied(warehouse, schema, now)
    return True


def _make(warehouse: Warehouse, schema: str, tables: Sequence[Table]) -> None:
    for table in tables:
        warehouse.execute(ddl(table, schema, warehouse))
        warehouse.create_indexes(table, schema)


def _audiences(warehouse: Warehouse, schema: str) -> None:
    """Version 2 brought audiences. Version 1 declared `audience_changes`, and nothing ever wrote to it."""
    old = exp.table_(AUDIENCE_CHANGES.name, db=schema, quoted=True)
    warehouse.execute(exp.Drop(tables=[old], kind="TABLE", exists=True))
    _make(warehouse, schema, (AUDIENCE_CHANGES, AUDIENCE_MEMBERS, AUDIENCE_SYNCS, APPROVALS))


def _applied(warehouse: Warehouse, schema: str, now: dt.datetime) -> None:
    row = exp.values([(VERSION, literal(now))])
    meta = Relation(schema, META.name)
    warehouse.execute(exp.insert(row, meta.table(), columns=["version", "applied_at"]))


def ddl(table: Table, schema: str, dialect: Dialect) -> exp.Create:
    """CREATE TABLE IF NOT EXISTS of one state table."""
    target = exp.table_(table.name, db=schema, quoted=True)
    columns = [_column(column, dialect) for column in table.columns]
    return exp.Create(this=exp.Schema(this=target, expressions=columns), kind="TABLE", exists=True)


def _column(column: Column, dialect: Dialect) -> exp.ColumnDef:
    kinds: list[exp.Expr] = [] if column.nullable else [exp.NotNullColumnConstraint()]
    kinds += dialect.storage(column)
    constraints = [exp.ColumnConstraint(kind=kind) for kind in kinds]
    name = exp.to_identifier(column.name, quoted=True)
    return exp.ColumnDef(this=name, kind=exp.DataType.build(column.type), constraints=constraints)
