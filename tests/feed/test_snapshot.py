"""A DuckDB file lets in one process that writes or several that read: the feed is served all the same, and keeps nobody out."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from activate.feed.items import Wanted
from activate.feed.places import Unavailable
from activate.warehouses.duckdb import DuckDB
from tests.feed.conftest import NOW, Box

_HOLD = """
import sys
from activate.warehouses.duckdb import DuckDB
connection = DuckDB.open(sys.argv[1])  # as a delivery does: it waits while somebody reads
for statement in sys.argv[2:]:
    connection.execute(statement)
print("held", flush=True)
sys.stdin.readline()
connection.close()
"""

_INSERT = (
    "INSERT INTO activate_feed.items (message_id, user_id, created_at) VALUES ('b', 'ann', TIMESTAMP '2026-03-02')"
)


@contextmanager
def held(box: Box, *statements: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the file open for writing, having run these statements."""
    command = [sys.executable, "-c", _HOLD, box.uri, *statements]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.communicate("\n")


def test_a_file_that_is_held_from_the_start_is_503(duckdb_box: Box) -> None:
    box = duckdb_box.put("a")
    with held(box):
        status, headers, _ = box.ask()
        assert (status, headers["Retry-After"]) == (503, "2")
        assert box.ask(token=None, path="/healthz")[0] == 503
    assert box.ids() == ["a"]


def test_while_somebody_writes_the_last_copy_is_served_and_then_what_was_written(duckdb_box: Box) -> None:
    box = duckdb_box.put("a", lasts=None)
    assert box.ids() == ["a"]
    with held(box, _INSERT):
        assert box.ids() == ["a"]
        box.seconds += 800
        assert box.ids() == ["a"]
        box.seconds += 100
        assert box.ask()[0] == 503, "after a quarter of an hour the copy is too old"
    assert box.ids() == ["a", "b"]


def test_what_a_killed_writer_has_committed_is_served(duckdb_box: Box) -> None:
    box = duckdb_box.put("a")
    with held(box, _INSERT) as process:
        process.kill()
    assert Path(f"{box.uri}.wal").exists()
    assert box.ids() == ["a", "b"]


def test_the_file_is_free_for_writers_while_it_is_served(duckdb_box: Box) -> None:
    box = duckdb_box.put("a")
    for _ in range(3):
        assert box.ids() == ["a"]
        with held(box):
            pass


def test_the_copy_is_made_anew_only_when_the_file_has_changed(duckdb_box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    box, copies = duckdb_box.put("a"), []
    opened = DuckDB.open
    monkeypatch.setattr(DuckDB, "open", lambda *arguments: (copies.append(1), opened(*arguments))[1])
    for _ in range(5):
        box.ids()
    assert len(copies) == 1
    monkeypatch.undo()
    box.put("b")
    assert len(box.ids()) == 2


def test_a_file_that_is_not_there_yet_is_503(duckdb_box: Box, tmp_path: Path) -> None:
    duckdb_box.uri = str(tmp_path / "later.duckdb")
    duckdb_box.place = duckdb_box.open_place()
    assert duckdb_box.ask()[0] == 503
    assert not (tmp_path / "later.duckdb").exists(), "reading makes no file"
    duckdb_box.build().put("a")
    assert duckdb_box.ids() == ["a"]


def test_many_ask_while_the_copy_is_made_anew(duckdb_box: Box) -> None:
    box = duckdb_box.put("a")
    assert box.ids() == ["a"]
    wrong: list[object] = []
    is_written = threading.Event()

    def ask() -> None:
        while not is_written.is_set():
            try:
                found = [row["message_id"] for row in box.place.rows(Wanted("ann", NOW))]
            except Unavailable as trouble:
                found = [trouble.code]
            box.seconds += 3
            if not found or set(found) - {"a", "b"}:
                wrong.append(found)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    with held(box, _INSERT):
        pass
    is_written.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert sorted(box.ids()) == ["a", "b"]
