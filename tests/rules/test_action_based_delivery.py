"""The numbered cases of "Action-based delivery": entering by what people do, waits, exceptions, retriggers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest

from activate.testing.scenario import Scenario

Build = Callable[..., Scenario]

CART = {"trigger": "cart"}


def carts(scenario: Scenario, **keys: object) -> Scenario:
    """A campaign of one step on abandoned carts, for Ada, launched on 1 March at midnight."""
    scenario.campaign("nudge", **{"enter": CART, "steps": [{"wait": "30 minutes"}], **keys}).profile("ada")
    assert scenario.tick("2026-03-01 00:00") == []
    return scenario


def test_1_1_an_exception_before_the_trigger_does_not_count(build: Build) -> None:
    """1.1: Exception 1 ms before trigger: sends. Same millisecond, different event_id: suppressed."""
    scenario = carts(build(), exceptions=[{"event": "purchase"}]).profile("bob")
    for person, bought in (("ada", "2026-03-02 09:59:59.999"), ("bob", "2026-03-02 10:00:00.000")):
        scenario.event("cart", person, at="2026-03-02 10:00")
        scenario.event("purchase", person, at=bought, id=f"{person} bought")
    assert scenario.tick("2026-03-02 10:30") == ["ada nudge/1: send ready", "bob nudge/1: suppress exception_event"]
    evidence = {row["user_id"]: row["evidence"] for row in scenario.decisions()}
    assert evidence == {"ada": None, "bob": "bob bought"}


def test_1_1_the_trigger_row_itself_is_no_exception(build: Build) -> None:
    """1: Exception cancels when [...] `trigger_ts ≤ exc_ts ≤ as_of` at dispatch, excluding the trigger row itself."""
    scenario = carts(build(), exceptions=[{"event": "cart"}])
    scenario.event("cart", "ada", at="2026-03-02 10:00")
    assert scenario.tick("2026-03-02 10:30") == ["ada nudge/1: send ready"]


def test_1_2_restart_moves_what_is_due(build: Build) -> None:
    """1.2: Same timestamp, same event type as trigger but different row: `restart` moves due; `ignore` keeps it."""
    scenario = carts(build(), on_retrigger="restart")
    scenario.event("cart", "ada", at="2026-03-02 10:00").tick("2026-03-02 10:05")
    scenario.event("cart", "ada", at="2026-03-02 10:20")
    assert scenario.tick("2026-03-02 10:30") == ["ada nudge/1: suppress restarted"]
    assert scenario.tick("2026-03-02 10:50") == ["ada nudge/1: send ready"]


def test_1_2_ignore_keeps_what_is_due(build: Build) -> None:
    """1.2: Same timestamp, same event type as trigger but different row: `restart` moves due; `ignore` keeps it."""
    scenario = carts(build(), on_retrigger="ignore")
    scenario.event("cart", "ada", at="2026-03-02 10:00").tick("2026-03-02 10:05")
    scenario.event("cart", "ada", at="2026-03-02 10:00")
    assert scenario.tick("2026-03-02 10:20") == ["ada nudge/0: suppress already_waiting"]
    assert scenario.tick("2026-03-02 10:30") == ["ada nudge/1: send ready"]


def test_1_2_of_two_rows_at_one_instant_one_enters(build: Build) -> None:
    """1.2: Same timestamp, same event type as trigger but different row (both seen by one tick)."""
    scenario = build().campaign("again", enter=CART, steps=[{"wait": "30 minutes"}], on_retrigger="restart")
    carts(scenario, on_retrigger="ignore")
    scenario.event("cart", "ada", at="2026-03-02 10:00").event("cart", "ada", at="2026-03-02 10:00")
    assert scenario.tick("2026-03-02 10:30") == [
        "ada again/0: suppress restarted",
        "ada again/1: send ready",
        "ada nudge/0: suppress already_waiting",
        "ada nudge/1: send ready",
    ]


def test_1_3_an_exception_while_quiet_hours_hold_the_message(build: Build) -> None:
    """1.3: Exception between due and actual dispatch (quiet-hours deferral): suppressed."""
    scenario = carts(
        build(time_window={"open": "09:00", "close": "21:00"}),
        exceptions=[{"event": "purchase"}],
        steps=[{"wait": "30 minutes", "expires": "24 hours"}],
    )
    scenario.event("cart", "ada", at="2026-03-02 21:00")
    assert scenario.tick("2026-03-02 22:00") == ["ada nudge/1: defer window_closed until 2026-03-03 09:00:00"]
    scenario.event("purchase", "ada", at="2026-03-03 07:00")
    assert scenario.tick("2026-03-03 09:00") == ["ada nudge/1: suppress exception_event"]


def test_1_4_an_exception_that_is_loaded_too_late(build: Build) -> None:
    """1.4: Exception with `event_ts < due` but `loaded_ts > dispatch`: sent; write `late_exception` audit row."""
    scenario = carts(build(), exceptions=[{"event": "purchase"}])
    scenario.event("cart", "ada", at="2026-03-02 10:00")
    scenario.event("purchase", "ada", at="2026-03-02 10:10", loaded="2026-03-02 10:45", id="late")
    assert scenario.tick("2026-03-02 10:30") == ["ada nudge/1: send ready"]
    assert scenario.tick("2026-03-02 11:00") == []
    audits = [(row["kind"], row["evidence"], row["message_id"]) for row in scenario.audits()]
    assert audits == [("late_exception", "late", scenario.messages("ada")[0]["message_id"])]


@pytest.mark.parametrize(
    ("named", "audited"),
    [([{"event": "purchase"}, {"event": "return"}], ["late"]), ([{"event": "return"}], [])],
)
def test_1_4_an_exception_is_too_late_also_for_an_entry_that_ended_under_an_older_version(
    build: Build, named: list[dict[str, object]], audited: list[str]
) -> None:
    """docs/rules.md: `late_exception` holds for whichever version it was, while a campaign's file names the exception."""
    scenario = carts(build(), exceptions=[{"event": "purchase"}])
    scenario.event("cart", "ada", at="2026-03-02 10:00")
    scenario.event("purchase", "ada", at="2026-03-02 10:10", loaded="2026-03-10 09:00", id="late")
    scenario.tick("2026-03-02 10:30")
    scenario.campaign("nudge", enter=CART, steps=[{"wait": "2 hours"}], exceptions=named).profile("bob")
    scenario.tick("2026-03-02 11:00")
    scenario.event("cart", "bob", at="2026-03-09 10:00").tick("2026-03-09 10:30")
    scenario.tick("2026-03-10 09:30")
    assert [row["evidence"] for row in scenario.audits()] == audited


def test_1_4_a_late_exception_for_a_campaign_whose_file_is_gone(build: Build) -> None:
    """docs/rules.md: it is enough that some campaign's file names the same exception."""
    scenario = carts(build(), exceptions=[{"event": "purchase", "match": "cart_id"}])
    scenario.campaign("other", enter={"trigger": "visit"}, exceptions=[{"event": "purchase", "match": "cart_id"}])
    scenario.event("cart", "ada", at="2026-03-02 10:00", cart_id="A").tick("2026-03-02 10:30")
    for cart in ("A", "B"):
        scenario.event("purchase", "ada", at="2026-03-02 10:10", loaded="2026-03-03 09:00", cart_id=cart, id=cart)
    scenario.remove_campaign("nudge").tick("2026-03-02 12:00")
    scenario.tick("2026-03-03 09:00")
    assert [row["evidence"] for row in scenario.audits()] == ["A"]


def test_1_12_what_was_refused_and_is_forgotten_is_looked_at_again(build: Build) -> None:
    """docs/rules.md: refusals are remembered for `scan.remember`, and as long as anything of their age is found."""
    scenario = carts(build(scan={"remember": "1 day", "max_lateness": "1 hour", "overlap": 0}))
    scenario.event("cart", "ada", at="2026-03-02 10:00", id="cart").tick("2026-03-02 12:00")
    scenario.event("cart", "ada", at="2026-03-03 11:00", id="cart").tick("2026-03-03 11:00")
    assert len(scenario.decisions()) == 1, "it is known still"
    scenario.event("cart", "ada", at="2026-03-03 12:30", id="cart")
    assert scenario.tick("2026-03-03 13:00") == ["ada nudge/1: send ready"]


@pytest.mark.parametrize("re_enter", ["always", {"after": "1 day"}], ids=["always", "after a day"])
def test_1_12_what_was_let_in_is_one_occurrence_for_good(build: Build, re_enter: object) -> None:
    """1.12: dedupe by event_id. A later time makes no second entry of it, however long ago it was forgotten."""
    scenario = carts(build(scan={"remember": 0, "overlap": 0}), re_enter=re_enter)
    scenario.event("cart", "ada", at="2026-03-02 10:00", id="cart").tick("2026-03-02 10:10")
    assert scenario.tick("2026-03-02 10:30") == ["ada nudge/1: send ready"]
    scenario.tick("2026-03-04 12:00")  # nothing is open from here on: what was decided is not read any more
    scenario.event("cart", "ada", at="2026-03-05 12:00", id="cart")
    assert scenario.tick("2026-03-05 13:00") == []
    scenario.event("cart", "ada", at="2026-03-05 13:05", id="another")
    assert scenario.tick("2026-03-05 13:40") == ["ada nudge/1: send ready"]
    assert len({row["message_id"] for row in scenario.messages()}) == len(scenario.messages()) == 2
    assert [row["occurrence_id"] for row in scenario.entries()] == ["cart", "another"]


def test_1_4_settle_waits_for_events_still_being_loaded(build: Build) -> None:
    """1: Provide `settle_seconds` ≥ p99 load lag before `due_ts` decisions."""
    scenario = carts(build(scan={"settle": "15 minutes"}), exceptions=[{"event": "purchase"}])
    scenario.event("cart", "ada", at="2026-03-02 10:00")
    scenario.event("purchase", "ada", at="2026-03-02 10:10", loaded="2026-03-02 10:45")
    assert scenario.tick("2026-03-02 10:44") == []
    assert scenario.tick("2026-03-02 10:45") == ["ada nudge/1: suppress exception_event"]


def test_1_5_an_exception_for_another_cart(build: Build) -> None:
    """1.5: Exception for cart B does not cancel cart A when `match_key=cart_id`; without a key it does."""
    scenario = build()
    scenario.campaign("any", enter=CART, steps=[{"wait": "30 minutes"}], exceptions=[{"event": "purchase"}])
    carts(scenario, exceptions=[{"event": "purchase", "match": "cart_id"}])
    scenario.event("cart", "ada", at="2026-03-02 10:00", cart_id="A")
    scenario.event("purchase", "ada", at="2026-03-02 10:10", cart_id="B")
    assert scenario.tick("2026-03-02 10:30") == ["ada any/1: suppress exception_event", "ada nudge/1: send ready"]


def test_1_5_the_match_key_tells_waiting_entries_apart(build: Build) -> None:
    """1: Re-fire during delay: [...] default `ignore` per `match_key`."""
    scenario = carts(build(), re_enter="always", exceptions=[{"event": "purchase", "match": "cart_id"}])
    scenario.event("cart", "ada", at="2026-03-02 10:00", cart_id="A")
    scenario.event("cart", "ada", at="2026-03-02 10:01", cart_id="B")
    scenario.event("cart", "ada", at="2026-03-02 10:02", cart_id="A")
    assert scenario.tick("2026-03-02 10:05") == ["ada nudge/0: suppress already_waiting"]
    assert scenario.tick("2026-03-02 11:00") == ["ada nudge/1: send ready"] * 2


def test_1_6_a_delay_longer_than_the_campaign(build: Build) -> None:
    """1.6: Delay longer than (end - start): zero sends, config lint error."""
    scenario = carts(
        build(), active={"from": "2026-03-02", "until": "2026-03-02T12:00:00"}, steps=[{"wait": "13 hours"}]
    )
    scenario.event("cart", "ada", at="2026-03-02 00:00").tick("2026-03-02 00:10")
    assert scenario.tick("2026-03-02 13:00") == ["ada nudge/1: suppress campaign_ended"]


def test_1_7_due_at_the_end_of_the_campaign(build: Build) -> None:
    """1.7: Trigger inside the campaign, due = `end` exactly: `campaign_ended`."""
    scenario = carts(build(), active={"until": "2026-03-02T10:30:00"})
    scenario.event("cart", "ada", at="2026-03-02 10:00")
    assert scenario.tick("2026-03-02 10:30") == ["ada nudge/1: suppress campaign_ended"]


def test_1_7_a_microsecond_before_the_end_is_in_time(build: Build) -> None:
    """1.7: Trigger inside the campaign, due = `end` exactly: `campaign_ended` (and just before it, not)."""
    scenario = carts(build(), active={"until": "2026-03-02T10:30:00.000001"})
    scenario.event("cart", "ada", at="2026-03-02 10:00")
    assert scenario.tick("2026-03-02 10:30") == ["ada nudge/1: send ready"]


@pytest.mark.parametrize(
    ("at", "decided"),
    [("2026-03-31 23:59:59.999999", ["ada nudge/1: send ready"]), ("2026-04-01 00:00", [])],
)
def test_1_15_the_end_is_an_exclusive_instant(build: Build, at: str, decided: list[str]) -> None:
    """1.15: Schedule end date inclusive there; document ours as exclusive instant."""
    scenario = carts(build(), active={"from": "2026-03-01", "until": "2026-04-01"}, steps=[{}])
    assert scenario.event("cart", "ada", at=at).tick(at) == decided
    assert [row["expires_at"] for row in scenario.messages()] == [dt.datetime(2026, 4, 1)] * len(decided)


@pytest.mark.parametrize(("joined_at", "entered"), [("2026-03-31 23:59:59.999999", 1), ("2026-04-01 00:00", 0)])
def test_1_15_nobody_enters_by_a_segment_at_the_end(build: Build, joined_at: str, entered: int) -> None:
    """1.15: Schedule end date inclusive there; document ours as exclusive instant."""
    scenario = build().profile("ada").segment("vip")
    scenario.campaign("nudge", enter={"segment": "vip"}, active={"until": "2026-04-01"}).tick("2026-03-01 00:00")
    scenario.segment("vip", "ada").tick(joined_at)
    assert len(scenario.entries()) == entered


@pytest.mark.parametrize(
    ("wait", "too_early", "due"),
    [
        ("in 1 day at 06:00", "2026-03-03 05:59:59", "2026-03-03 06:00"),
        ("1 day", "2026-03-03 20:59:59", "2026-03-03 21:00"),
    ],
)
def test_1_8_calendar_days_and_days_of_24_hours(build: Build, wait: str, too_early: str, due: str) -> None:
    """1.8: Trigger at Mon 21:00, "in 1 calendar day at 06:00": Tue 06:00 (9 h later). `after 1 day`: Tue 21:00."""
    scenario = carts(build(), steps=[{"wait": wait}])
    scenario.event("cart", "ada", at="2026-03-02 21:00")
    assert scenario.tick(too_early) == []
    assert scenario.tick(due) == ["ada nudge/1: send ready"]


def test_1_9_next_saturday_on_a_saturday(build: Build) -> None:
    """1.9: "Next Saturday" triggered on Saturday 00:01: +7 days."""
    scenario = carts(build(), steps=[{"wait": "next saturday at 10:00"}])
    scenario.event("cart", "ada", at="2026-03-07 00:01")
    assert scenario.tick("2026-03-07 10:00") == []
    assert scenario.tick("2026-03-14 09:59:59") == []
    assert scenario.tick("2026-03-14 10:00") == ["ada nudge/1: send ready"]


def test_1_10_re_eligible_after_thirty_days(build: Build) -> None:
    """1.10: Window 30 d: sent 15 Feb, run 15 Mar (28 d): not eligible."""
    scenario = build().campaign("nudge", enter=CART, re_enter={"after": "30 days"}, steps=[{"wait": "30 minutes"}])
    scenario.profile("ada").tick("2026-02-01")
    scenario.event("cart", "ada", at="2026-02-15 09:30")
    assert scenario.tick("2026-02-15 10:00") == ["ada nudge/1: send ready"]
    scenario.event("cart", "ada", at="2026-03-15 10:00")
    assert scenario.tick("2026-03-15 10:00") == ["ada nudge/0: suppress not_re_eligible"]
    scenario.event("cart", "ada", at="2026-03-17 09:59")
    assert scenario.tick("2026-03-17 09:59:59") == ["ada nudge/0: suppress not_re_eligible"]
    scenario.event("cart", "ada", at="2026-03-17 10:00")
    assert scenario.tick("2026-03-17 10:00") == []
    assert scenario.tick("2026-03-17 10:30") == ["ada nudge/1: send ready"]


def test_1_10_a_suppressed_person_stays_eligible(build: Build) -> None:
    """1: Suppressed users stay eligible."""
    scenario = carts(build(), exceptions=[{"event": "purchase"}])
    scenario.event("cart", "ada", at="2026-03-02 10:00").event("purchase", "ada", at="2026-03-02 10:10")
    assert scenario.tick("2026-03-02 10:30") == ["ada nudge/1: suppress exception_event"]
    scenario.event("cart", "ada", at="2026-03-02 11:00")
    assert scenario.tick("2026-03-02 11:30") == ["ada nudge/1: send ready"]


def test_1_10_a_message_that_definitely_failed_does_not_count(build: Build) -> None:
    """1: campaigns count from last **send**."""
    scenario = carts(build())
    scenario.event("cart", "ada", at="2026-03-02 10:00")
    assert scenario.tick("2026-03-02 10:30") == ["ada nudge/1: send ready"]
    scenario.event("cart", "ada", at="2026-03-02 11:00")
    assert scenario.tick("2026-03-02 11:00") == ["ada nudge/0: suppress not_re_eligible"]
    scenario.delivered("rejected", user_id="ada", at="2026-03-02 11:05").event("cart", "ada", at="2026-03-02 11:10")
    assert scenario.tick("2026-03-02 11:40") == ["ada nudge/1: send ready"]


def test_1_11_a_journey_entered_without_a_message(build: Build) -> None:
    """1.11: Entered journey, received nothing, re-entry off: stays blocked."""
    scenario = carts(build(), exceptions=[{"event": "purchase"}], steps=[{"wait": "30 minutes"}, {"wait": "1 day"}])
    scenario.event("cart", "ada", at="2026-03-02 10:00").event("purchase", "ada", at="2026-03-02 10:10")
    assert scenario.tick("2026-03-02 10:30") == ["ada nudge/1: suppress exception_event"]
    assert scenario.messages() == []
    scenario.event("cart", "ada", at="2026-03-09 10:00")
    assert scenario.tick("2026-03-09 10:30") == ["ada nudge/0: suppress not_re_eligible"]


def test_1_12_three_triggers_in_one_second(build: Build) -> None:
    """1.12: Three identical triggers in one second [...] Ours: dedupe by event_id, never by second."""
    scenario = carts(build(), on_retrigger="stack", re_enter="always")
    for name in ("one", "two", "two"):
        scenario.event("cart", "ada", at="2026-03-02 10:00:00", id=name)
    assert scenario.tick("2026-03-02 10:30") == ["ada nudge/1: send ready"] * 2
    assert {entry["occurrence_id"] for entry in scenario.entries()} == {"one", "two"}


def test_1_12_an_event_that_is_loaded_again_later(build: Build) -> None:
    """1: Scan by `loaded_ts` cursor with overlap and event_id dedupe."""
    scenario = carts(build(), on_retrigger="stack", re_enter="always")
    scenario.event("cart", "ada", at="2026-03-02 10:00", id="one").tick("2026-03-02 10:30")
    scenario.event("cart", "ada", at="2026-03-02 10:00", loaded="2026-03-02 10:45", id="one")
    assert scenario.tick("2026-03-02 11:00") == []
    scenario.event("cart", "ada", at="2026-03-09 10:00", id="one")
    assert scenario.tick("2026-03-09 11:00") == []
    assert len(scenario.entries()) == 1


def test_1_13_a_trigger_older_than_the_lateness_allowed(build: Build) -> None:
    """1.13: Event older than `max_lateness`: `trigger_too_late`; never a message about last week."""
    scenario = carts(build(scan={"max_lateness": "2 hours"}))
    scenario.event("cart", "ada", at="2026-03-02 10:00", loaded="2026-03-02 12:00")
    scenario.event("cart", "ada", at="2026-03-02 09:59:59", loaded="2026-03-02 12:00")
    decided = scenario.tick("2026-03-02 12:00")
    assert decided == ["ada nudge/0: suppress trigger_too_late", "ada nudge/1: send ready"]


@pytest.mark.parametrize(("on_edit", "due"), [("keep", "2026-03-02 10:30"), ("adopt", "2026-03-02 12:00")])
def test_1_14_a_campaign_that_is_edited_while_people_wait(build: Build, on_edit: str, due: str) -> None:
    """1.14: Campaign edited while pending: pending rows keep the old version unless the operator chooses `adopt`."""
    scenario = carts(build())
    scenario.event("cart", "ada", at="2026-03-02 10:00").tick("2026-03-02 10:05")
    scenario.campaign("nudge", enter=CART, steps=[{"wait": "2 hours"}], on_edit=on_edit)
    times = ["2026-03-02 10:30", "2026-03-02 12:00"]
    assert {at: scenario.tick(at) for at in times} == {
        at: ["ada nudge/1: send ready"] if at == due else [] for at in times
    }


@pytest.mark.parametrize("before", [None, "cart_value"])
def test_1_14_an_adopted_match_is_asked_of_those_who_entered_without_it(build: Build, before: str | None) -> None:
    """1.14 and 1.5: an entry holds the value of the match it entered by; the adopted one is read from its context."""
    old = {"event": "purchase"} | ({"match": before} if before else {})
    scenario = carts(build(), exceptions=[old], on_edit="adopt").profile("bob")
    for person in ("ada", "bob"):
        scenario.event("cart", person, at="2026-03-02 10:00", cart_id="A", cart_value=100)
    scenario.tick("2026-03-02 10:05")
    scenario.campaign(
        "nudge", enter=CART, steps=[{"wait": "30 minutes"}], on_edit="adopt",
        exceptions=[{"event": "purchase", "match": "cart_id"}],
    )  # fmt: skip
    scenario.event("purchase", "ada", at="2026-03-02 10:10", cart_id="A", cart_value=1)
    scenario.event("purchase", "bob", at="2026-03-02 10:10", cart_id="B", cart_value=100)
    assert scenario.tick("2026-03-02 10:30") == [
        "ada nudge/1: suppress exception_event", "bob nudge/1: send ready",
    ]  # fmt: skip


def test_1_14_a_campaign_that_is_taken_away_while_people_wait(build: Build) -> None:
    """docs/rules.md: `campaign_removed`: the campaign's file is gone."""
    scenario = carts(build())
    scenario.event("cart", "ada", at="2026-03-02 10:00").tick("2026-03-02 10:05")
    assert scenario.remove_campaign("nudge").tick("2026-03-02 10:30") == ["ada nudge/1: suppress campaign_removed"]


def test_1_no_firing_on_events_before_the_launch(build: Build) -> None:
    """1: `start ≤ event_ts < end` and `event_ts ≥ launched_at`: no retroactive firing."""
    scenario = build().campaign("nudge", enter=CART).profile("ada")
    scenario.event("cart", "ada", at="2026-03-01 23:59:59", loaded="2026-03-02 00:10")
    scenario.event("cart", "ada", at="2026-03-02 00:00", id="in time")
    assert scenario.tick("2026-03-02 00:00") == ["ada nudge/1: send ready"]
    assert scenario.tick("2026-03-02 00:10") == []
    assert [entry["occurrence_id"] for entry in scenario.entries()] == ["in time"]


def test_1_since_takes_events_from_before_the_launch(build: Build) -> None:
    """docs/rules.md: with `since`, rows loaded at or before the launch are exempt from `trigger_too_late`."""
    scenario = build().campaign("nudge", enter={**CART, "since": "2026-02-01"}).profile("ada").profile("bob")
    scenario.event("cart", "ada", at="2026-02-01 00:00").event("cart", "bob", at="2026-01-31 23:59:59")
    assert scenario.tick("2026-03-02 00:00") == ["ada nudge/1: suppress expired"]
    assert [entry["user_id"] for entry in scenario.entries()] == ["ada"]


def test_1_the_property_filter(build: Build) -> None:
    """1: a missing property matches nothing, including negations."""
    scenario = carts(build(), enter={**CART, "where": "NOT (cart_value > 100)"}).profile("bob").profile("cid")
    scenario.event("cart", "ada", at="2026-03-02 10:00", cart_value=100)
    scenario.event("cart", "bob", at="2026-03-02 10:00", cart_value=101)
    scenario.event("cart", "cid", at="2026-03-02 10:00", cart_value=None)
    assert scenario.tick("2026-03-02 10:30") == ["ada nudge/1: send ready"]


def test_1_audience_at_the_door_and_again_at_the_step(build: Build) -> None:
    """1: Audience: checked at entry; optional re-check at send."""
    scenario = build().campaign("nudge", enter=CART, audience={"in": ["vip"]}, steps=[{"wait": "30 minutes"}])
    scenario.profile("ada").profile("bob").segment("vip", "ada").tick("2026-03-01 00:00")
    scenario.event("cart", "ada", at="2026-03-02 10:00").event("cart", "bob", at="2026-03-02 10:00")
    assert scenario.tick("2026-03-02 10:05") == ["bob nudge/0: suppress not_in_audience"]
    assert scenario.segment("vip", "bob").tick("2026-03-02 10:30") == ["ada nudge/1: suppress not_in_audience"]


def test_1_expiry_is_counted_from_the_trigger(build: Build) -> None:
    """1: Expiry: `min(campaign_end, trigger_ts + ttl)`, checked at dispatch."""
    for at, decided in (("2026-03-02 11:59:59", "send ready"), ("2026-03-02 12:00", "suppress expired")):
        scenario = carts(build(), steps=[{"wait": "30 minutes", "expires": "2 hours"}])
        scenario.event("cart", "ada", at="2026-03-02 10:00")
        assert scenario.tick(at) == [f"ada nudge/1: {decided}"]
