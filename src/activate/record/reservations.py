"""Keeps the pace of accounts that several processes use: for each, the instant from which requests are still free."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable

from sqlglot import exp

from activate.project import Relation
from activate.record.migrate import ddl
from activate.tables import PACES
from activate.warehouses.base import Warehouse, literal


class Reservations:
    """Reserves requests by moving an account's instant on (the generic cell rate algorithm), by the warehouse's clock.

    A connection of its own, opened when it is first needed and shared by threads. The table holds one row for each account and is the only one that is
    updated: it tells nothing of the past.
    """

    def __init__(
        self, open_warehouse: Callable[[], Warehouse], schema: str, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._open_warehouse = open_warehouse
        self._opened: Warehouse | None = None
        self._schema = schema
        self._monotonic = monotonic
        self._table = Relation(schema, PACES.name)
        self._known: set[str] = set()
        self._lock = threading.Lock()

    def reserve(self, account: str, per_second: float, count: int) -> float:
        """Reserve `count` requests at this rate; returns in how many seconds the first may go out."""
        span = round(count / per_second * 1_000_000)
        with self._lock:
            self._make_sure(account)
            now, asked_at = self._now(), self._monotonic()
            free = exp.column("free_from")
            whose = exp.column("account").eq(literal(account))
            later = exp.case().when(free > literal(now), free).else_(literal(now))
            with self._warehouse.transaction():
                self._warehouse.execute(
                    exp.update(self._table.table(), {"free_from": exp.paren(later) + literal(span)}, where=whose)
                )
                until = self._warehouse.scalar(exp.select(exp.Max(this=free)).from_(self._table.table()).where(whose))
            assert isinstance(until, int)
            return max(0.0, (until - span - now) / 1_000_000 - (self._monotonic() - asked_at))

    def close(self) -> None:
        """Close the connection."""
        if self._opened is not None:
            self._opened.close()

    @property
    def _warehouse(self) -> Warehouse:
        if self._opened is None:
            self._opened = self._open_warehouse()
        return self._opened

    def _make_sure(self, account: str) -> None:
        """See to it that the account has a row: exactly one, however many processes begin at once."""
        if account in self._known:
            return
        with self._warehouse.lock(f"paces.{self._schema}", 30.0):
            if not self._warehouse.columns([self._table]):
                self._warehouse.execute(ddl(PACES, self._schema, self._warehouse))
            whose = exp.column("account").eq(literal(account))
            found = exp.select(exp.Count(this=exp.Star())).from_(self._table.table()).where(whose)
            if not self._warehouse.scalar(found):
                row = exp.values([(literal(account), literal(0))])
                self._warehouse.execute(exp.insert(row, self._table.table(), columns=["account", "free_from"]))
        self._known.add(account)

    def _now(self) -> int:
        """The warehouse's clock, in microseconds since 1970: the processes' own may differ."""
        found = self._warehouse.scalar(exp.select(exp.CurrentTimestamp()))
        assert isinstance(found, dt.datetime)
        aware = found if found.tzinfo else found.replace(tzinfo=dt.UTC)
        return round(aware.timestamp() * 1_000_000)
