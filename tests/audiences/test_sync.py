"""What a sync does to a destination, from the first to the last member."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from activate.warehouses.base import Warehouse
from activate.warehouses.duckdb import DuckDB
from activate.warehouses.postgres import Postgres
from tests.audiences.town import Peer, Town


@pytest.fixture(params=["duckdb", "postgres"])
def warehouse(request: pytest.FixtureRequest) -> Iterator[Warehouse]:
    """An empty warehouse of each kind."""
    server = "" if request.param == "duckdb" else request.getfixturevalue("postgres_server")
    opened: Warehouse = Postgres.open(server) if server else DuckDB.open(":memory:")
    yield opened
    opened.close()


def test_members_come_change_and_go(town: Town, peer: Peer) -> None:
    town.segment("vips", {"ada": {"ltv": 10}, "bob": {"ltv": 20}, "cid": {"ltv": 30}}, {"ltv": "bigint"})
    town.audience(fields={"lifetime_value": "ltv"})
    first = town.sync()
    assert first.error is None
    assert first.outcomes == {"accepted": 3}
    assert peer.members() == {
        "ada": {"lifetime_value": 10},
        "bob": {"lifetime_value": 20},
        "cid": {"lifetime_value": 30},
    }
    peer.told.clear()
    town.later().segment("vips", {"ada": {"ltv": 10}, "bob": {"ltv": 21}, "dan": {"ltv": 40}})
    plan = town.plan(samples=3)
    figures = plan.figures
    assert (figures.held, figures.added, figures.updated, figures.removed, figures.unchanged) == (3, 1, 1, 1, 1)
    assert plan.samples == {"add": ["dan"], "remove": ["cid"], "update": ["bob"]}
    town.sync()
    assert peer.told[0] == ("vips", "remove", "cid")
    assert set(peer.told) == {("vips", "remove", "cid"), ("vips", "update", "bob"), ("vips", "add", "dan")}
    assert peer.members() == {
        "ada": {"lifetime_value": 10},
        "bob": {"lifetime_value": 21},
        "dan": {"lifetime_value": 40},
    }
    peer.told.clear()
    assert town.sync().outcomes == {}
    assert town.later().sync().outcomes == {}
    assert peer.told == []
