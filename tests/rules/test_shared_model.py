"""The numbered cases of the shared model: the order of gates, one row per outcome, the same instant again."""

from __future__ import annotations

import datetime as dt

import pytest

from activate import run
from activate.errors import LeaseHeldError, TimeOrderError
from activate.testing.scenario import Scenario


def test_0_1_the_same_instant_again_changes_nothing(build) -> None:
    """0.1: Rerunning any task with the same `as_of` gives byte-identical decisions and zero new sends."""
    scenario = _one_of_each(build)
    first = scenario.tick("2026-03-02 23:00")
    before = (scenario.entries(), scenario.decisions(), scenario.messages())
    assert scenario.tick("2026-03-02 23:00") == first
    assert (scenario.entries(), scenario.decisions(), scenario.messages()) == before
    assert {line.split(": ")[1].split()[0] for line in first} == {"send", "defer", "suppress", "withhold"}


def test_0_1_a_replay_from_nothing_gives_the_same_rows(build) -> None:
    """0.1: Rerunning any task with the same `as_of` gives byte-identical decisions and zero new sends."""
    one, two = _one_of_each(build), _one_of_each(build)
    for scenario in (one, two):
        scenario.tick("2026-03-02 23:00")
    assert one.decisions() == two.decisions()
    assert one.messages() == two.messages()


def test_0_an_earlier_instant_is_refused(build) -> None:
    """design.md: One `now` per tick; nothing else reads a clock."""
    scenario = _one_of_each(build)
    scenario.tick("2026-03-02 23:00")
    with pytest.raises(TimeOrderError, match="2026-03-02 23:00:00"):
        scenario.tick("2026-03-02 22:59:59")


def test_0_3_two_ticks_at_one_time(build, warehouse) -> None:
    """0.3: Two schedulers on one interval: exactly one obtains the (run, user) reservation."""
    if warehouse.name == "duckdb":
        pytest.skip("an in-memory DuckDB has no second process to keep out; tests/record covers its file lock")
    scenario = _one_of_each(build)
    other = warehouse.clone()
    with other.lock(f"tick.{scenario.state_schema}", 0), pytest.raises(LeaseHeldError):
        run.decide(warehouse, scenario.project(), dt.datetime(2026, 3, 2), wait_seconds=0)
    other.close()


def test_0_the_first_gate_that_does_not_pass_decides(build) -> None:
    """0: Fixed gate order per candidate: each mends one gate, and the next one decides."""
    scenario = build(
        time_window={"open": "08:00", "close": "22:00"}, frequency_caps=[{"limit": 0, "per": "1 day"}]
    ).segment("vip")
    keys = {
        "enter": {"trigger": "cart"},
        "exceptions": [{"event": "purchase", "match": "cart_id"}],
        "on_retrigger": "stack",
        "on_edit": "adopt",
        "re_enter": "always",
        "control": "100%",
    }
    scenario.campaign("late", **keys, active={"until": "2026-03-02"}).tick("2026-02-28 00:00")
    scenario.event("cart", "ada", at="2026-03-01 23:00", cart_id="A").tick("2026-03-01 23:00")
    scenario.event("purchase", "ada", at="2026-03-01 23:30", cart_id="A")
    outcomes = [_newest(scenario, "2026-03-02 23:00")]
    # A new cart for each gate, as a decision to suppress at the last step is final.
    scenario.campaign("late", **keys, audience={"in": ["vip"]}, steps=[{"wait": "1 minute", "expires": "3 hours"}])
    mend = (
        lambda: scenario.event("purchase", "ada", at="2026-03-03 04:59:30", cart_id="1"),
        lambda: scenario.segment("vip"),
        lambda: scenario.segment("vip", "ada"),
        lambda: scenario.profile("ada", zone="Mars/Olympus"),
        lambda: scenario.profile("ada", zone="UTC"),
        lambda: scenario.profile("ada", zone="Asia/Tokyo"),
    )
    for hour, change in enumerate(mend, start=5):
        scenario.segment("vip", "ada")
        scenario.event("cart", "ada", at=f"2026-03-03 {hour - 1:02}:59", cart_id=str(hour - 4))
        scenario.tick(f"2026-03-03 {hour - 1:02}:59:10")
        change()
        outcomes.append(_newest(scenario, f"2026-03-03 {hour:02}:00"))
    assert outcomes == [
        ("active", "campaign_ended"),
        ("exception", "exception_event"),
        ("audience", "not_in_audience"),
        ("consent", "no_profile"),
        ("window", "zone_invalid"),
        ("caps", "frequency_cap"),
        ("caps", "frequency_cap"),
    ]
    scenario.edit_policy(frequency_caps=())
    scenario.event("cart", "ada", at="2026-03-03 12:00", cart_id="last").tick("2026-03-03 12:01")
    assert _newest(scenario, "2026-03-03 12:01") == ("control", "control_group")


def _newest(scenario: Scenario, at: str) -> tuple[str, str]:
    """Tick, and return gate and reason of the decision about what entered last."""
    scenario.tick(at)
    row = scenario.decisions()[-1]
    return row["gate"], row["reason"]


def _one_of_each(build) -> Scenario:
    """Four people, one for each outcome."""
    scenario = build(time_window={"open": "08:00", "close": "22:00"})
    enter = {"trigger": "cart"}
    scenario.campaign("sent", enter=enter, time_window="none").campaign("held", enter=enter)
    scenario.campaign("control", enter=enter, time_window="none", control="100%")
    scenario.campaign("ended", enter=enter, exceptions=[{"event": "purchase"}])
    scenario.profile("ada").tick("2026-03-01 00:00")
    return scenario.event("cart", "ada", at="2026-03-02 22:30").event("purchase", "ada", at="2026-03-02 22:40")
