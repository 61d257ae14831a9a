"""Providers by size of their batches: beside dlt and drt-core on the same rows, beside `requests` by hand, and memory.

Everything posts to the same server (a process of its own), one right after the other. dlt and drt-core run in environments
of their own (peer_dlt.py and peer_drt.py say how to make them) and post what they read; Activate renders a message for
each row, signs each request, and records a claim and an outcome. Left out where they are not named.

    python benchmarks/providers.py batched --messages 100000 --drt /tmp/drt/bin/python --dlt /tmp/dlt/bin/python
    python benchmarks/providers.py single --messages 20000 --threads 8      # goal: within 20 % of `requests`
    python benchmarks/providers.py memory --sizes 10000 100000 1000000      # goal: flat
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from deliver import bodies, memory, ours, plain, prepare, project, server

BATCHES = (75, 500)  # a webhook's, and what vendors with batched endpoints take


def _same_people(path: Path, messages: int) -> Path:
    """A file with the same people as the outbox, as the peers read them."""
    import duckdb

    target = path.with_name("members.duckdb")
    with duckdb.connect(str(target)) as connection:
        connection.execute(f"""
            CREATE OR REPLACE TABLE members AS SELECT 'user-' || n AS user_id, 'Ann' || n AS first_name,
              CAST((n % 5000) / 8.0 AS DECIMAL(10, 2)) AS ltv, CAST(n AS INTEGER) AS orders FROM range({messages}) AS g(n)
        """)
    return target


def _best(rounds: int, measure: Callable[[int], float]) -> float:
    return min(measure(number) for number in range(rounds))


def _activate(folder: Path, url: str, messages: int, threads: int, batch: int, number: int) -> tuple[float, float]:
    """Seconds by the clock and of processor that one delivery takes."""
    path = folder / f"run{number}.duckdb"
    prepare(path, messages)
    seconds, spent, report = ours(path, project(folder, url, threads, batch))
    path.unlink()
    assert report.counts == {"accepted": messages}, report
    return seconds, spent


def _peer(python: str, script: str, path: Path, url: str, batch: int, messages: int) -> float:
    command = [python, str(Path(__file__).parent / script), str(path), url, str(batch)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    *seconds, sent = printed.split()[-3:] if script == "peer_dlt.py" else printed.split()[-2:]
    assert int(sent) == messages, printed
    return float(seconds[0])


def batched(messages: int, threads: int, rounds: int, peers: dict[str, str | None]) -> None:
    """Print rows a second by batch size, of Activate and of each peer."""
    for batch in BATCHES:
        with tempfile.TemporaryDirectory() as name, server() as url:
            folder = Path(name)
            _activate(folder, url, 1_000, threads, batch, -1)  # loads the libraries
            members = _same_people(folder / "warm", messages)
            found = {"activate": _best(rounds, lambda n: _activate(folder, url, messages, threads, batch, n)[0])}  # noqa: B023
            for script, python in peers.items():
                if python:
                    seconds = _best(rounds, lambda _: _peer(python, script, members, url, batch, messages))  # noqa: B023
                    found[script.removeprefix("peer_").removesuffix(".py")] = seconds
            told = "   ".join(f"{who} {messages / seconds:>8,.0f} rows/s" for who, seconds in found.items())
            print(f"batches of {batch}: {told}", flush=True)


def single(messages: int, threads: int, rounds: int) -> None:
    """Print requests a second of one message each, beside sessions driven by hand."""
    with tempfile.TemporaryDirectory() as name, server() as url:
        folder = Path(name)
        made = bodies(messages, 1)
        _activate(folder, url, 1_000, threads, 1, -1)
        by_hand = own = float("inf")
        for number in range(rounds):
            by_hand = min(by_hand, plain(url, made, threads))
            seconds, spent = _activate(folder, url, messages, threads, 1, number)
            own = min(own, seconds)
            print(
                f"round {number + 1}: {messages / seconds:,.0f}/s, {spent / messages * 1e6:.0f} µs of processor each",
                flush=True,
            )
        print(
            f"one message each: requests {messages / by_hand:,.0f}/s   activate {messages / own:,.0f}/s: "
            f"{by_hand / own:.0%} (goal: 80%)"
        )


def main(arguments: list[str]) -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("batched", "single", "memory"))
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--dlt", help="the Python that has dlt")
    parser.add_argument("--drt", help="the Python that has drt-core")
    chosen = parser.parse_args(arguments)
    if chosen.what == "batched":
        batched(chosen.messages, chosen.threads, chosen.rounds, {"peer_dlt.py": chosen.dlt, "peer_drt.py": chosen.drt})
    elif chosen.what == "single":
        single(chosen.messages, chosen.threads, chosen.rounds)
    else:
        memory(chosen.sizes, chosen.threads)


if __name__ == "__main__":
    main(sys.argv[1:])
