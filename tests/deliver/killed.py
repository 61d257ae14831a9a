"""A delivery in a process of its own that kills itself (SIGKILL) at a scripted step; run by test_kill.py."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from post_office import PostOffice

from activate.deliver.send import carrier_for
from activate.record.deliveries import Outbox
from activate.warehouses.base import Warehouse
from activate.warehouses.duckdb import DuckDB
from activate.warehouses.postgres import Postgres


def die() -> None:
    """Leave without a word, as when the machine is switched off."""
    os.kill(os.getpid(), signal.SIGKILL)


class MortalOutbox(Outbox):
    """Dies before or after the n-th claim or record."""

    step = ""
    seen = 0

    def _at(self, step: str) -> None:
        if self.step.startswith(step):
            self.seen += 1
            if self.step == f"{step} {self.seen}":
                die()

    def claim(self, *arguments: Any) -> None:
        self._at("before claim")
        super().claim(*arguments)
        self._at("after claim")

    def record(self, outcomes: Any, *arguments: Any) -> None:
        if outcomes:
            self._at("before record")
        super().record(outcomes, *arguments)
        if outcomes:
            self._at("after record")


class MortalCarrier:
    """Dies before or after the n-th request."""

    def __init__(self, inner: Any, step: str) -> None:
        self.inner = inner
        self.step = step
        self.seen = 0

    def carry(self, request: Any) -> Any:
        self.seen += 1
        if self.step == f"before post {self.seen}":
            die()
        answer = self.inner.carry(request)
        if self.step == f"after post {self.seen}":
            die()
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def run(warehouse: Warehouse, directory: Path, providers: dict[str, Any], policy: dict[str, Any], step: str) -> None:
    """Deliver, and die at `step`, e.g. `after post 2`."""
    MortalOutbox.step = step
    office = PostOffice.open(warehouse, directory, providers, **policy)
    office.deliver(
        open_outbox=lambda name: MortalOutbox(warehouse.clone(), office.project, name, "mortal"),
        make_carrier=lambda provider: MortalCarrier(carrier_for(provider, warehouse.clone), step),
    )


def main(place: str, directory: str, providers: dict[str, Any], policy: dict[str, Any], step: str) -> None:
    """The body of the process: deliver from the warehouse at `place`."""
    run(opened(place), Path(directory), providers, policy, step)


def opened(place: str, wait_seconds: float = 30.0) -> Warehouse:
    """Open the warehouse at a place: a PostgreSQL URI or a DuckDB file."""
    return Postgres.open(place) if place.startswith("postgres") else DuckDB.open(place, wait_seconds)
