"""While rows are sent, DuckDB keeps to little memory; what needs more gets it, and what the settings say stands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlglot import exp

from activate.errors import WarehouseError
from activate.warehouses.duckdb import DuckDB

# One text of some 30 MB, which cannot be written to a file in parts.
LARGE = "CREATE OR REPLACE TEMP TABLE large AS SELECT LENGTH(STRING_AGG(CAST(n AS TEXT), ',')) AS n FROM range(4000000) AS r(n)"


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[DuckDB]:
    found = DuckDB.open(str(tmp_path / "shop.duckdb"), settings={"threads": "2"})
    yield found
    found.close()


def limit(warehouse: DuckDB) -> str:
    return str(warehouse.scalar(exp.select(exp.func("CURRENT_SETTING", exp.Literal.string("memory_limit")))))


def test_the_limit_is_low_for_the_block_and_as_before_after_it(warehouse: DuckDB) -> None:
    before = limit(warehouse)
    with warehouse.sparing():
        assert limit(warehouse) == "256.0 MiB"
    assert limit(warehouse) == before != "256.0 MiB"


def test_overlapping_blocks_of_two_connections_hold_it_until_the_last_ends(warehouse: DuckDB) -> None:
    before, other = limit(warehouse), warehouse.clone()
    first, second = warehouse.sparing(), other.sparing()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert limit(warehouse) == "256.0 MiB"
    second.__exit__(None, None, None)
    assert limit(warehouse) == before
    other.close()


@pytest.mark.parametrize("own", ["150MiB", "3GiB"])
def test_a_limit_of_the_settings_stands(tmp_path: Path, own: str) -> None:
    warehouse = DuckDB.open(str(tmp_path / "shop.duckdb"), settings={"memory_limit": own})
    before = limit(warehouse)
    with warehouse.sparing():
        assert limit(warehouse) == before
    warehouse.close()


@pytest.mark.parametrize("settings", [{}, {"temp_directory": ""}])
def test_what_has_no_file_to_write_to_is_left_alone(tmp_path: Path, settings: dict[str, str]) -> None:
    warehouse = DuckDB.open(str(tmp_path / "shop.duckdb") if settings else ":memory:", settings=settings)
    before = limit(warehouse)
    with warehouse.sparing():
        assert limit(warehouse) == before
    warehouse.close()


def test_of_several_wishes_the_highest_holds(warehouse: DuckDB) -> None:
    before = limit(warehouse)
    with warehouse.sparing(64):
        assert limit(warehouse) == "128.0 MiB"
        with warehouse.sparing():
            assert limit(warehouse) == "256.0 MiB"
            with warehouse.sparing(64):
                assert limit(warehouse) == "256.0 MiB"
    assert limit(warehouse) == before


def test_a_statement_that_needs_more_gets_it(warehouse: DuckDB) -> None:
    before = limit(warehouse)
    with warehouse.sparing(12):
        assert limit(warehouse) == "24.0 MiB"
        warehouse.execute(LARGE)
        assert limit(warehouse) == before
    assert warehouse.scalar(exp.select("n").from_("large")) == 30_888_889


def test_a_transaction_that_needs_more_fails_once(warehouse: DuckDB) -> None:
    with warehouse.sparing(12):
        with pytest.raises(WarehouseError, match="Out of Memory") as told, warehouse.transaction():
            warehouse.execute(LARGE)
        assert (told.value.cause, told.value.code) == ("conflict", "duckdb_outofmemory")
        with warehouse.transaction():
            warehouse.execute(LARGE)
