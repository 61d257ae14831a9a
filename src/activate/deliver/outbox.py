"""What sending needs from the state: the outbox of one provider. `activate.record.deliveries` has it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import pyarrow as pa

from activate.message import Interrupted, Lost, Page, Work
from activate.providers.base import Outcome


class Outbox(Protocol):
    """The outbox of one provider, used inside `lease`. One thread may claim and record while another reads waves."""

    def lease(self, wait_seconds: float) -> AbstractContextManager[None]:
        """Be the only one that delivers for this provider; raises LeaseHeldError."""

    def interrupted(self) -> list[Interrupted]:
        """Claims without an outcome, left by a run that died."""

    def collect(self) -> Work:
        """Tell how much is open; `page` then goes through exactly that, in order."""

    def page(self) -> Page | None:
        """Make the next part ready, and tell what it is; None at the end."""

    def choose(self, columns: frozenset[str], context: bool) -> None:
        """Say which columns of the profile the waves shall hold, and whether the row that brought the person in."""

    def wave(self, after: int, size: int, at: dt.datetime) -> pa.Table:
        """The page's messages at places (after, after + size], as things are at this moment."""

    def claim(self, attempts: Mapping[str, int], at: dt.datetime) -> None:
        """Write down that these messages are about to be handed over; it is safe when this returns."""

    def record(
        self,
        outcomes: Sequence[Outcome],
        attempts: Mapping[str, int],
        final: Sequence[bool],
        at: dt.datetime,
        lost: Sequence[Lost] = (),
    ) -> None:
        """Write outcomes down, with the addresses that were lost, all or none; they are safe when this returns."""

    def left(self) -> tuple[int, dt.datetime | None]:
        """How many collected messages are still open, and the oldest `queued_at` among them."""

    def finish(self, counts: dict[str, Any], now: dt.datetime, started_at: dt.datetime, finished_at: dt.datetime,
               open_from: dt.datetime | None) -> None:  # fmt: skip
        """Write the run down."""

    def close(self) -> None:
        """Give the connection back."""
