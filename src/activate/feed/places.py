"""Where a feed is read from: a pool of read-only connections or, for a DuckDB file, a copy of what is live in it."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, LifoQueue
from typing import Any, Protocol

from activate.errors import WarehouseError
from activate.feed.items import Wanted, live, query
from activate.project import Relation
from activate.warehouses.base import Warehouse, literal
from activate.warehouses.duckdb import DuckDB

Rows = Sequence[dict[str, Any]]
_LOOK_AGAIN = 10.0
_SOURCE = "source"
_ITEMS = Relation("main", "items")


class Unavailable(Exception):
    """The warehouse cannot be read now; `seconds` is when to try again, `code` a word for why."""

    def __init__(self, code: str, seconds: int = 2) -> None:
        self.code = code
        self.seconds = seconds
        super().__init__(code)


class Place(Protocol):
    """What the endpoint asks, from several threads."""

    def rows(self, wanted: Wanted) -> Rows:
        """One more row than is wanted, if there is; raises Unavailable."""

    def close(self) -> None:
        """Give connections back."""


class Pool:
    """Read-only connections to a warehouse that many may use at once; as many as threads have asked at the same time."""

    def __init__(self, open_warehouse: Callable[[], Warehouse], feed: Relation, engagements: Relation) -> None:
        self._open = open_warehouse
        self._feed = feed
        self._engagements = engagements
        self._idle: LifoQueue[Warehouse] = LifoQueue()
        self._there: tuple[float, frozenset[Relation]] = (0.0, frozenset())

    def rows(self, wanted: Wanted) -> Rows:
        with suppress(Empty):
            idle = self._idle.get_nowait()
            # It may have been cut off meanwhile, which says nothing about a new one.
            with suppress(WarehouseError):
                return self._ask(idle, wanted)
            self.close()  # nor are those that waited beside it worth a try
        try:
            return self._ask(self._open(), wanted)
        except WarehouseError as error:
            raise Unavailable(error.code) from None

    def close(self) -> None:
        with suppress(Empty):
            while True:
                self._idle.get_nowait().close()

    def _ask(self, warehouse: Warehouse, wanted: Wanted) -> Rows:
        """Ask on a connection; one that has failed is not used again."""
        try:
            tables = self._tables(warehouse)
            found: Rows = []
            if self._feed in tables:
                engagements = self._engagements if self._engagements in tables else None
                found = warehouse.query(*query(wanted, self._feed, engagements, warehouse.dialect)).to_pylist()
        except WarehouseError:
            self._there = (0.0, frozenset())
            warehouse.close()
            raise
        self._idle.put(warehouse)
        return found

    def _tables(self, warehouse: Warehouse) -> frozenset[Relation]:
        """Which of the two tables there are. They are made by the first delivery and the first ingest."""
        looked_at, there = self._there
        if time.monotonic() - looked_at > _LOOK_AGAIN or not looked_at:
            there = frozenset(warehouse.columns([self._feed, self._engagements]))
            self._there = (time.monotonic(), there)
        return there


class _Copy:
    """A database in memory, and connections to it that are made as threads need them: making one takes longer than asking."""

    def __init__(self, warehouse: DuckDB) -> None:
        self._warehouse = warehouse
        self.idle: LifoQueue[DuckDB] = LifoQueue()

    def reader(self) -> DuckDB:
        """A connection that nobody else uses, to be put back into `idle`."""
        try:
            return self.idle.get_nowait()
        except Empty:
            return self._warehouse.clone()


class Snapshot:
    """A copy in memory of what is live in a DuckDB file, made anew when the file has changed.

    DuckDB lets in either one process that writes or any that read: while we read, nobody writes, and a connection for
    each request would keep a delivery (or dbt) out. So the file is open only while it is copied, at most every
    `pause` seconds, and requests are answered from the copy, also while somebody writes; until it is `most_stale`
    seconds old.
    """

    def __init__(
        self, file: str, feed: Relation, engagements: Relation, *, most_stale: float = 900.0, pause: float = 2.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._file = file
        self._feed = Relation(feed.schema, feed.name, _SOURCE)
        self._engagements = Relation(engagements.schema, engagements.name, _SOURCE)
        self._most_stale = most_stale
        self._pause = pause
        self._one_copies = threading.Lock()
        self._copy: _Copy | None = None
        self._version: object = None
        self._trouble = "not_read"
        self._monotonic = monotonic
        self._current_at = self._next_at = float("-inf")

    def rows(self, wanted: Wanted) -> Rows:
        copy = self._current(wanted.now)
        try:
            reader = copy.reader()
            found: Rows = reader.query(*query(wanted, _ITEMS, None, reader.dialect)).to_pylist()
        except WarehouseError as error:
            raise Unavailable(error.code) from None
        copy.idle.put(reader)
        return found

    def close(self) -> None:
        self._copy = None

    def _current(self, now: dt.datetime) -> _Copy:
        # Whoever comes while another copies is answered from the copy before, if there is one.
        if self._is_time() and self._one_copies.acquire(blocking=self._copy is None):
            try:
                self._look(now)
            finally:
                self._one_copies.release()
        if self._copy is None or self._monotonic() - self._current_at > self._most_stale:
            raise Unavailable(self._trouble)
        return self._copy

    def _is_time(self) -> bool:
        return self._monotonic() >= self._next_at

    def _look(self, now: dt.datetime) -> None:
        """Copy the file if it has changed and nobody holds it."""
        if not self._is_time():
            return  # another thread has just done it
        began = self._monotonic()
        version = _version(self._file)
        try:
            if self._copy is None or version != self._version:
                self._copy, self._version = self._copied(now), version
            self._current_at = began
        except WarehouseError as error:
            self._trouble = error.code  # held by another process, not made yet, or not as we know it
        # A large copy is made less often, so that writers find the file free most of the time.
        ended = self._monotonic()
        self._next_at = ended + max(self._pause, 4 * (ended - began))

    def _copied(self, now: dt.datetime) -> _Copy:
        copy = DuckDB.open(":memory:")
        copy.execute("SET preserve_insertion_order = true")
        quoted = self._file.replace("'", "''")
        copy.execute(f"ATTACH '{quoted}' AS {_SOURCE} (READ_ONLY)")
        try:
            there = copy.columns([self._feed, self._engagements])
            if self._feed in there:
                engagements = self._engagements if self._engagements in there else None
                rows = live(self._feed, engagements, literal(now))
                # In order, so that a person's rows lie together and the others' blocks are passed over.
                copy.execute(f"CREATE TABLE main.items AS {copy.sql(rows.order_by('i.user_id'))}")
            else:
                copy.execute(_EMPTY)
        finally:
            copy.execute(f"DETACH {_SOURCE}")
        copy.execute("SET threads = 1")  # a person's few rows; several people are answered at once
        return _Copy(copy)


_EMPTY = (
    "CREATE TABLE main.items (user_id TEXT, message_id TEXT, channel TEXT, title TEXT, body TEXT, url TEXT, image TEXT, "
    "data TEXT, created_at TIMESTAMP, expires_at TIMESTAMP)"
)


def _version(file: str) -> object:
    """What changes when somebody writes: size and time of the file and of its write-ahead log."""
    found: list[tuple[int, int] | None] = []
    for name in (file, f"{file}.wal"):
        try:
            status = Path(name).stat()
        except OSError:
            found.append(None)
        else:
            found.append((status.st_size, status.st_mtime_ns))
    return found
