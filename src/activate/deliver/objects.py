"""Carries an audience into a file that is published as a whole, and reads the members back from such files."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import duckdb
import pyarrow as pa

from activate.deliver.carry import NotTaken, Refused
from activate.deliver.formats import Writer, open_writer, read_columns
from activate.deliver.stores import Store, local_meaning, open_store
from activate.destinations.base import MEMBER, FilePlace, MembersRequest, PartRequest, Request
from activate.errors import SettingsError
from activate.providers.base import Unusable

_OPEN = re.compile(r"\{(run_id|date)\}")


class _Stage(NamedTuple):
    store: Store
    stream: IO[bytes]
    writer: Writer
    url: str
    columns: list[str]


class PartCarrier:
    """Stages one file, a batch at a time, used by one thread: `carry` each batch, then `finish` or `abandon`.

    To publish a file without rows, carry an empty batch. Once a batch has failed, the file cannot be finished any more.
    """

    def __init__(self) -> None:
        self._stage: _Stage | None = None
        self._failed: NotTaken | Unusable | None = None
        self._is_written = False

    def carry(self, request: Request) -> None:
        """Append the rows to the file. Raises Refused (nothing was appended), NotTaken or Unusable."""
        assert isinstance(request, PartRequest)
        if self._failed is not None:
            raise self._failed
        rows = request.changes.rows
        if rows.column(MEMBER).null_count:
            raise Refused("no_member")
        assert self._stage is None or self._stage.url == request.url, "a carrier stages one file at a time"
        try:
            if self._stage is None:
                self._stage = _open(request)
            if rows.schema.names != self._stage.columns:
                raise Unusable("columns_changed", "the columns of a file cannot change from one batch to the next")
            self._stage.writer.write(rows)
        except Exception as error:
            raise self._spoil(error) from None

    def finish(self) -> None:
        """Publish the file. Raises NotTaken, after which it may be asked for again, InDoubt or Unusable."""
        if self._failed is not None:
            raise self._failed
        if self._stage is None:
            raise NotTaken("nothing_staged")
        stage = self._stage
        if not self._is_written:
            try:
                stage.writer.close()
            except (OSError, pa.ArrowException) as error:
                raise self._spoil(error) from None
            self._is_written = True
        stage.store.publish(stage.stream, stage.url)
        self.abandon()

    def abandon(self) -> None:
        """Throw away what is staged; the next batch begins anew."""
        stage, is_written = self._stage, self._is_written
        self._stage, self._failed, self._is_written = None, None, False
        if stage is not None:
            if not is_written:
                with contextlib.suppress(Exception):  # a full disk, which was told before
                    stage.writer.close()
            stage.store.discard(stage.stream)
            stage.store.close()

    def close(self) -> None:
        """As `abandon`."""
        self.abandon()

    def members(self, request: MembersRequest) -> Iterator[Sequence[str]]:
        """Stream the members that the files hold, in batches: those of the newest file, or of all changes in order.

        Raises NotTaken or Unusable.
        """
        place = request.place
        assert isinstance(place, FilePlace)
        try:
            with contextlib.closing(_store(place)) as store:
                files = _in_order(store.pattern, store.find())
                if place.with_changes:
                    yield from _folded(place, store, files)
                elif files:
                    with store.fetched(files[-1]) as file:
                        yield from (batch.column(0).to_pylist() for batch in read_columns(file, place))
        except Exception as error:
            raise _meaning(error, f"a file of {place.pattern} cannot be read") from None

    def _spoil(self, error: Exception) -> Exception:
        self.abandon()
        meaning = _meaning(error, "a field cannot be written in this format")
        if isinstance(meaning, NotTaken | Unusable):
            self._failed = meaning
        return meaning


def _open(request: PartRequest) -> _Stage:
    store = _store(request.place)
    try:
        stream = store.stage()
    except OSError:
        store.close()
        raise
    return _Stage(store, stream, open_writer(stream, request.place), request.url, request.changes.rows.schema.names)


def _store(place: FilePlace) -> Store:
    try:
        return open_store(place)
    except SettingsError as error:
        raise Unusable("not_installed", str(error)) from None


def _folded(place: FilePlace, store: Store, files: Sequence[str]) -> Iterator[Sequence[str]]:
    """The members that are left when all changes are made in order; memory stays bounded, the rest goes to disk."""
    with tempfile.TemporaryDirectory(prefix="activate-") as folder:
        database = str(Path(folder) / "fold.duckdb")
        with duckdb.connect(database, config={"memory_limit": "256MB"}) as connection:
            connection.execute("CREATE TABLE seen (member TEXT, is_in BOOLEAN, turn BIGINT)")
            for number, url in enumerate(files):
                with store.fetched(url) as file:
                    for batch in read_columns(file, place):
                        connection.register(
                            "batch", pa.Table.from_batches([batch]).rename_columns(["member", "change"])
                        )
                        # Removals stand first in a file, so somebody who is both in one was added last.
                        connection.execute(
                            "INSERT INTO seen SELECT member, change <> 'remove', 2 * $1 + CAST(change <> 'remove' AS INT) "
                            "FROM batch",
                            [number],
                        )
                        connection.unregister("batch")
            kept = "SELECT member FROM seen GROUP BY member HAVING arg_max(is_in, turn)"
            yield from (batch.column(0).to_pylist() for batch in connection.sql(kept).to_arrow_reader(50_000))


def _in_order(pattern: str, paths: Sequence[str]) -> list[str]:
    """The files whose names fit the pattern, oldest first: by the runs that wrote them, or else by their days.

    A run's id is an instant, and a number if it is not the first of that instant.
    """
    shapes = {"run_id": r"\d{8}T\d{6}(?:\.\d+)?Z(?:-\d+)?", "date": r"\d{4}-\d\d-\d\d"}
    fitting = ""
    for part in _OPEN.split(pattern):
        if part not in shapes:
            fitting += re.escape(part)
        else:
            fitting += f"(?P={part})" if f"(?P<{part}>" in fitting else f"(?P<{part}>{shapes[part]})"
    found = []
    for path in paths:
        if match := re.fullmatch(fitting, path):
            told = match.groupdict()
            # A fraction of a second comes after the whole one, but `.` before `Z`.
            stamp, _, number = told.get("run_id", "").partition("Z")
            found.append(((stamp, int(number.lstrip("-") or 1), told.get("date", "")), path))
    return [path for _, path in sorted(found)]


def _meaning(error: Exception, text: str) -> Exception:
    if isinstance(error, OSError):
        return local_meaning(error)
    if isinstance(error, pa.ArrowException | duckdb.Error):
        return Unusable("bad_file", f"{text} ({type(error).__name__})")
    return error
