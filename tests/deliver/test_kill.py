"""A delivery that is really killed at each of its steps: nothing is lost, nothing is doubled, doubt is `unknown`."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import killed
import pytest
from post_office import PostOffice, Service, message_id, webhook

from activate.warehouses.base import Warehouse
from activate.warehouses.duckdb import DuckDB
from activate.warehouses.postgres import Postgres

# Twelve messages in batches of three, one request at a time: waves of six, so that two are under way at once.
STEPS = [
    "before claim 1", "after claim 1", "before post 1", "after post 1", "before post 2", "after post 2",
    "before claim 2", "after claim 2", "before record 1", "after record 1", "before post 3", "after post 4",
    "before record 2", "after record 2",
]  # fmt: skip


def sampled(*steps: str) -> list[Any]:
    """Each of these steps on one warehouse by turns; the other warehouse, and all other steps, behind the slow marker."""
    return [
        pytest.param(kind, step, marks=() if step in steps and steps.index(step) % 2 == place else pytest.mark.slow)
        for step in STEPS
        for place, kind in enumerate(("duckdb", "postgres"))
    ]


# What differs between the providers alone is tried at half of the steps, by each of them at another half.
RESENT = (
    "before claim 1",
    "after claim 1",
    "after post 1",
    "before post 2",
    "before record 1",
    "after record 1",
    "after post 4",
)
WRITTEN = (
    "before post 1",
    "after post 2",
    "before claim 2",
    "after claim 2",
    "before post 3",
    "before record 2",
    "after record 2",
)
COUNT = 12


@dataclass
class Place:
    """Where the warehouse is; a DuckDB file is open in one process at a time, so it is opened for each use."""

    uri: str
    directory: Path

    @contextlib.contextmanager
    def office(self, providers: dict[str, Any], **policy: Any) -> Iterator[PostOffice]:
        opened: Warehouse = Postgres.open(self.uri) if self.uri.startswith("postgres") else DuckDB.open(self.uri)
        try:
            yield PostOffice.open(opened, self.directory, providers, **policy)
        finally:
            opened.close()

    def killed_at(self, step: str, providers: dict[str, Any], **policy: Any) -> None:
        arguments = (self.uri, str(self.directory), providers, policy, step)
        process = multiprocessing.get_context("forkserver").Process(target=killed.main, args=arguments)
        process.start()
        process.join(120)
        assert process.exitcode == -signal.SIGKILL


@pytest.fixture(params=["duckdb", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    uri = str(tmp_path / "state.duckdb") if request.param == "duckdb" else request.getfixturevalue("postgres_server")
    return Place(uri, tmp_path)


def _prepare(place: Place, providers: dict[str, Any], **values: Any) -> None:
    with place.office(providers) as office:
        office.build().people(COUNT).queue(range(COUNT), **values)


def _check(rows: dict[str, list[tuple[str, int, bool]]]) -> None:
    """Every message has exactly one final row, and it is the last."""
    assert set(rows) == {message_id(n) for n in range(COUNT)}
    for told in rows.values():
        assert [final for _, _, final in told] == [False] * (len(told) - 1) + [True]
        assert told[0] == ("claimed", 1, False)


@pytest.mark.parametrize(("place", "step"), sampled(*STEPS), indirect=["place"])
def test_marketing_is_never_doubled_and_doubt_is_unknown(place: Place, peer: Service, step: str) -> None:
    providers = {"mail": webhook(peer.url, batch=3, concurrency=1)}
    _prepare(place, providers)
    place.killed_at(step, providers)
    with place.office(providers) as office:
        claimed = {key for key, rows in office.outcomes().items() if rows[-1][0] == "claimed"}
        office.deliver()
        _check(office.outcomes())
        unknown = {key for key, rows in office.outcomes().items() if rows[-1][0] == "unknown"}
    assert unknown == claimed, "in doubt is exactly what was claimed and not told"
    # The peer may have seen nothing at all: a wave is claimed while the one before waits to be posted.
    assert set(peer.taken.values()) <= {1}, "nobody got anything twice"
    assert {message_id(n) for n in range(COUNT)} - set(peer.taken) <= unknown, "who got nothing is in doubt, not lost"
    assert len(unknown) <= COUNT


@pytest.mark.parametrize(("place", "step"), sampled(*RESENT), indirect=["place"])
def test_an_idempotent_peer_gets_everything(place: Place, peer: Service, step: str) -> None:
    providers = {"mail": webhook(peer.url, batch=3, concurrency=1, idempotent=True)}
    _prepare(place, providers)
    place.killed_at(step, providers)
    with place.office(providers) as office:
        office.deliver()
        assert office.last() == {"accepted": COUNT}
        _check(office.outcomes())
    assert set(peer.taken) == {message_id(n) for n in range(COUNT)}


@pytest.mark.parametrize(("place", "step"), sampled(*WRITTEN), indirect=["place"])
def test_a_file_holds_each_message_exactly_once(place: Place, step: str) -> None:
    providers = {"mail": {"type": "file", "path": "out/{date}.jsonl", "batch": 3}}
    _prepare(place, providers)
    place.killed_at(step, providers)
    with place.office(providers) as office:
        office.deliver()
        assert office.last() == {"accepted": COUNT}
        _check(office.outcomes())
    lines = (place.directory / "out" / "2026-03-02.jsonl").read_text().splitlines()
    assert Counter(json.loads(line)["message_id"] for line in lines) == {message_id(n): 1 for n in range(COUNT)}


@pytest.mark.parametrize("step", ["after claim 1", "after post 1"])
def test_transactional_is_resent_only_if_the_policy_says_so(place: Place, peer: Service, step: str) -> None:
    providers = {"mail": webhook(peer.url, batch=3, concurrency=1)}
    resend = {"delivery": {"resend_unknown": "transactional"}}
    _prepare(place, providers, class_="transactional")
    place.killed_at(step, providers, **resend)
    with place.office(providers, **resend) as office:
        office.deliver()
        assert office.last() == {"accepted": COUNT}
        _check(office.outcomes())
    assert set(peer.taken) == {message_id(n) for n in range(COUNT)}
