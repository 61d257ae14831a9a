"""A scenario on each warehouse: every rule's test runs on all of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from activate.testing.scenario import Scenario
from activate.warehouses.base import Warehouse
from activate.warehouses.postgres import Postgres

Build = Callable[..., Scenario]


@pytest.fixture(params=["duckdb", pytest.param("postgres", marks=pytest.mark.slow)])
def warehouse(request: pytest.FixtureRequest) -> Iterator[Warehouse]:
    """An empty warehouse of each kind."""
    if request.param == "duckdb":
        yield request.getfixturevalue("duckdb_in_memory")
        return
    with contextlib.closing(Postgres.open(request.getfixturevalue("postgres_server"))) as opened:
        yield opened


@pytest.fixture
def build(warehouse: Warehouse) -> Build:
    """Makes scenarios; takes the keys of the policy that the test is about."""

    def make(**policy: Any) -> Scenario:
        return Scenario(warehouse, policy, properties={"cart_id": "text", "cart_value": "bigint"})

    return make
