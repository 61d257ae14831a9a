"""What every destination that speaks HTTP must do. Parametrized over the registry: registering one enrols it.

Each type has a peer in tests/destinations/vendors that keeps a set of members as the vendor documents it.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import socket
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pytest

from activate.deliver.carriers import members
from activate.deliver.tokens import Tokens
from activate.destinations.base import (
    CHANGE,
    MEMBER,
    ROW,
    USER_ID,
    Changes,
    Destination,
    Pending,
    Phase,
    Refusal,
    Verdict,
)
from activate.destinations.registry import DESTINATIONS, check, create
from activate.providers.base import HttpAnswer, HttpRequest, Unusable
from tests.destinations.vendors import SECRET, peer

AT = dt.datetime(2026, 3, 2, 12)
POSTED_AT = 1_772_452_800
KINDS = [kind for kind, destination in DESTINATIONS.items() if destination.transport == "http"]


class Case:
    """A destination, and the vendor it talks to."""

    def __init__(self, kind: str) -> None:
        self.peer = peer(kind)
        self.destination: Destination = create("mine", {"type": kind, **self.peer.section})
        self._tokens = Tokens(self.destination, lambda: 0.0)

    def changes(self, phase: Phase, numbers: Iterable[int]) -> Changes:
        rows: list[dict[str, Any]] = []
        for n in numbers:
            change = "remove" if phase == "remove" else "add"
            told = {"change": change, "user_id": f"user {n}", "member": self.peer.member(n)}
            if phase == "upsert":
                told["fields"] = self.peer.fields(n)  # type: ignore[assignment]
            rows.append({MEMBER: self.peer.member(n), USER_ID: f"user {n}", CHANGE: change, ROW: json.dumps(told)})
        schema = pa.schema([(name, pa.string()) for name in (MEMBER, USER_ID, CHANGE, ROW)])
        return Changes(self.peer.audience, "run-1", phase, pa.RecordBatch.from_pylist(rows, schema))

    def request(self, changes: Changes) -> HttpRequest:
        request = self.destination.build(changes, AT)
        assert isinstance(request, HttpRequest)
        return self.posted(request)

    def posted(self, request: HttpRequest) -> HttpRequest:
        """The request as it is posted."""
        return self.destination.sign(self._tokens.authorize(request, POSTED_AT, self.peer.answer), POSTED_AT)

    def carry(self, request: HttpRequest) -> HttpAnswer:
        return self.peer.answer(request)

    def close(self) -> None:
        pass

    def send(self, changes: Changes) -> Verdict:
        """Hand the changes over as the engine does, jobs included."""
        return self.finish(self.destination.read(self.peer.answer(self.request(changes)), changes), changes)

    def finish(self, told: Verdict | Pending, changes: Changes) -> Verdict:
        """Do what comes after the first answer."""
        for _ in range(20):
            if isinstance(told, Verdict):
                return told
            assert told.request is not None
            told = self.destination.resume(told, self.peer.answer(self.posted(told.request)), changes)
        raise AssertionError("the job does not end")

    def by_halves(self, changes: Changes) -> Verdict:
        """Hand the changes over, in halves where the answer asks for it, as the engine does."""
        told = self.send(changes)
        if not told.halves or len(changes) < 2:
            return told
        middle = len(changes) // 2
        but: dict[int, Refusal] = {}
        for start, count in ((0, middle), (middle, len(changes) - middle)):
            half = self.by_halves(changes.slice(start, count))
            if half.status != "accepted":
                but |= {start + at: Refusal(half.status, half.code or "") for at in range(count)}
            but |= {start + at: odd for at, odd in half.but.items()}
        return Verdict(but=but)

    def held(self) -> list[str]:
        return sorted(one for page in members(self.destination, self, self.peer.audience, POSTED_AT) for one in page)  # type: ignore[arg-type]


@pytest.fixture(params=KINDS)
def case(request: pytest.FixtureRequest) -> Case:
    return Case(request.param)


@pytest.fixture
def some(case: Case) -> range:
    return range(min(3, case.destination.limits.batch))


def _is_clean(verdict: Verdict) -> bool:
    return verdict.status == "accepted" and not verdict.but


def test_the_destination_holds_exactly_who_was_added_and_not_removed(case: Case, some: range) -> None:
    assert _is_clean(case.send(case.changes("upsert", some)))
    assert case.peer.members == {case.peer.member(n) for n in some}
    if not case.destination.abilities.removes:
        return
    assert _is_clean(case.send(case.changes("remove", [0])))
    assert case.peer.members == {case.peer.member(n) for n in some} - {case.peer.member(0)}


def test_the_same_twice_leaves_the_same_set(case: Case, some: range) -> None:
    for _ in range(2):
        assert _is_clean(case.send(case.changes("upsert", some)))
    assert case.peer.members == {case.peer.member(n) for n in some}
    if case.destination.abilities.removes:
        for _ in range(2):
            assert _is_clean(case.send(case.changes("remove", some)))
        assert case.peer.members == set()


def test_a_full_batch_is_taken(case: Case) -> None:
    numbers = range(case.destination.limits.batch)
    assert _is_clean(case.send(case.changes("upsert", numbers)))
    assert len(case.peer.members) == len(numbers)


def test_a_row_that_is_refused_harms_no_other(case: Case, some: range) -> None:
    """Either the answer tells the row, or the batch as a whole is refused, so that halving finds it."""
    bad = some[-1]
    case.peer.bad = {case.peer.member(bad)}
    changes = case.changes("upsert", some)
    answer = case.peer.answer(case.request(changes))
    if case.destination.splits(answer):
        assert not case.peer.members
        return
    told = case.finish(case.destination.read(answer, changes), changes)
    if told.halves:
        told = case.by_halves(changes)
    if not told.but and told.status == "accepted":
        pytest.xfail(f"{case.destination.type} does not tell which rows it drops")
    status = told.but[bad].status if bad in told.but else told.status
    assert status == "rejected"
    assert case.peer.members == {case.peer.member(n) for n in some} - case.peer.bad


def test_its_members_are_read_back(case: Case, some: range) -> None:
    if not case.destination.abilities.reads_back:
        pytest.skip("its members cannot be asked for")
    assert case.held() == []
    case.send(case.changes("upsert", some))
    assert case.held() == sorted(case.peer.member(n) for n in some)


def test_the_same_changes_make_the_same_request(case: Case, some: range) -> None:
    assert case.destination.build(case.changes("upsert", some), AT) == case.destination.build(
        case.changes("upsert", some), AT
    )


def test_a_request_shows_neither_member_nor_field_nor_secret(case: Case, some: range) -> None:
    changes = case.changes("upsert", some)
    shown = repr(case.request(changes)) + repr(changes) + repr(case.destination)
    for hidden in (SECRET, *(case.peer.member(n) for n in some), *map(str, case.peer.fields(0).values())):
        assert len(hidden) < 5 or hidden not in shown  # what is shorter stands in an object's address by chance


_BODIES = (b"", b"{}", b"[]", b"{", b"null", b"\xff", b"<html>", b'{"errors": [null], "data": [], "error": "x"}',
           b'{"results": [1], "status": 1, "errors": {"a": 1}}')  # fmt: skip


@pytest.mark.parametrize("phase", ["upsert", "remove"])
def test_whatever_is_answered_is_understood(case: Case, some: range, phase: Phase) -> None:
    changes = case.changes(phase, some)
    for status in range(200, 600):
        for body in _BODIES:
            try:
                told = case.destination.read(HttpAnswer(status, {}, body), changes)
            except Unusable:
                continue
            if isinstance(told, Verdict):
                assert all(0 <= at < len(changes) for at in told.but)
                assert status < 300 or told.status != "accepted" or told.but


def test_being_told_to_wait_is_not_final(case: Case, some: range) -> None:
    changes = case.changes("upsert", some)
    for status in (429, 500, 503):
        told = case.destination.read(HttpAnswer(status, {}, b""), changes)
        assert isinstance(told, Verdict)
        assert told.status in ("failed", "unknown")


def test_refused_credentials_blame_no_row(case: Case, some: range) -> None:
    with pytest.raises(Unusable) as raised:
        case.destination.read(HttpAnswer(401, {}, b""), case.changes("upsert", some))
    assert SECRET not in str(raised.value)


def test_neither_member_nor_secret_reaches_a_verdict(case: Case, some: range) -> None:
    changes = case.changes("upsert", some)
    for hidden in (case.peer.member(0), str(next(iter(case.peer.fields(0).values()), case.peer.member(0)))):
        keys = ("error", "message", "code", "id", "status", "error_code", "reason", "title", "detail", "type", "name")
        one = json.dumps(dict.fromkeys(keys, hidden))
        for body in (one, f"[{one}]", f'{{"errors": [{one}], "error": {one}, "results": [{one}], "data": {one}}}'):
            for status in (200, 202, 400, 403, 404, 409, 422, 429, 500):
                try:
                    told: Any = case.destination.read(HttpAnswer(status, {}, body.encode()), changes)
                except Unusable as error:
                    told = f"{error} {error.code}"
                shown = repr(dataclasses.astuple(told)) if isinstance(told, Verdict) else repr(told)
                assert hidden not in shown


def test_nothing_is_opened_to_build_or_to_read(case: Case, some: range, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = case.changes("upsert", some)
    answer = case.peer.answer(case.request(changes))

    def opened(*_: Any, **__: Any) -> Any:
        raise AssertionError("a destination must do no I/O")

    monkeypatch.setattr(socket, "socket", opened)
    monkeypatch.setattr(socket, "getaddrinfo", opened)
    monkeypatch.setattr("builtins.open", opened)
    case.destination.build(changes, AT)
    case.destination.read(answer, changes)


@pytest.mark.parametrize("kind", DESTINATIONS)
def test_the_example_works_and_hides_its_secrets(kind: str) -> None:
    destination = DESTINATIONS[kind]
    assert destination.type == kind
    assert check({"type": kind, **destination.example}) == []
    for option in destination.all_options():
        assert option.doc.endswith(".")
        if option.secret and option.name in destination.example:
            assert "env_var" in destination.example[option.name]
