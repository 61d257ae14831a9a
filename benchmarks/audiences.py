"""Audiences: the diff beside DuckDB's own full join, syncs to a webhook beside drt-core and dlt, and memory by size.

The same rows are asked and sent by all, one right after the other. drt-core and dlt run in environments of their own
(benchmarks/peer_drt.py and peer_dlt.py say how to make them); left out where they are not named.

    python benchmarks/audiences.py diff --members 10000000 [--hashed]
    python benchmarks/audiences.py send --members 100000 --drt /tmp/drt/bin/python --dlt /tmp/dlt/bin/python
    python benchmarks/audiences.py memory --sizes 100000 1000000 10000000
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from deliver import SECRET, _peak_megabytes, plain, server

BATCH = 75
NOON = dt.datetime(2026, 3, 2, 12)
HASH = "md5('+' || length(first_name) || ':' || first_name || '+' || length(l) || ':' || l || '+' || length(o) || ':' || o)"


def project(url: str, **keys: Any) -> Any:
    """The rules: one audience with three fields."""
    from activate.audience import Audience
    from activate.policy import Policy
    from activate.project import Model, Project, Relation

    policy = Policy.model_validate({
        "profiles": {"model": "members", "key": "user_id"},
        "events": {"model": "members", "id": "user_id", "key": "user_id", "name": "user_id", "time": "user_id"},
        "channels": {"email": {"address": "user_id", "provider": "none"}},
        "destinations": {"crm": {"type": "webhook", "url": url, "secret": SECRET, "batch": BATCH, "concurrency": 4}},
    })  # fmt: skip
    columns = {
        "user_id": "varchar",
        "email": "varchar",
        "first_name": "varchar",
        "ltv": "decimal(10,2)",
        "orders": "integer",
    }
    model = Model("members", Relation("main", "members"), kind="segment", key="user_id", columns=columns)
    fields = {"first_name": "first_name", "lifetime_value": "ltv", "orders": "orders"}
    audience = Audience.model_validate(
        {"audience": "vips", "segment": "members", "destination": "crm", "fields": fields, **keys}
    )
    return Project(Path(), "benchmark", policy, (), {"members": model}, audiences=(audience,))


def prepare(path: str, members: int) -> None:
    """A DuckDB file with a segment of so many members."""
    import duckdb

    with duckdb.connect(path) as connection:
        connection.execute("SET preserve_insertion_order = false")
        connection.execute(f"""
            CREATE OR REPLACE TABLE members AS SELECT 'user_' || n AS user_id, 'ann' || n || '@example.com' AS email,
              'Ann' || (n % 1000) AS first_name,
              CAST((n % 5000) / 8.0 AS DECIMAL(10, 2)) AS ltv, CAST(n % 7 AS INTEGER) AS orders FROM range({members}) AS g(n)
        """)


def change(path: str) -> None:
    """One in a hundred has another name, one in two hundred has left, as many have come."""
    import duckdb

    with duckdb.connect(path) as connection:
        connection.execute("""
            CREATE OR REPLACE TABLE members AS
            SELECT CASE WHEN n % 200 = 7 THEN user_id || '_new' ELSE user_id END AS user_id,
              CASE WHEN n % 200 = 7 THEN 'new_' || email ELSE email END AS email,
              CASE WHEN n % 100 = 3 THEN first_name || '!' ELSE first_name END AS first_name, ltv, orders
            FROM (SELECT *, CAST(substr(user_id, 6) AS BIGINT) AS n FROM members)
        """)


def diff(members: int, rounds: int, hashed: bool) -> None:
    """Print how long the diff takes, and DuckDB's own full joins over the same rows.

    `hashed`: people are known by the SHA-256 of their address, which DuckDB's own joins then compute as well.
    """
    from activate import syncing
    from activate.warehouses.duckdb import DuckDB

    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/diff.duckdb"
        prepare(path, members)
        by = {"identify_by": {"column": "email", "hash": "sha256", "normalise": "email"}} if hashed else {}
        key = "sha256(lower(trim(s.email)))" if hashed else "s.user_id"
        rules = project("http://localhost:1/", first_run="baseline", **by)
        warehouse = DuckDB.open(path, settings={"threads": "2"})
        began = time.perf_counter()
        report = syncing.sync(warehouse, rules, list(rules.audiences), NOON)[0]
        assert report.error is None, report
        recorded = time.perf_counter()
        syncing.sync(warehouse, rules, list(rules.audiences), NOON + dt.timedelta(minutes=10))
        print(
            f"{members:,} members taken for acknowledged in {recorded - began:.1f} s; the next sync sums them up and finds "
            f"nothing new in {time.perf_counter() - recorded:.1f} s",
            flush=True,
        )
        warehouse.close()
        change(path)
        bare = f"""
            CREATE OR REPLACE TEMP TABLE bare AS SELECT COALESCE(s.known, a.member) AS member, s.first_name, s.ltv, s.orders,
              CASE WHEN s.user_id IS NULL THEN 'remove' WHEN a.member IS NULL THEN 'add' ELSE 'update' END AS change
            FROM (SELECT *, {HASH} AS row_hash, {key} AS known
                  FROM (SELECT *, CAST(ltv AS TEXT) AS l, CAST(orders AS TEXT) AS o FROM members) AS s) AS s
            FULL JOIN activate.audience_members AS a ON a.member = s.known
            WHERE s.user_id IS NULL OR a.member IS NULL OR a.row_hash <> s.row_hash
        """
        alone = f"""
            CREATE OR REPLACE TEMP TABLE alone AS SELECT COALESCE(s.known, a.member) AS member, s.first_name, s.ltv, s.orders
            FROM (SELECT s.*, {key} AS known FROM members AS s) AS s
            FULL JOIN activate.audience_members AS a ON a.member = s.known
            WHERE s.user_id IS NULL OR a.member IS NULL
        """
        best: dict[str, float] = {}
        for _ in range(rounds):
            warehouse = DuckDB.open(path, settings={"threads": "2"})
            told = {}
            for name, statement in (("full join with hashes", bare), ("full join of the keys alone", alone)):
                began = time.perf_counter()
                warehouse.execute(statement)
                told[name] = time.perf_counter() - began
            began = time.perf_counter()
            plan = syncing.plan(warehouse, rules, list(rules.audiences), NOON + dt.timedelta(hours=1))[0]
            told["activate"] = time.perf_counter() - began
            warehouse.close()
            best = {name: min(seconds, best.get(name, seconds)) for name, seconds in told.items()}
            print("  ".join(f"{name} {seconds:.2f} s" for name, seconds in told.items()), flush=True)
        figures = plan.figures
        print(
            f"{figures.added:,} to add, {figures.updated:,} to update, {figures.removed:,} to remove, {figures.unchanged:,} unchanged"
        )
        ratio = best["activate"] / best["full join with hashes"]
        print(f"the diff takes {ratio:.2f} times DuckDB's full join with the hashes compared (goal: 1.5)")


def send(members: int, rounds: int, drt: str | None, dlt: str | None) -> None:
    """Print how many rows a second reach a webhook, ours and others'."""
    with tempfile.TemporaryDirectory() as folder, server() as url:
        best: dict[str, float] = {}
        path = f"{folder}/peers.duckdb"
        prepare(path, members)
        made = bodies(members)
        for number in range(rounds):
            told = {
                "requests, bodies made before": plain(url, made, 4),
                "activate": ours(f"{folder}/ours{number}.duckdb", url, members),
            }
            for name, python in (("drt-core", drt), ("dlt", dlt)):
                if python:
                    told[name] = peer(python, name, path, url, members)
            best = {name: min(seconds, best.get(name, seconds)) for name, seconds in told.items()}
            print(
                f"round {number + 1}: "
                + "  ".join(f"{name} {members / seconds:,.0f}/s" for name, seconds in told.items()),
                flush=True,
            )
        print("best: " + "  ".join(f"{name} {members / seconds:,.0f}/s" for name, seconds in best.items()))


def ours(path: str, url: str, members: int) -> float:
    """Seconds of a whole sync: diff, claims, posting, outcomes recorded."""
    from activate import syncing
    from activate.warehouses.duckdb import DuckDB

    prepare(path, members)
    warehouse = DuckDB.open(path, settings={"threads": "2"})
    rules = project(url)
    began = time.perf_counter()
    report = syncing.sync(warehouse, rules, list(rules.audiences), NOON)[0]
    seconds = time.perf_counter() - began
    assert report.outcomes == {"accepted": members}, report
    warehouse.close()
    return seconds


def peer(python: str, name: str, path: str, url: str, members: int) -> float:
    """Seconds of a peer, measured by itself."""
    script = Path(__file__).parent / f"peer_{name.split('-', maxsplit=1)[0]}.py"
    found = subprocess.run([python, str(script), path, url, str(BATCH)], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr[-2000:]
    seconds, *_, sent = found.stdout.split()
    assert int(sent) == members, found.stdout
    return float(seconds)


def bodies(members: int) -> list[bytes]:
    """Bodies of the size that a sync makes."""
    item = {
        "change": "add",
        "user_id": "user_12345",
        "member": "user_12345",
        "fields": {"first_name": "Ann345", "lifetime_value": 43.12, "orders": 4},
    }
    body = {"audience": "vips", "run_id": "20260302T120000Z-vips", "changes": [item] * BATCH}
    return [json.dumps(body).encode()] * -(-members // BATCH)


def _measure(path: str, url: str, members: int, results: Any) -> None:
    began = _peak_megabytes()
    seconds = ours(path, url, members)
    results.put((began, _peak_megabytes(), seconds))


def memory(sizes: list[int]) -> None:
    """Print the peak memory of first syncs of different sizes, each in a process of its own."""
    context = multiprocessing.get_context("spawn")
    for members in sizes:
        with tempfile.TemporaryDirectory() as folder, server() as url:
            results = context.Queue()
            process = context.Process(target=_measure, args=(f"{folder}/memory.duckdb", url, members, results))
            process.start()
            before, peak, seconds = results.get()
            process.join()
            print(
                f"{members:>10,} members: peak {peak:,.0f} MB ({before:,.0f} MB at the start), {members / seconds:,.0f} rows/s",
                flush=True,
            )


def main(arguments: list[str]) -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["diff", "send", "memory"])
    parser.add_argument("--members", type=int)
    parser.add_argument("--hashed", action="store_true", help="of `diff`: people are known by a hash of their address")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--drt", help="the Python of an environment with drt-core")
    parser.add_argument("--dlt", help="the Python of an environment with dlt")
    parser.add_argument("--sizes", type=int, nargs="*", default=[100_000, 1_000_000, 10_000_000])
    chosen = parser.parse_args(arguments)
    if chosen.what == "diff":
        diff(chosen.members or 10_000_000, chosen.rounds, chosen.hashed)
    elif chosen.what == "send":
        send(chosen.members or 100_000, chosen.rounds, chosen.drt, chosen.dlt)
    else:
        memory(chosen.sizes)


if __name__ == "__main__":
    main(sys.argv[1:])
