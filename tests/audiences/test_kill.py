"""A sync that is really killed at each of its steps: the next ones leave exactly the segment at the destination."""

from __future__ import annotations

import contextlib
import copy
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from activate import syncing
from activate.record import audiences
from tests.audiences import killed
from tests.audiences.town import SECRET, Peer, Town, no_waiting

# Pages of two rows: the suppressed, the removed, then two pages of updates and additions, one request each. A new copy
# of the members (with a row of its own) is made before them, and the sync's row comes after them. Of these steps each
# warehouse takes its own, and behind the slow marker every one.
STEPS = {
    "duckdb": (
        "before claim 1",
        "after record 1",
        "before post 3",
        "after record 4",
        "before finish 2",
        "after copy 1",
    ),
    "postgres": (
        "after claim 1",
        "after post 1",
        "before record 2",
        "after post 3",
        "before finish 1",
        "before copy 1",
    ),
}
OTHERS = ("before post 1", "after claim 2", "after post 2", "before record 3", "after post 4")
FORKS = multiprocessing.get_context("forkserver")


@dataclass
class Place:
    """A town whose warehouse is opened for each use: a DuckDB file lets in one process at a time."""

    kind: str
    uri: str
    town: Town

    @contextlib.contextmanager
    def open(self) -> Iterator[Town]:
        self.town.warehouse = killed.connect(self.uri)
        try:
            yield self.town
        finally:
            self.town.warehouse.close()

    @property
    def absent(self) -> Town:
        """The town as it can be handed to another process."""
        found = copy.copy(self.town)
        del found.warehouse
        return found

    def killed_at(self, step: str) -> None:
        process = FORKS.Process(target=killed.main, args=(self.uri, self.absent, step))
        process.start()
        process.join(60)
        assert process.exitcode == -signal.SIGKILL


@pytest.fixture(params=["duckdb", "postgres"])
def place(request: pytest.FixtureRequest, peer: Peer, tmp_path: Path) -> Place:
    uri = str(tmp_path / "town.duckdb") if request.param == "duckdb" else request.getfixturevalue("postgres_server")
    opened = killed.connect(uri)
    crm = {"type": "webhook", "url": f"{peer.url}/changes", "secret": SECRET, "batch": 2, "concurrency": 1}
    town = Town(opened, tmp_path, {"crm": crm, "ads": {**crm, "url": f"{peer.url}/other"}})
    opened.close()
    return Place(request.param, uri, town)


def _ltv(**values: int) -> dict[str, dict[str, Any]]:
    return {user: {"ltv": value} for user, value in values.items()}


def _settle(place: Place, peer: Peer) -> None:
    """Four members who were acknowledged, and then everything that can be told of at once."""
    with place.open() as town:
        town.later().segment("banned", ["zoe"])
        town.segment("vips", _ltv(ada=1, bob=2, cid=3, dan=4), {"ltv": "bigint"})
        town.audience(fields={"ltv": "ltv"}, exclude=["banned"])
        assert set(town.sync().outcomes) == {"accepted"}
        assert peer.members() == _ltv(ada=1, bob=2, cid=3, dan=4)
        town.segment("banned", ["cid"])
        town.later().segment("vips", _ltv(bob=20, cid=3, dan=40, eve=5, fay=6))


def _check(place: Place, peer: Peer, told: str = "") -> None:
    """After the crash some leave, come back and change; then the destination holds the segment and nobody else."""
    with place.open() as town:
        town.later().segment("vips", _ltv(ada=10, bob=20, cid=3, fay=60, gus=7, ivy=9))
        report = town.sync()
        assert report.error is None, told
        assert set(report.outcomes) == {"accepted"}, told
        assert peer.members() == _ltv(ada=10, bob=20, fay=60, gus=7, ivy=9), told


def _check_rest(place: Place, peer: Peer) -> None:
    """Nothing is left to tell."""
    peer.told.clear()
    with place.open() as town:
        report = town.later().sync()
        assert (report.outcomes, report.plan and report.plan.figures.held) == ({}, 5)
    assert peer.told == []


@pytest.mark.parametrize("which", ["its own", pytest.param("all", marks=pytest.mark.slow)])
def test_a_killed_sync_is_made_good_by_the_next(place: Place, peer: Peer, which: str) -> None:
    steps = STEPS[place.kind] if which == "its own" else (*STEPS["duckdb"], *STEPS["postgres"], *OTHERS)
    for step in steps:  # in one town, after one another: making a town takes longer than killing a sync
        _settle(place, peer)
        place.killed_at(step)
        _check(place, peer, step)
    _check_rest(place, peer)


@pytest.mark.parametrize("takes", [False, True], ids=["before it is taken", "after it was taken"])
def test_a_sync_killed_while_the_destination_has_the_request_is_made_good(
    place: Place, peer: Peer, takes: bool
) -> None:
    _settle(place, peer)
    process = FORKS.Process(target=killed.main, args=(place.uri, place.absent, "never"))

    def kill(peer: Peer, changes: list[dict[str, Any]]) -> Any:
        if len(peer.requests) < 5:  # two for the first sync, then the suppressed, the removed, and now additions
            return None
        if takes:
            peer.take("vips", changes)
        os.kill(process.pid or 0, signal.SIGKILL)
        return 200, {}, {}

    peer.answer = kill
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    peer.answer = None
    _check(place, peer)
    _check_rest(place, peer)


def test_a_sync_that_is_killed_again_and_again_gets_there(place: Place, peer: Peer) -> None:
    _settle(place, peer)
    for step in ("after post 4", "after claim 1", "after post 1", "before finish 2"):
        place.killed_at(step)
    _check(place, peer)


def test_the_first_sync_may_be_killed_too(place: Place, peer: Peer) -> None:
    with place.open() as town:
        town.segment("vips", ["ada", "bob", "cid"]).audience()
    place.killed_at("after post 1")
    with place.open() as town:
        # Never acknowledged, but perhaps there: whoever leaves now is taken out.
        town.later().segment("vips", ["cid"])
        town.sync()
        assert peer.members() == {"cid": {}}
        assert ("vips", "remove", "ada") in peer.told


def test_a_first_sync_that_was_killed_is_still_the_first(
    place: Place, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audiences, "_COMPACT_FROM", 1)  # what the killed one left is summed up before the next looks
    with place.open() as town:
        town.segment("vips", ["ada", "bob", "cid", "dan", "eve"]).audience(guard={"max_added": "10%"})
    place.killed_at("after record 1")
    with place.open() as town:
        report = town.later().sync()
        assert report.plan is not None
        assert (report.error, report.plan.withheld) == (None, ())
        assert set(peer.members()) == {"ada", "bob", "cid", "dan", "eve"}


def test_the_lease_is_given_back_by_a_process_that_dies(place: Place, peer: Peer) -> None:
    _settle(place, peer)
    place.killed_at("after claim 2")
    with place.open() as town:
        assert town.sync(wait_seconds=0.0).error is None


# -- two at once ------------------------------------------------------------------------------------------------------


def _both(*works: Callable[[], Any]) -> list[Any]:
    found: list[Any] = [None] * len(works)

    def work(number: int) -> None:
        found[number] = works[number]()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_a_second_sync_of_an_audience_waits_for_the_first_or_leaves(place: Place, peer: Peer) -> None:
    with place.open() as town:
        town.segment("vips", ["ada", "bob", "cid"]).audience().sync()
        town.later().segment("vips", ["bob", "cid", "dan"])
        inside, go_on = threading.Event(), threading.Event()

        def slow(peer: Peer, changes: list[dict[str, Any]]) -> None:
            inside.set()
            go_on.wait(30)

        peer.answer = slow
        other = copy.copy(town)
        other.warehouse = town.warehouse.clone()

        def second() -> Any:
            inside.wait(30)
            hasty = other.sync(wait_seconds=0.0)
            go_on.set()
            return hasty, other.sync(wait_seconds=30.0)

        first, (hasty, patient) = _both(town.sync, second)
        other.warehouse.close()
        assert (first.error, first.outcomes) == (None, {"accepted": 2})
        assert "holds the lease" in hasty.error
        assert hasty.outcomes == {}
        assert (patient.error, patient.outcomes) == (None, {})
        assert set(peer.members()) == {"bob", "cid", "dan"}


def test_a_process_waits_for_another_ones_sync(place: Place, peer: Peer) -> None:
    if place.kind == "duckdb":
        pytest.skip("a DuckDB file lets in one process at a time, so there is nobody to wait for")
    with place.open() as town:
        town.segment("vips", ["ada"]).audience()
        syncing.make_state(town.warehouse, town.project, town.now)
        taken, give_back = FORKS.Event(), FORKS.Event()
        process = FORKS.Process(target=killed.hold, args=(place.uri, place.absent, "vips", taken, give_back))
        process.start()
        assert taken.wait(30)
        assert "holds the lease" in (town.sync(wait_seconds=0.0).error or "")
        give_back.set()
        assert town.sync(wait_seconds=30.0).error is None
        process.join(30)
        assert process.exitcode == 0
        assert peer.told == [("vips", "add", "ada")]


def test_two_audiences_are_synced_side_by_side(place: Place, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audiences, "_COMPACT_FROM", 1)
    with place.open() as town:
        town.segment("vips", [f"v{number}" for number in range(6)]).audience()
        town.segment("lapsed", [f"l{number}" for number in range(6)]).audience("lapsed", destination="ads")
        town.segment("new", [f"n{number}" for number in range(6)]).audience("new", destination="ads")
        for turn in range(3):
            chosen = list(town.audiences.values())
            reports = syncing.sync(town.warehouse, town.project, chosen, town.now, clock=no_waiting())
            assert [report.error for report in reports] == [None] * 3
            assert [sum(report.outcomes.values()) for report in reports] == [6 if turn != 1 else 12] * 3
            people = [f"x{number}" for number in range(6)] if not turn else []
            for name in town.audiences:
                town.segment(name, [name + person for person in people])
            town.later()
        assert [len(peer.members(name)) for name in town.audiences] == [0, 0, 0]
