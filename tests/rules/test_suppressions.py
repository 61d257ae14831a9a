"""Suppressions: docs/rules.md, section 9; every tick is also put to the oracle."""

from __future__ import annotations

from collections.abc import Callable

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


def test_a_number_is_the_same_in_every_spelling(build: Build) -> None:
    scenario = hello(build(), steps=[{"channels": ["sms"]}])
    scenario.profile("ada", phone="+15550100").profile("bob", phone="001 555 0100")
    scenario.profile("cid", phone="+1 (555) 01-00").profile("dan", phone="+15550101")
    scenario.suppressed("sms", "opted_out", "2026-03-01", address="+15550100")
    for user_id in ("bob", "cid", "dan"):
        scenario.event("visit", user_id, at="2026-03-02 10:00")
    suppressed = [f"{user_id} hello/1: suppress address_suppressed" for user_id in ("ada", "bob", "cid")]
    assert visited(scenario) == [*suppressed, "dan hello/1: send ready"]


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


def test_a_later_registration_brings_a_lost_address_back(build: Build) -> None:
    registered = {"ada": "2026-03-01 12:00:00.000001", "bob": "2026-03-01 12:00", "cid": "2026-02-01", "dan": None}
    scenario = build(channels=CHANNELS)
    hello(scenario, steps=[{"channels": ["push"]}])
    for user_id, at in registered.items():
        scenario.profile(user_id, push_at=at and parse_instant(at))
        scenario.suppressed("push", "unregistered", "2026-03-01 12:00", address=f"push of {user_id}")
        scenario.event("visit", user_id, at="2026-03-02 10:00")
    lost = [f"{user_id} hello/1: suppress address_suppressed" for user_id in ("bob", "cid", "dan")]
    assert scenario.tick("2026-03-02 10:00") == ["ada hello/1: send ready", *lost]


def test_a_registration_is_no_answer_to_a_refusal(build: Build) -> None:
    scenario = hello(build(channels=CHANNELS), steps=[{"channels": ["push"]}])
    scenario.profile("ada", push_at=parse_instant("2026-03-02"))
    scenario.suppressed("push", "opted_out", "2026-03-01", address="push of ada")
    assert visited(scenario) == ["ada hello/1: suppress address_suppressed"]


def test_what_a_transactional_message_is_kept_from(build: Build) -> None:
    cases = [
        ("email", "opted_out", "send ready"),
        ("email", "complained", "send ready"),
        ("email", "hard_bounce", "suppress address_suppressed"),
        ("sms", "opted_out", "suppress address_suppressed"),
        ("push", "unregistered", "suppress address_suppressed"),
        ("push", "opted_out", "suppress address_suppressed"),
    ]
    scenario = build()
    for channel in ("email", "sms", "push"):
        steps = [{"channels": [channel]}]
        scenario.campaign(channel, enter={"trigger": channel}, steps=steps, **{"class": "transactional"})
    scenario.tick("2026-03-01 00:00")
    for number, (channel, reason, _) in enumerate(cases):
        person = f"{channel} {reason}"
        address = {"email": f"p{number}@shop.example", "sms": f"+1555010{number}", "push": f"token {number}"}
        scenario.profile(person, email=address["email"], phone=address["sms"], push_token=address["push"])
        scenario.suppressed(channel, reason, "2026-03-01", address=address[channel])
        scenario.event(channel, person, at="2026-03-02 10:00")
    decided = sorted(f"{channel} {reason} {channel}/1: {told}" for channel, reason, told in cases)
    assert scenario.tick("2026-03-02 10:00") == decided


def test_8_4_a_refusal_wins_over_a_release_at_the_same_instant(build: Build) -> None:
    """8.4: Unsubscribe equal-timestamp with subscribe: unsubscribe wins."""
    released = {
        "09:59:59": "suppress address_suppressed",
        "10:00:00": "suppress address_suppressed",
        "10:00:01": "send ready",
    }
    scenario = hello(build(), steps=[{"channels": ["sms"]}])
    for number, at in enumerate(released):
        scenario.profile(at, phone=f"+1555010{number}").event("visit", at, at="2026-03-02 10:00")
        scenario.suppressed("sms", "opted_out", f"2026-03-01 {at}", address=f"+1555010{number}", released=True)
        scenario.suppressed("sms", "opted_out", "2026-03-01 10:00:00", address=f"+1555010{number}")
    assert scenario.tick("2026-03-02 10:00") == [f"{at} hello/1: {told}" for at, told in released.items()]
    for number, at in enumerate(released):
        scenario.suppressed("sms", "opted_out", "2026-03-02 10:30:00", address=f"+1555010{number}")
        scenario.event("visit", at, at="2026-03-02 11:00")
    assert scenario.tick("2026-03-02 11:00") == [f"{at} hello/1: suppress address_suppressed" for at in released]


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
