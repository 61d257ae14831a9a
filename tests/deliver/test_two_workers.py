"""Several processes deliver one outbox at the same time: nobody gets anything twice, and who has to wait is told so."""

from __future__ import annotations

import contextlib
import multiprocessing
import threading
import time
from collections import Counter
from collections.abc import Sequence
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import pytest
from killed import opened
from post_office import PostOffice, Service, webhook

from activate.errors import LeaseHeldError, WarehouseError
from activate.record.deliveries import Outbox

COUNT = 600
ANSWERS_AFTER = 0.02  # seconds, so that the workers really meet


def _work(place: str, directory: str, providers: dict[str, Any], number: int, wait: float, told: Queue[Any]) -> None:
    """The body of one worker: deliver, and tell how many messages were accepted, or why it could not."""
    try:
        warehouse = opened(place, wait)
        with contextlib.closing(warehouse):
            office = PostOffice.open(warehouse, Path(directory), providers)
            report = office.deliver(
                wait_seconds=wait,
                open_outbox=lambda name: Outbox(warehouse.clone(), office.project, name, f"worker-{number}"),
            )
        told.put((number, report.counts.get("accepted", 0)))
    except LeaseHeldError as error:
        told.put((number, str(error)))


def _workers(place: str, directory: Path, providers: dict[str, Any], count: int, wait: float) -> Sequence[Any]:
    context = multiprocessing.get_context("forkserver")
    told: Any = context.Queue()
    arguments = [(place, str(directory), providers, number, wait, told) for number in range(count)]
    processes = [context.Process(target=_work, args=one) for one in arguments]
    for process in processes:
        process.start()
    found = [told.get(timeout=120)[1] for _ in processes]
    for process in processes:
        process.join(60)
    return found


@pytest.fixture(params=["duckdb", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "state.duckdb") if request.param == "duckdb" else request.getfixturevalue("postgres_server")


def _prepare(place: str, directory: Path, providers: dict[str, Any]) -> None:
    with contextlib.closing(opened(place)) as warehouse:
        PostOffice.open(warehouse, directory, providers).build().people(COUNT).queue(range(COUNT))


def _slowly(peer: Service) -> dict[str, Any]:
    def script(*_: object) -> bool:
        time.sleep(ANSWERS_AFTER)
        return False

    peer.script = script
    return {"mail": webhook(peer.url, batch=10, concurrency=2)}


@pytest.mark.parametrize("count", [3])
def test_workers_that_wait_never_deliver_the_same_message(
    place: str, tmp_path: Path, peer: Service, count: int
) -> None:
    providers = _slowly(peer)
    _prepare(place, tmp_path, providers)
    found = _workers(place, tmp_path, providers, count, wait=60.0)
    assert sorted(found) == [0] * (count - 1) + [COUNT], "one delivers, the others find nothing left"
    assert set(peer.taken.values()) == {1}
    assert len(peer.taken) == COUNT
    with contextlib.closing(opened(place)) as warehouse:
        office = PostOffice.open(warehouse, tmp_path, providers)
        assert office.last() == {"accepted": COUNT}
        assert Counter(len(rows) for rows in office.outcomes().values()) == {2: COUNT}, "one claim, one outcome"


def test_a_worker_that_does_not_wait_is_told_who_holds_it(place: str, tmp_path: Path, peer: Service) -> None:
    providers = _slowly(peer)
    _prepare(place, tmp_path, providers)
    found = _workers(place, tmp_path, providers, 2, wait=0.3)
    assert COUNT in found
    refused = next(one for one in found if one != COUNT)
    assert "another" in refused
    assert "try again when it has ended" in refused
    assert set(peer.taken.values()) == {1}


def test_who_has_lost_the_lease_claims_nothing_more(postgres_server: str, tmp_path: Path, peer: Service) -> None:
    """The connection that holds the lease is cut off while its process lives on, and another worker takes over."""
    providers = {"mail": webhook(peer.url, batch=5, concurrency=1)}
    _prepare(postgres_server, tmp_path, providers)
    second: list[Any] = []

    def take_over() -> None:
        with contextlib.closing(opened(postgres_server)) as warehouse:
            second.append(PostOffice.open(warehouse, tmp_path, providers).deliver(wait_seconds=30.0))

    after = threading.Thread(target=take_over)

    def script(*_: object) -> bool:
        if len(peer.requests) == 3:
            with contextlib.closing(opened(postgres_server)) as warehouse:
                warehouse.query(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted "
                    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
                )
            after.start()
        time.sleep(0.01)
        return False

    peer.script = script
    with contextlib.closing(opened(postgres_server)) as warehouse, pytest.raises(WarehouseError):
        PostOffice.open(warehouse, tmp_path, providers).deliver(wait_seconds=1.0)
    after.join(120)
    (report,) = second
    assert set(peer.taken.values()) == {1}, "nobody gets anything from both"
    with contextlib.closing(opened(postgres_server)) as warehouse:
        last = PostOffice.open(warehouse, tmp_path, providers).last()
    assert set(last) == {"accepted", "unknown"}
    assert last.total() == COUNT
    assert report.left == 0
