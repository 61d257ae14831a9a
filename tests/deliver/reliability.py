"""Books that balance: deliveries killed (kill -9) at every point, with faults on, restarted until all is quiet.

    python tests/deliver/reliability.py              # 10,000 messages on DuckDB; prints each figure
    python tests/deliver/reliability.py --table      # writes the table of docs/reliability.md

For each point and each kind of peer: deliver in a process that dies there, then deliver again until nothing is open;
then hold `deliveries` against the peer's own book. The full sweep takes some minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from killed import opened
from post_office import PostOffice, message_id, webhook

from activate.deliver.hand_over import Clock
from activate.deliver.send import carrier_for
from activate.record.deliveries import Outbox
from activate.testing import faults
from activate.testing.faults import FaultServer, Rule

MESSAGES = 10_000
REQUESTS, CONCURRENCY = 200, 4  # of a delivery without faults, whatever its size
MOST_RUNS = 12
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- made by tests/deliver/reliability.py -->", "<!-- end -->"

# What the points mean, in the order in which a run passes them; a number is which time it is passed.
_WAVES, _SENDS = (1, 2, 3), (1, 5, 40, 120)
POINTS: tuple[str, ...] = (
    "before look 1", "before collect 1",
    *(f"{when} claim {n}" for n in _WAVES for when in ("before", "after")),
    *(f"{when} send {n}" for n in _SENDS for when in ("before", "during", "after")),
    *(f"{when} record {n}" for n in _WAVES for when in ("before", "after")),
    "before settle 1", "after settle 1",
    "before finish 1", "after finish 1",
    *(f"at a random time, {n}" for n in range(1, 7)),
)  # fmt: skip
SHORT = ("after claim 1", "during send 5", "after send 5", "before record 2", "before settle 1", "at a random time, 1")
_SETTLED_AFTER = "after claim 2"  # something has to be in doubt for a run to be killed while it settles

SCRIPT = (
    Rule(faults.reset_before(), share=0.02, seed=1),
    Rule(faults.reset_after(), share=0.02, seed=2),
    Rule(faults.half_answer(), share=0.01, seed=3),
    Rule(faults.slow_drip(0.2), share=0.01, seed=4),
    Rule(faults.unavailable(), share=0.02, seed=5),
    Rule(faults.too_many(1), share=0.01, seed=6),
    Rule(faults.too_many(2, as_date=True), share=0.01, seed=7),
    Rule(faults.wrong_status(500), share=0.01, seed=8),
    Rule(faults.wrong_status(504, takes=True), share=0.01, seed=9),
    Rule(faults.errors_inside("failed", "busy"), share=0.02, seed=10),
    Rule(faults.duplicate_answer(), share=0.01, seed=11),
    Rule(faults.malformed_body(), share=0.01, seed=12),
    Rule(faults.hang(), requests=(90,), times=1),
)


# -- a process that dies -----------------------------------------------------------------------------------------------


class Doom:
    """Kills this process (SIGKILL) when a point is passed for the n-th time."""

    def __init__(self, point: str) -> None:
        self.point = point
        self.seen: Counter[str] = Counter()
        self.lock = threading.Lock()

    def passes(self, step: str) -> bool:
        """Note that a step is passed; whether it is the one to die at."""
        with self.lock:
            self.seen[step] += 1
            return self.point == f"{step} {self.seen[step]}"

    def at(self, step: str) -> None:
        """Die here, if it is here."""
        if self.passes(step):
            os.kill(os.getpid(), signal.SIGKILL)


class MortalOutbox(Outbox):
    """Dies around its own steps."""

    doom: Doom
    settling = True

    def interrupted(self) -> Any:
        self.doom.at("before look")
        return super().interrupted()

    def collect(self) -> Any:
        self.settling = False
        self.doom.at("before collect")
        return super().collect()

    def claim(self, attempts: Any, at: Any) -> None:
        if attempts:
            self.doom.at("before claim")
        super().claim(attempts, at)
        if attempts:
            self.doom.at("after claim")

    def record(self, outcomes: Any, *arguments: Any) -> None:
        step = "settle" if self.settling else "record"
        if outcomes:
            self.doom.at(f"before {step}")
        super().record(outcomes, *arguments)
        if outcomes:
            self.doom.at(f"after {step}")

    def finish(self, *arguments: Any) -> None:
        self.doom.at("before finish")
        super().finish(*arguments)
        self.doom.at("after finish")


class MortalCarrier:
    """Dies before, during or after a request."""

    def __init__(self, inner: Any, doom: Doom) -> None:
        self.inner = inner
        self.doom = doom

    def carry(self, request: Any) -> Any:
        self.doom.at("before send")
        if self.doom.passes("during send"):
            # While the request is on its way: the peer may have got nothing, a part, or all of it.
            threading.Timer(0.0005, os.kill, (os.getpid(), signal.SIGKILL)).start()
        answer = self.inner.carry(request)
        self.doom.at("after send")
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def _clock() -> Clock:
    return Clock(sleep=lambda seconds: time.sleep(min(seconds, 0.01)))


def doomed(place: str, directory: str, providers: dict[str, Any], point: str) -> None:
    """The body of the process: deliver, and die at `point`."""
    doom = Doom(point)
    MortalOutbox.doom = doom
    warehouse = opened(place)
    office = PostOffice.open(warehouse, Path(directory), providers)
    office.deliver(
        clock=_clock(), wait_seconds=20.0,
        open_outbox=lambda name: MortalOutbox(warehouse.clone(), office.project, name, f"doomed-{os.getpid()}"),
        make_carrier=lambda provider: MortalCarrier(carrier_for(provider), doom),
    )  # fmt: skip


# -- one point ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Balance:
    """What a point came to at one kind of peer: the peer's book beside what `deliveries` says."""

    point: str
    idempotent: bool
    messages: int
    once: int
    twice: int
    resent: int
    lost: int
    statuses: Counter[str]
    mistakes: tuple[str, ...]
    runs: int
    seconds: float

    def __str__(self) -> str:
        kind = "idempotent" if self.idempotent else "plain"
        told = ", ".join(f"{status} {count:,}" for status, count in sorted(self.statuses.items()))
        return (
            f"{self.point:<20} {kind:<10} once {self.once:>6,}  twice {self.twice:,}  lost {self.lost:,}  "
            f"resent {self.resent:>4,}  ({told}; {self.runs} runs, {self.seconds:.1f} s)"
        )


class Ground:
    """A prepared outbox that is copied for each point."""

    def __init__(self, directory: Path, messages: int, copy: Callable[[int], str], place: str) -> None:
        self.directory = directory
        self.messages = messages
        self.batch = max(1, messages // REQUESTS)
        self._copy = copy
        self._number = 0
        warehouse = opened(place)
        with contextlib.closing(warehouse):
            office = PostOffice.open(warehouse, directory, {"mail": webhook("http://127.0.0.1:9/")}).build()
            office.people(messages).queue(range(messages))

    def copy(self) -> str:
        """A fresh copy; returns where it is."""
        self._number += 1
        return self._copy(self._number)


def duckdb_ground(directory: Path, messages: int) -> Ground:
    """On DuckDB: a file that is copied."""
    base = directory / "base.duckdb"

    def copy(number: int) -> str:
        return str(shutil.copy(base, directory / f"copy{number}.duckdb"))

    return Ground(directory, messages, copy, str(base))


def postgres_ground(directory: Path, messages: int, uri: str) -> Ground:
    """On PostgreSQL: the database at `uri`, which is the template of its copies."""
    import adbc_driver_postgresql.dbapi as adbc

    server, _, base = uri.rpartition("/")

    def copy(number: int) -> str:
        with adbc.connect(f"{server}/postgres", autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {base}_{number} TEMPLATE {base}")
        return f"{server}/{base}_{number}"

    return Ground(directory, messages, copy, uri)


def run_point(ground: Ground, point: str, idempotent: bool, seed: int = 0) -> Balance:
    """Deliver, die at the point, deliver again until quiet; then compare the books."""
    began = time.monotonic()
    place = ground.copy()
    book = ground.directory / f"book-{time.monotonic_ns()}"
    with FaultServer(SCRIPT, idempotent=idempotent, book=book) as server:
        options = {"batch": ground.batch, "concurrency": CONCURRENCY, "idempotent": idempotent}
        providers = {"mail": webhook(server.url, **options)}
        if "settle" in point:
            _kill(place, ground, providers, _SETTLED_AFTER, server, seed)
        _kill(place, ground, providers, point, server, seed)
        warehouse = opened(place)
        with contextlib.closing(warehouse):
            office = PostOffice.open(warehouse, ground.directory, providers)
            runs = 0
            while runs < MOST_RUNS:
                runs += 1
                if office.deliver(clock=_clock()).left == 0:
                    break
            found = _balance(office, server, point, idempotent, ground.messages, runs, time.monotonic() - began)
    if not place.startswith("postgres"):
        Path(place).unlink()
    return found


def _kill(
    place: str, ground: Ground, providers: dict[str, Any], point: str, server: FaultServer, seed: int
) -> None:  # fmt: skip
    arguments = (place, str(ground.directory), providers, point)
    process = multiprocessing.get_context("forkserver").Process(target=doomed, args=arguments)
    process.start()
    if "random" in point:
        # At a random request of the peer's, and a random moment after it.
        chance = random.Random(f"{seed} {point}")
        until = chance.randrange(1, REQUESTS * 3 // 4)
        while server.requests < until and process.is_alive():
            time.sleep(0.001)
        time.sleep(chance.random() * 0.02)
        process.kill()
    process.join(120)
    if process.exitcode != -signal.SIGKILL:
        raise AssertionError(f"{point}: the process ended by itself ({process.exitcode})")


def _balance(
    office: PostOffice, server: FaultServer, point: str, idempotent: bool, messages: int, runs: int, seconds: float
) -> Balance:  # fmt: skip
    expected = {message_id(number) for number in range(messages)}
    accepted, rows = server.book.accepted, office.outcomes()
    statuses: Counter[str] = Counter(told[-1][0] for told in rows.values())
    last = {key: told[-1][0] for key, told in rows.items()}
    sure = {key for key, status in last.items() if status == "accepted"}
    doubt = {key for key, status in last.items() if status == "unknown"}
    refused = expected - sure - doubt
    resent = {key for key, told in rows.items() if max(attempt for _, attempt, _ in told) > 1}
    mistakes = []
    if set(rows) != expected or set(accepted) - expected:
        mistakes.append("messages are missing, or strangers are there")
    if any([final for _, _, final in told] != [False] * (len(told) - 1) + [True] for told in rows.values()):
        mistakes.append("a message has not exactly one final row, as its last")
    if sum(statuses[status] for status in ("accepted", "unknown", "rejected", "failed")) != messages:
        mistakes.append("the sums of deliveries are not the messages")
    if sure - set(accepted):
        mistakes.append("accepted in deliveries, and never by the peer")
    if refused & set(accepted):
        mistakes.append("not accepted in deliveries, and yet by the peer")
    if max(accepted.values(), default=0) > 1:
        mistakes.append("accepted twice")
    if idempotent and set(accepted) != expected:
        mistakes.append("an idempotent peer did not get everything")
    return Balance(
        point, idempotent, messages,
        once=sum(count == 1 for count in accepted.values()), twice=sum(count > 1 for count in accepted.values()),
        resent=len(resent | set(server.book.repeated)),
        lost=len(expected - set(accepted) - doubt - {key for key in refused if last.get(key) in ("rejected", "failed")}),
        statuses=statuses, mistakes=tuple(mistakes), runs=runs, seconds=seconds,
    )  # fmt: skip


def sweep(ground: Ground, points: Sequence[str]) -> Iterator[Balance]:
    """Every point at both kinds of peer."""
    for point in points:
        for idempotent in (True, False):
            yield run_point(ground, point, idempotent)


# -- the table ---------------------------------------------------------------------------------------------------------


def table(balances: Sequence[Balance]) -> str:
    """The table of docs/reliability.md: in words, since how many are in doubt depends on the moment."""
    rows = [
        "| killed | idempotent peer: accepted once | twice | lost | plain peer: accepted twice | lost | books balance |",
        "|---|---|---|---|---|---|---|",
    ]
    both = {(one.point, one.idempotent): one for one in balances}
    for point in dict.fromkeys(one.point for one in balances):
        safe, plain = both[point, True], both[point, False]
        once = "all" if safe.once == safe.messages else f"{safe.once:,}"
        balanced = "yes" if not safe.mistakes + plain.mistakes else "; ".join(safe.mistakes + plain.mistakes)
        figures = [_none(safe.twice), _none(safe.lost), _none(plain.twice), _none(plain.lost)]
        rows.append(f"| {point} | {once} | {' | '.join(figures)} | {balanced} |")
    return "\n".join(rows)


def _none(count: int) -> str:
    return "none" if count == 0 else f"{count:,}"


def written_table() -> str:
    """The table that docs/reliability.md has now."""
    return PAGE.read_text().partition(BEGIN)[2].partition(END)[0].strip()


def write_table(text: str) -> None:
    """Put a table into docs/reliability.md."""
    page = PAGE.read_text()
    before, rest = page.split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")


def main(arguments: Sequence[str]) -> int:
    """Sweep, print every figure, and write the table if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=MESSAGES)
    parser.add_argument("--points", nargs="*", default=POINTS)
    parser.add_argument("--table", action="store_true", help="write docs/reliability.md's table")
    chosen = parser.parse_args(arguments)
    balances = []
    with tempfile.TemporaryDirectory() as folder:
        for found in sweep(duckdb_ground(Path(folder), chosen.messages), chosen.points):
            print(found, *found.mistakes, flush=True)
            balances.append(found)
    if chosen.table:
        write_table(table(balances))
    return 1 if any(found.mistakes for found in balances) else 0


if __name__ == "__main__":
    multiprocessing.set_forkserver_preload(["reliability"])
    sys.exit(main(sys.argv[1:]))
