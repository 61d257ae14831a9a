"""The cases of "Journeys, experiments, control" that assignment touches, and those of journeys that steps touch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from activate.testing.scenario import Scenario

Build = Callable[..., Scenario]

SEVEN = [{"name": f"arm_{number}"} for number in range(7)]


def visits(scenario: Scenario, people: int, **keys: object) -> Scenario:
    """A campaign that everybody enters, launched on 1 March."""
    scenario.campaign("test", **{"enter": {"trigger": "visit"}, "re_enter": "always", "on_retrigger": "stack", **keys})
    for number in range(people):
        scenario.profile(f"person {number}")
    scenario.tick("2026-03-01 00:00")
    return scenario


def everybody_visits(scenario: Scenario, at: str) -> list[str]:
    """Let everybody enter now."""
    for user_id in scenario.profiles:
        scenario.event("visit", user_id, at=at)
    return scenario.tick(at)


def test_4_9_a_person_who_comes_back_is_in_the_same_arm(build: Build) -> None:
    """4.9: User deleted and recreated: new bucket in Braze; ours hashes external_id: same bucket."""
    scenario = visits(build(), 20, variants=SEVEN, control="50%")
    everybody_visits(scenario, "2026-03-02 10:00")
    everybody_visits(scenario, "2026-03-09 10:00")
    arms = Counter((entry["user_id"], entry["variant"], entry["is_control"]) for entry in scenario.entries())
    assert len(arms) == 20
    assert set(arms.values()) == {2}


def test_4_10_two_experiments_are_independent(build: Build) -> None:
    """4.10: Two experiments, different salts: assignments independent (agreement 50 % ± noise)."""
    scenario = visits(build(), 200, variants=[{"name": "a"}, {"name": "b"}])
    scenario.campaign("other", enter={"trigger": "visit"}, variants=[{"name": "a"}, {"name": "b"}])
    scenario.tick("2026-03-01 00:01")
    everybody_visits(scenario, "2026-03-02 10:00")
    arms: dict[str, set[str]] = {}
    for entry in scenario.entries():
        arms.setdefault(entry["user_id"], set()).add(entry["variant"])
    agreeing = sum(len(names) == 1 for names in arms.values())
    assert 75 <= agreeing <= 125


def test_4_15_seven_equal_arms(build: Build) -> None:
    """4.15: Seven equal variants: exact sevenths."""
    scenario = visits(build(), 210, variants=SEVEN)
    everybody_visits(scenario, "2026-03-02 10:00")
    arms = Counter(entry["variant"] for entry in scenario.entries())
    assert len(arms) == 7
    assert all(15 <= count <= 45 for count in arms.values())


def test_4_the_weights_of_arms_are_relative(build: Build) -> None:
    """docs/rules.md: the arms take the ranges of their weights in file order."""
    scenario = visits(build(), 200, variants=[{"name": "rare", "weight": 1}, {"name": "usual", "weight": 9}])
    everybody_visits(scenario, "2026-03-02 10:00")
    arms = Counter(entry["variant"] for entry in scenario.entries())
    assert 5 <= arms["rare"] <= 40
    assert arms["rare"] + arms["usual"] == 200


def test_4_the_assignment_is_stored(build: Build) -> None:
    """4: Store assignment; ranges change only by moving boundaries."""
    scenario = visits(build(), 10, control="100%", steps=[{"wait": "1 hour"}])
    everybody_visits(scenario, "2026-03-02 10:00")
    scenario.campaign("test", enter={"trigger": "visit"}, control="0%", on_edit="adopt", steps=[{"wait": "1 hour"}])
    assert {line.split(": ")[1] for line in scenario.tick("2026-03-02 11:00")} == {"withhold control_group"}


def test_4_the_global_control_group_and_transactional_messages(build: Build) -> None:
    """4: Global control: own salt, per tenant, excluded before step 1; transactional exempt by tag."""
    scenario = build(global_control="100%").profile("ada")
    scenario.campaign("offer", enter={"trigger": "visit"}, control="100%")
    scenario.campaign("receipt", enter={"trigger": "visit"}, **{"class": "transactional"})
    scenario.tick("2026-03-01 00:00")
    assert scenario.event("visit", "ada", at="2026-03-02 10:00").tick("2026-03-02 10:00") == [
        "ada offer/1: withhold global_control_group",
        "ada receipt/1: send ready",
    ]


def test_4_the_global_group_is_the_same_for_every_campaign(build: Build) -> None:
    """4: Global control: own salt."""
    scenario = visits(build(global_control="30%"), 60)
    scenario.campaign("other", enter={"trigger": "visit"}).tick("2026-03-01 00:01")
    everybody_visits(scenario, "2026-03-02 10:00")
    held = {
        name: {entry["user_id"] for entry in scenario.entries() if entry["campaign"] == name and entry["is_control"]}
        for name in ("test", "other")
    }
    assert held["test"] == held["other"]
    assert 5 <= len(held["test"]) <= 32


def test_4_2_an_exception_before_the_entry_is_ignored(build: Build) -> None:
    """4.2: Exit event before entry: ignored; use a filter."""
    scenario = visits(build(), 1, exceptions=[{"event": "buy"}])
    scenario.event("buy", "person 0", at="2026-03-02 09:59:59")
    assert everybody_visits(scenario, "2026-03-02 10:00") == ["person 0 test/1: send ready"]


def test_4_7_re_entry_during_the_first_instance(build: Build) -> None:
    """4.7: Re-entry during first instance: two instances."""
    scenario = visits(build(), 1, steps=[{}, {"wait": "1 day"}])
    everybody_visits(scenario, "2026-03-02 10:00")
    everybody_visits(scenario, "2026-03-02 12:00")
    assert scenario.tick("2026-03-03 10:00") == ["person 0 test/2: send ready"]
    assert scenario.tick("2026-03-03 12:00") == ["person 0 test/2: send ready"]


def test_4_14_a_journey_that_is_edited(build: Build) -> None:
    """4.14: Journey edited: running instances finish their version."""
    steps = [{}, {"wait": "1 day"}, {"wait": "1 day"}]
    scenario = build().campaign("adopt", enter={"trigger": "visit"}, steps=steps[:2])
    visits(scenario, 1, steps=steps[:2])
    everybody_visits(scenario, "2026-03-02 10:00")
    for name, on_edit in (("adopt", "adopt"), ("test", "keep")):
        scenario.campaign(name, enter={"trigger": "visit"}, on_edit=on_edit, steps=steps)
    second = ["person 0 adopt/2: send ready", "person 0 test/2: send ready"]
    assert scenario.tick("2026-03-03 10:00") == second
    assert scenario.tick("2026-03-04 10:00") == ["person 0 adopt/3: send ready"]


def test_4_a_suppressed_step(build: Build) -> None:
    """4: Suppression advances the user by default (`on_suppressed: advance | exit | wait`)."""
    steps = [{"channels": ["push"]}, {"wait": "1 day", "channels": ["email"]}]
    scenario = build().campaign("exit", enter={"trigger": "visit"}, on_suppressed="exit", steps=steps)
    visits(scenario, 1, on_suppressed="advance", steps=steps)
    scenario.profile("person 0", push_token=None)
    first = ["person 0 exit/1: suppress unreachable", "person 0 test/1: suppress unreachable"]
    assert everybody_visits(scenario, "2026-03-02 10:00") == first
    assert scenario.tick("2026-03-03 10:00") == ["person 0 test/2: send ready"]
