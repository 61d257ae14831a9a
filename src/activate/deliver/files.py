"""Appends lines to files so that each is there whole, on disk, and once, or not at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from activate.deliver.carry import InDoubt, NotTaken
from activate.providers.base import FileRequest, Request

_HEAD = b'{"message_id":"'
_BLOCK = 65_536


class FileCarrier:
    """Appends under a lock of the file; what a crash or a full disk left half written is cut off first."""

    def carry(self, request: Request) -> None:
        assert isinstance(request, FileRequest)
        try:
            request.path.parent.mkdir(parents=True, exist_ok=True)
            is_new = not request.path.exists()
            with _locked(request.path) as handle:
                size = _repair(handle)
                self._append(handle, request.lines, size)
            if is_new:
                sync_folder(request.path.parent)
        except OSError as error:
            raise NotTaken(error_code(error)) from None

    def close(self) -> None:
        return

    def already_taken(self, path: Path, message_ids: frozenset[str]) -> frozenset[str]:
        """Search a file for messages. It is read to the end, since anything may have been appended since a crash."""
        if not path.exists():
            return frozenset()
        try:
            with _locked(path) as handle:
                _repair(handle)
            with path.open("rb") as lines:
                return frozenset(found for line in lines if (found := _message_id(line)) in message_ids)
        except OSError as error:
            raise NotTaken(error_code(error)) from None

    def _append(self, handle: int, lines: bytes, size: int) -> None:
        left = memoryview(lines)
        try:
            while left:
                left = left[os.write(handle, left) :]
        except OSError:
            # The disk is full: take back the part that fitted, so that no reader sees half a batch.
            try:
                if stat.S_ISREG(os.fstat(handle).st_mode):
                    os.ftruncate(handle, size)
            except OSError:
                raise InDoubt("not_taken_back") from None
            raise
        try:
            os.fsync(handle)
        except OSError as error:
            if error.errno != errno.EINVAL:  # a pipe or a terminal has no disk to wait for
                raise InDoubt("not_synced") from None


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[int]:
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


def _repair(handle: int) -> int:
    """Cut off a last line without an end; return the size. Messages in it are in doubt and will be looked for."""
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        return 0
    size = end = status.st_size
    while end > 0:
        start = max(0, end - _BLOCK)
        newline = os.pread(handle, end - start, start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end < size:
        os.ftruncate(handle, end)
    return end


def _message_id(line: bytes) -> str | None:
    if line.startswith(_HEAD):
        return line[len(_HEAD) : line.find(b'"', len(_HEAD))].decode("utf-8", "replace")
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found.get("message_id") if isinstance(found, dict) else None


def sync_folder(folder: Path) -> None:
    """Bring a folder's entries to disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def error_code(error: OSError) -> str:
    """A short word for what the file system refused, without a path."""
    full = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
    return "disk_full" if error.errno in full else f"file_{errno.errorcode.get(error.errno or 0, 'error').lower()}"
