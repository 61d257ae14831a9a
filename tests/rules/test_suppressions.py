"""Suppressions: docs/rules.md, section 9; every tick is also put to the oracle."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from activate.testing.scenario import POLICY, Scenario
from activate.words import parse_instant

Build = Callable[..., Scenario]

TWO = [{"channels": ["push", "email"]}]
CHANNELS = {**POLICY["channels"], "push": {**POLICY["channels"]["push"], "registered": "push_at"}}


def visited(scenario: Scenario, at: str = "2026-03-02 10:00", user_id: str = "ada") -> list[str]:
    """Somebody visits, and a tick decides at once."""
    return scenario.event("visit", user_id, at=at).tick(at)


def hello(scenario: Scenario, **keys: object) -> Scenario:
    """A campaign that sends at once and again and again, launched on 1 March."""
    scenario.campaign("hello", **{"enter": {"trigger": "visit"}, "re_enter": "always", **keys})
    scenario.profile("ada", email="Ada@Shop.example", phone="+1 (555) 010-0").tick("2026-03-01 00:00")
    return scenario


def channels(scenario: Scenario) -> list[str | None]:
    return [row["channel"] for row in scenario.decisions()]


def test_the_next_channel_of_the_step_is_tried(build: Build) -> None:
    scenario = hello(build(), steps=TWO)
    scenario.suppressed("push", "unregistered", "2026-03-01", address="push of ada")
    assert visited(scenario) == ["ada hello/1: send ready"]
    assert channels(scenario) == ["email"]


def test_the_reason_tells_an_address_that_is_missing_from_one_that_is_suppressed(build: Build) -> None:
    scenario = hello(build(), steps=TWO)
    scenario.suppressed("push", "unregistered", "2026-03-01", address="push of ada")
    scenario.suppressed("email", "hard_bounce", "2026-03-01", address="ada@shop.example")
    assert visited(scenario) == ["ada hello/1: suppress address_suppressed"]
    scenario.profile("ada", email_consent="unsubscribed", push_token="another")
    assert visited(scenario, "2026-03-02 11:00") == ["ada hello/1: send ready"]
    scenario.profile("ada", push_token=None, email="ada@shop.example", email_consent="unsubscribed")
    assert visited(scenario, "2026-03-02 12:00") == ["ada hello/1: suppress no_consent"]
    scenario.profile("ada", push_token=None, email=None)
    assert visited(scenario, "2026-03-02 13:00") == ["ada hello/1: suppress unreachable"]


def test_it_holds_for_the_address_whoever_has_it_and_however_it_is_written(build: Build) -> None:
    scenario = hello(build(), steps=[{"channels": ["email"]}]).profile("bob", email=" ADA@shop.EXAMPLE")
    scenario.suppressed("email", "hard_bounce", "2026-03-01", address="ada@shop.example")
    assert visited(scenario, user_id="bob") == ["bob hello/1: suppress address_suppressed"]
    scenario.profile("bob", email="bob@shop.example")
    assert visited(scenario, "2026-03-02 11:00", "bob") == ["bob hello/1: send ready"]


@pytest.mark.parametrize("number", ["+15550100", "001 555 0100", "+1 (555) 01-00"])
def test_a_number_is_the_same_in_every_spelling(build: Build, number: str) -> None:
    scenario = hello(build(), steps=[{"channels": ["sms"]}]).profile("ada", phone=number)
    scenario.suppressed("sms", "opted_out", "2026-03-01", address="+15550100")
    assert visited(scenario) == ["ada hello/1: suppress address_suppressed"]


def test_a_token_is_not_the_same_in_small_letters(build: Build) -> None:
    scenario = hello(build(), steps=[{"channels": ["push"]}])
    scenario.suppressed("push", "unregistered", "2026-03-01", address="PUSH OF ADA")
    assert visited(scenario) == ["ada hello/1: send ready"]


def test_a_person_is_suppressed_whatever_the_address(build: Build) -> None:
    scenario = hello(build(), steps=[{"channels": ["email"]}]).profile("bob")
    scenario.suppressed("email", "opted_out", "2026-03-01", user_id="ada")
    scenario.event("visit", "bob", at="2026-03-02 10:00")
    assert visited(scenario) == ["ada hello/1: suppress address_suppressed", "bob hello/1: send ready"]
    scenario.profile("ada", email="new@shop.example")
    assert visited(scenario, "2026-03-02 11:00") == ["ada hello/1: suppress address_suppressed"]


@pytest.mark.parametrize(
    ("registered", "reached"),
    [("2026-03-01 12:00:00.000001", True), ("2026-03-01 12:00", False), ("2026-02-01", False), (None, False)],
)
def test_a_later_registration_brings_a_lost_address_back(build: Build, registered: str | None, reached: bool) -> None:
    scenario = build(channels=CHANNELS)
    hello(scenario, steps=[{"channels": ["push"]}])
    scenario.profile("ada", push_at=registered and parse_instant(registered))
    scenario.suppressed("push", "unregistered", "2026-03-01 12:00", address="push of ada")
    assert visited(scenario) == [f"ada hello/1: {'send ready' if reached else 'suppress address_suppressed'}"]


def test_a_registration_is_no_answer_to_a_refusal(build: Build) -> None:
    scenario = hello(build(channels=CHANNELS), steps=[{"channels": ["push"]}])
    scenario.profile("ada", push_at=parse_instant("2026-03-02"))
    scenario.suppressed("push", "opted_out", "2026-03-01", address="push of ada")
    assert visited(scenario) == ["ada hello/1: suppress address_suppressed"]


@pytest.mark.parametrize(
    ("channel", "reason", "address", "sent"),
    [
        ("email", "opted_out", "ada@shop.example", True),
        ("email", "complained", "ada@shop.example", True),
        ("email", "hard_bounce", "ada@shop.example", False),
        ("sms", "opted_out", "+15550100", False),
        ("push", "unregistered", "push of ada", False),
        ("push", "opted_out", "push of ada", False),
    ],
)
def test_what_a_transactional_message_is_kept_from(
    build: Build, channel: str, reason: str, address: str, sent: bool
) -> None:
    scenario = hello(build(), steps=[{"channels": [channel]}], **{"class": "transactional"})
    scenario.suppressed(channel, reason, "2026-03-01", address=address)
    assert visited(scenario) == [f"ada hello/1: {'send ready' if sent else 'suppress address_suppressed'}"]


@pytest.mark.parametrize(("released", "sent"), [("09:59:59", False), ("10:00:00", False), ("10:00:01", True)])
def test_8_4_a_refusal_wins_over_a_release_at_the_same_instant(build: Build, released: str, sent: bool) -> None:
    """8.4: Unsubscribe equal-timestamp with subscribe: unsubscribe wins."""
    scenario = hello(build(), steps=[{"channels": ["sms"]}])
    scenario.suppressed("sms", "opted_out", f"2026-03-01 {released}", address="+15550100", released=True)
    scenario.suppressed("sms", "opted_out", "2026-03-01 10:00:00", address="+15550100")
    assert visited(scenario) == [f"ada hello/1: {'send ready' if sent else 'suppress address_suppressed'}"]
    scenario.suppressed("sms", "opted_out", "2026-03-02 10:30:00", address="+15550100")
    assert visited(scenario, "2026-03-02 11:00") == ["ada hello/1: suppress address_suppressed"]


def test_a_resubscription_mends_no_dead_mailbox(build: Build) -> None:
    scenario = hello(build(), steps=[{"channels": ["email"]}])
    for reason in ("hard_bounce", "complained"):
        scenario.suppressed("email", reason, "2026-03-01 10:00", address="ada@shop.example")
    scenario.suppressed("email", "opted_out", "2026-03-01 11:00", address="ada@shop.example", released=True)
    assert visited(scenario) == ["ada hello/1: suppress address_suppressed"]
    scenario.suppressed("email", "hard_bounce", "2026-03-02 10:30", address="ada@shop.example", released=True)
    assert visited(scenario, "2026-03-02 11:00") == ["ada hello/1: send ready"]


def test_a_channel_that_the_policy_no_longer_has_is_nothing(build: Build) -> None:
    scenario = hello(build(), steps=[{"channels": ["email"]}])
    scenario.suppressed("fax", "hard_bounce", "2026-03-01", address="ada@shop.example")
    assert visited(scenario) == ["ada hello/1: send ready"]
