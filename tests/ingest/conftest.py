"""Fixtures: a warehouse of each kind with a project, and the events of providers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from activate.warehouses.duckdb import DuckDB
from activate.warehouses.postgres import Postgres
from tests.ingest.shop import EventShop
from tests.ingest.vectors import CERTIFICATES


@pytest.fixture(autouse=True)
def only_our_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reaches out: what is fetched is the certificate that was made for the tests, or nothing."""

    def answer(address: str) -> tuple[int, bytes]:
        return (200, CERTIFICATES[address]) if address in CERTIFICATES else (403, b"")

    monkeypatch.setattr("activate.ingest.fetch._open", answer)


@pytest.fixture(params=["duckdb", "postgres"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventShop]:
    """A shop with messages that were sent, on DuckDB and on PostgreSQL."""
    warehouse: Any
    if request.param == "duckdb":
        warehouse = DuckDB.open(str(tmp_path / "shop.duckdb"))
    else:
        warehouse = Postgres.open(request.getfixturevalue("postgres_server"))
    yield EventShop(warehouse, tmp_path)
    warehouse.close()


@pytest.fixture
def local(duckdb_in_memory: DuckDB, tmp_path: Path) -> EventShop:
    """The same on DuckDB alone, for what does not depend on the warehouse."""
    return EventShop(duckdb_in_memory, tmp_path)
