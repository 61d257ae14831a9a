"""Random histories of an audience, on real warehouses: whatever happened, after a quiet time the destination holds what it should.

A history changes the segment, its exclusions and the mapping; syncs meet a destination that takes, refuses, hangs up before or
after taking, or takes some rows; and processes die at any request. The expectation is plain Python, one person at a time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from tests.audiences.town import SECRET, Town

from activate import mending
from activate.deliver import carriers
from activate.deliver.carry import InDoubt, NotTaken
from activate.providers.base import HttpAnswer, HttpRequest
from activate.warehouses.base import Warehouse
from activate.warehouses.duckdb import DuckDB
from activate.warehouses.postgres import Postgres

PEOPLE = [f"p{number}" for number in range(7)]
FOREIGN = "somebody_else"
# Two mappings: other fields, so another mapping version.
MAPPINGS = ({"score": "score"}, {"score": "score", "level": {"column": "level"}}, {"level": "level"})


class Killed(BaseException):
    """The process is gone: nothing after this is recorded."""


@dataclass
class Service:
    """The destination: the set it holds, and what happens to each request."""

    held: dict[str, Any] = field(default_factory=lambda: {FOREIGN: {"score": -1}})
    ever_sent: set[str] = field(default_factory=set)
    acknowledged: dict[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    disliked: set[str] = field(default_factory=set)
    told: list[tuple[str, Any]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    may_repeat: bool = False

    def take(self, changes: list[dict[str, Any]]) -> None:
        for change in changes:
            member, kind = change["member"], change["change"]
            if kind == "remove":
                if member not in self.ever_sent:
                    self.wrong.append(f"{member} was removed and nobody had tried to send it")
                self.held.pop(member, None)
            else:
                self.held[member] = change["fields"]

    def check_repetition(self, changes: list[dict[str, Any]]) -> None:
        for change in changes:
            member, kind = change["member"], change["change"]
            sent = None if kind == "remove" else change["fields"]
            if member in self.acknowledged and self.acknowledged[member] == sent and not self.may_repeat:
                self.wrong.append(f"{kind} of {member} was acknowledged and sent again without a change")

    def acknowledge(self, changes: list[dict[str, Any]]) -> None:
        self.told += [
            (change["member"], None if change["change"] == "remove" else change["fields"]) for change in changes
        ]

    def recorded(self) -> None:
        """The sync has ended: what was acknowledged is known on our side."""
        self.acknowledged.update(self.told)
        self.told.clear()

    def forget(self, members: set[str]) -> None:
        """Our side cannot know what became of these: they may be sent again."""
        for member in members:
            self.acknowledged.pop(member, None)


class Carrier:
    """Stands in for the network between us and the service."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def carry(self, request: HttpRequest) -> HttpAnswer:
        service = self.service
        changes = json.loads(request.body)["changes"]
        members = {change["member"] for change in changes}
        service.ever_sent |= {change["member"] for change in changes if change["change"] != "remove"}
        fault = service.faults.pop(0) if service.faults else "ok"
        if fault == "down":
            raise NotTaken("not_connected")
        if fault == "error":
            return HttpAnswer(500, {}, b"")
        if fault == "lost":
            service.check_repetition(changes)
            service.take(changes)
            service.forget(members)
            raise InDoubt("answer_lost")
        if fault == "never_arrived":
            service.forget(members)
            raise InDoubt("timeout")
        if fault == "killed_before":
            raise Killed
        if fault == "killed_after":
            service.take(changes)
            service.forget(members)
            raise Killed
        spoilt = [change for change in changes if change["member"] in service.disliked and change["change"] != "remove"]
        if spoilt and fault == "poison":
            return HttpAnswer(422, {}, b"")
        service.check_repetition(changes)
        taken = [change for change in changes if change not in spoilt]
        service.take(taken)
        service.acknowledge(taken)
        results = [{"member": change["member"], "status": "rejected", "error_code": "disliked"} for change in spoilt]
        return HttpAnswer(200, {}, json.dumps({"results": results}).encode())

    def close(self) -> None:
        return


score = st.integers(0, 2)
contents = st.dictionaries(st.sampled_from(PEOPLE), st.tuples(score, score), max_size=6)
fault = st.sampled_from(["ok", "down", "error", "lost", "never_arrived", "killed_before", "killed_after", "poison"])
operation = st.one_of(
    st.tuples(st.just("segment"), contents),
    st.tuples(st.just("exclude"), st.sets(st.sampled_from(PEOPLE), max_size=2)),
    st.tuples(st.just("mapping"), st.sampled_from(range(len(MAPPINGS)))),
    st.tuples(st.just("dislike"), st.sets(st.sampled_from(PEOPLE), max_size=2)),
    st.tuples(st.just("sync"), st.lists(fault, max_size=6)),
    st.tuples(st.just("sync"), st.lists(fault, max_size=6)),
    st.tuples(st.just("quiet"), st.none()),
    st.tuples(st.just("compact"), st.none()),
)
histories = st.lists(operation, min_size=3, max_size=12).map(lambda found: [*found, ("quiet", None)])


class History:
    """One history being played."""

    def __init__(self, warehouse: Warehouse, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        crm = {"type": "webhook", "url": "http://localhost:1/", "secret": SECRET, "batch": 2, "concurrency": 1}
        self.town = Town(warehouse, folder, {"crm": crm}, delivery={"max_attempts": 20})
        self.service = Service()
        monkeypatch.setattr(carriers, "carrier_for", lambda *_: Carrier(self.service))
        self.monkeypatch = monkeypatch
        self.segment: dict[str, tuple[int, int]] = {}
        self.excluded: set[str] = set()
        self.mapping = 0
        self.town.segment("vips", {}, {"score": "bigint", "level": "bigint"}).segment("bars", {})
        self._set_up()

    def _set_up(self) -> None:
        self.town.audience(fields=MAPPINGS[self.mapping], exclude=["bars"], on_new_mapping="resend")

    def play(self, kind: str, what: Any) -> None:
        if kind == "segment":
            self.segment = what
            self.town.segment("vips", {user: {"score": a, "level": b} for user, (a, b) in what.items()})
        elif kind == "exclude":
            self.excluded = what
            self.town.segment("bars", sorted(what))
        elif kind == "mapping":
            self.mapping = what
            self._set_up()
        elif kind == "dislike":
            self.service.disliked = set(what)
        elif kind == "compact":
            self.monkeypatch.setattr("activate.record.audiences._COMPACT_FROM", 1)
        elif kind == "sync":
            self.service.faults = list(what)
            self.sync()
        else:
            self.quiet()

    def sync(self) -> None:
        service = self.service
        try:
            self.town.later().sync()
        except Killed:
            # The wave that was under way has no outcome on our side: all of its rows are in doubt.
            service.forget({member for member, _ in service.told})
            # A page is claimed as a whole: who was claimed may have been sent, for all that the state can know.
            claimed = self.town.rows("SELECT user_id FROM state.audience_changes WHERE status = 'claimed'")
            service.ever_sent.update(row["user_id"] for row in claimed)
            service.told.clear()
            self.town.audiences = dict(self.town.audiences)
        service.recorded()
        service.faults.clear()

    def quiet(self) -> None:
        self.service.disliked.clear()
        mending.retry(self.town.warehouse, self.town.project, list(self.town.audiences.values()), self.town.later().now)
        for _ in range(2):
            self.sync()
        wanted = {user: self.fields(*row) for user, row in self.segment.items() if user not in self.excluded}
        assert self.service.held == {**wanted, FOREIGN: {"score": -1}}
        requests = list(self.service.told)
        assert self.town.later().sync().outcomes == {}, "a sync after a quiet one has nothing to say"
        assert requests == []

    def fields(self, a: int, b: int) -> dict[str, int]:
        return {name: a if name == "score" else b for name in MAPPINGS[self.mapping]}


def run_history(warehouse: Warehouse, folder: Path, history: list[tuple[str, Any]]) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        played = History(warehouse, folder, monkeypatch)
        for kind, what in history:
            note(f"{kind} {what}")
            played.play(kind, what)
            assert played.service.wrong == []
        for schema in (played.town.schema, played.town.state):
            warehouse.execute(f'DROP SCHEMA "{schema}" CASCADE')


@pytest.fixture(scope="module", params=["duckdb", "postgres"])
def warehouse(request: pytest.FixtureRequest) -> Iterator[Warehouse]:
    """One warehouse for all histories: each has schemas of its own."""
    if request.param == "duckdb":
        opened: Warehouse = DuckDB.open(":memory:")
    else:
        opened = Postgres.open(request.getfixturevalue("postgres_admin"))
    yield opened
    opened.close()


_CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=8, deadline=None, suppress_health_check=_CHECKS, print_blob=True)
@given(history=histories)
@pytest.mark.parametrize("warehouse", ["duckdb"], indirect=True)
def test_after_a_quiet_time_the_destination_holds_the_segment(
    warehouse: Warehouse, tmp_path: Path, history: Any
) -> None:
    run_history(warehouse, tmp_path, history)


@settings(max_examples=4, deadline=None, suppress_health_check=_CHECKS, print_blob=True)
@given(history=histories)
@pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)
def test_after_a_quiet_time_so_it_is_on_postgresql(warehouse: Warehouse, tmp_path: Path, history: Any) -> None:
    run_history(warehouse, tmp_path, history)


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=_CHECKS, print_blob=True)
@given(history=histories)
def test_many_histories(warehouse: Warehouse, tmp_path: Path, history: Any) -> None:
    run_history(warehouse, tmp_path, history)
