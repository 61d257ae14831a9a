"""Rendering and delivering webhook messages, beside plain `requests` posting bodies made beforehand.

Both post to the same server (a process of its own) with the same number of threads, one right after the other, several
times; the best of each is compared, by the clock and by the processor time of this process (which a machine shared with
others disturbs less). A small delivery beforehand loads the libraries. Peak memory is that of a process of its own.

    python benchmarks/deliver.py [--messages 100000] [--threads 4] [--rounds 3] [--memory 10000 100000 1000000]
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import multiprocessing
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

BATCH = 75
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
TEMPLATE = (
    "{% block subject %}{{ profile.first_name }}, you left {{ context.product }} behind{% endblock %}\n"
    "{% block text %}Hello {{ profile.first_name }},\n\nyour {{ context.product }} ({{ context.price | money }}) still "
    "waits for you. You have {{ profile.points }} points.{% endblock %}\n"
)


# -- the server: as little as HTTP allows ------------------------------------------------------------------------------


class Sink(asyncio.Protocol):
    """Reads requests, counts the messages in them, answers 200."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.data = bytearray()
        self.size = -1

    def data_received(self, data: bytes) -> None:
        self.data += data
        while True:
            if self.size < 0:
                end = self.data.find(b"\r\n\r\n")
                if end < 0:
                    return
                head = bytes(self.data[:end]).lower()
                start = head.index(b"content-length:") + 15
                stop = head.find(b"\r\n", start)
                self.size = end + 4 + int(head[start : stop if stop > 0 else len(head)])
            if len(self.data) < self.size:
                return
            del self.data[: self.size]
            self.size = -1
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")  # type: ignore[attr-defined]


def _serve(ports: multiprocessing.Queue[int]) -> None:
    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", 0)
        ports.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


@contextmanager
def server() -> Iterator[str]:
    """Run the server; yields its address."""
    ports: multiprocessing.Queue[int] = multiprocessing.Queue()
    process = multiprocessing.Process(target=_serve, args=(ports,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ports.get(timeout=10)}/messages"
    finally:
        process.terminate()


# -- plain requests ----------------------------------------------------------------------------------------------------


def plain(url: str, bodies: list[bytes], threads: int) -> float:
    """Post the bodies with a `requests.Session` per thread; returns seconds."""
    todo = iter(bodies)
    lock = threading.Lock()

    def work() -> None:
        with requests.Session() as session:
            while True:
                with lock:
                    body = next(todo, None)
                if body is None:
                    return
                answer = session.post(url, data=body, headers={"Content-Type": "application/json"}, timeout=10)
                answer.raise_for_status()

    return _timed(work, threads)


def _timed(work: Callable[[], None], threads: int) -> float:
    workers = [threading.Thread(target=work) for _ in range(threads)]
    began = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return time.perf_counter() - began


# -- Activate ----------------------------------------------------------------------------------------------------------


def project(
    directory: Path, url: str, threads: int, batch: int = BATCH, *, provider: Mapping[str, Any] | None = None,
    template: str = TEMPLATE,
) -> Any:  # fmt: skip
    """The rules of the benchmark; `provider` stands in place of the webhook."""
    from activate.policy import Policy
    from activate.project import Model, Project, Relation

    (directory / "rules" / "templates").mkdir(parents=True, exist_ok=True)
    (directory / "rules" / "templates" / "cart.email.j2").write_text(template)
    columns = {"user_id": "varchar", "time_zone": "varchar", "email": "varchar", "email_consent": "boolean",
               "first_name": "varchar", "points": "bigint"}  # fmt: skip
    policy = Policy.model_validate({
        "profiles": {"model": "profiles", "key": "user_id", "time_zone": "time_zone"},
        "events": {"model": "events", "id": "id", "key": "user_id", "name": "name", "time": "at"},
        "channels": {"email": {"address": "email", "consent": "email_consent", "provider": "service"}},
        "providers": {"service": {**(provider or {"type": "webhook", "secret": SECRET}), "url": url, "batch": batch,
                                  "concurrency": threads}},
    })  # fmt: skip
    profiles = Model("profiles", Relation("main", "profiles"), columns=columns)
    return Project(directory, "benchmark", policy, (), {"profiles": profiles})


def prepare(path: Path, messages: int) -> None:
    """A DuckDB file with people, entries and queued messages."""
    import duckdb

    from activate.record.migrate import migrate
    from activate.warehouses.duckdb import DuckDB

    warehouse = DuckDB.open(str(path))
    import datetime as dt

    with warehouse.transaction():
        migrate(warehouse, "activate", dt.datetime(2026, 3, 2))
    warehouse.close()
    connection = duckdb.connect(str(path))
    connection.execute(f"""
        CREATE TABLE profiles AS SELECT 'user-' || n AS user_id, 'Europe/Berlin' AS time_zone,
          'person.' || n || '@example.com' AS email, TRUE AS email_consent, 'Ann' || n AS first_name, n AS points
        FROM range({messages}) AS g(n);
        INSERT INTO activate.entries SELECT md5('e' || n), 'cart', 'user-' || n, 'o' || n, TIMESTAMP '2026-03-02 11:00:00',
          NULL, FALSE, '{{"product": "Green tea ' || n || '", "price": 12.5, "cart_id": "c' || n || '"}}', 'r', 'tick',
          TIMESTAMP '2026-03-02 12:00:00', 'v', NULL, NULL FROM range({messages}) AS g(n);
        INSERT INTO activate.messages SELECT md5(md5('e' || n) || '|1|email'), md5('e' || n), 'cart', 1, NULL, 'user-' || n,
          'email', 'service', 'marketing', '["promotion"]', TIMESTAMP '2026-03-03 12:00:00', 'tick',
          TIMESTAMP '2026-03-02 12:00:00', NULL, TRUE, 'cart', 50 FROM range({messages}) AS g(n);
    """)
    connection.close()


def ours(path: Path, rules: Any) -> tuple[float, float, Any]:
    """Deliver everything in the file; returns seconds by the clock, seconds of processor, and the report."""
    import datetime as dt

    from activate.deliver.send import deliver
    from activate.providers.registry import create
    from activate.record.deliveries import Outbox
    from activate.warehouses.duckdb import DuckDB

    warehouse = DuckDB.open(str(path), settings={"threads": "2"})
    provider = create("service", rules.policy.providers["service"])
    began, spent = time.perf_counter(), time.process_time()
    reports = deliver(
        rules, {"service": provider}, lambda name: Outbox(warehouse.clone(), rules, name, "run"),
        now=dt.datetime(2026, 3, 2, 12),
    )  # fmt: skip
    seconds, spent = time.perf_counter() - began, time.process_time() - spent
    warehouse.close()
    return seconds, spent, reports[0]


def bodies(messages: int, batch: int = BATCH) -> list[bytes]:
    """Bodies of the size that a delivery makes."""
    item = {
        "message_id": "0" * 32, "user_id": "user-12345", "address": "person.12345@example.com", "channel": "email",
        "campaign": "cart", "step": 1, "variant": None, "class": "marketing", "tags": ["promotion"],
        "ttl_seconds": 86400, "content": {
            "subject": "Ann12345, you left Green tea 12345 behind",
            "text": "Hello Ann12345,\n\nyour Green tea 12345 ($12.50) still waits for you. You have 12345 points.",
        },
    }  # fmt: skip
    made = []
    for start in range(0, messages, batch):
        count = min(batch, messages - start)
        rows = [{**item, "message_id": hashlib.md5(str(start + n).encode()).hexdigest()} for n in range(count)]
        made.append(json.dumps({"messages": rows}, separators=(",", ":")).encode())
    return made


def compare(messages: int, threads: int, rounds: int) -> None:
    """Print both speeds and their ratio."""
    with tempfile.TemporaryDirectory() as folder, server() as url:
        rules = project(Path(folder), url, threads)
        made = bodies(messages)
        _warm_up(Path(folder), rules)
        best: dict[str, float] = {}
        for number in range(rounds):
            path = Path(folder) / f"run{number}.duckdb"
            prepare(path, messages)
            began = time.process_time()
            told = {"requests": plain(url, made, threads), "requests, processor": time.process_time() - began}
            told["activate"], told["activate, processor"], report = ours(path, rules)
            path.unlink()
            assert report.counts == {"accepted": messages}, report
            print(f"round {number + 1}:", _row(told, messages), flush=True)
            best = {name: min(seconds, best.get(name, seconds)) for name, seconds in told.items()}
        print("best:   ", _row(best, messages))
        print(f"Activate reaches {best['requests'] / best['activate']:.0%} of plain requests by the clock (goal: 60%), "
              f"{best['requests, processor'] / best['activate, processor']:.0%} by processor time")  # fmt: skip


def _warm_up(folder: Path, rules: Any) -> None:
    prepare(folder / "warm.duckdb", 1_000)
    ours(folder / "warm.duckdb", rules)


def _row(seconds: dict[str, float], messages: int) -> str:
    return "   ".join(f"{name} {messages / value:>9,.0f} rows/s" for name, value in seconds.items())


def _peak_megabytes() -> float:
    # Not ru_maxrss: that begins with what the parent process had when it made this one.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def _measure(messages: int, threads: int, url: str, folder: str, results: multiprocessing.Queue[Any]) -> None:
    rules = project(Path(folder), url, threads)
    _warm_up(Path(folder), rules)
    before = _peak_megabytes()
    seconds, _, report = ours(Path(folder) / "memory.duckdb", rules)
    assert report.counts == {"accepted": messages}, report
    results.put((before, _peak_megabytes(), seconds))


def memory(sizes: list[int], threads: int) -> None:
    """Print the peak memory of deliveries of different sizes, each in a process of its own."""
    context = multiprocessing.get_context("spawn")
    for messages in sizes:
        with tempfile.TemporaryDirectory() as folder, server() as url:
            making = context.Process(target=prepare, args=(Path(folder) / "memory.duckdb", messages))
            making.start()
            making.join()
            results = context.Queue()
            process = context.Process(target=_measure, args=(messages, threads, url, folder, results))
            process.start()
            before, peak, seconds = results.get()
            process.join()
            print(f"{messages:>9,} messages: peak {peak:,.0f} MB ({before:,.0f} MB after a delivery of 1,000), "
                  f"{messages / seconds:,.0f} rows/s", flush=True)  # fmt: skip


def main(arguments: list[str]) -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", type=int, nargs="*", metavar="MESSAGES", help="sizes to measure peak memory at")
    chosen = parser.parse_args(arguments)
    compare(chosen.messages, chosen.threads, chosen.rounds)
    memory(chosen.memory if chosen.memory is not None else [10_000, 100_000], chosen.threads)


if __name__ == "__main__":
    main(sys.argv[1:])
