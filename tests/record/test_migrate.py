"""Older state tables are brought up to date, with what they hold."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest

from activate.errors import SettingsError
from activate.project import Relation
from activate.record.migrate import VERSION, migrate
from activate.tables import TABLES
from activate.warehouses.base import Warehouse
from activate.warehouses.duckdb import DuckDB
from activate.warehouses.postgres import Postgres

NOW = dt.datetime(2026, 3, 2, 12)


@pytest.fixture(params=["duckdb", "postgres"])
def warehouse(request: pytest.FixtureRequest) -> Iterator[Warehouse]:
    if request.param == "duckdb":
        made: Warehouse = DuckDB.open(":memory:")
    else:
        made = Postgres.open(request.getfixturevalue("postgres_server"))
    yield made
    made.close()


def test_version_2_gets_the_tables_of_version_3_and_keeps_its_rows(warehouse: Warehouse) -> None:
    with warehouse.transaction():
        assert migrate(warehouse, "activate", NOW)
    for statement in (
        "DROP TABLE activate.engagements", "DROP TABLE activate.suppressions", "DELETE FROM activate.meta",
        "INSERT INTO activate.meta VALUES (2, TIMESTAMP '2026-03-01 00:00:00')",
        "INSERT INTO activate.memberships VALUES ('vip', 'ann', 'enter', 'r', TIMESTAMP '2026-03-01 00:00:00')",
    ):  # fmt: skip
        warehouse.execute(statement)
    with warehouse.transaction():
        assert migrate(warehouse, "activate", NOW)
    with warehouse.transaction():
        assert not migrate(warehouse, "activate", NOW)
    found = warehouse.columns([Relation("activate", table.name) for table in TABLES])
    assert {relation.name: tuple(columns) for relation, columns in found.items()} == {t.name: t.names for t in TABLES}
    assert warehouse.query("SELECT MAX(version) FROM activate.meta").column(0)[0].as_py() == VERSION
    assert warehouse.query("SELECT COUNT(*) FROM activate.memberships").column(0)[0].as_py() == 1


def test_tables_of_a_newer_activate_are_left_alone(warehouse: Warehouse) -> None:
    with warehouse.transaction():
        migrate(warehouse, "activate", NOW)
    warehouse.execute(f"INSERT INTO activate.meta VALUES ({VERSION + 1}, TIMESTAMP '2026-03-03 00:00:00')")
    with pytest.raises(SettingsError, match="install the Activate that made them"):
        migrate(warehouse, "activate", NOW)
