"""Both warehouses, with the shop in them."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import pytest

from activate.warehouses.base import Warehouse
from tests.decide import shop

# Tests that kill processes fork them from one that has imported everything; it has to be told before its first use.
multiprocessing.set_forkserver_preload(
    ["activate.run", "activate.warehouses.duckdb", "activate.warehouses.postgres", "tests.decide.warm"]
)


@pytest.fixture(params=["duckdb", "postgres"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an empty warehouse is."""
    if request.param == "postgres":
        found: str = request.getfixturevalue("postgres_server")
        return found
    return str(tmp_path / "shop.duckdb")


@pytest.fixture
def warehouse(uri: str) -> Iterator[Warehouse]:
    """A warehouse with the shop in it."""
    made = shop.connect(uri)
    shop.build(made)
    yield made
    made.close()
