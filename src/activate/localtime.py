"""Local time: IANA zones, wall times as instants, local days, and the window of a local date. Instants are naive UTC."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Literal
from zoneinfo import ZoneInfo, available_timezones

from activate.policy import TimeWindow
from activate.words import WEEKDAYS

_DAY = dt.timedelta(days=1)
# Names that the tz database ships for machines, not for places.
_NOT_PLACES = frozenset({"localtime", "posixrules", "Factory"})


@cache
def known_zones() -> frozenset[str]:
    """The IANA names that count as valid."""
    return frozenset(available_timezones() - _NOT_PLACES)


@lru_cache(maxsize=100_000)  # an hourly tick asks about the same local days again
def instant(zone: ZoneInfo, local: dt.datetime, twice: Literal["first", "second"] = "first") -> dt.datetime:
    """Return the instant of a local wall time.

    A time that a DST gap skips gives the first valid instant after the gap; a time that happens twice gives its first
    or second occurrence (docs/rules.md, sections 4 and 5).
    """
    first = local.replace(tzinfo=zone, fold=0).astimezone(dt.UTC)
    second = local.replace(tzinfo=zone, fold=1).astimezone(dt.UTC)
    if first == second:
        return first.replace(tzinfo=None)
    if first < second:
        return (first if twice == "first" else second).replace(tzinfo=None)
    # In a gap, fold=0 applies the offset before it and fold=1 the offset after it; the transition itself lies
    # between `second` and `first`, and is the only instant there whose offset differs from the microsecond before.
    return _transition(zone, second, first)


def _transition(zone: ZoneInfo, low: dt.datetime, high: dt.datetime) -> dt.datetime:
    before = low.astimezone(zone).utcoffset()
    while high - low > dt.timedelta(seconds=1):
        middle = low + (high - low) // 2
        middle = middle.replace(microsecond=0)
        if middle <= low:
            break
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high.replace(tzinfo=None)


def local_date(zone: ZoneInfo, at: dt.datetime) -> dt.date:
    """Return the local calendar date of an instant."""
    return at.replace(tzinfo=dt.UTC).astimezone(zone).date()


def day_start(zone: ZoneInfo, day: dt.date) -> dt.datetime:
    """Return the first instant of a local calendar day (where midnight is skipped, the first that exists)."""
    return instant(zone, dt.datetime(day.year, day.month, day.day))


def window_on(window: TimeWindow, zone: ZoneInfo, day: dt.date) -> tuple[dt.datetime, dt.datetime] | None:
    """Return the window [open, close) that belongs to a local date; None if there is none, or a gap swallows it."""
    if WEEKDAYS[day.weekday()] not in window.weekdays:
        return None
    end_day = day + _DAY if window.close < window.open else day
    # Quiet ends at the second occurrence and begins at the first: in doubt, silence.
    start = instant(zone, dt.datetime.combine(day, window.open), "second")
    end = instant(zone, dt.datetime.combine(end_day, window.close), "first")
    return (start, end) if start < end else None


@dataclass(frozen=True)
class Calendar:
    """The local day, week (from Monday) and month around one instant: first instants of this and the next."""

    day: dt.datetime
    week: dt.datetime
    month: dt.datetime
    next_day: dt.datetime
    next_week: dt.datetime
    next_month: dt.datetime


def calendar(zone: ZoneInfo, now: dt.datetime) -> Calendar:
    """Answer when the current local day, week and month began and when the next ones begin."""
    return _calendar_of(zone, local_date(zone, now))


@lru_cache(maxsize=10_000)
def _calendar_of(zone: ZoneInfo, today: dt.date) -> Calendar:
    monday = today - today.weekday() * _DAY
    first = today.replace(day=1)
    following = (first + 32 * _DAY).replace(day=1)
    return Calendar(
        *(day_start(zone, day) for day in (today, monday, first, today + _DAY, monday + 7 * _DAY, following))
    )
