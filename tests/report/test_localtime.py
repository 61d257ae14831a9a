"""The local times that stories show are those that the engine used, over two years of DST changes."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from activate import localtime as of_zones
from activate.compile import clock
from activate.policy import TimeWindow
from activate.report import localtime
from activate.words import parse_wait

ZONES = [
    "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Beirut", "America/Havana", "Pacific/Apia",
    "Asia/Kathmandu", "Africa/Casablanca", "UTC",
]  # fmt: skip
WINDOWS = [
    TimeWindow.model_validate({"open": "09:00", "close": "21:00"}),
    TimeWindow.model_validate({"open": "22:00", "close": "02:30", "weekdays": ["sunday", "saturday"]}),
    TimeWindow.model_validate({"open": "00:00", "close": "01:30", "weekdays": ["sunday"]}),
]
YEARS = [dt.datetime(2025, 1, 1) + dt.timedelta(hours=5 * step, minutes=7) for step in range(2 * 365 * 24 // 5)]


@pytest.mark.parametrize("zone", ZONES)
def test_local_times_days_and_windows_are_those_of_the_engine(zone: str) -> None:
    info = ZoneInfo(zone)
    for at in YEARS[::3]:
        calendar = of_zones.calendar(info, at)
        began = [localtime.period_began(at, f"calendar {period}", zone) for period in ("day", "week", "month")]
        assert began == [calendar.day, calendar.week, calendar.month]
        for window in WINDOWS:
            opening = clock.opening(window, info, at)
            held = localtime.window_at(at, window, zone)
            assert (held is not None, held[1] if held else None) == (opening.is_open, opening.closes_at)
            assert localtime.next_opening(at, window, zone) == opening.opens_at


def test_in_one_day_at_six_and_next_saturday() -> None:
    """Rule cases 1.8 and 1.9: Monday 21:00 gives Tuesday 06:00; a Saturday gives the Saturday after."""
    monday = dt.datetime(2026, 3, 2, 21)
    assert localtime.wait_over(monday, parse_wait("in 1 day at 06:00"), "UTC") == dt.datetime(2026, 3, 3, 6)
    saturday = dt.datetime(2026, 3, 7, 0, 1)
    assert localtime.wait_over(saturday, parse_wait("next saturday at 10:00"), "UTC") == dt.datetime(2026, 3, 14, 10)
    assert localtime.wait_over(monday, parse_wait("30 minutes"), "UTC") == dt.datetime(2026, 3, 2, 21, 30)


@pytest.mark.parametrize("name", ["(GMT-08:00) Pacific", "Factory", "", None, "europe/berlin"])
def test_what_is_not_a_place_is_not_a_zone(name: str | None) -> None:
    assert not localtime.is_zone(name)
