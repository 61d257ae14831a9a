"""A warehouse of each kind, and the reference rules over it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from activate.load.rules import load_rules
from activate.project import Model, Project, Relation
from activate.warehouses.base import Warehouse
from activate.warehouses.duckdb import DuckDB
from activate.warehouses.postgres import Postgres

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["duckdb", "postgres"])
def warehouse(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Warehouse]:
    if request.param == "postgres":
        found: Warehouse = Postgres.open(request.getfixturevalue("postgres_server"))
    else:
        found = DuckDB.open(str(tmp_path / "shop.duckdb"))
    yield found
    found.close()


@pytest.fixture
def project() -> Project:
    rules = load_rules(ROOT)
    assert rules.policy is not None
    profiles = Model("profiles", Relation("analytics", "profiles"))
    return Project(ROOT, "activate_reference", rules.policy, rules.campaigns, {"profiles": profiles})
