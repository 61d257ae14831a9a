"""The tests that every replay must pass. A test file inherits them and says which replay: its fixture `replayed`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import duckdb
import pytest

from .claims import CLAIMS, Claim, violations
from .data_sets import HERE
from .database import Database
from .replay import Figures
from .stage import Stage

DOCUMENT = HERE.parents[1] / "docs" / "real-input.md"
_TAMPERS = [pytest.param(claim, sql, id=f"{claim.name}: {words}") for claim in CLAIMS for words, sql in claim.tampers]


@dataclass
class Replayed:
    """A finished replay, with the facts laid beside it. `checking` is the time spent on them, in seconds."""

    name: str
    stage: Stage
    figures: Figures
    database: Database
    checking: float = 0.0

    def check(self, claim: Claim) -> list[tuple[object, ...]]:
        """What breaks the claim."""
        began = time.perf_counter()
        try:
            return violations(self.database, claim)
        finally:
            self.checking += time.perf_counter() - began

    def count(self, sql: str) -> int:
        """The single figure of a query."""
        return int(self.database.rows(sql)[0][0])


@contextmanager
def replayed_with_facts(name: str, stage: Stage, figures: Figures) -> Iterator[Replayed]:
    """Lay the hand-made facts beside the state that the replay left behind."""
    database = stage.open()
    try:
        began = time.perf_counter()
        for file in (stage.data_set.folder / "facts.sql", HERE / "views.sql"):
            database.run(file.read_text())
        if database.is_postgres:
            database.run("ANALYZE")  # without figures about the new tables, the claims' joins take a minute
        yield Replayed(name, stage, figures, database, time.perf_counter() - began)
    finally:
        database.close()


class Proof:
    """What must hold after a replay."""

    @pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
    def test_claim_holds(self, replayed: Replayed, claim: Claim) -> None:
        assert replayed.check(claim) == [], claim.words
        assert f"- {claim.words}\n" in DOCUMENT.read_text(), "docs/real-input.md lists the claims"

    def test_each_accepted_message_is_in_the_outbox_once(self, replayed: Replayed) -> None:
        files = str(replayed.stage.directory / "outbox" / "*.jsonl")
        sent = duckdb.execute("SELECT message_id FROM read_json(?, format = 'newline_delimited')", [files]).fetchall()
        accepted = replayed.database.rows(
            "SELECT message_id FROM activate.deliveries WHERE status = 'accepted' AND run_id <> 'history'"
        )
        assert sent
        assert sorted(sent) == sorted(accepted)

    def test_the_ticks_report_what_the_tables_hold(self, replayed: Replayed) -> None:
        decided = replayed.database.rows(
            "SELECT outcome, gate, reason, count(*) FROM activate.decisions GROUP BY outcome, gate, reason"
        )
        assert {row[:3]: row[3] for row in decided} == dict(replayed.figures.decisions)
        assert replayed.count("SELECT count(*) FROM activate.entries") == replayed.figures.entered
        assert replayed.count("SELECT count(*) FROM activate.runs WHERE status = 'decided'") == replayed.figures.ticks

    def test_figures(self, replayed: Replayed, record_property: Any) -> None:
        """Hands the figures over to the summary that conftest.py prints; the page in docs/ must tell the same ones."""
        figures = table_of(replayed)
        record_property("real_input", json.dumps({"replay": replayed.name, "figures": figures}))
        if told := _documented(replayed.name):
            assert told == {row: f"{value:,}" for row, value in figures.items() if isinstance(value, int)}


class TamperProof:
    """That the claims can fail: each notices the tampering it names."""

    @pytest.mark.parametrize(("claim", "tamper"), _TAMPERS)
    def test_tampering_is_noticed(self, replayed: Replayed, claim: Claim, tamper: str) -> None:
        with replayed.database.undone():
            assert replayed.database.run(tamper) > 0, "there was nothing to tamper with"
            assert violations(replayed.database, claim), claim.words
        assert not violations(replayed.database, claim), "the tampering was not undone"


def table_of(replayed: Replayed) -> dict[str, object]:
    """The figures of one replay in the order in which they are printed."""
    figures, stage, count = replayed.figures, replayed.stage, replayed.count
    outcomes = {
        f"{outcome}: {reason}": people
        for (outcome, _, reason), people in sorted(figures.decisions.items(), key=lambda item: (item[0][0], -item[1]))
    }
    return {
        "raw rows": sum(stage.rows.values()),
        "people": count("SELECT count(*) FROM facts.people"),
        "events": count("SELECT count(*) FROM shop.events"),
        "messages of others": count("SELECT count(*) FROM activate.messages WHERE run_id = 'history'"),
        "first tick": f"{figures.first:%Y-%m-%d %H:%M}",
        "last tick": f"{figures.last:%Y-%m-%d %H:%M}",
        "ticks": figures.ticks,
        "entries": figures.entered,
        "decisions": figures.decisions.total(),
        **outcomes,
        **{f"delivered: {status}": messages for status, messages in sorted(figures.deliveries.items())},
        "seconds to load": round(stage.seconds["load"], 1),
        "seconds in dbt": round(stage.seconds["dbt"], 1),
        "seconds to decide": round(figures.deciding, 1),
        "seconds per tick": round(figures.deciding / figures.ticks, 3),
        "seconds to deliver": round(figures.delivering, 1),
        "seconds to check": round(replayed.checking, 1),
        "claims": len(CLAIMS),
    }


def _documented(name: str) -> dict[str, str]:
    """The whole figures of a replay in docs/real-input.md (not its seconds), by row; none if it is not shown there."""
    table = [line.strip()[1:-1] for line in DOCUMENT.read_text().splitlines() if line.startswith("|")]
    if not table:
        return {}
    head, *lines = [[cell.strip() for cell in line.split("|")] for line in table]
    cells = {line[0]: line[head.index(name)] for line in lines} if name in head else {}
    return {row: cell for row, cell in cells.items() if cell.replace(",", "").isdigit() and row != "claims that held"}
