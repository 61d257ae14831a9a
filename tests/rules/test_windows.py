"""The numbered cases of "Quiet hours and windows"."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest

from activate.testing.scenario import Scenario

Build = Callable[..., Scenario]

DAYTIME = {"open": "08:00", "close": "22:00"}


def held(scenario: Scenario, *names: str, **keys: object) -> Scenario:
    """Campaigns that send at once, for Ada, launched long before."""
    for name in names or ("hello",):
        scenario.campaign(
            name, **{"enter": {"trigger": "visit"}, "re_enter": "always", "on_retrigger": "stack", **keys}
        )
    scenario.tick("2026-01-01 00:00")
    return scenario


def test_2_1_the_edges_of_quiet_hours(build: Build) -> None:
    """2.1: 22:00-08:00: 21:59:59 sends; 22:00 quiet; 07:59:59 quiet; 08:00 sends; **00:00 and 00:30 quiet**."""
    waits = "defer window_closed until 2026-03-03 08:00:00"
    cases = {
        "2026-03-02 21:59:59": "send ready",
        "2026-03-02 22:00:00": waits,
        "2026-03-03 00:00:00": waits,
        "2026-03-03 00:30:00": waits,
        "2026-03-03 07:59:59": waits,
        "2026-03-03 08:00:00": "send ready",
    }
    scenario = held(build(time_window=DAYTIME))
    for at, decided in cases.items():
        lines = scenario.profile(at).event("visit", at, at=at).tick(at)
        assert [line for line in lines if line.startswith(at)] == [f"{at} hello/1: {decided}"]


@pytest.mark.parametrize(
    ("clock", "entered", "due"),
    [
        ("02:30", "2026-03-07 12:00", "2026-03-08 07:00:00"),
        ("01:30", "2026-10-31 12:00", "2026-11-01 05:30:00"),
    ],
)
def test_2_2_a_local_time_that_never_comes_or_comes_twice(build: Build, clock: str, entered: str, due: str) -> None:
    """2.2: New York 2026-03-08 02:30 → 03:00 EDT = 07:00Z. 2026-11-01 01:30 → 05:30Z (first)."""
    scenario = held(build(), steps=[{"wait": f"in 1 day at {clock}"}]).profile("ada", zone="America/New_York")
    scenario.event("visit", "ada", at=entered).tick(entered)
    assert scenario.tick(str(dt.datetime.fromisoformat(due) - dt.timedelta(microseconds=1))) == []
    assert scenario.tick(due) == ["ada hello/1: send ready"]


@pytest.mark.parametrize(
    ("quiet_from", "opens"),
    [("2026-03-08 03:00", "2026-03-08 12:00:00"), ("2026-11-01 02:00", "2026-11-01 13:00:00")],
)
def test_2_3_nights_of_nine_and_eleven_hours(build: Build, quiet_from: str, opens: str) -> None:
    """2.3: New York 22:00-08:00 lasts 9 h on 7→8 Mar 2026 and 11 h on 31 Oct→1 Nov."""
    scenario = held(build(time_window=DAYTIME)).profile("ada", zone="America/New_York")
    scenario.event("visit", "ada", at=quiet_from)
    assert scenario.tick(quiet_from) == [f"ada hello/1: defer window_closed until {opens}"]
    assert scenario.tick(opens) == ["ada hello/1: send ready"]


def test_2_3_a_window_that_opens_at_a_time_that_comes_twice_opens_late(build: Build) -> None:
    """2: Fold: targets use first occurrence; quiet end uses second."""
    scenario = held(build(time_window={"open": "01:30", "close": "21:00"})).profile("ada", zone="America/New_York")
    scenario.event("visit", "ada", at="2026-11-01 05:30")
    assert scenario.tick("2026-11-01 05:30") == ["ada hello/1: defer window_closed until 2026-11-01 06:30:00"]
    assert scenario.tick("2026-11-01 06:30") == ["ada hello/1: send ready"]


def test_2_4_weekdays_are_local(build: Build) -> None:
    """2.4: Weekday test uses local date: Mon 05:00 Tokyo is Sun 20:00Z: allowed."""
    window = {"open": "05:00", "close": "22:00", "weekdays": ["monday"]}
    scenario = held(build(time_window=window)).profile("ada", zone="Asia/Tokyo").profile("bob", zone="UTC")
    scenario.event("visit", "ada", at="2026-03-01 20:00").event("visit", "bob", at="2026-03-01 20:00")
    assert scenario.tick("2026-03-01 20:00") == [
        "ada hello/1: send ready",
        "bob hello/1: defer window_closed until 2026-03-02 05:00:00",
    ]


def test_2_4_a_window_over_midnight_belongs_to_the_day_it_opens(build: Build) -> None:
    """2: Overnight window belongs to the weekday of its start."""
    window = {"open": "22:00", "close": "02:00", "weekdays": ["friday"]}
    scenario = held(build(time_window=window)).profile("ada")
    scenario.event("visit", "ada", at="2026-03-07 01:59:59")
    assert scenario.tick("2026-03-07 01:59:59") == ["ada hello/1: send ready"]
    scenario.event("visit", "ada", at="2026-03-07 22:00")
    assert scenario.tick("2026-03-07 22:00") == ["ada hello/1: suppress expired_in_quiet_hours"]


def test_2_5_an_invalid_zone_is_not_a_missing_one(build: Build) -> None:
    """2.5: Zone `"(GMT-08:00) Pacific"` = `zone_invalid`, distinct from `zone_missing`."""
    scenario = held(build(time_window=DAYTIME)).profile("ada", zone="(GMT-08:00) Pacific").profile("bob", zone=None)
    scenario.event("visit", "ada", at="2026-03-02 12:00").event("visit", "bob", at="2026-03-02 12:00")
    assert scenario.tick("2026-03-02 12:00") == [
        "ada hello/1: suppress zone_invalid",
        "bob hello/1: suppress zone_missing",
    ]


def test_2_5_a_zone_for_people_whose_own_is_unknown(build: Build) -> None:
    """2: Zone order: valid profile zone → [...] → campaign fallback → workspace."""
    scenario = build(time_window={**DAYTIME, "unknown_zone": "Asia/Tokyo"})
    held(scenario, "hello").profile("ada", zone="Mars/Olympus").profile("bob", zone=None)
    scenario.campaign("own", enter={"trigger": "visit"}, time_window={**DAYTIME, "unknown_zone": "Europe/Berlin"})
    scenario.tick("2026-03-01 00:00")
    scenario.event("visit", "ada", at="2026-03-02 13:00").event("visit", "bob", at="2026-03-02 13:00")
    assert scenario.tick("2026-03-02 13:00") == [
        "ada hello/1: defer window_closed until 2026-03-02 23:00:00",
        "ada own/1: send ready",
        "bob hello/1: defer window_closed until 2026-03-02 23:00:00",
        "bob own/1: send ready",
    ]


def test_2_6_a_person_who_moves_while_held_back(build: Build) -> None:
    """2.6: Zone changes while deferred: recompute from the instant now."""
    scenario = held(build(time_window=DAYTIME)).profile("ada", zone="Europe/Berlin")
    scenario.event("visit", "ada", at="2026-03-02 22:00")
    assert scenario.tick("2026-03-02 22:00") == ["ada hello/1: defer window_closed until 2026-03-03 07:00:00"]
    scenario.profile("ada", zone="America/New_York")
    assert scenario.tick("2026-03-02 22:01") == ["ada hello/1: send ready"]


def test_2_6_a_person_who_moves_between_two_runs_of_one_instant(build: Build) -> None:
    """What was said last is what the last run said, also where several runs have the same `now`."""
    scenario = held(build(time_window=DAYTIME)).profile("ada", zone="Europe/Berlin")
    scenario.event("visit", "ada", at="2026-03-02 22:00")
    scenario.tick("2026-03-02 22:00")
    for number, zone in enumerate(["Asia/Tokyo", "Europe/Berlin", "Asia/Jakarta"] * 4, start=2):
        scenario.profile("ada", zone=zone)
        assert len(scenario.tick("2026-03-02 22:00")) == number, "another time to try again is news"
        if number in (2, 10, 13):
            assert len(scenario.tick("2026-03-02 22:00")) == number, "the same again is not"


def test_2_7_a_message_that_would_wake_up_expired(build: Build) -> None:
    """2.7: Deferred past `expires_at`: `expired_in_quiet_hours`; no send."""
    scenario = build(time_window=DAYTIME).profile("ada")
    scenario.campaign("brief", enter={"trigger": "visit"}, steps=[{"expires": "10 hours"}])
    held(scenario, "lasting", steps=[{"expires": "601 minutes"}])
    scenario.event("visit", "ada", at="2026-03-02 22:00")
    assert scenario.tick("2026-03-02 22:00") == [
        "ada brief/1: suppress expired_in_quiet_hours",
        "ada lasting/1: defer window_closed until 2026-03-03 08:00:00",
    ]
    assert scenario.messages() == []


@pytest.mark.parametrize(
    ("policy", "sent"),
    [("all", ["a", "a", "b"]), ("latest", ["b"]), ("latest_per_campaign", ["a", "b"])],
)
def test_2_8_three_messages_held_overnight(build: Build, policy: str, sent: list[str]) -> None:
    """2.8: Three messages held overnight: policy `all | latest | one_per_campaign` [...]."""
    scenario = held(build(time_window={**DAYTIME, "held": policy}), "a", enter={"trigger": "visit"})
    scenario.campaign("b", enter={"trigger": "look"}).profile("ada").tick("2026-01-02 00:00")
    scenario.event("visit", "ada", at="2026-03-02 22:30", id="first").event("visit", "ada", at="2026-03-02 23:30")
    scenario.event("look", "ada", at="2026-03-02 23:45")
    waiting = [f"ada {name}/1: defer window_closed until 2026-03-03 08:00:00" for name in "aab"]
    assert scenario.tick("2026-03-03 00:00") == waiting
    decided = scenario.tick("2026-03-03 08:00")
    assert [line for line in decided if "send" in line] == [f"ada {name}/1: send ready" for name in sent]
    assert len([line for line in decided if "suppress superseded" in line]) == 3 - len(sent)
    superseded = [row for row in scenario.decisions() if row["reason"] == "superseded"]
    assert {row["evidence"] for row in superseded} <= {row["entry_id"] for row in scenario.messages()}


def test_2_8_the_default_is_the_latest_of_each_campaign(build: Build) -> None:
    """2.8: default `latest per campaign`, then caps."""
    scenario = held(build(time_window=DAYTIME)).profile("ada")
    scenario.event("visit", "ada", at="2026-03-02 22:30").event("visit", "ada", at="2026-03-02 23:30", id="kept")
    scenario.tick("2026-03-03 00:00")
    assert scenario.tick("2026-03-03 08:00") == ["ada hello/1: send ready", "ada hello/1: suppress superseded"]
    kept = next(entry["entry_id"] for entry in scenario.entries() if entry["occurrence_id"] == "kept")
    assert scenario.messages()[0]["entry_id"] == kept


def test_2_9_a_held_message_is_not_queued(build: Build) -> None:
    """2.9: Hold, not provider scheduling: SendGrid cannot cancel within 10 min of `send_at`."""
    scenario = held(build(time_window=DAYTIME)).profile("ada").event("visit", "ada", at="2026-03-02 22:30")
    scenario.tick("2026-03-02 23:00")
    assert scenario.messages() == []
    scenario.tick("2026-03-03 08:00")
    assert [message["queued_at"] for message in scenario.messages()] == [dt.datetime(2026, 3, 3, 8)]


def test_2_10_a_message_is_valid_until_quiet_hours_begin(build: Build) -> None:
    """2.10: Accepted 21:59, queued at carrier: [...] set validity = seconds to quiet start."""
    scenario = held(build(time_window=DAYTIME)).profile("ada", zone="America/New_York")
    scenario.event("visit", "ada", at="2026-03-07 12:59")
    scenario.tick("2026-03-07 13:00")
    assert [message["send_by"] for message in scenario.messages()] == [dt.datetime(2026, 3, 8, 3)]


def test_2_12_what_is_triggered_outside_the_window(build: Build) -> None:
    """2.12: Trigger outside "only between" window: Braze drops [...]. Expose both switches."""
    scenario = held(build(time_window={**DAYTIME, "when_closed": "drop"}), "hello")
    held(scenario, "later", time_window={**DAYTIME, "when_closed": "wait"}).profile("ada")
    scenario.event("visit", "ada", at="2026-03-02 23:00")
    assert scenario.tick("2026-03-02 23:00") == [
        "ada hello/1: suppress window_closed",
        "ada later/1: defer window_closed until 2026-03-03 08:00:00",
    ]


def test_2_12_both_switches(build: Build) -> None:
    """2.12: Trigger outside "only between" window: Braze drops even with next-available checked unless the trigger
    itself was inside. Expose both switches."""
    cases = [
        ("21:59:59", "wait", "allow", "1: defer window_closed until 2026-03-03 08:00:00"),
        ("21:59:59", "wait", "drop", "1: defer window_closed until 2026-03-03 08:00:00"),
        ("21:59:59", "drop", "allow", "1: suppress window_closed"),
        ("21:59:59", "drop", "drop", "1: suppress window_closed"),
        ("22:00:00", "wait", "allow", "1: defer window_closed until 2026-03-03 08:00:00"),
        ("22:00:00", "wait", "drop", "0: suppress triggered_outside_window"),
        ("22:00:00", "drop", "allow", "1: suppress window_closed"),
        ("22:00:00", "drop", "drop", "0: suppress triggered_outside_window"),
    ]
    scenario = build(time_window=DAYTIME)
    for closed, outside in {case[1:3] for case in cases}:
        window = {**DAYTIME, "when_closed": closed, "triggered_outside": outside}
        scenario.campaign(
            f"{closed}_{outside}", enter={"trigger": "visit"}, steps=[{"wait": "1 minute"}], time_window=window
        )
    scenario.tick("2026-01-01 00:00")
    for at in {case[0] for case in cases}:
        scenario.profile(at).event("visit", at, at=f"2026-03-02 {at}")
    decided = sorted(f"{at} {closed}_{outside}/{told}" for at, closed, outside, told in cases)
    assert scenario.tick("2026-03-02 22:05") == decided
    assert scenario.tick("2026-03-02 22:06") == []


ONLY_INSIDE = {**DAYTIME, "triggered_outside": "drop"}


def test_2_12_the_trigger_counts_though_the_window_is_open_at_the_tick(build: Build) -> None:
    """2.12: Trigger outside "only between" window: Braze drops [...] unless the trigger itself was inside."""
    scenario = held(build(time_window=ONLY_INSIDE)).profile("ada").profile("bob")
    scenario.event("visit", "ada", at="2026-03-02 07:59:59.999999").event("visit", "bob", at="2026-03-02 08:00")
    assert scenario.tick("2026-03-02 08:30") == [
        "ada hello/0: suppress triggered_outside_window",
        "bob hello/1: send ready",
    ]


def test_2_12_each_moment_has_the_offset_of_its_own_day(build: Build) -> None:
    """2.12, 2.3: New York's clocks change on 8 March 2026; triggers of both days are looked at by one tick."""
    cases = [
        ("2026-03-08 11:59", False),  # 07:59 in summer time, on the day of the change
        ("2026-03-08 12:00", True),
        ("2026-03-07 12:59", False),  # 07:59 in winter time, the day before
        ("2026-03-07 13:00", True),
        ("2026-03-08 02:59", True),  # 21:59 on the 7th
        ("2026-03-08 03:00", False),
    ]
    scenario = held(build(time_window=ONLY_INSIDE, scan={"max_lateness": "3 days"}))
    for at, _ in cases:
        scenario.profile(at, zone="America/New_York").event("visit", at, at=at)
    scenario.tick("2026-03-08 16:00")
    assert {entry["user_id"] for entry in scenario.entries()} == {at for at, inside in cases if inside}


def test_2_12_who_was_dropped_stands_in_nobodys_way(build: Build) -> None:
    """1: Suppressed users stay eligible; a trigger at night does not hold up the one of the next morning."""
    scenario = held(build(time_window=ONLY_INSIDE), steps=[{"wait": "1 hour"}], on_retrigger="ignore").profile("ada")
    scenario.event("visit", "ada", at="2026-03-02 07:50").event("visit", "ada", at="2026-03-02 08:05")
    assert scenario.tick("2026-03-02 08:10") == ["ada hello/0: suppress triggered_outside_window"]
    assert scenario.tick("2026-03-02 09:05") == ["ada hello/1: send ready"]


def test_2_12_which_zone_the_trigger_is_judged_by(build: Build) -> None:
    """docs/rules.md: the zone is the one that the window goes by; where there is none, section 5 says so later."""
    campaigns = {
        "own": ONLY_INSIDE,
        "theirs": {**ONLY_INSIDE, "unknown_zone": "Asia/Tokyo"},
        "ours": {**ONLY_INSIDE, "zone": "Asia/Tokyo"},
    }
    scenario = build().profile("ada", zone="Asia/Tokyo").profile("bob", zone=None).profile("cid").profile_twice("cid")
    for name, window in campaigns.items():
        scenario.campaign(name, enter={"trigger": "visit"}, time_window=window)
    scenario.tick("2026-03-01 00:00")
    for name in ("ada", "bob", "cid"):
        scenario.event("visit", name, at="2026-03-02 13:30")  # 22:30 in Tokyo
    outside = [f"{name}/0: suppress triggered_outside_window" for name in ("ours", "own", "theirs")]
    assert scenario.tick("2026-03-02 13:30") == [
        *(f"ada {line}" for line in outside),
        "bob ours/0: suppress triggered_outside_window",
        "bob own/1: suppress zone_missing",
        "bob theirs/0: suppress triggered_outside_window",
        "cid ours/0: suppress triggered_outside_window",
        "cid own/1: suppress duplicate_profile",
        "cid theirs/0: suppress triggered_outside_window",
    ]
    zones = {(row["user_id"], row["campaign"]): row["zone"] for row in scenario.decisions() if row["step"] == 0}
    assert set(zones.values()) == {"Asia/Tokyo"}


def test_2_12_a_window_over_midnight_and_of_one_weekday(build: Build) -> None:
    """2: Overnight window belongs to the weekday of its start."""
    window = {"open": "22:00", "close": "02:00", "weekdays": ["friday"], "triggered_outside": "drop"}
    scenario = held(build(time_window=window, scan={"max_lateness": "7 days"}), steps=[{"expires": "9 days"}])
    scenario.profile("ada")
    for at in ("06 21:59", "06 22:00", "07 01:59", "07 02:00", "07 23:00"):
        scenario.event("visit", "ada", at=f"2026-03-{at}", id=at)
    scenario.tick("2026-03-08 12:00")
    assert sorted(entry["occurrence_id"] for entry in scenario.entries()) == ["06 22:00", "07 01:59"]


def test_2_12_who_enters_by_a_segment_is_judged_by_the_tick_that_saw_it(build: Build) -> None:
    """docs/rules.md: of a segment's change, `entered_at` is `changed_at`."""
    scenario = build(time_window=ONLY_INSIDE).profile("ada").profile("bob").segment("vip")
    scenario.campaign("hello", enter={"segment": "vip"}).tick("2026-03-02 00:00")
    decided = scenario.segment("vip", "ada").tick("2026-03-02 07:00")
    assert decided == ["ada hello/0: suppress triggered_outside_window"]
    assert scenario.segment("vip", "ada", "bob").tick("2026-03-02 08:00") == ["bob hello/1: send ready"]


def test_2_12_what_happened_long_before_the_launch_is_judged_too(build: Build) -> None:
    """docs/rules.md: with `since`, rows loaded at or before the launch may have any age."""
    scenario = build(time_window=ONLY_INSIDE).profile("ada").profile("bob")
    scenario.event("visit", "ada", at="2025-07-01 07:59").event("visit", "bob", at="2025-07-01 08:00")
    scenario.campaign("hello", enter={"trigger": "visit", "since": "2025-06-01"}, steps=[{"expires": "1000 days"}])
    assert scenario.tick("2026-03-02 12:00") == [
        "ada hello/0: suppress triggered_outside_window",
        "bob hello/1: send ready",
    ]


def test_2_12_what_was_loaded_before_the_launch_but_read_after_it(build: Build) -> None:
    """docs/rules.md: the scan reads back by its overlap, so a row that came in just before the launch is seen later."""
    scenario = build(time_window=ONLY_INSIDE, scan={"overlap": "2 hours"}).profile("ada").profile("bob")
    scenario.campaign("hello", enter={"trigger": "visit", "since": "2025-06-01"}, steps=[{"expires": "1000 days"}])
    scenario.tick("2026-03-02 12:00")
    for name, at in (("ada", "2025-07-01 07:59"), ("bob", "2025-07-01 08:00")):
        scenario.event("visit", name, at=at, loaded="2026-03-02 11:00")
    assert scenario.tick("2026-03-02 12:30") == [
        "ada hello/0: suppress triggered_outside_window",
        "bob hello/1: send ready",
    ]


def test_2_12_transactional_messages_are_sent_whenever_they_are_triggered(build: Build) -> None:
    """docs/rules.md: transactional campaigns and `time_window: none` pass."""
    scenario = held(build(time_window=ONLY_INSIDE), **{"class": "transactional"}).profile("ada")
    assert scenario.event("visit", "ada", at="2026-03-02 03:00").tick("2026-03-02 03:00") == ["ada hello/1: send ready"]


def test_2_a_zone_for_everybody(build: Build) -> None:
    """docs/rules.md: Where `time_window.zone` names a zone, only the window uses it; waits use the person's."""
    scenario = held(
        build(time_window={**DAYTIME, "zone": "Europe/Berlin"}), steps=[{"wait": "in 1 day at 06:00"}]
    ).profile("ada", zone="Asia/Tokyo")
    scenario.event("visit", "ada", at="2026-03-02 12:00")
    assert scenario.tick("2026-03-02 20:59:59") == []
    assert scenario.tick("2026-03-02 21:00") == ["ada hello/1: defer window_closed until 2026-03-03 07:00:00"]
    assert scenario.tick("2026-03-03 07:00") == ["ada hello/1: send ready"]


def test_2_transactional_messages_pass(build: Build) -> None:
    """docs/rules.md: transactional campaigns and `time_window: none` pass."""
    scenario = build(time_window=DAYTIME).profile("ada")
    scenario.campaign("receipt", enter={"trigger": "visit"}, **{"class": "transactional"})
    scenario.campaign("anytime", enter={"trigger": "visit"}, time_window="none")
    scenario.tick("2026-03-01 00:00")
    scenario.event("visit", "ada", at="2026-03-02 03:00")
    assert scenario.tick("2026-03-02 03:00") == ["ada anytime/1: send ready", "ada receipt/1: send ready"]
