"""Captured requests in files: one JSON document a line, `{"received_at", "headers", "body"}`; or a provider's own JSON or Avro."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Iterator
from typing import Any

import orjson

from activate.errors import SettingsError
from activate.ingest.avro import batches
from activate.ingest.places import files_in, opened
from activate.sources.base import Captured, instant

_WHOLE = 64 * 2**20


def requests(name: str, at: dt.datetime, *, raw: bool) -> Iterator[Captured | bytes]:
    """The requests in a file, or in all files of a folder, one after the other; a line that is none comes as it is.

    With `raw` lines may be a provider's own JSON instead, received at `at`, or the whole file (up to 64 MB) is, or it is Avro
    (`.avro`); their `url` is the file's name, which may say what they are. Raises SettingsError for a file that cannot be read.
    """
    for file in files_in(name):
        try:
            yield from _avro(file, at, raw) if file.endswith(".avro") else _lines(file, at, raw)
        except (OSError, EOFError) as error:
            raise SettingsError(f"{file} cannot be read: {type(error).__name__}") from None


def _avro(name: str, at: dt.datetime, raw: bool) -> Iterator[Captured]:
    if not raw:
        raise SettingsError(f"{name} is Avro, which nobody has signed: add --unsigned")
    with opened(name) as stream:
        for body in batches(name, stream):
            yield Captured(at, {}, body, name)


def _lines(name: str, at: dt.datetime, raw: bool) -> Iterator[Captured | bytes]:
    with opened(name) as stream:
        first = True
        for line in stream:
            if not line.strip():
                continue
            found = _request(line, name, at, raw)
            if first and found is None and raw:
                whole = line + stream.read(_WHOLE)
                yield whole if _document(whole) is None else Captured(at, {}, whole, name)
                return
            first = False
            yield line if found is None else found


def _document(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except ValueError:
        return None


def _request(line: bytes, name: str, at: dt.datetime, raw: bool) -> Captured | None:
    document = _document(line)
    if isinstance(document, dict) and "headers" in document and ("body" in document or "body_base64" in document):
        try:
            headers = {str(name).lower(): str(value) for name, value in document["headers"].items()}
            body = base64.b64decode(document["body_base64"]) if "body_base64" in document else document["body"].encode()
            url = document.get("url")
            return Captured(instant(document["received_at"]), headers, body, url if isinstance(url, str) else None)
        except (ValueError, KeyError, AttributeError, TypeError):
            return None
    return Captured(at, {}, line.strip(), name) if raw and isinstance(document, dict | list) else None
