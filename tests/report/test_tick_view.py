"""What a tick decided, as people see it."""

from __future__ import annotations

import datetime as dt
import io

import pytest

from activate.decision import REASONS, Count, Tick
from activate.report.console import make_console
from activate.report.tick_view import show_sql, show_tick

NOW = dt.datetime(2026, 3, 28, 12)
TICK = Tick(
    run_id="r1",
    now=NOW,
    counts=(
        Count("abandoned_cart", "send", "send", "ready", "push", 1_234_567),
        Count("abandoned_cart", "send", "send", "ready", "email", 20),
        Count("abandoned_cart", "suppress", "caps", "frequency_cap", "push", 300),
        Count("abandoned_cart", "suppress", "consent", "no_consent", None, 12),
        Count("a_campaign_with_quite_a_long_name_for_a_table", "defer", "window", "window_closed", "email", 30),
        Count(
            "a_campaign_with_quite_a_long_name_for_a_table", "suppress", "expiry", "expired_in_quiet_hours", "email", 3
        ),
        Count("welcome", "withhold", "control", "global_control_group", "email", 7),
    ),
    entered={"abandoned_cart": 1_300_000, "newcomers": 5},
    samples={
        ("abandoned_cart", "send", "ready"): ("ann", "bob"),
        ("abandoned_cart", "suppress", "frequency_cap"): ("cid",),
    },
    invalid={"cart_abandoned": 4},
    statements=(("due", "SELECT 1"),),
    changed=True,
    committed=True,
    seconds=2.345,
)


def _printed(tick: Tick, planned: bool = False, width: int = 80) -> str:
    out = io.StringIO()
    show_tick(make_console(out, width=width), tick, planned)
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 100, 200])
def test_the_table_fits_and_no_figure_is_cut(width: int) -> None:
    told = _printed(TICK, width=width)
    assert max(len(line) for line in told.splitlines()) <= width
    for words in ("1,234,587", "push 1,234,567", "1,300,000", "no_consent", "1,234,939"):
        assert words in told


def test_every_reason_of_the_vocabulary_can_be_shown_whole() -> None:
    counts = tuple(Count("c", word.outcomes[0], word.gate, name, None, 1) for name, word in REASONS.items())
    told = _printed(Tick("r", NOW, counts))
    for name in REASONS:
        assert f" {name}" in told


def test_a_campaign_that_its_guard_holds_back_is_pointed_out() -> None:
    held = Tick("r", NOW, (Count("cart", "defer", "guard", "guard_messages", "push", 12_000),))
    told = _printed(held, width=200)
    assert "! cart: more messages than its guard allows, so none of them goes out; dbt-activate status tells" in told
    assert "after the run, dbt-activate status tells how to let them pass." in _printed(held, planned=True, width=200)
    assert "guard allows" not in _printed(TICK)


def test_outcomes_stand_in_the_order_send_defer_suppress_withhold() -> None:
    told = _printed(TICK)
    tail = told[told.index("all campaigns") :]
    places = [tail.index(outcome) for outcome in ("send", "defer", "suppress", "withhold")]
    assert places == sorted(places)


def test_a_plan_says_that_nothing_was_written_and_names_people() -> None:
    told = _printed(TICK, planned=True)
    assert "would decide" in told
    assert "Nothing was written and nothing was sent" in told
    assert "ann, bob" in told


def test_unusable_rows_are_named_by_model() -> None:
    assert "! cart_abandoned: 4 rows that nobody can be messaged by" in _printed(TICK)


def test_a_tick_with_nothing_to_do_is_one_sentence() -> None:
    told = _printed(Tick("r", NOW, ()), width=120).strip()
    assert told == "The tick of 2026-03-28 12:00 UTC decided nothing: nobody was due, nobody new had come."


def test_a_tick_says_which_campaigns_it_launches_and_what_that_means() -> None:
    """Else a newcomer's first plan, which finds nobody, looks like a mistake."""
    first = _printed(Tick("r", NOW, (), launched=("welcome", "cart"), changed=True), planned=True, width=200)
    assert "This tick launches cart, welcome: what happened before it brings nobody in, unless" in first
    assert "`enter.since`" in first
    assert "launches" not in _printed(TICK)


def test_a_second_tick_at_the_same_instant_says_that_nothing_was_new() -> None:
    again = Tick(**{**vars(TICK), "committed": False})
    assert "had been decided before" in _printed(again)


def test_sql_is_printed_plain_and_whole_into_a_pipe() -> None:
    out = io.StringIO()
    sql = "SELECT " + ", ".join(f"column_{number}" for number in range(40))
    show_sql(make_console(out, width=80), [("due", sql)], "duckdb")
    assert out.getvalue() == f"-- due\n{sql};\n\n"
