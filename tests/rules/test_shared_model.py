"""The numbered cases of the shared model: the order of gates, one row per outcome, the same instant again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest

from activate import run
from activate.errors import LeaseHeldError, TimeOrderError
from activate.testing.scenario import Scenario
from activate.warehouses.base import Warehouse

Build = Callable[..., Scenario]


def test_0_1_the_same_instant_again_changes_nothing(build: Build) -> None:
    """0.1: Rerunning any task with the same `as_of` gives byte-identical decisions and zero new sends."""
    scenario = _one_of_each(build)
    first = scenario.tick("2026-03-02 23:00")
    before = (scenario.entries(), scenario.decisions(), scenario.messages())
    assert scenario.tick("2026-03-02 23:00") == first
    assert (scenario.entries(), scenario.decisions(), scenario.messages()) == before
    assert {line.split(": ")[1].split()[0] for line in first} == {"send", "defer", "suppress", "withhold"}


def test_0_1_a_replay_from_nothing_gives_the_same_rows(build: Build) -> None:
    """0.1: Rerunning any task with the same `as_of` gives byte-identical decisions and zero new sends."""
    one, two = _one_of_each(build), _one_of_each(build)
    for scenario in (one, two):
        scenario.tick("2026-03-02 23:00")
    assert one.decisions() == two.decisions()
    assert one.messages() == two.messages()


def test_0_an_earlier_instant_is_refused(build: Build) -> None:
    """design.md: One `now` per tick; nothing else reads a clock."""
    scenario = _one_of_each(build)
    scenario.tick("2026-03-02 23:00")
    with pytest.raises(TimeOrderError, match="2026-03-02 23:00:00"):
        scenario.tick("2026-03-02 22:59:59")


def test_0_3_two_ticks_at_one_time(build: Build, warehouse: Warehouse) -> None:
    """0.3: Two schedulers on one interval: exactly one obtains the (run, user) reservation."""
    if warehouse.name == "duckdb":
        pytest.skip(
            "an in-memory DuckDB has no second process to keep out; tests/decide/test_tick.py covers its file lock"
        )
    scenario = _one_of_each(build)
    other = warehouse.clone()
    with other.lock(f"tick.{scenario.state_schema}", 0), pytest.raises(LeaseHeldError):
        run.decide(warehouse, scenario.project(), dt.datetime(2026, 3, 2), wait_seconds=0)
    other.close()


ORDER = (
    "suppress campaign_ended",
    "suppress exception_event",
    "suppress not_in_audience",
    "suppress no_profile",
    "suppress window_closed",
    "suppress expired",
    "suppress frequency_cap",
    "withhold control_group",
    "send ready",
)


def test_0_the_first_gate_that_does_not_pass_decides(build: Build) -> None:
    """0: Fixed gate order per candidate: with the first few gates mended, the first of the others decides.

    As many are mended for each person as the number in their name says; each has a campaign of their own.
    """
    night = {"open": "01:00", "close": "02:00", "when_closed": "drop"}
    mended = {f"p{number}": number for number in range(len(ORDER))}
    caps = [{"limit": 0, "per": "1 day", "campaign": name} for name, number in mended.items() if number <= 6]
    scenario = build(time_window=night, frequency_caps=caps)
    for name, number in mended.items():
        scenario.campaign(
            name,
            enter={"trigger": name},
            active={} if number > 0 else {"until": "2026-03-02T11:00:00"},
            exceptions=[{"event": "purchase"}],
            audience={"in": [f"vip_{name}"]},
            control="0%" if number > 7 else "100%",
            steps=[{"wait": "1 hour", "expires": "1 hour" if number <= 5 else "2 hours"}],
            **({"time_window": "none"} if number > 4 else {}),
        )
        scenario.segment(f"vip_{name}", name)
    scenario.tick("2026-03-01 00:00")
    for name in mended:
        scenario.event(name, name, at="2026-03-02 10:00")
    scenario.tick("2026-03-02 10:00")
    for name, number in mended.items():
        if number <= 1:
            scenario.event("purchase", name, at="2026-03-02 10:30")
        if number <= 2:
            scenario.segment(f"vip_{name}")
        if number > 3:
            scenario.profile(name)
    assert scenario.tick("2026-03-02 11:00") == [f"{name} {name}/1: {ORDER[number]}" for name, number in mended.items()]


def _one_of_each(build: Build) -> Scenario:
    """Four people, one for each outcome."""
    scenario = build(time_window={"open": "08:00", "close": "22:00"})
    enter = {"trigger": "cart"}
    scenario.campaign("sent", enter=enter, time_window="none").campaign("held", enter=enter)
    scenario.campaign("control", enter=enter, time_window="none", control="100%")
    scenario.campaign("ended", enter=enter, exceptions=[{"event": "purchase"}])
    scenario.profile("ada").tick("2026-03-01 00:00")
    return scenario.event("cart", "ada", at="2026-03-02 22:30").event("purchase", "ada", at="2026-03-02 22:40")
