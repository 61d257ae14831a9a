"""Puts messages into a table of the project's own warehouse, as the audiences' tables are filled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from activate.deliver.tables import TableCarrier
from activate.destinations.base import CHANGE, MEMBER, USER_ID, Changes, TablePlace, TableRequest
from activate.providers.base import Request, RowsRequest
from activate.warehouses.base import Warehouse


class RowsCarrier:
    """A connection to the project's warehouse, used by one thread."""

    def __init__(self, open_warehouse: Callable[[], Warehouse]) -> None:
        self._tables = TableCarrier(lambda _target: open_warehouse())

    def carry(self, request: Request) -> None:
        """Put the rows in, in one transaction; raises as `TableCarrier.carry`."""
        assert isinstance(request, RowsRequest)
        place = TablePlace(None, request.relation, request.key, "", updates=False, indexes=request.indexes)
        self._tables.carry(TableRequest(place, Changes("", "", "upsert", _keyed(request))))

    def close(self) -> None:
        self._tables.close()

    def already_taken(self, path: Path, message_ids: frozenset[str]) -> frozenset[str]:
        raise NotImplementedError("a table is not looked into: what is handed over again is there once")


def _keyed(request: RowsRequest) -> pa.RecordBatch:
    """The rows with the columns that changes of a table have; each row is an addition."""
    rows = request.rows
    key = rows.column(request.key)
    columns = {MEMBER: key, USER_ID: key, CHANGE: pa.repeat("add", rows.num_rows)}
    columns |= {name: rows.column(name) for name in rows.schema.names if name != request.key}
    return pa.RecordBatch.from_pydict(columns)
