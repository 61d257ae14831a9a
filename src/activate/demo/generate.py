"""Makes the shop's raw tables: the same seed makes the same bytes, whatever the machine and the number of threads."""

from __future__ import annotations

import datetime as dt
import hashlib
import importlib.resources
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from activate.demo import catalogue

HISTORY_DAYS = 42
# The last day of the replay: a Monday, the day after the clocks went back in North America (1 November 2026). A longer
# replay begins earlier and takes in Europe's change as well (25 October).
REPLAY_UNTIL = dt.datetime(2026, 11, 3)
STREAMS = ("app_events", "web_events", "identities", "profiles", "consents", "engagement")


@dataclass(frozen=True)
class Shop:
    """The raw tables by name. All but `stores` have a column loaded_at and are ordered by it."""

    tables: dict[str, pa.Table]
    replay_from: dt.datetime
    replay_until: dt.datetime

    def loaded_between(self, name: str, start: dt.datetime | None, end: dt.datetime) -> pa.Table:
        """The rows of a table that were loaded in [start, end); `stores` come with the first load."""
        table = self.tables[name]
        if name not in STREAMS:
            return table if start is None else table.slice(0, 0)
        times = table.column("loaded_at")
        low = 0 if start is None else _first_at(times, start)
        return table.slice(low, _first_at(times, end) - low)

    def digest(self) -> str:
        """A hash of every row of every table."""
        digest = hashlib.sha256()
        for name in sorted(self.tables):
            sink = pa.BufferOutputStream()
            table = self.tables[name].combine_chunks()
            with pa.ipc.new_stream(sink, table.schema) as writer:
                writer.write_table(table)
            digest.update(name.encode())
            digest.update(sink.getvalue())
        return digest.hexdigest()


def generate(people: int = 5000, days: int = 4, seed: int = 7) -> Shop:
    """Make six weeks of history and `days` days to replay for so many people.

    Every IANA zone has its person from some 600 people on. Raises ValueError for fewer than one person or day.
    """
    if people < 1 or days < 1:
        raise ValueError("a shop needs at least one person and one day")
    replay_from = REPLAY_UNTIL - dt.timedelta(days=days)
    first_day = replay_from - dt.timedelta(days=HISTORY_DAYS)
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        _prepare_lists(connection, first_day)
        _prepare_numbers(
            connection, people=people, seed=str(seed), first_day=first_day, replay_from=replay_from,
            last_day=REPLAY_UNTIL, days=HISTORY_DAYS + days, replay_days=days,
        )  # fmt: skip
        for script in ("people", "sessions", "events", "records"):
            text = importlib.resources.files("activate.demo").joinpath("sql", f"{script}.sql").read_text("utf-8")
            connection.execute(text)
        tables = {name: connection.sql(f"SELECT * FROM {name}").to_arrow_table() for name in STREAMS}
        tables["stores"] = connection.sql("SELECT * EXCLUDE (time_zone) FROM stores").to_arrow_table()
    return Shop(tables, replay_from, REPLAY_UNTIL)


def _prepare_lists(connection: duckdb.DuckDBPyConnection, first_day: dt.datetime) -> None:
    """Make a table of each list of the catalogue, and a variable of its name with its length."""
    zones = catalogue.all_zones()
    lists = {
        "zones": catalogue.listed("zone", zones),
        "popular_zones": catalogue.listed("zone", catalogue.POPULAR_ZONES),
        "broken_zones": catalogue.listed("zone", catalogue.BROKEN_ZONES),
        "first_names": catalogue.listed("first_name", catalogue.FIRST_NAMES),
        "countries": catalogue.listed("country", catalogue.COUNTRIES),
        "products": catalogue.product_table(),
        "stores": catalogue.store_table(),
        "offsets": catalogue.zone_offsets(zones, first_day.date(), REPLAY_UNTIL.date()),
    }
    for name, rows in lists.items():
        connection.register(f"{name}_rows", rows)
        connection.execute(f"CREATE TEMP TABLE {name} AS SELECT * FROM {name}_rows")
    _prepare_numbers(connection, **{name: rows.num_rows for name, rows in lists.items()})


def _prepare_numbers(connection: duckdb.DuckDBPyConnection, **values: object) -> None:
    """Set variables, and the macro that makes every choice: a number in [0, 1) from the seed, an id and a salt."""
    for name, value in values.items():
        connection.execute(f"SET VARIABLE {name} = $value", {"value": value})
    connection.execute(
        "CREATE OR REPLACE TEMP MACRO roll(id, salt) AS "
        "md5_number_lower(concat(getvariable('seed'), '|', salt, '|', id)) / 18446744073709551616.0"
    )


def _first_at(times: pa.ChunkedArray, instant: dt.datetime) -> int:
    """The position of the first time at or after an instant, in ascending times."""
    low, high = 0, len(times)
    while low < high:
        middle = (low + high) // 2
        if times[middle].as_py() < instant:
            low = middle + 1
        else:
            high = middle
    return low
