"""A scenario on each warehouse: every rule's test runs on all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from activate.testing.scenario import Scenario
from activate.warehouses.base import Warehouse
from activate.warehouses.duckdb import DuckDB
from activate.warehouses.postgres import Postgres

Build = Callable[..., Scenario]


@pytest.fixture(params=["duckdb", pytest.param("postgres", marks=pytest.mark.slow)])
def warehouse(request: pytest.FixtureRequest) -> Iterator[Warehouse]:
    """An empty warehouse of each kind."""
    if request.param == "duckdb":
        opened: Warehouse = DuckDB.open(":memory:")
    else:
        opened = Postgres.open(request.getfixturevalue("postgres_server"))
    yield opened
    opened.close()


@pytest.fixture
def build(warehouse: Warehouse) -> Build:
    """Makes scenarios; takes the keys of the policy that the test is about."""

    def make(**policy: Any) -> Scenario:
        return Scenario(warehouse, policy, properties={"cart_id": "text", "cart_value": "bigint"})

    return make
