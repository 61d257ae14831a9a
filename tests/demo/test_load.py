"""The demo makes room for itself, and never at the cost of anybody's data."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlglot

from activate.demo.generate import Shop, generate
from activate.demo.load import MARKER, RAW, load, make_room
from activate.errors import SettingsError
from activate.project import Relation
from activate.warehouses.base import Warehouse

DAY = dt.timedelta(days=1)


@pytest.fixture(scope="module")
def shop() -> Shop:
    return generate(people=40, days=2)


def count(warehouse: Warehouse, table: str) -> object:
    return warehouse.scalar(sqlglot.parse_one(f"SELECT count(*) FROM {table}"))


def do(warehouse: Warehouse, sql: str) -> None:
    warehouse.execute(sqlglot.parse_one(sql))


def test_a_shop_is_loaded_piece_by_piece(warehouse: Warehouse, shop: Shop) -> None:
    make_room(warehouse, shop, "analytics", "activate")
    first = load(warehouse, shop, None, shop.replay_from + DAY)
    second = load(warehouse, shop, shop.replay_from + DAY, shop.replay_until + 9 * DAY)
    assert second > 0
    assert first + second == sum(table.num_rows for table in shop.tables.values())
    for name, table in shop.tables.items():
        assert count(warehouse, f"raw.{name}") == table.num_rows


def test_the_next_demo_begins_with_a_clean_table(warehouse: Warehouse, shop: Shop) -> None:
    assert not make_room(warehouse, shop, "analytics", "activate")
    load(warehouse, shop, None, shop.replay_until)
    do(warehouse, "CREATE SCHEMA activate")
    do(warehouse, "CREATE TABLE activate.runs (run_id TEXT)")
    do(warehouse, "INSERT INTO activate.runs VALUES ('r')")
    assert make_room(warehouse, shop, "analytics", "activate")
    assert count(warehouse, "raw.app_events") == 0
    assert warehouse.columns([Relation("activate", "runs")]) == {}


@pytest.mark.parametrize(
    ("schema", "table", "column"), [("raw", "app_events", "event_id"), ("activate", "runs", "run_id")]
)
def test_data_that_no_demo_made_is_not_touched(
    warehouse: Warehouse, shop: Shop, schema: str, table: str, column: str
) -> None:
    do(warehouse, f"CREATE SCHEMA {schema}")
    do(warehouse, f"CREATE TABLE {schema}.{table} ({column} TEXT)")
    make_room(warehouse, shop, "analytics", "activate")  # empty, as the first `dbt build` leaves it: nothing is lost
    do(warehouse, f"DROP TABLE {RAW}.{MARKER.name}")
    do(warehouse, f"CREATE SCHEMA IF NOT EXISTS {schema}")
    do(warehouse, f"CREATE TABLE IF NOT EXISTS {schema}.{table} ({column} TEXT)")
    do(warehouse, f"INSERT INTO {schema}.{table} ({column}) VALUES ('mine')")
    with pytest.raises(SettingsError, match=f"{schema}.{table} holds data that no demo has made"):
        make_room(warehouse, shop, "analytics", "activate")
    assert count(warehouse, f"{schema}.{table}") == 1
