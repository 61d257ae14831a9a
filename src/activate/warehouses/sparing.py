"""Keeps DuckDB, which takes four fifths of the machine's memory as its own, to the little that sending rows needs."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb

_LEAST_THREADS = 2
_UNITS = {"bytes": 2**-20, "kib": 2**-10, "mib": 1, "gib": 2**10, "tib": 2**20}


class Sparing:
    """The memory limit of one open database file, shared by its connections.

    While anybody is sparing, the limit is so many MiB a thread, of two at least (of several wishes the highest), unless it
    is lower, or DuckDB has no file to write to what it cannot keep. What the settings say stands.
    """

    def __init__(self, path: str, is_set: bool) -> None:
        self._may = not is_set and Path(path).is_file()
        self._lock = threading.Lock()
        self._wishes: list[int] = []
        self._low = 0  # MiB; 0 while the limit is not ours

    @contextlib.contextmanager
    def hold(self, connection: duckdb.DuckDBPyConnection, per_thread: int) -> Iterator[None]:
        """Hold the limit low for the block; blocks may overlap, in several threads."""
        if not self._may:
            yield
            return
        with self._lock:
            self._wishes.append(per_thread)
            if len(self._wishes) == 1 or self._low > 0:
                self._lower(connection)
        try:
            yield
        finally:
            with self._lock:
                self._wishes.remove(per_thread)
                if not self._wishes:
                    self._raise(connection)

    def lift(self, connection: duckdb.DuckDBPyConnection) -> bool:
        """Give memory free for what does not do with little; tells whether there was a limit of ours to lift."""
        with self._lock:
            return self._raise(connection)

    def _lower(self, connection: duckdb.DuckDBPyConnection) -> None:
        limit, threads, directory = connection.execute(
            "SELECT current_setting('memory_limit'), current_setting('threads'), current_setting('temp_directory')"
        ).fetchall()[0]
        wanted = max(self._wishes) * max(_LEAST_THREADS, int(threads))
        if directory and (self._low < wanted if self._low else wanted < _mebibytes(str(limit))):
            with contextlib.suppress(duckdb.OutOfMemoryException):  # somebody needs more at this moment
                connection.execute(f"SET GLOBAL memory_limit = '{wanted}MiB'")
                self._low = wanted

    def _raise(self, connection: duckdb.DuckDBPyConnection) -> bool:
        was_low, self._low = self._low > 0, 0
        if was_low:
            with contextlib.closing(connection.cursor()) as own:  # the other's transaction may have failed
                own.execute("RESET GLOBAL memory_limit")
        return was_low


def _mebibytes(text: str) -> float:
    """What DuckDB means by e.g. `18.8 GiB`; a limit that cannot be read is none."""
    found = re.fullmatch(r"([\d.]+) (\w+)", text)
    unit = _UNITS.get(found[2].lower()) if found else None
    return float(found[1]) * unit if found and unit else float("inf")
