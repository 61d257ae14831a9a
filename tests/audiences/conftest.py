"""A town on each warehouse, with a destination that really answers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from activate.warehouses.base import Warehouse
from activate.warehouses.postgres import Postgres
from tests.audiences.town import SECRET, Peer, Town, peer_server


# On PostgreSQL the histories, the kills and a whole sync are always tested; the rest of it takes minutes.
@pytest.fixture(params=["duckdb", pytest.param("postgres", marks=pytest.mark.slow)])
def warehouse(request: pytest.FixtureRequest) -> Iterator[Warehouse]:
    """An empty warehouse of each kind."""
    if request.param == "duckdb":
        yield request.getfixturevalue("duckdb_in_memory")
        return
    with contextlib.closing(Postgres.open(request.getfixturevalue("postgres_server"))) as opened:
        yield opened


@pytest.fixture
def peer() -> Iterator[Peer]:
    """A service that holds audiences."""
    with peer_server() as found:
        yield found


@pytest.fixture
def town(warehouse: Warehouse, peer: Peer, tmp_path: Path) -> Town:
    """Nobody yet; the destination `crm` is the peer."""
    crm = {
        "type": "webhook",
        "url": f"{peer.url}/changes",
        "secret": SECRET,
        "members_url": f"{peer.url}/members",
        "batch": 2,
    }
    return Town(warehouse, tmp_path, {"crm": crm})
