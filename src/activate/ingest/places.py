"""Where files of events lie: named one by one, in folders, or in object storage; opened one at a time."""

from __future__ import annotations

import gzip
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, cast

from activate.errors import SettingsError

SUFFIXES = (".avro", ".json", ".jsonl", ".ndjson", ".json.gz", ".jsonl.gz", ".ndjson.gz")


def files_in(name: str) -> Iterator[str]:
    """The files that a name stands for: itself, or everything with one of `SUFFIXES` below a folder, in order.

    A name with `://` is asked for through fsspec. Raises SettingsError where a folder has no such file.
    """
    found = _remote_files(name) if "://" in name else _local_files(name)
    if found is None:
        yield name
        return
    empty = True
    for file in found:
        if file.endswith(SUFFIXES):
            empty = False
            yield file
    if empty:
        raise SettingsError(f"{name} holds no file to read; read are {', '.join(SUFFIXES)}")


@contextmanager
def opened(name: str) -> Iterator[IO[bytes]]:
    """A file's bytes (`-`: standard input; `.gz` is unpacked). Raises OSError, and SettingsError where a package is missing."""
    if name == "-":
        yield sys.stdin.buffer
        return
    with _stream(name) as stream:
        if name.endswith(".gz"):
            with gzip.open(stream, "rb") as unpacked:
                yield cast("IO[bytes]", unpacked)
        else:
            yield stream


def _stream(name: str) -> IO[bytes]:
    if "://" in name:
        files, path = _file_system(name)
        return cast("IO[bytes]", files.open(path, "rb"))
    return open(name, "rb")  # noqa: PTH123  # as the caller named it; `opened` closes it


def _local_files(name: str) -> Iterator[str] | None:
    if not os.path.isdir(name):  # noqa: PTH112  # a name, which may be `-`
        return None
    return _walk(name)


def _walk(folder: str) -> Iterator[str]:
    for place, folders, files in os.walk(folder):
        folders.sort()
        yield from (os.path.join(place, file) for file in sorted(files))  # noqa: PTH118  # as os.walk gives it


def _remote_files(name: str) -> Iterator[str] | None:
    files, path = _file_system(name)
    try:
        if files.isfile(path):
            return None
        return iter([str(files.unstrip_protocol(found)) for found in sorted(files.find(path))])
    except OSError as error:
        raise SettingsError(f"{name} cannot be read: {type(error).__name__}") from None


def _file_system(name: str) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs  # noqa: PLC0415  # an extra

        files, path = url_to_fs(name)
    except ImportError as error:
        raise SettingsError(
            f"{name} needs a package that is not installed ({error.name or error}); run: pip install 'dbt-activate[files]'"
        ) from None
    except ValueError:
        scheme = name.partition("://")[0]
        raise SettingsError(f"{name} cannot be read: fsspec knows no {scheme}://") from None
    return files, str(path)
