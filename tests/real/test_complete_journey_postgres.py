"""The day on which summer time ended in America, on PostgreSQL, when the reminder of a real mailing falls due."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator

import pytest

from .data_sets import complete_journey
from .database import Database
from .proof import Proof, Replayed, TamperProof, replayed_with_facts
from .replay import replay
from .stage import set_stage

FIRST, LAST = dt.datetime(2017, 11, 5), dt.datetime(2017, 11, 6)


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory, postgres_admin: str) -> Iterator[Replayed]:
    server, name = Database(postgres_admin), f"real_{uuid.uuid4().hex[:12]}"
    server.run(f"CREATE DATABASE {name}")
    try:
        target = f"{postgres_admin.rsplit('/', 1)[0]}/{name}"
        # Two months are enough of a past for one day.
        data_set = complete_journey(since=dt.date(2017, 9, 1), until=dt.date(2017, 11, 7))
        stage = set_stage(data_set, tmp_path_factory.mktemp("postgres") / "project", target)
        with replayed_with_facts("grocer, PostgreSQL", stage, replay(stage, FIRST, LAST)) as done:
            yield done
    finally:
        server.run(f"DROP DATABASE {name} WITH (FORCE)")
        server.close()


@pytest.mark.slow
class TestDay(Proof, TamperProof):
    """24 hourly ticks and one."""
