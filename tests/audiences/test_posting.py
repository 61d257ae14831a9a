"""How the pages of a sync reach the destination: how many requests at once, how large the pages, what a row says."""

from __future__ import annotations

import contextlib
import threading
import time
from decimal import Decimal
from typing import Any

import pytest

from activate.deliver import sync
from activate.deliver.hand_over import Clock
from tests.audiences.town import Peer, Town


class Watch:
    """A peer's answer that takes its time, and how many requests were there at once at most."""

    def __init__(self, seconds: float) -> None:
        self.most = 0
        self._seconds = seconds
        self._now = 0
        self._lock = threading.Lock()

    def __call__(self, peer: Peer, changes: list[dict[str, Any]]) -> None:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        time.sleep(self._seconds)
        with self._lock:
            self._now -= 1


def _crowd(town: Town, count: int) -> Town:
    return town.segment("vips", {f"p{number:03}": {"rank": number} for number in range(count)}, {"rank": "bigint"})


def test_answers_that_take_their_time_let_as_many_requests_in_as_allowed(town: Town, peer: Peer) -> None:
    peer.answer = watch = Watch(0.02)
    town.policy.destinations["crm"]["concurrency"] = 3
    report = _crowd(town, 40).audience(fields={"rank": "rank"}).sync(clock=Clock())
    assert report.outcomes == {"accepted": 40}
    assert watch.most == 3
    assert sorted(key for _, _, key in peer.told) == [f"p{number:03}" for number in range(40)]  # each once


def test_where_answers_come_at_once_one_request_follows_the_other(town: Town, peer: Peer) -> None:
    peer.answer = watch = Watch(0)
    report = _crowd(town, 40).audience().sync()  # to the test's clock every answer comes at once
    assert report.outcomes == {"accepted": 40}
    assert watch.most == 1


def test_each_page_is_claimed_with_the_outcomes_of_the_one_before(
    town: Town, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first page is small, so that the destination has something to do while the next is read."""
    monkeypatch.setattr(sync, "PAGE", 10)
    monkeypatch.setattr(sync, "_FIRST_PAGE", 4)
    waves = "SELECT wave, status, COUNT(*) AS n FROM state.audience_changes GROUP BY wave, status ORDER BY wave, status"
    seen: list[dict[str, Any]] = []

    def look(peer: Peer, changes: list[dict[str, Any]]) -> None:
        if len(peer.told) == 4:  # the second page's first request: the page before may be recorded a moment later
            time.sleep(0.3)
            with contextlib.closing(town.warehouse.clone()) as other:
                seen[:] = other.query(waves.replace("state.", f"{town.state}.")).to_pylist()

    peer.answer = look
    assert _crowd(town, 27).audience().sync().outcomes == {"accepted": 27}
    assert [(row["wave"], row["status"], row["n"]) for row in town.rows(waves)] == [
        (wave, status, count)
        for wave, count in ((1, 4), (2, 10), (3, 10), (4, 3))
        for status in ("accepted", "claimed")
    ]
    assert [(row["wave"], row["status"], row["n"]) for row in seen] == [
        (1, "accepted", 4), (1, "claimed", 4), (2, "claimed", 10), (3, "claimed", 10),
    ]  # fmt: skip


def test_a_long_decimal_arrives_with_all_its_digits(town: Town, peer: Peer) -> None:
    long = Decimal("12345678901234567890.123456789")
    town.segment("vips", {"ada": {"worth": long}}, {"worth": "decimal(38, 9)"})
    assert town.audience(fields={"worth": "worth"}).sync().outcomes == {"accepted": 1}
    assert b"12345678901234567890.123456789" in peer.bodies[0]
