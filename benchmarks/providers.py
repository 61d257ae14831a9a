"""Providers by size of their batches: beside dlt and drt-core on the same rows, beside `requests` by hand, and memory.

Everything posts to the same server (a process of its own), one right after the other. dlt and drt-core run in environments
of their own (peer_dlt.py and peer_drt.py say how to make them); left out where they are not named. Activate renders a
message for each row, signs each request of a webhook, and records a claim and an outcome; the peers record nothing. They
are measured three ways: posting rows as they are, writing the same messages for each person as Activate does, and
mailing by SendGrid, where drt-core has a destination of its own (a request for each row; so it gets fewer rows) and a
person's share of a request is a personalization.

    python benchmarks/providers.py batched --messages 100000 --drt /tmp/drt/bin/python --dlt /tmp/dlt/bin/python
    python benchmarks/providers.py single --messages 20000 --threads 8      # goal: within 20 % of `requests`
    python benchmarks/providers.py memory --sizes 10000 100000 1000000      # goal: flat
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from deliver import bodies, memory, ours, plain, prepare, project, server

BATCHES = (75, 500)  # a webhook's, and what vendors with batched endpoints take
SENDGRID = 1_000  # recipients in one request
ONE_BY_ONE = 10_000  # rows for a peer that makes a request for each
SHARED = (
    "{% block subject %}{{ profile.first_name }}, something waits for you{% endblock %}\n"
    "{% block text %}Hello,\n\nwhat you left in your cart still waits for you.{% endblock %}\n"
)


ROWS = "CAST((n % 5000) / 8.0 AS DECIMAL(10, 2)) AS ltv, CAST(n AS INTEGER) AS orders"
MESSAGES = (
    "md5('e' || n) AS message_id, 'person.' || n || '@example.com' AS email, 'Green tea ' || n AS product, "
    "CAST(12.5 AS DOUBLE) AS price, n AS points"
)


def _people(path: Path, messages: int, columns: str) -> Path:
    """A file with the same people as the outbox, as the peers read them."""
    import duckdb

    with duckdb.connect(str(path)) as connection:
        connection.execute(
            f"CREATE TABLE members AS SELECT 'user-' || n AS user_id, 'Ann' || n AS first_name, {columns} "
            f"FROM range({messages}) AS g(n)"
        )
    return path


def _activate(
    folder: Path, url: str, messages: int, threads: int, batch: int, number: int, **different: Any
) -> tuple[float, float]:
    """Seconds by the clock and of processor that one delivery takes."""
    path = folder / f"run{number}.duckdb"
    prepare(path, messages)
    seconds, spent, report = ours(path, project(folder, url, threads, batch, **different))
    path.unlink()
    assert report.counts == {"accepted": messages}, report
    return seconds, spent


def _peer(python: str, script: str, path: Path, url: str, batch: int, mode: str, messages: int) -> float:
    command = [python, str(Path(__file__).parent / script), str(path), url, str(batch), mode]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    *seconds, sent = printed.split()[-3:] if script == "peer_dlt.py" else printed.split()[-2:]
    assert int(sent) == messages, printed
    return float(seconds[0])


def batched(messages: int, threads: int, rounds: int, peers: dict[str, str]) -> None:
    """Print rows a second by batch size, of Activate and of each peer; rounds are taken in turns."""
    for batch in BATCHES:
        with tempfile.TemporaryDirectory() as name, server() as url:
            folder = Path(name)
            _activate(folder, url, 1_000, threads, batch, -1)  # loads the libraries
            files = {
                "rows": _people(folder / "rows.duckdb", messages, ROWS),
                "messages": _people(folder / "messages.duckdb", messages, MESSAGES),
            }
            runs = {"activate": lambda n: _activate(folder, url, messages, threads, batch, n)[0] / messages}  # noqa: B023
            for script, python in peers.items():
                for mode, path in files.items():
                    runs[f"{_named(script)}, {mode}"] = partial(
                        lambda python, script, path, mode, _: _peer(python, script, path, url, batch, mode, messages)  # noqa: B023
                        / messages, python, script, path, mode,
                    )  # fmt: skip
            _tell(f"batches of {batch}", _in_turns(rounds, runs))
    with tempfile.TemporaryDirectory() as name, server() as url:
        folder = Path(name)
        provider = {"type": "sendgrid", "api_key": "key", "from": "hello@shop.example.com"}
        mailing: dict[str, Any] = {"provider": provider, "template": SHARED}
        _activate(folder, url, 1_000, threads, SENDGRID, -1, **mailing)
        runs = {"activate": lambda n: _activate(folder, url, messages, threads, SENDGRID, n, **mailing)[0] / messages}
        for script, python in peers.items():
            rows = ONE_BY_ONE if script == "peer_drt.py" else messages
            path = _people(folder / f"{script}.duckdb", rows, MESSAGES)
            runs[_named(script)] = partial(
                lambda python, script, path, rows, _: _peer(python, script, path, url, SENDGRID, "sendgrid", rows) / rows,
                python, script, path, rows,
            )  # fmt: skip
        _tell("SendGrid", _in_turns(rounds, runs))


def _named(script: str) -> str:
    return script.removeprefix("peer_").removesuffix(".py")


def _in_turns(rounds: int, runs: Mapping[str, Callable[[int], float]]) -> dict[str, float]:
    """The least seconds a row of each, one after the other in every round."""
    best = dict.fromkeys(runs, float("inf"))
    for number in range(rounds):
        for who, run in runs.items():
            best[who] = min(best[who], run(number))
    return best


def _tell(what: str, best: Mapping[str, float]) -> None:
    own = best["activate"]
    print(f"{what}:")
    for who, seconds in best.items():
        print(
            f"  {who:<16} {1 / seconds:>9,.0f} rows/s" + ("" if who == "activate" else f"   {seconds / own:.2f} times"),
            flush=True,
        )


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
        peers = {"peer_dlt.py": chosen.dlt, "peer_drt.py": chosen.drt}
        batched(
            chosen.messages,
            chosen.threads,
            chosen.rounds,
            {script: python for script, python in peers.items() if python},
        )
    elif chosen.what == "single":
        single(chosen.messages, chosen.threads, chosen.rounds)
    else:
        memory(chosen.sizes, chosen.threads)


if __name__ == "__main__":
    main(sys.argv[1:])
