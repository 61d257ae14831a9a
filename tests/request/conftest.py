"""Fixtures of these tests: the small world on each warehouse, and the reference project as tests/dbt_project builds it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from activate.warehouses.duckdb import DuckDB
from activate.warehouses.postgres import Postgres

from ..dbt_project.conftest import reference, shop
from .world import World

__all__ = ["reference", "shop"]


@pytest.fixture
def world() -> Iterator[World]:
    """On DuckDB."""
    found = World(DuckDB.open(":memory:")).make()
    yield found
    found.warehouse.close()


@pytest.fixture(params=["duckdb", pytest.param("postgres", marks=pytest.mark.slow)])
def either_world(request: pytest.FixtureRequest) -> Iterator[World]:
    """On each warehouse."""
    if request.param == "postgres":
        found = World(Postgres.open(request.getfixturevalue("postgres_server"))).make()
    else:
        found = World(DuckDB.open(":memory:")).make()
    yield found
    found.warehouse.close()
