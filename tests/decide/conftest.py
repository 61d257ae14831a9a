"""Both warehouses, with the shop in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from activate.warehouses.base import Warehouse
from tests.decide import shop


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
