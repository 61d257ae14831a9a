"""The clock's answers: against every transition there is, and against the numbered cases of the rules."""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activate.compile.clock import opening, spans, wait_days, zones
from activate.localtime import calendar, day_start, instant, known_zones
from activate.policy import TimeWindow
from activate.words import parse_wait

TRANSITIONS = Path(__file__).parents[3] / "shared" / "data" / "tz_transitions_2015_2037.csv"
NEW_YORK = ZoneInfo("America/New_York")
QUIET_NIGHT = TimeWindow(open="08:00", close="22:00")
SECOND = dt.timedelta(seconds=1)


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def transitions() -> Iterator[dict[str, str]]:
    if not TRANSITIONS.exists():
        pytest.skip("the table of transitions is not part of the project")
    with TRANSITIONS.open() as file:
        yield from csv.DictReader(file)


def test_every_gap_ends_at_its_transition_and_every_fold_has_two_instants() -> None:
    seen = 0
    for row in transitions():
        zone, at = ZoneInfo(row["zone"]), utc(row["utc_instant"]).replace(tzinfo=None)
        start, end = utc(row["local_start"]), utc(row["local_end"])
        shift = dt.timedelta(seconds=abs(int(row["shift_seconds"])))
        middle = start + (end - start) / 2
        if row["kind"] == "gap":
            for skipped in (start, middle, end - SECOND):
                assert instant(zone, skipped) == instant(zone, skipped, "second") == at, row
            assert instant(zone, start - SECOND) == at - SECOND, row
            assert instant(zone, end) == at, row
        else:
            for twice in (start, middle, end - SECOND):
                first, second = instant(zone, twice), instant(zone, twice, "second")
                assert second - first == shift, row
                assert first < at <= second, row
            assert instant(zone, end) == instant(zone, end, "second"), row
        seen += 1
    assert seen == 5950


def test_every_window_that_meets_a_transition_opens_and_closes_at_real_instants() -> None:
    window = TimeWindow(open="00:30", close="20:30")
    for row in transitions():
        zone, at = ZoneInfo(row["zone"]), utc(row["utc_instant"]).replace(tzinfo=None)
        for now in (at - SECOND, at, at + SECOND):
            found = opening(window, zone, now)
            assert found.opens_at > now
            assert opening(window, zone, found.opens_at).is_open, row
            assert not opening(window, zone, found.opens_at - SECOND).is_open or found.closes_at == found.opens_at, row
            if found.closes_at is not None:
                assert opening(window, zone, found.closes_at - SECOND).is_open, row
                assert now < found.closes_at, row


def test_every_local_day_follows_the_one_before_without_a_hole() -> None:
    for row in transitions():
        zone, at = ZoneInfo(row["zone"]), utc(row["utc_instant"]).replace(tzinfo=None)
        for now in (at - SECOND, at):
            found = calendar(zone, now)
            assert found.month <= found.day <= now < found.next_day <= found.next_month, row
            assert found.week <= found.day < found.next_day <= found.next_week, row


@pytest.mark.parametrize(
    ("local", "is_open"),
    [
        ("21:59:59", True),
        ("22:00:00", False),
        ("07:59:59", False),
        ("08:00:00", True),
        ("00:00:00", False),
        ("00:30:00", False),
    ],
)
def test_2_1_the_edges_of_a_quiet_night(local: str, is_open: bool) -> None:
    """2.1: 22:00–08:00: 21:59:59 sends; 22:00 quiet; 07:59:59 quiet; 08:00 sends; 00:00 and 00:30 quiet."""
    now = instant(NEW_YORK, utc(f"2026-06-10 {local}"))
    assert opening(QUIET_NIGHT, NEW_YORK, now).is_open is is_open


def test_2_2_a_skipped_time_and_a_time_that_happens_twice() -> None:
    """2.2: New York 2026-03-08 02:30 → 03:00 EDT = 07:00Z. 2026-11-01 01:30 → 05:30Z (first)."""
    assert instant(NEW_YORK, utc("2026-03-08 02:30")) == utc("2026-03-08 07:00")
    assert instant(NEW_YORK, utc("2026-11-01 01:30")) == utc("2026-11-01 05:30")
    assert instant(NEW_YORK, utc("2026-11-01 01:30"), "second") == utc("2026-11-01 06:30")


@pytest.mark.parametrize(("night", "hours"), [("2026-03-07", 9), ("2026-10-31", 11), ("2026-06-10", 10)])
def test_2_3_the_length_of_a_quiet_night_when_clocks_change(night: str, hours: int) -> None:
    """2.3: New York 22:00–08:00 lasts 9 h on 7→8 Mar 2026 and 11 h on 31 Oct→1 Nov."""
    closes = opening(QUIET_NIGHT, NEW_YORK, instant(NEW_YORK, utc(f"{night} 12:00"))).closes_at
    assert closes is not None
    assert opening(QUIET_NIGHT, NEW_YORK, closes).opens_at - closes == dt.timedelta(hours=hours)


def test_2_4_the_weekday_is_the_local_one() -> None:
    """2.4: Weekday test uses local date: Mon 05:00 Tokyo is Sun 20:00Z: allowed."""
    mondays = TimeWindow(open="04:00", close="20:00", weekdays=("monday",))
    assert opening(mondays, ZoneInfo("Asia/Tokyo"), utc("2026-06-07 20:00")).is_open


def test_a_window_over_midnight_belongs_to_the_weekday_of_its_start() -> None:
    friday_night = TimeWindow(open="20:00", close="02:00", weekdays=("friday",))
    utc_zone = ZoneInfo("UTC")
    assert opening(friday_night, utc_zone, utc("2026-06-13 01:00")).is_open
    assert not opening(friday_night, utc_zone, utc("2026-06-12 01:00")).is_open
    assert opening(friday_night, utc_zone, utc("2026-06-13 01:00")).opens_at == utc("2026-06-19 20:00")


def test_a_quiet_night_ends_at_the_second_occurrence_of_its_end() -> None:
    """Gap: take first valid instant after it. Fold: targets use first occurrence; quiet end uses second."""
    early = TimeWindow(open="01:30", close="12:00")
    first, second = utc("2026-11-01 05:30"), utc("2026-11-01 06:30")
    assert not opening(early, NEW_YORK, first).is_open
    assert opening(early, NEW_YORK, first).opens_at == second


def test_a_window_that_a_gap_swallows_waits_for_the_next_day() -> None:
    swallowed = TimeWindow(open="02:10", close="02:50")
    found = opening(swallowed, NEW_YORK, utc("2026-03-08 06:00"))
    assert found.opens_at == utc("2026-03-09 06:10")


def test_a_zone_that_skipped_a_whole_day_still_opens() -> None:
    apia = ZoneInfo("Pacific/Apia")  # there was no 2011-12-30
    fridays = TimeWindow(open="09:00", close="17:00", weekdays=("friday",))
    found = opening(fridays, apia, utc("2011-12-29 12:00"))
    assert found.opens_at == instant(apia, utc("2012-01-06 09:00"))


@pytest.mark.parametrize(
    ("wait", "anchor", "due"),
    [
        ("in 1 day at 06:00", "2026-06-08 21:00", "2026-06-09 06:00"),
        ("next saturday at 10:00", "2026-06-13 00:01", "2026-06-20 10:00"),
        ("next saturday at 10:00", "2026-06-12 23:59", "2026-06-13 10:00"),
    ],
)
def test_1_8_and_1_9_waits_that_end_at_a_local_time(wait: str, anchor: str, due: str) -> None:
    """1.8: Mon 21:00, "in 1 calendar day at 06:00": Tue 06:00. 1.9: "Next Saturday" on Saturday 00:01: +7 days."""
    rows = wait_days(parse_wait(wait), ZoneInfo("UTC"), utc(anchor), utc("2026-07-01"))
    found = [target for start, end, target in rows if start <= utc(anchor) < end]
    assert found == [utc(due)]


@given(
    name=st.sampled_from(sorted(known_zones())),
    anchor=st.datetimes(dt.datetime(2015, 1, 1), dt.datetime(2037, 1, 1)),
    days=st.integers(1, 5),
    clock=st.times().map(lambda t: f"{t:%H:%M}"),
)
def test_each_anchor_has_exactly_one_due_time_and_it_is_later(
    name: str, anchor: dt.datetime, days: int, clock: str
) -> None:
    zone = ZoneInfo(name)
    wait = parse_wait(f"in {days} days at {clock}")
    rows = list(wait_days(wait, zone, anchor, anchor + dt.timedelta(days=10)))
    found = [due for start, end, due in rows if start <= anchor < end]
    assert len(found) == 1
    assert found[0] > anchor
    local = found[0].replace(tzinfo=dt.UTC).astimezone(zone)
    assert local.date() >= anchor.replace(tzinfo=dt.UTC).astimezone(zone).date()


@given(name=st.sampled_from(sorted(known_zones())), now=st.datetimes(dt.datetime(2015, 1, 1), dt.datetime(2037, 1, 1)))
def test_a_day_starts_at_its_first_instant(name: str, now: dt.datetime) -> None:
    zone = ZoneInfo(name)
    day = now.replace(tzinfo=dt.UTC).astimezone(zone).date()
    start = day_start(zone, day)
    assert start <= now
    assert (start - SECOND).replace(tzinfo=dt.UTC).astimezone(zone).date() < day


@given(
    st.sampled_from(["America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Tokyo", "America/Santiago"]),
    st.sampled_from([("09:00", "21:00"), ("22:00", "08:00"), ("01:30", "03:00"), ("23:30", "01:30")]),
    st.datetimes(dt.datetime(2011, 12, 25), dt.datetime(2012, 4, 10)),
    st.timedeltas(dt.timedelta(0), dt.timedelta(days=4)),
    st.timedeltas(dt.timedelta(0), dt.timedelta(days=4)),
)
def test_2_12_the_spans_hold_exactly_the_instants_at_which_the_window_was_open(
    name: str, hours: tuple[str, str], at: dt.datetime, before: dt.timedelta, after: dt.timedelta
) -> None:
    """2.12: whether the trigger itself was inside is the same question as whether a message may go out, at its instant."""
    window = TimeWindow.model_validate({"open": hours[0], "close": hours[1]})
    found = spans(window, ZoneInfo(name), at - before, at + after)
    assert any(start <= at < end for start, end in found) == opening(window, ZoneInfo(name), at).is_open


def test_only_iana_names_count_as_zones() -> None:
    assert zones(["Europe/Berlin", "(GMT-08:00) Pacific", None, "", "europe/berlin", "../etc/passwd", "localtime"]) == [
        "Europe/Berlin"
    ]
