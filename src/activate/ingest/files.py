"""Captured requests in files: one JSON document a line, `{"received_at", "headers", "body"}`; or a provider's own JSON."""

from __future__ import annotations

import base64
import datetime as dt
import gzip
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, cast

import orjson

from activate.errors import SettingsError
from activate.sources.base import Captured, instant

_WHOLE = 64 * 2**20


def requests(name: str, at: dt.datetime, *, raw: bool) -> Iterator[Captured | bytes]:
    """The requests in a file (`-`: standard input; `.gz` is unpacked), line by line; a line that is none comes as it is.

    With `raw` lines may be a provider's own JSON instead, received at `at`, or the whole file (up to 64 MB) is. Raises
    SettingsError for a file that cannot be read.
    """
    try:
        with _opened(name) as stream:
            first = True
            for line in stream:
                if not line.strip():
                    continue
                found = _request(line, at, raw)
                if first and found is None and raw:
                    whole = line + stream.read(_WHOLE)
                    yield whole if _document(whole) is None else Captured(at, {}, whole)
                    return
                first = False
                yield line if found is None else found
    except (OSError, EOFError) as error:
        raise SettingsError(f"{name} cannot be read: {type(error).__name__}") from None


@contextmanager
def _opened(name: str) -> Iterator[IO[bytes]]:
    if name == "-":
        yield sys.stdin.buffer
    elif name.endswith(".gz"):
        with gzip.open(name, "rb") as unpacked:
            yield cast("IO[bytes]", unpacked)
    else:
        with open(name, "rb") as stream:  # noqa: PTH123  # as the caller named it
            yield stream


def _document(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except ValueError:
        return None


def _request(line: bytes, at: dt.datetime, raw: bool) -> Captured | None:
    document = _document(line)
    if isinstance(document, dict) and "headers" in document and ("body" in document or "body_base64" in document):
        try:
            headers = {str(name).lower(): str(value) for name, value in document["headers"].items()}
            body = base64.b64decode(document["body_base64"]) if "body_base64" in document else document["body"].encode()
            url = document.get("url")
            return Captured(instant(document["received_at"]), headers, body, url if isinstance(url, str) else None)
        except (ValueError, KeyError, AttributeError, TypeError):
            return None
    return Captured(at, {}, line.strip()) if raw and isinstance(document, dict | list) else None
