"""The spool: a folder in which events wait for the warehouse, and in which what could not be used is kept.

An event is on disk when `append` returns. One file is being written to; to load it, it is renamed, so that a writer
and a loader, in any number of processes, never wait for one another longer than one write takes.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from activate.engagement import Row, table_of

_CURRENT = "current.jsonl"
_BATCH = 100_000


class Spool:
    """A folder of the machine's; only its owner can read what it holds. It is made when something is first put there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def append(self, rows: Sequence[Row]) -> None:
        """Put rows at the end; they are on disk when this returns. Raises OSError, and then they may or may not be."""
        self._write(self.folder / _CURRENT, map(tuple, rows))

    def reject(self, source: str, refused: Iterable[tuple[str, Any]], at: dt.datetime) -> None:
        """Keep what could not be used, each with its reason, as it came. It may hold personal data."""
        lines = [
            {"source": source, "received_at": at.isoformat(), "reason": reason, "event": part}
            for reason, part in refused
        ]
        if lines:
            self._write(self.folder / "rejected" / f"{at:%Y-%m-%d}.jsonl", lines)

    def segments(self) -> list[Path]:
        """Close the file that is being written, and tell all closed ones, oldest first."""
        if not self.folder.is_dir():
            return []
        with self._lock():
            current = self.folder / _CURRENT
            if current.exists():
                taken = [int(path.stem) for path in self.folder.glob("[0-9]*.jsonl")]
                current.rename(self.folder / f"{max(taken, default=0) + 1:012d}.jsonl")
        return sorted(self.folder.glob("[0-9]*.jsonl"))

    def tables(self, segment: Path) -> Iterator[pa.Table]:
        """A closed file's rows as Arrow tables. A line that is none is set aside with the rejected ones.

        The last line may be half a line where a writer died; nobody was told that it was taken.
        """
        with segment.open("rb") as lines:
            while True:
                rows, spoilt = [], []
                for _, line in zip(range(_BATCH), lines, strict=False):
                    try:
                        rows.append(Row(*orjson.loads(line)))
                    except (ValueError, TypeError):
                        spoilt.append(("torn_line", line.decode("utf-8", "replace")))
                if not rows and not spoilt:
                    return
                self.reject("spool", spoilt, dt.datetime.now(dt.UTC).replace(tzinfo=None))
                if rows:
                    yield table_of(rows)

    def _write(self, path: Path, lines: Iterable[object]) -> None:
        data = b"".join(orjson.dumps(line) + b"\n" for line in lines)
        if not data:
            return
        with self._lock():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            is_new = not path.exists()
            handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                size = os.fstat(handle).st_size
                try:
                    _write_all(handle, data)
                    os.fsync(handle)
                except BaseException:
                    with contextlib.suppress(OSError):
                        os.ftruncate(handle, size)  # half a line must not spoil the next one
                    raise
            finally:
                os.close(handle)
            if is_new:
                _sync_folder(path.parent)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.folder / ".lock").open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def _write_all(handle: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(handle, rest) :]


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
