"""docs/rules.md, section 7: a campaign that would send too many messages at once sends none of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlglot import exp

from activate import run
from activate.errors import WarehouseError
from activate.record.approvals import grant, open_approvals, record_use
from activate.testing.scenario import Scenario
from activate.words import parse_instant

Build = Callable[..., Scenario]

PEOPLE = ("ada", "bob", "cid", "dan")


def launched(build: Build, limit: object = 2, policy: dict[str, Any] | None = None, **keys: object) -> Scenario:
    """A campaign `sale` with a guard and one `news` without, launched long before, and four people."""
    scenario = build(**(policy or {}))
    for person in PEOPLE:
        scenario.profile(person)
    scenario.campaign("sale", **{"enter": {"trigger": "sale"}, "guard": {"max_messages": limit}, **keys})
    scenario.campaign("news", enter={"trigger": "news"}, re_enter="always", on_retrigger="stack")
    scenario.tick("2026-03-01 00:00")
    return scenario


def happens(scenario: Scenario, name: str, *people: str, at: str = "2026-03-02 09:00") -> Scenario:
    for person in people:
        scenario.event(name, person, at=at)
    return scenario


def held(*people: str) -> list[str]:
    return [f"{person} sale/1: defer guard_messages" for person in people]


def sent(*people: str) -> list[str]:
    return [f"{person} sale/1: send ready" for person in people]


def used(scenario: Scenario) -> list[tuple[str, str]]:
    return [(row["name"], row["run_id"]) for row in scenario.approvals() if row["status"] == "used"]


def test_more_than_the_limit_holds_back_all_of_them_and_no_other_campaign(build: Build) -> None:
    scenario = launched(build)
    happens(scenario, "sale", "ada", "bob", "cid")
    happens(scenario, "news", "ada")
    assert scenario.tick("2026-03-02 09:00") == sorted([*held("ada", "bob", "cid"), "ada news/1: send ready"])
    assert [row["campaign"] for row in scenario.messages()] == ["news"]
    told = [(row["gate"], row["rule"], row["evidence"], row["observed"], row["channel"], row["message_id"])
            for row in scenario.decisions() if row["campaign"] == "sale"]  # fmt: skip
    assert told == [("guard", "guard.max_messages", "2", 3, "push", None)] * 3


@pytest.mark.parametrize("people", [PEOPLE[:1], PEOPLE[:2]], ids=["under", "equal"])
def test_as_many_as_the_limit_are_sent(build: Build, people: tuple[str, ...]) -> None:
    assert happens(launched(build), "sale", *people).tick("2026-03-02 09:00") == sent(*people)


def test_what_was_held_back_goes_out_when_the_number_is_under_the_limit(build: Build) -> None:
    scenario = happens(launched(build), "sale", "ada", "bob", "cid")
    scenario.tick("2026-03-02 09:00")
    scenario.no_profile("cid")
    assert scenario.tick("2026-03-02 09:10") == sorted([*sent("ada", "bob"), "cid sale/1: suppress no_profile"])


def test_a_guard_that_is_raised_or_taken_away_counts_at_once_for_entries_of_the_old_version(build: Build) -> None:
    scenario = happens(launched(build), "sale", "ada", "bob", "cid")
    scenario.tick("2026-03-02 09:00")
    scenario.campaign("sale", enter={"trigger": "sale"}, guard={"max_messages": 3})
    assert scenario.tick("2026-03-02 09:10") == sent("ada", "bob", "cid")


def test_all_steps_and_versions_of_a_campaign_are_counted_together(build: Build) -> None:
    steps = [{}, {"wait": "1 hour"}]
    scenario = happens(launched(build, steps=steps), "sale", "ada", "bob")
    scenario.tick("2026-03-02 09:00")
    scenario.campaign("sale", enter={"trigger": "sale"}, guard={"max_messages": 2}, description="x", priority=7)
    happens(scenario, "sale", "cid", at="2026-03-02 10:00")
    again = [f"{person} sale/2: defer guard_messages" for person in ("ada", "bob")]
    assert scenario.tick("2026-03-02 10:00") == sorted([*again, *held("cid")])


def test_a_postponement_that_goes_on_is_recorded_once_and_nothing_is_lost(build: Build) -> None:
    scenario = happens(launched(build), "sale", "ada", "bob", "cid")
    scenario.tick("2026-03-02 09:00")
    happens(scenario, "sale", "dan", at="2026-03-02 09:05")
    assert scenario.tick("2026-03-02 09:10") == held("dan")
    assert scenario.tick("2026-03-02 09:20") == []
    assert scenario.tick("2026-03-02 09:30") == []
    assert len(scenario.decisions()) == 4
    scenario.approve("sale", 4, at="2026-03-02 09:35")
    assert scenario.tick("2026-03-02 09:40") == sent(*PEOPLE)


def test_the_same_now_again_changes_nothing(build: Build) -> None:
    scenario = happens(launched(build), "sale", "ada", "bob", "cid")
    scenario.approve("sale", 2, at="2026-03-02 08:00")
    scenario.tick("2026-03-02 09:00")
    again = run.decide(scenario.warehouse, scenario.project(), parse_instant("2026-03-02 09:00"))
    assert (again.counts, again.changed) == ((), False)
    scenario.approve("sale", 3, at="2026-03-02 08:30")
    scenario.tick("2026-03-02 09:10")
    assert len(used(scenario)) == 1
    again = run.decide(scenario.warehouse, scenario.project(), parse_instant("2026-03-02 09:10"))
    assert (again.counts, again.changed, len(used(scenario))) == ((), False, 1)


def test_an_exception_event_ends_what_is_held_back(build: Build) -> None:
    scenario = launched(build, exceptions=[{"event": "purchase"}])
    happens(scenario, "sale", "ada", "bob", "cid").tick("2026-03-02 09:00")
    happens(scenario, "purchase", "ada", at="2026-03-02 09:05")
    assert scenario.tick("2026-03-02 09:10") == sorted(["ada sale/1: suppress exception_event", *sent("bob", "cid")])


def test_what_is_held_back_expires(build: Build) -> None:
    scenario = launched(build, steps=[{"expires": "1 hour"}])
    happens(scenario, "sale", "ada", "bob", "cid").tick("2026-03-02 09:00")
    assert scenario.tick("2026-03-02 09:59") == []
    assert scenario.tick("2026-03-02 10:00") == [f"{name} sale/1: suppress expired" for name in ("ada", "bob", "cid")]
    assert all(row["ends_entry"] for row in scenario.decisions()[-3:])


def test_a_held_back_message_waits_for_the_window_again(build: Build) -> None:
    policy = {"time_window": {"open": "09:00", "close": "21:00"}}
    scenario = happens(launched(build, policy=policy), "sale", "ada", "bob", "cid")
    scenario.tick("2026-03-02 09:00")
    closed = [f"{name} sale/1: defer window_closed until 2026-03-03 09:00:00" for name in ("ada", "bob", "cid")]
    assert scenario.tick("2026-03-02 21:00") == closed
    assert scenario.tick("2026-03-03 09:00") == held("ada", "bob", "cid")


def test_the_control_group_is_no_message_and_waits_with_the_others(build: Build) -> None:
    scenario = launched(build, limit=3, control="25%")
    happens(scenario, "sale", *PEOPLE).tick("2026-03-02 09:00")
    outcomes = {row["user_id"]: row["outcome"] for row in scenario.decisions()}
    assert outcomes == {"ada": "send", "bob": "send", "cid": "withhold", "dan": "send"}
    scenario = launched(build, limit=2, control="25%")
    assert happens(scenario, "sale", *PEOPLE).tick("2026-03-02 09:00") == held(*PEOPLE)
    assert {row["observed"] for row in scenario.decisions()} == {3}


def test_people_stopped_by_another_gate_are_not_counted(build: Build) -> None:
    scenario = launched(build, policy={"frequency_caps": [{"limit": 1, "per": "1 day"}]})
    happens(scenario, "news", "ada", at="2026-03-02 08:00").tick("2026-03-02 08:00")
    scenario.profile("bob", push_consent="no")
    decided = happens(scenario, "sale", *PEOPLE).tick("2026-03-02 09:00")
    stopped = ["ada sale/1: suppress frequency_cap", "bob sale/1: suppress no_consent"]
    assert decided == sorted([*stopped, *sent("cid", "dan")])


def test_caps_are_counted_as_if_what_is_held_back_were_sent_in_this_tick(build: Build) -> None:
    scenario = launched(build, policy={"frequency_caps": [{"limit": 1, "per": "1 day"}]}, priority=60)
    happens(scenario, "sale", "ada", "bob", "cid")
    happens(scenario, "news", "ada", "dan")
    decided = scenario.tick("2026-03-02 09:00")
    others = ["ada news/1: suppress frequency_cap", "dan news/1: send ready"]
    assert decided == sorted([*held("ada", "bob", "cid"), *others])
    scenario.remove_campaign("sale")
    happens(scenario, "news", "ada", at="2026-03-02 09:10")
    assert "ada news/1: send ready" in scenario.tick("2026-03-02 09:10")  # it was not sent, so no history counts it


def test_a_percentage_is_of_the_rows_of_the_profiles_model(build: Build) -> None:
    limits = {"50%": 2, "25.5%": 1, "74.9999%": 2, "75%": 3, "100%": 4}
    scenario = build()
    for person in PEOPLE:
        scenario.profile(person)
    for at, share in enumerate(limits):
        for name in (f"sale{at}_full", f"sale{at}_over"):
            scenario.campaign(name, enter={"trigger": name}, guard={"max_messages": share})
    scenario.tick("2026-03-01 00:00")
    expected = []
    for at, people in enumerate(limits.values()):
        happens(scenario, f"sale{at}_full", *PEOPLE[:people])
        expected += [f"{person} sale{at}_full/1: send ready" for person in PEOPLE[:people]]
        if people < len(PEOPLE):
            happens(scenario, f"sale{at}_over", *PEOPLE[: people + 1])
            expected += [f"{person} sale{at}_over/1: defer guard_messages" for person in PEOPLE[: people + 1]]
    assert scenario.tick("2026-03-02 09:00") == sorted(expected)
    told = {row["campaign"]: row["evidence"] for row in scenario.decisions() if row["outcome"] == "defer"}
    assert told == {f"sale{at}_over": str(people) for at, people in enumerate(limits.values()) if people < len(PEOPLE)}


# -- approvals ------------------------------------------------------------------------------------------------------


def test_an_approval_lets_as_many_as_its_ceiling_pass_once(build: Build) -> None:
    scenario = launched(build, re_enter="always", on_retrigger="stack")
    happens(scenario, "sale", "ada", "bob", "cid").tick("2026-03-02 09:00")
    approval = scenario.approve("sale", 3, at="2026-03-02 09:05")
    assert scenario.tick("2026-03-02 09:10") == sent("ada", "bob", "cid")
    given, taken = scenario.approvals()
    assert (given["status"], given["granted_by"], given["run_id"]) == ("granted", "somebody", None)
    assert (taken["status"], taken["run_id"]) == ("used", "20260302T091000Z")
    same = ("approval_id", "subject", "name", "kind", "ceiling", "expires_at")
    assert [taken[key] for key in same] == [given[key] for key in same]
    assert taken["approval_id"] == approval
    happens(scenario, "sale", "ada", "bob", "cid", at="2026-03-02 10:00")
    assert scenario.tick("2026-03-02 10:00") == held("ada", "bob", "cid")
    assert len(used(scenario)) == 1


def test_more_than_the_ceiling_is_held_back_again_and_the_approval_stays_open(build: Build) -> None:
    scenario = launched(build)
    scenario.approve("sale", 3, at="2026-03-02 08:00")
    assert happens(scenario, "sale", *PEOPLE).tick("2026-03-02 09:00") == held(*PEOPLE)
    scenario.no_profile("dan")
    assert scenario.tick("2026-03-02 09:10") == sorted([*sent("ada", "bob", "cid"), "dan sale/1: suppress no_profile"])
    assert used(scenario) == [("sale", "20260302T091000Z")]


def test_as_many_as_the_limit_use_no_approval(build: Build) -> None:
    scenario = launched(build)
    scenario.approve("sale", 3, at="2026-03-02 08:00")
    assert happens(scenario, "sale", "ada", "bob").tick("2026-03-02 09:00") == sent("ada", "bob")
    assert used(scenario) == []


def test_an_approval_is_open_from_when_it_was_given_until_it_lapses(build: Build) -> None:
    scenario = build()
    for person in PEOPLE[:2]:
        scenario.profile(person)
    for name in ("open", "lapsed", "not_given_yet"):
        scenario.campaign(name, enter={"trigger": name}, guard={"max_messages": 1})
        happens(scenario, name, *PEOPLE[:2])
    scenario.tick("2026-03-01 00:00")
    scenario.approve("open", 2, at="2026-03-02 09:00", expires="2026-03-02 09:01")
    scenario.approve("lapsed", 2, at="2026-03-02 08:00", expires="2026-03-02 09:00")
    scenario.approve("not_given_yet", 2, at="2026-03-02 09:01", expires="2026-03-03 00:00")
    told = {"open": "send ready", "lapsed": "defer guard_messages", "not_given_yet": "defer guard_messages"}
    decided = sorted(f"{person} {name}/1: {outcome}" for person in PEOPLE[:2] for name, outcome in told.items())
    assert scenario.tick("2026-03-02 09:00") == decided


def test_another_campaigns_approval_is_of_no_use(build: Build) -> None:
    scenario = happens(launched(build), "sale", "ada", "bob", "cid")
    scenario.approve("news", 3, at="2026-03-02 08:00")
    assert scenario.tick("2026-03-02 09:00") == held("ada", "bob", "cid")


def test_of_several_approvals_the_one_with_the_largest_ceiling_is_used(build: Build) -> None:
    scenario = launched(build, re_enter="always", on_retrigger="stack")
    scenario.approve("sale", 3, at="2026-03-02 08:00")
    largest = scenario.approve("sale", 4, at="2026-03-02 08:01")
    happens(scenario, "sale", "ada", "bob", "cid").tick("2026-03-02 09:00")
    assert [row["approval_id"] for row in scenario.approvals() if row["status"] == "used"] == [largest]
    happens(scenario, "sale", "ada", "bob", "cid", at="2026-03-02 10:00")
    assert scenario.tick("2026-03-02 10:00") == sent("ada", "bob", "cid")


def test_a_plan_uses_no_approval(build: Build) -> None:
    scenario = happens(launched(build), "sale", "ada", "bob", "cid")
    scenario.approve("sale", 3, at="2026-03-02 08:00")
    tick = run.decide(scenario.warehouse, scenario.project(), parse_instant("2026-03-02 09:00"), commit=False)
    assert tick.total("send") == 3
    assert used(scenario) == []


def test_a_tick_that_fails_after_using_an_approval_leaves_it_open(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = happens(launched(build), "sale", "ada", "bob", "cid")
    scenario.approve("sale", 3, at="2026-03-02 08:00")
    execute = scenario.warehouse.execute
    seen: list[str] = []

    def failing(statement: exp.Expr | str) -> None:
        text = str(statement)
        seen.append(text)
        if text.startswith("INSERT") and "messages (" in text:
            raise WarehouseError("the lights went out")
        execute(statement)

    with monkeypatch.context() as patch:
        patch.setattr(scenario.warehouse, "execute", failing)
        with pytest.raises(WarehouseError, match="nothing was recorded"):
            run.decide(scenario.warehouse, scenario.project(), parse_instant("2026-03-02 09:00"))
    assert any("approvals" in text for text in seen)
    assert used(scenario) == []
    assert scenario.tick("2026-03-02 09:00") == sent("ada", "bob", "cid")


def test_approvals_of_any_subject_and_kind_are_kept_apart(build: Build) -> None:
    scenario = launched(build)
    project, warehouse = scenario.project(), scenario.warehouse
    now, later = parse_instant("2026-03-02 08:00"), parse_instant("2026-03-03 08:00")

    def give(kind: str, ceiling: int, subject: str = "audience") -> str:
        return grant(
            warehouse, project, subject=subject, name="vip", kind=kind, ceiling=ceiling, granted_by="me", now=now,
            expires_at=later,
        )  # fmt: skip

    added, more, removed = give("added", 5), give("added", 9), give("removed", 3)
    give("messages", 7, subject="campaign")
    assert give("added", 5) == added  # the same leave again is the same leave
    expected = {("vip", "added"): (more, 9), ("vip", "removed"): (removed, 3)}
    assert open_approvals(warehouse, project, now, "audience") == expected
    record_use(warehouse, project, more, run_id="r1", now=now)
    assert open_approvals(warehouse, project, now, "audience")["vip", "added"] == (added, 5)
    record_use(warehouse, project, added, run_id="r2", now=now)
    assert set(open_approvals(warehouse, project, now, "audience")) == {("vip", "removed")}
    assert open_approvals(warehouse, project, later, "audience") == {}
