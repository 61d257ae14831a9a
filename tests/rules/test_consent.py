"""Consent and reachability: docs/rules.md, and the numbered cases of "Consent" that deciding touches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from activate.testing.scenario import Scenario

Build = Callable[..., Scenario]

TWO = [{"channels": ["push", "email"]}]


def hello(scenario: Scenario, **keys: object) -> Scenario:
    """A campaign that sends at once, launched on 1 March."""
    scenario.campaign("hello", **{"enter": {"trigger": "visit"}, **keys}).tick("2026-03-01 00:00")
    return scenario


def test_8_the_first_channel_with_an_address_and_consent(build: Build) -> None:
    """8: Email: opted_in / subscribed (default) / unsubscribed; default audience = first two."""
    cases: list[tuple[dict[str, Any], str, str | None]] = [
        ({}, "send ready", "push"),
        ({"push_token": None}, "send ready", "email"),
        ({"push_token": ""}, "send ready", "email"),
        ({"push_consent": "unsubscribed"}, "send ready", "email"),
        ({"push_consent": None}, "send ready", "email"),
        ({"push_token": None, "email": None}, "suppress unreachable", None),
        ({"push_token": None, "email_consent": "unsubscribed"}, "suppress no_consent", None),
        ({"push_consent": "OPTED_IN", "email": None}, "suppress no_consent", None),
    ]
    scenario = hello(build(), steps=TWO)
    for number, (profile, _, _) in enumerate(cases):
        scenario.profile(f"p{number}", **profile).event("visit", f"p{number}", at="2026-03-02 10:00")
    decided = [f"p{number} hello/1: {told}" for number, (_, told, _) in enumerate(cases)]
    assert scenario.tick("2026-03-02 10:00") == decided
    channels = {row["user_id"]: row["channel"] for row in scenario.decisions()}
    assert channels == {f"p{number}": channel for number, (_, _, channel) in enumerate(cases)}


def test_8_a_channel_without_a_consent_column_needs_none(build: Build) -> None:
    """docs/rules.md: consent (...; always, for a channel without `consent`)."""
    scenario = hello(build(), steps=[{"channels": ["sms"]}]).profile("ada")
    assert scenario.event("visit", "ada", at="2026-03-02 10:00").tick("2026-03-02 10:00") == ["ada hello/1: send ready"]


def test_8_no_profile_and_two_profiles(build: Build) -> None:
    """docs/rules.md: `no_profile`, `duplicate_profile`."""
    scenario = hello(build()).profile("ada").profile_twice("ada")
    scenario.event("visit", "ada", at="2026-03-02 10:00").event("visit", "bob", at="2026-03-02 10:00")
    assert scenario.tick("2026-03-02 10:00") == [
        "ada hello/1: suppress duplicate_profile",
        "bob hello/1: suppress no_profile",
    ]


def test_8_3_an_unsubscribe_while_the_message_waits(build: Build) -> None:
    """8.3: Unsubscribe between decide and dispatch: suppressed (here: between the trigger and the decision)."""
    scenario = hello(build(time_window={"open": "08:00", "close": "22:00"})).profile("ada")
    scenario.event("visit", "ada", at="2026-03-02 23:00").tick("2026-03-02 23:00")
    scenario.profile("ada", push_consent="unsubscribed")
    assert scenario.tick("2026-03-03 08:00") == ["ada hello/1: suppress no_consent"]
