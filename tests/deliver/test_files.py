"""The file provider: whole lines, on disk, each once, whatever the disk does."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from post_office import MakeOffice, message_id

from activate.deliver.carry import NotTaken
from activate.deliver.files import FileCarrier
from activate.providers.base import FileRequest


def _lines(*ids: str) -> bytes:
    return b"".join(b'{"message_id":"%s","content":{"body":"x"}}\n' % name.encode() for name in ids)


def test_lines_hold_what_the_reference_says(duckdb_only: MakeOffice) -> None:
    office = duckdb_only({"mail": {"type": "file", "path": "out/{date}.jsonl"}}).people(2).queue([0, 1])
    assert office.deliver().counts == {"accepted": 2}
    text = (office.project.directory / "out" / "2026-03-02.jsonl").read_text()
    assert text.endswith("\n")
    assert {json.loads(line)["message_id"]: json.loads(line) for line in text.splitlines()} == {
        message_id(n): {
            "message_id": message_id(n), "user_id": f"u{n}", "campaign": "hello", "step": 1, "variant": None,
            "channel": "email",
            "content": {"subject": f"Hello Ann{n}", "text": f"You have {n} points, Tea {n}.",
                        "html": f"<p>Ann{n}: Tea {n}</p>"},
        }
        for n in (0, 1)
    }  # fmt: skip


def test_a_torn_line_is_taken_out(tmp_path: Path) -> None:
    file = tmp_path / "out.jsonl"
    file.write_bytes(_lines("a", "b") + b'{"message_id":"c","cont')
    FileCarrier().carry(FileRequest(file, _lines("d")))
    assert file.read_bytes() == _lines("a", "b", "d")


@pytest.mark.parametrize("torn", [b"x", b"x" * 70_000, b"x" * 200_000])
def test_a_torn_line_of_any_length_is_taken_out(tmp_path: Path, torn: bytes) -> None:
    file = tmp_path / "out.jsonl"
    file.write_bytes(torn)
    FileCarrier().carry(FileRequest(file, _lines("d")))
    assert file.read_bytes() == _lines("d")
    file.write_bytes(_lines("a") + torn)
    FileCarrier().carry(FileRequest(file, _lines("d")))
    assert file.read_bytes() == _lines("a", "d")


def test_a_search_finds_whole_lines_only(tmp_path: Path) -> None:
    file = tmp_path / "out.jsonl"
    file.write_bytes(_lines("a") + b'{"step":1, "message_id": "b"}\nnot json\n' + b'{"message_id":"c"')
    assert FileCarrier().already_taken(file, frozenset("abcd")) == {"a", "b"}
    assert FileCarrier().already_taken(tmp_path / "none" / "here", frozenset("a")) == frozenset()


@contextmanager
def _limited(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size` bytes: a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_takes_all_of_a_write_or_nothing(tmp_path: Path) -> None:
    file = tmp_path / "out.jsonl"
    file.write_bytes(_lines("a"))
    with _limited(100), pytest.raises(NotTaken, match="disk_full"):
        FileCarrier().carry(FileRequest(file, _lines("b", "c", "d")))
    assert file.read_bytes() == _lines("a")


def test_a_device_that_is_full_says_so() -> None:
    with pytest.raises(NotTaken, match="disk_full"):
        FileCarrier().carry(FileRequest(Path("/dev/full"), _lines("a")))


def test_a_full_disk_loses_nothing(duckdb_only: MakeOffice) -> None:
    office = duckdb_only({"mail": {"type": "file", "path": "/dev/full"}}, delivery={"max_attempts": 1})
    office.people(5).queue(range(5))
    report = office.deliver()
    assert report.unusable
    assert report.left == 5
    assert "disk_full" in str(report.error)
    assert office.codes() == {("failed", "disk_full"): 5}
    office.project.policy.providers["mail"]["path"] = "out.jsonl"
    assert office.deliver().counts == {"accepted": 5}


def test_a_write_that_may_be_lost_is_looked_up_by_the_next_run(
    duckdb_only: MakeOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails to confirm leaves a doubt, and the file itself settles it: no line is written twice."""
    office = duckdb_only({"mail": {"type": "file", "path": "out.jsonl"}}).people(3).queue(range(3))

    def broken(_: int) -> None:
        raise OSError(errno.EIO, "the disk does not answer")

    with monkeypatch.context() as patch:
        patch.setattr("activate.deliver.files.os.fsync", broken)
        assert office.deliver().left == 3
    assert office.last() == {"claimed": 3}
    assert office.deliver().counts == {"accepted": 3}
    lines = (office.project.directory / "out.jsonl").read_text().splitlines()
    assert len(lines) == len({json.loads(line)["message_id"] for line in lines}) == 3


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_says_so(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(NotTaken, match="file_eacces"):
        FileCarrier().carry(FileRequest(tmp_path / "x" / "out.jsonl", _lines("a")))


def test_two_processes_append_whole_lines(tmp_path: Path) -> None:
    file = tmp_path / "out.jsonl"
    program = (
        "import sys; from pathlib import Path; from activate.deliver.files import FileCarrier; "
        "from activate.providers.base import FileRequest; "
        "[FileCarrier().carry(FileRequest(Path(sys.argv[1]), sys.argv[2].encode() * 20000 + b'\\n')) for _ in range(20)]"
    )
    both = [subprocess.Popen([sys.executable, "-c", program, str(file), letter]) for letter in "ab"]
    assert [process.wait(60) for process in both] == [0, 0]
    lines = file.read_text().splitlines()
    assert sorted(lines) == ["a" * 20_000] * 20 + ["b" * 20_000] * 20
