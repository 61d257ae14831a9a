"""The books balance, wherever a delivery is killed and whatever the peer does: docs/reliability.md's table, measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import reliability
from reliability import Balance, Ground


def _sweep(ground: Ground, points: Sequence[str]) -> list[Balance]:
    found = []
    for balance in reliability.sweep(ground, points):
        print(balance)
        assert balance.mistakes == ()
        assert (balance.twice, balance.lost) == (0, 0)
        found.append(balance)
    return found


def test_the_page_tells_at_least_thirty_points() -> None:
    assert len(reliability.POINTS) >= 30
    assert len(reliability.written_table().splitlines()) == len(reliability.POINTS) + 2


def test_the_books_balance_at_four_points(tmp_path: Path) -> None:
    points = ("during send 5", "before record 2", "before settle 1", "at a random time, 1")
    found = _sweep(reliability.duckdb_ground(tmp_path, 1_000), points)
    assert any(one.resent for one in found if one.idempotent), "what was in doubt is handed over again"
    assert not any(one.resent for one in found if not one.idempotent and "send" in one.point)
    written = reliability.written_table().splitlines()
    assert [row for row in reliability.table(found).splitlines() if row not in written] == []


def test_the_books_balance_on_postgresql(tmp_path: Path, postgres_server: str) -> None:
    _sweep(reliability.postgres_ground(tmp_path, 400, postgres_server), ("before record 2",))


@pytest.mark.slow
def test_the_books_balance_at_every_point(tmp_path: Path) -> None:
    found = _sweep(reliability.duckdb_ground(tmp_path, reliability.MESSAGES), reliability.POINTS)
    assert reliability.table(found) == reliability.written_table()


@pytest.mark.slow
def test_the_books_balance_on_postgresql_at_six_points(tmp_path: Path, postgres_server: str) -> None:
    _sweep(reliability.postgres_ground(tmp_path, reliability.MESSAGES, postgres_server), reliability.SHORT)
