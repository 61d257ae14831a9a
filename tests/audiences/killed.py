"""A sync in a process of its own that kills itself (SIGKILL) at a scripted step; run by test_kill.py."""

from __future__ import annotations

import os
import signal
from typing import Any

from activate.deliver import carriers, sync
from activate.record import audiences
from activate.record.audiences import AudienceBook
from activate.warehouses.base import Warehouse
from activate.warehouses.duckdb import DuckDB
from activate.warehouses.postgres import Postgres
from tests.audiences.town import Town

PAGE = 2


class Script:
    """Dies at one step, e.g. `before claim 2`; steps are counted by name."""

    def __init__(self, step: str) -> None:
        self.step = step
        self.seen: dict[str, int] = {}

    def at(self, name: str) -> None:
        self.seen[name] = self.seen.get(name, 0) + 1
        if self.step == f"{name} {self.seen[name]}":
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner: Any, method: str, name: str) -> None:
        """Pass by `before NAME` and `after NAME` whenever the method is called."""
        inner = getattr(owner, method)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            self.at(f"before {name}")
            found = inner(*args, **kwargs)
            self.at(f"after {name}")
            return found

        setattr(owner, method, wrapped)


def connect(uri: str) -> Warehouse:
    """The warehouse of a test, wherever it is."""
    return Postgres.open(uri) if uri.startswith("postgres") else DuckDB.open(uri)


def main(uri: str, town: Town, step: str) -> None:
    """The body of the process: sync in small pages and with a new copy each time, and die at `step`."""
    script = Script(step)
    sync.PAGE = PAGE
    audiences._COMPACT_FROM = 1
    script.around(AudienceBook, "claim", "claim")
    script.around(AudienceBook, "settle", "record")
    script.around(AudienceBook, "finish", "finish")
    script.around(AudienceBook, "compact", "copy")
    script.around(carriers.HttpCarrier, "carry", "post")
    town.warehouse = connect(uri)
    town.sync()
    town.warehouse.close()


def hold(uri: str, town: Town, name: str, taken: Any, give_back: Any) -> None:
    """The body of a process that syncs an audience and stays inside its lease until it is told to go on."""
    inner = AudienceBook.claim

    def claim(self: AudienceBook, *args: Any) -> None:
        inner(self, *args)
        taken.set()
        give_back.wait(60)

    AudienceBook.claim = claim  # type: ignore[method-assign]
    town.warehouse = connect(uri)
    town.sync(name)
    town.warehouse.close()
