"""An event as it is stored: what the spool holds and what is loaded. There is no address in it, only its hash."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from activate.address import address_hash
from activate.sources.base import Event, digest

_EPOCH = dt.datetime(1970, 1, 1)
_MICROSECOND = dt.timedelta(microseconds=1)
_CHANNEL = re.compile(r"[a-z][a-z0-9_]{0,62}")


class Row(NamedTuple):
    """One event. `occurred_at` counts microseconds since 1970 in UTC; `reason` and `status` are its suppression, if any."""

    event_id: str
    provider: str
    name: str
    message_id: str | None
    provider_message_id: str | None
    user_id: str | None
    channel: str | None
    occurred_at: int
    is_machine: bool
    bounce_kind: str | None
    code: str | None
    address_hash: str | None
    reason: str | None
    status: str | None


_TYPES = {"occurred_at": pa.timestamp("us"), "is_machine": pa.bool_()}
SCHEMA = pa.schema([(name, _TYPES.get(name, pa.string())) for name in Row._fields])


def row_of(source: str, event: Event, received_at: dt.datetime) -> Row:
    """The row of an event that came through `source`; its address is hashed where it says something of it.

    Raises ValueError where that address has no channel.
    """
    channel = event.channel if event.channel and _CHANNEL.fullmatch(event.channel) else None
    occurred_at = min(event.occurred_at or received_at, received_at)
    told, hashed = event.suppression, None
    if told and event.address:
        if channel is None:
            raise ValueError("an address without a channel")
        hashed = address_hash(channel, event.address)
    reason, status = told or (None, None)
    row = Row(
        event.event_id, source, event.name, event.message_id, event.provider_message_id, event.user_id, channel,
        (occurred_at - _EPOCH) // _MICROSECOND, event.is_machine, event.bounce_kind, event.code, hashed, reason, status,
    )  # fmt: skip
    return row if row.event_id else row._replace(event_id=digest(*map(str, row)))


def table_of(rows: Sequence[Sequence[Any]]) -> pa.Table:
    """Rows (at least one) as an Arrow table. Raises ValueError, TypeError or pa.ArrowException for what are no such rows."""
    columns = zip(*rows, strict=True)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)
