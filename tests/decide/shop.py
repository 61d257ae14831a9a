"""A small shop in a real warehouse: the tables of the project that uses every rule, with people for whom they matter."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import sqlglot
from sqlglot import exp

from activate.project import Project, Relation
from activate.record.migrate import migrate
from activate.tables import TABLES
from activate.warehouses.base import Warehouse
from tests.compile.everything import CART, JOURNEY, RECEIPT, project

DAY = dt.date(2026, 6, 15)
STATE = [table.name for table in TABLES if table.name != "meta"]


def at(clock: str, day: int = 15) -> dt.datetime:
    """An instant on a day of June 2026, UTC."""
    return dt.datetime.combine(DAY.replace(day=day), dt.time.fromisoformat(clock))


def connect(uri: str) -> Warehouse:
    """A warehouse by its URI: postgresql://… or the path of a DuckDB file."""
    if uri.startswith("postgresql:"):
        from activate.warehouses.postgres import Postgres

        return Postgres.open(uri)
    from activate.warehouses.duckdb import DuckDB

    return DuckDB.open(uri)


def run(warehouse: Warehouse, *statements: str) -> None:
    """Run SQL written in DuckDB's dialect."""
    for statement in statements:
        warehouse.execute(sqlglot.parse_one(statement, read="duckdb"))


def build(warehouse: Warehouse) -> None:
    """Make the shop's tables and people."""
    run(warehouse, "CREATE SCHEMA analytics")
    for model in project().models.values():
        columns = [
            exp.ColumnDef(this=exp.to_identifier(name, quoted=True), kind=exp.DataType.build(kind, dialect="postgres"))
            for name, kind in model.columns.items()
        ]
        table = exp.Schema(this=model.relation.table(), expressions=columns)
        warehouse.execute(exp.Create(this=table, kind="TABLE"))
    run(
        warehouse,
        "INSERT INTO analytics.profiles VALUES "
        "('1', 'Europe/Berlin', 'one@example.com', TRUE, 'token-1', 'opted_in', NULL), "
        "('2', 'America/New_York', 'two@example.com', TRUE, NULL, NULL, NULL), "
        "('3', 'Nowhere/Land', 'three@example.com', TRUE, 'token-3', 'unsubscribed', NULL), "
        "('4', NULL, NULL, NULL, NULL, NULL, NULL)",
    )
    for number in range(1, 6):
        cart(warehouse, number, str(number), at("10:05"), value=200)


def cart(warehouse: Warehouse, event: int, user: str | None, when: dt.datetime, value: float | str = 200) -> None:
    """A cart row of the trigger model, loaded as it happened."""
    who = "NULL" if user is None else f"'{user}'"
    run(
        warehouse,
        f"INSERT INTO analytics.carts VALUES ({event}, {who}, TIMESTAMPTZ '{when}+00', TIMESTAMP '{when}', 'c{event}', "
        f"CAST('{value}' AS DOUBLE), 'odd')",
    )


def event(warehouse: Warehouse, number: int, user: str, name: str, when: dt.datetime, cart_id: str) -> None:
    """A row of the events model."""
    run(
        warehouse,
        f"INSERT INTO analytics.events VALUES ({number}, '{user}', '{name}', TIMESTAMP '{when}', TIMESTAMP '{when}', "
        f"'{{}}', '{cart_id}')",
    )


def rules(directory: Path | None = None) -> Project:
    """The rules that use everything."""
    made = project(CART, JOURNEY, RECEIPT)
    return made if directory is None else Project(directory, made.name, made.policy, made.campaigns, made.models)


def rows(warehouse: Warehouse, table: str, *columns: str) -> list[dict[str, Any]]:
    """All rows of a state table, in a stable order."""
    query = exp.select(*(columns or ("*",))).from_(Relation("activate", table).table())
    found: list[dict[str, Any]] = warehouse.query(query).to_pylist()
    return sorted(found, key=repr)


def state(warehouse: Warehouse) -> dict[str, list[dict[str, Any]]]:
    """Everything in the state tables but the machine's clock readings."""
    with warehouse.transaction():
        migrate(warehouse, "activate", at("00:00"))
    found = {table: rows(warehouse, table) for table in STATE}
    for row in found["runs"]:
        del row["started_at"], row["finished_at"]
    return found
