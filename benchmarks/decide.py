"""Times deciding on DuckDB beside the same questions written by hand in SQL with nothing recorded.

    python benchmarks/decide.py --candidates 5000000 --messages 20000000

One process per figure, so that peak memory is that of the figure alone. The data are made by SQL from fixed seeds:
profiles in 40 zones, one candidate per person, a purchase for some after their cart, and past messages over 30 days.
"""

from __future__ import annotations

import argparse
import datetime as dt
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import pyarrow as pa

from activate.campaign import Campaign
from activate.compile.clock import opening, zones
from activate.localtime import calendar
from activate.policy import Policy
from activate.project import Model, Project, Relation
from activate.record.migrate import migrate
from activate.run import decide
from activate.warehouses.duckdb import DuckDB

NOW = dt.datetime(2026, 6, 15, 12, 0)
ZONES = [
    "Europe/Berlin",
    "Europe/London",
    "Europe/Paris",
    "Europe/Madrid",
    "Europe/Rome",
    "Europe/Athens",
    "Europe/Moscow",
    "Asia/Istanbul",
    "Asia/Tehran",
    "Asia/Dubai",
    "Asia/Karachi",
    "Asia/Kolkata",
    "Asia/Dhaka",
    "Asia/Bangkok",
    "Asia/Shanghai",
    "Asia/Tokyo",
    "Asia/Seoul",
    "Australia/Sydney",
    "Australia/Adelaide",
    "Pacific/Auckland",
    "Pacific/Honolulu",
    "America/Anchorage",
    "America/Los_Angeles",
    "America/Denver",
    "America/Phoenix",
    "America/Chicago",
    "America/New_York",
    "America/Halifax",
    "America/St_Johns",
    "America/Sao_Paulo",
    "America/Argentina/Buenos_Aires",
    "America/Bogota",
    "America/Lima",
    "America/Mexico_City",
    "Africa/Cairo",
    "Africa/Lagos",
    "Africa/Nairobi",
    "Africa/Johannesburg",
    "Atlantic/Azores",
    "UTC",
]


def make(path: Path, people: int, messages: int, closed: int) -> None:
    """Write the world to a DuckDB file: `people` profiles and open entries, past messages, and closed entries."""
    warehouse = DuckDB.open(str(path), settings={"memory_limit": "6GB", "threads": "2"})
    con = warehouse._connection
    names = ", ".join(f"'{zone}'" for zone in ZONES)
    con.execute(f"""
        CREATE TABLE profiles AS SELECT 'u' || i AS user_id, [{names}][1 + (hash(i) % 40)::INT] AS time_zone,
          CASE WHEN hash(i, 1) % 10 < 6 THEN 'token-' || i END AS push_token, hash(i, 2) % 10 < 7 AS push_consent,
          'p' || i || '@example.com' AS email, hash(i, 3) % 10 < 8 AS email_consent
        FROM range({people}) t(i)""")
    con.execute(f"""
        CREATE TABLE events AS SELECT 'x' || i AS event_id, 'u' || (hash(i, 4) % {people}) AS user_id,
          CASE WHEN i % 4 = 0 THEN 'purchase' ELSE 'view' END AS event_name,
          TIMESTAMP '2026-06-15 12:00:00' - to_seconds(CAST(hash(i, 5) % 86400 AS INT)) AS occurred_at,
          occurred_at + INTERVAL 1 MINUTE AS loaded_at, 'c' || (hash(i, 6) % 4) AS cart_id
        FROM range({people}) t(i) ORDER BY occurred_at""")
    con.execute("""
        CREATE TABLE carts (event_id TEXT, user_id TEXT, occurred_at TIMESTAMP, loaded_at TIMESTAMP, cart_id TEXT,
          cart_value DOUBLE)""")
    with warehouse.transaction():
        migrate(warehouse, "activate", NOW)
    project = make_project()
    version = project.campaigns[0].version
    start = NOW - dt.timedelta(minutes=10)
    con.execute(f"""
        INSERT INTO activate.entries BY NAME SELECT md5('e' || i) AS entry_id, 'abandoned_cart' AS campaign,
          'u' || i AS user_id, 'o' || i AS occurrence_id,
          TIMESTAMP '2026-06-15 11:20:00' + to_seconds(CAST(hash(i, 7) % 600 AS INT)) AS entered_at, FALSE AS is_control,
          '{{}}' AS context, 'v' AS rules_version, 'r0' AS run_id, TIMESTAMP '{start}' AS recorded_at,
          '{version}' AS campaign_version, 'c' || (hash(i, 8) % 4) AS match_key
        FROM range({people}) t(i)""")
    if closed:
        con.execute(f"""
            INSERT INTO activate.entries BY NAME SELECT md5('o' || i) AS entry_id, 'abandoned_cart' AS campaign,
              'u' || (i % {people}) AS user_id, 'old' || i AS occurrence_id, TIMESTAMP '2026-06-01' AS entered_at,
              FALSE AS is_control, '{{}}' AS context, 'v' AS rules_version, 'r0' AS run_id,
              TIMESTAMP '2026-06-01' AS recorded_at, '{version}' AS campaign_version
            FROM range({closed}) t(i)""")
        con.execute(f"""
            INSERT INTO activate.decisions BY NAME SELECT md5('o' || i) AS entry_id, 'abandoned_cart' AS campaign,
              1 AS step, 'u' || (i % {people}) AS user_id, 'suppress' AS outcome, 'exception' AS gate,
              'exception_event' AS reason, 'r0' AS run_id, TIMESTAMP '2026-06-01 01:00:00' AS decided_at,
              TRUE AS ends_entry
            FROM range({closed}) t(i)""")
    con.execute(f"""
        INSERT INTO activate.messages BY NAME SELECT md5('m' || i) AS message_id, md5('n' || i) AS entry_id,
          ['weekly', 'news', 'offers'][1 + (i % 3)] AS campaign, 1 AS step,
          'u' || (hash(i, 9) % {people}) AS user_id, CASE WHEN i % 2 = 0 THEN 'push' ELSE 'email' END AS channel,
          'file' AS provider, 'marketing' AS class,
          CASE WHEN i % 5 = 0 THEN '["promotion"]' ELSE '[]' END AS tags, TIMESTAMP '2026-07-01' AS expires_at,
          'r0' AS run_id, TIMESTAMP '2026-06-15 11:50:00' - to_seconds(2592000 - CAST(i * 2592000 // {max(messages, 1)} AS INT))
            AS queued_at,
          TRUE AS counts_toward_caps, 't' AS template, 50 AS priority
        FROM range({messages}) t(i)""")
    con.execute(f"""
        INSERT INTO activate.scans BY NAME SELECT 'abandoned_cart' AS campaign, TIMESTAMP '{start}' AS scanned_to,
        TIMESTAMP '{start}' AS decided_at, TIMESTAMP '{start}' AS live_from, 'r0' AS run_id""")
    con.execute("CHECKPOINT")
    warehouse.close()


def make_project() -> Project:
    """One campaign with an exception, a window and three caps."""
    policy = Policy.model_validate(
        {
            "profiles": {"model": "profiles", "key": "user_id", "time_zone": "time_zone"},
            "events": {
                "model": "events", "id": "event_id", "key": "user_id", "name": "event_name", "time": "occurred_at",
                "loaded": "loaded_at",
            },
            "channels": {
                "push": {"address": "push_token", "consent": "push_consent", "provider": "file"},
                "email": {"address": "email", "consent": "email_consent", "provider": "file"},
            },
            "time_window": {"open": "09:00", "close": "21:00", "unknown_zone": "Europe/Berlin"},
            "frequency_caps": [
                {"limit": 2, "per": "1 day"},
                {"limit": 3, "per": "7 days", "channel": "push"},
                {"limit": 1, "per": "calendar day", "tag": "promotion"},
            ],
        }
    )  # fmt: skip
    campaign = Campaign.model_validate(
        {
            "campaign": "abandoned_cart", "tags": ["promotion"], "enter": {"trigger": "carts"},
            "re_enter": {"after": "7 days"}, "exceptions": [{"event": "purchase", "match": "cart_id"}],
            "steps": [{"wait": "30 minutes", "channels": ["push", "email"], "template": "t", "expires": "24 hours"}],
        }
    )  # fmt: skip
    types = {
        "profiles": {
            "user_id": "varchar", "time_zone": "varchar", "push_token": "varchar", "push_consent": "boolean",
            "email": "varchar", "email_consent": "boolean",
        },
        "events": {
            "event_id": "varchar", "user_id": "varchar", "event_name": "varchar", "occurred_at": "timestamp",
            "loaded_at": "timestamp", "cart_id": "varchar",
        },
        "carts": {
            "event_id": "varchar", "user_id": "varchar", "occurred_at": "timestamp", "loaded_at": "timestamp",
            "cart_id": "varchar", "cart_value": "double",
        },
    }  # fmt: skip
    models = {name: Model(name, Relation("main", name), columns=columns) for name, columns in types.items()}
    models["carts"] = Model(
        "carts", Relation("main", "carts"), "trigger", "user_id", "event_id", "occurred_at", "loaded_at", types["carts"]
    )
    return Project(Path(), "benchmark", policy, (campaign,), models)


BY_HAND = """
WITH live AS (
  SELECT e.entry_id, e.user_id, e.entered_at, e.match_key FROM activate.entries e
  LEFT JOIN activate.decisions d ON d.entry_id = e.entry_id AND d.decided_at >= TIMESTAMP '2026-06-15 11:50:00'
  WHERE e.recorded_at >= TIMESTAMP '2026-06-15 11:50:00' AND e.entered_at <= TIMESTAMP '2026-06-15 11:30:00'
    AND d.entry_id IS NULL
), bought AS (
  SELECT DISTINCT l.entry_id FROM live l JOIN events v ON v.user_id = l.user_id AND v.event_name = 'purchase'
    AND v.occurred_at >= l.entered_at AND v.cart_id = l.match_key
  WHERE v.occurred_at >= TIMESTAMP '2026-06-15 11:20:00' AND v.loaded_at <= TIMESTAMP '2026-06-15 12:00:00'
), past AS (
  SELECT m.user_id,
    COUNT(*) FILTER (WHERE m.queued_at > TIMESTAMP '2026-06-14 12:00:00') AS a,
    COUNT(*) FILTER (WHERE m.queued_at > TIMESTAMP '2026-06-08 12:00:00' AND m.channel = 'push') AS b,
    COUNT(*) FILTER (WHERE m.queued_at >= c.day AND m.tags LIKE '%"promotion"%') AS c
  FROM activate.messages m JOIN profiles p ON p.user_id = m.user_id JOIN clock c ON c.zone = p.time_zone
  WHERE m.queued_at > TIMESTAMP '2026-06-08 12:00:00' AND m.user_id IN (SELECT user_id FROM live)
  GROUP BY m.user_id
)
SELECT CASE
    WHEN b.entry_id IS NOT NULL THEN 'exception_event'
    WHEN p.user_id IS NULL THEN 'no_profile'
    WHEN NOT (p.push_token IS NOT NULL AND p.push_consent) AND NOT p.email_consent THEN 'no_consent'
    WHEN NOT c.is_open THEN 'window_closed'
    WHEN h.a >= 2 OR (p.push_token IS NOT NULL AND p.push_consent AND h.b >= 3) OR h.c >= 1 THEN 'frequency_cap'
    ELSE 'ready' END AS reason, COUNT(*) AS people
FROM live l
LEFT JOIN bought b ON b.entry_id = l.entry_id
LEFT JOIN profiles p ON p.user_id = l.user_id
LEFT JOIN clock c ON c.zone = p.time_zone
LEFT JOIN past h ON h.user_id = l.user_id
GROUP BY ALL ORDER BY 1
"""


def by_hand(path: Path) -> dict[str, object]:
    """The same questions in one hand-written query; nothing is recorded."""
    con = duckdb.connect(str(path), config={"memory_limit": "3GB", "threads": "2"})
    from zoneinfo import ZoneInfo

    window = make_project().policy.time_window
    assert window is not None
    rows = [(z, opening(window, ZoneInfo(z), NOW).is_open, calendar(ZoneInfo(z), NOW).day) for z in zones(ZONES)]
    con.execute("CREATE TEMP TABLE clock (zone TEXT, is_open BOOLEAN, day TIMESTAMP)")
    con.executemany("INSERT INTO clock VALUES (?, ?, ?)", rows)
    began = time.perf_counter()
    result = con.execute(BY_HAND).fetchall()
    return {"seconds": time.perf_counter() - began, "reasons": dict(result)}


def engine(path: Path, profile: bool = False) -> dict[str, object]:
    """One tick of the engine, decisions and messages recorded."""
    warehouse = DuckDB.open(str(path), settings={"memory_limit": "3GB", "threads": "2"})
    times: list[tuple[float, str]] = []
    pa.array([""])  # loads what pyarrow wants for its first array, pandas where it is installed
    began = time.perf_counter()
    tick = decide(
        warehouse, make_project(), NOW, on_progress=lambda _d, _t, name: times.append((time.perf_counter(), name))
    )
    seconds = time.perf_counter() - began
    if profile:
        for (at, name), (until, _) in itertools.pairwise(times):
            if until - at > 0.02:
                print(f"{until - at:8.3f}  {name}", file=sys.stderr)
        print(f"{began + seconds - times[-1][0]:8.3f}  after", file=sys.stderr)
    reasons: dict[str, int] = {}
    for count in tick.counts:
        reasons[count.reason] = reasons.get(count.reason, 0) + count.people
    return {"seconds": seconds, "reasons": dict(sorted(reasons.items()))}


def _peak_megabytes() -> int:
    # Not ru_maxrss: that begins with what the parent process had when it made this one.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))


def _alone(which: str, path: Path, profile: bool) -> dict[str, object]:
    command = [sys.executable, __file__, "--figure", which, "--path", str(path)] + ["--profile"] * profile
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    found: dict[str, object] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--candidates", type=int, default=5_000_000)
    parser.add_argument("--messages", type=int, default=20_000_000)
    parser.add_argument("--closed", type=int, default=0, help="entries that ended long ago")
    parser.add_argument("--path", type=Path)
    parser.add_argument("--figure", choices=("make", "hand", "engine"))
    parser.add_argument("--profile", action="store_true", help="print the time of each statement")
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    if options.figure:
        if options.figure == "make":
            make(options.path, options.candidates, options.messages, options.closed)
            return
        found = by_hand(options.path) if options.figure == "hand" else engine(options.path, options.profile)
        found["peak_mb"] = _peak_megabytes()
        print(json.dumps(found))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = options.path or Path(folder) / "bench.duckdb"
        if not path.exists():
            make(path, options.candidates, options.messages, options.closed)
        for _ in range(options.repeat):
            hand = _alone("hand", path, options.profile)
            copy = path.with_suffix(".run.duckdb")
            shutil.copyfile(path, copy)
            os.sync()  # or the tick's commit waits for the copy to reach the disk
            made = _alone("engine", copy, options.profile)
            copy.unlink()
            assert hand["reasons"] == made["reasons"], (hand, made)
            rate = options.candidates / float(str(made["seconds"]))
            print(
                f"by hand {hand['seconds']:.2f} s ({options.candidates / float(str(hand['seconds'])):,.0f}/s, "
                f"{hand['peak_mb']} MB)   engine {made['seconds']:.2f} s ({rate:,.0f}/s, {made['peak_mb']} MB)   "
                f"ratio {float(str(made['seconds'])) / float(str(hand['seconds'])):.2f}   {made['reasons']}"
            )


if __name__ == "__main__":
    main()
