"""Engine and oracle, two implementations of docs/rules.md, decide the same about thousands of generated worlds."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from activate.errors import ActivateError
from activate.testing import worlds_run
from activate.testing.oracle_state import State
from activate.testing.worlds import Batch, simulate
from activate.testing.worlds_compare import Difference, Tables, actual_tables, differences, expected_tables
from activate.testing.worlds_reduce import describe, reduce
from activate.testing.worlds_run import both, disagreements
from activate.testing.worlds_strategies import TOWNS, WORLDS_PER_TOWN, make_batch, seeds
from activate.warehouses.base import Warehouse
from activate.warehouses.duckdb import DuckDB
from activate.warehouses.postgres import Postgres

PER_BATCH = TOWNS * WORLDS_PER_TOWN
# Every (gate, reason) of docs/rules.md.
VOCABULARY = {
    ("entry", "trigger_too_late"),
    ("audience", "not_in_audience"),
    ("re_entry", "already_waiting"),
    ("re_entry", "not_re_eligible"),
    ("re_entry", "restarted"),
    ("active", "campaign_ended"),
    ("active", "campaign_removed"),
    ("exception", "exception_event"),
    ("audience", "left_segment"),
    ("consent", "no_profile"),
    ("consent", "duplicate_profile"),
    ("consent", "unreachable"),
    ("consent", "no_consent"),
    ("consent", "address_suppressed"),
    ("window", "zone_missing"),
    ("window", "zone_invalid"),
    ("window", "window_closed"),
    ("window", "triggered_outside_window"),
    ("window", "superseded"),
    ("expiry", "expired"),
    ("expiry", "expired_in_quiet_hours"),
    ("caps", "frequency_cap"),
    ("guard", "guard_messages"),
    ("control", "control_group"),
    ("control", "global_control_group"),
    ("send", "ready"),
}


@pytest.fixture(params=["duckdb", "postgres"])
def open_warehouse(request: pytest.FixtureRequest) -> Iterator[Callable[[], Warehouse]]:
    """Opens a warehouse once, and again after a failure, when nobody knows what state the last one is in."""
    opened: list[Warehouse] = []

    def ready() -> Warehouse:
        if not opened:
            if request.param == "duckdb":
                opened.append(DuckDB.open(":memory:"))
            else:
                opened.append(Postgres.open(request.getfixturevalue("postgres_server")))
        return opened[0]

    yield ready
    for warehouse in opened:
        warehouse.close()


def agree(warehouse: Warehouse, seed: int, attempts: int = 300) -> None:
    """Fail with the smallest world in which engine and oracle disagree, if there is one in the batch of this seed."""
    batch = make_batch(seed)
    found = disagreements(warehouse, batch)
    if found:
        small = reduce(batch, lambda smaller: bool(_tried(warehouse, smaller)), attempts)
        text = describe(small, _tried(warehouse, small) or found)
        pytest.fail(f"engine and oracle disagree about make_batch({seed}), reduced to\n{text}", pytrace=False)


def _tried(warehouse: Warehouse, batch: Batch) -> list[Difference]:
    """The disagreements about a reduced batch; one that is no longer a valid world has none."""
    with suppress(ActivateError):
        return disagreements(warehouse, batch)
    return []


def worlds(count: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run a test on the seeds of so many worlds. Hypothesis does not shrink: `reduce` knows better what a world is."""

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        rules = settings(
            max_examples=-(-count // PER_BATCH),
            deadline=None,
            derandomize=False,
            print_blob=True,
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
            suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
        )
        return rules(given(seed=seeds())(test))

    return decorate


@worlds(2_000)
@pytest.mark.parametrize("open_warehouse", ["duckdb"], indirect=True)
def test_two_thousand_worlds(open_warehouse: Callable[[], Warehouse], seed: int) -> None:
    agree(open_warehouse(), seed)


@worlds(500)
@pytest.mark.parametrize("open_warehouse", ["postgres"], indirect=True)
def test_five_hundred_worlds_on_postgresql(open_warehouse: Callable[[], Warehouse], seed: int) -> None:
    agree(open_warehouse(), seed)


@pytest.mark.slow
@worlds(20_000)
def test_twenty_thousand_worlds(open_warehouse: Callable[[], Warehouse], seed: int) -> None:
    agree(open_warehouse(), seed)


@pytest.fixture(scope="module")
def simulated() -> list[State]:
    """What the oracle makes of 1,000 worlds, always the same ones."""
    batches = [make_batch(seed) for seed in range(-(-1_000 // PER_BATCH))]
    return [state for batch in batches for state, _ in simulate(batch)]


def test_the_worlds_know_every_reason(simulated: list[State]) -> None:
    found = Counter((row.gate, row.reason) for state in simulated for row in state.decisions)
    assert set(found) == VOCABULARY
    assert min(found.values()) >= 3, found.most_common()


def test_the_worlds_know_every_way_to_be_put_off(simulated: list[State]) -> None:
    found = Counter(
        (row.outcome, row.gate)
        for state in simulated
        for row in state.decisions
        if row.outcome in ("defer", "withhold")
    )
    assert set(found) == {("defer", "window"), ("defer", "caps"), ("defer", "guard"), ("withhold", "control")}
    assert min(found.values()) >= 20, found


def test_the_worlds_know_exceptions_that_come_too_late(simulated: list[State]) -> None:
    assert sum(len(state.audits) for state in simulated) >= 20


def test_most_worlds_are_eventful(simulated: list[State]) -> None:
    decisions = [len(state.decisions) for state in simulated]
    assert sum(count == 0 for count in decisions) < len(decisions) / 5
    assert sum(decisions) > 4 * len(decisions)


# -- the comparison can fail ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def agreed() -> tuple[Tables, Tables]:
    """Expected and actual tables of one batch, which has rows in every table."""
    expected, actual = both(DuckDB.open(":memory:"), make_batch(3, towns=3, worlds_per_town=14))
    assert differences(expected, actual) == []
    return expected, actual


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("decisions", "reason", "no_such_reason"),
        ("decisions", "retry_at", None),
        ("decisions", "ends_entry", None),
        ("decisions", "due_at", None),
        ("entries", "is_control", None),
        ("entries", "match_key", "no such cart"),
        ("messages", "channel", "pigeon"),
        ("messages", "tags", ("no_such_tag",)),
        ("memberships", "change", "stay"),
        ("audits", "evidence", "no such event"),
    ],
)
def test_one_changed_value_is_found(agreed: tuple[Tables, Tables], table: str, column: str, value: object) -> None:
    expected, actual = agreed
    place, row = next((place, row) for place, row in enumerate(actual[table]) if row[column] != value)
    rows = [*actual[table][:place], {**row, column: value}, *actual[table][place + 1 :]]
    found = differences(expected, {**actual, table: rows})
    assert [each.table for each in found] in ([table], [table] * 2)  # two where the value belongs to the row's key
    assert any(each.expected == row for each in found)


@pytest.mark.parametrize("table", ["entries", "decisions", "messages", "memberships", "audits"])
def test_a_missing_and_a_doubled_row_are_found(agreed: tuple[Tables, Tables], table: str) -> None:
    expected, actual = agreed
    [missing] = differences(expected, {**actual, table: actual[table][1:]})
    assert (missing.expected, missing.actual) == (actual[table][0], None)
    [doubled] = differences(expected, {**actual, table: [actual[table][0], *actual[table]]})
    assert (doubled.expected, doubled.actual, doubled.again) == (None, actual[table][0], True)


def test_a_mistaken_engine_fails_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    def mistaken(warehouse: Warehouse, schema: str) -> Tables:
        tables = actual_tables(warehouse, schema)
        first = min(tables["decisions"], key=lambda row: (row["decided_at"], row["entry_id"]), default=None)
        if first:
            first["reason"] = "ready" if first["reason"] != "ready" else "expired"
        return tables

    monkeypatch.setattr(worlds_run, "actual_tables", mistaken)
    monkeypatch.setattr(sys.modules[__name__], "make_batch", partial(make_batch, towns=2, worlds_per_town=2))
    with pytest.raises(pytest.fail.Exception, match=r"(?s)disagree about make_batch\(0\).*reason: expected"):
        agree(DuckDB.open(":memory:"), 0, attempts=3)


def test_a_disagreement_is_reduced_to_what_matters() -> None:
    def mistaken(batch: Batch) -> list[Difference]:
        """As if the engine had forgotten every cap."""
        free = replace(batch, policy=batch.policy.model_copy(update={"frequency_caps": ()}))
        return differences(*(expected_tables(state for state, _ in simulate(each)) for each in (batch, free)))

    batch = next(each for each in (make_batch(seed, worlds_per_town=7) for seed in range(50)) if mistaken(each))
    small = reduce(batch, lambda smaller: bool(mistaken(smaller)), attempts=2_000)
    [world], tables = small.worlds, small.worlds[0].moments[-1].tables
    assert len(small.policy.frequency_caps) == 1
    assert len({campaign.campaign for campaign in world.moments[-1].campaigns}) <= 2
    assert sum(len(rows) for rows in tables.values()) <= 4
    assert "reason=frequency_cap" in describe(small, mistaken(small))
