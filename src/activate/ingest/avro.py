"""Records of Avro object container files, in batches: what Braze's Currents writes into object storage."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import IO, Any

import orjson

from activate.errors import SettingsError

_BATCH = 500


def batches(name: str, stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the records as JSON lists of at most 500; the file names its own schema and codec, and is read block by block.

    Raises SettingsError where fastavro, or its decompressor, is not installed, and for what is no whole Avro file: whatever
    came before was yielded.
    """
    try:
        import fastavro  # noqa: PLC0415  # an extra
    except ImportError:
        raise SettingsError(f"{name} needs fastavro; run: pip install 'dbt-activate[avro]'") from None
    seen = 0
    try:
        records = iter(fastavro.reader(stream))
        while batch := list(islice(records, _BATCH)):
            yield orjson.dumps(batch, default=_text, option=orjson.OPT_NON_STR_KEYS)
            seen += len(batch)
    except Exception as error:  # fastavro raises whatever a broken block leads to
        if "codec is supported" in str(error):
            codec = str(error).split(" ", 1)[0]
            raise SettingsError(
                f"{name} is compressed with {codec}, which needs another package; run: pip install 'fastavro[codecs]'"
            ) from None
        raise SettingsError(f"{name} is no whole Avro file ({type(error).__name__} after {seen:,} records)") from None


def _text(value: Any) -> str:
    """Bytes and decimals, which JSON has no word for."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
