"""Every question about local time, answered once per zone, for one instant.

A tick has one `now`, so "is the window open?", "when does it open?", "when did this local day begin?" and "which
anchors have come due at a local time?" each have one answer per zone. Python's zoneinfo gives them; the answers are
loaded as small tables and equi-joined. All instants are naive UTC.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Literal
from zoneinfo import ZoneInfo, available_timezones

from activate.policy import TimeWindow
from activate.words import WEEKDAYS, Wait

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
    or second occurrence (semantics.md, section 2).
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


@dataclass(frozen=True)
class Opening:
    """A time window at one instant in one zone. `closes_at` is None while closed; `opens_at` is the next opening."""

    is_open: bool
    opens_at: dt.datetime
    closes_at: dt.datetime | None


def opening(window: TimeWindow, zone: ZoneInfo, now: dt.datetime) -> Opening:
    """Answer whether the window is open at `now`, when it closes and when it next opens."""
    closes_at: dt.datetime | None = None
    opens_at: dt.datetime | None = None
    day = local_date(zone, now) - 2 * _DAY
    # A zone that moved across the date line skips a whole day, so look a little further than a week.
    last = day + 20 * _DAY
    while day <= last and opens_at is None:
        if WEEKDAYS[day.weekday()] in window.weekdays:
            start, end = _window_on(window, zone, day)
            if start < end:
                if start <= now < end:
                    closes_at = end
                elif start > now:
                    opens_at = start
        day += _DAY
    if opens_at is None:
        raise ValueError(f"the window {window.open:%H:%M}-{window.close:%H:%M} never opens in {zone.key}")
    return Opening(closes_at is not None, opens_at, closes_at)


def _window_on(window: TimeWindow, zone: ZoneInfo, day: dt.date) -> tuple[dt.datetime, dt.datetime]:
    end_day = day + _DAY if window.close < window.open else day
    # Quiet ends at the second occurrence and begins at the first: in doubt, silence.
    start = instant(zone, dt.datetime.combine(day, window.open), "second")
    return start, instant(zone, dt.datetime.combine(end_day, window.close), "first")


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
    today = local_date(zone, now)
    monday = today - today.weekday() * _DAY
    first = today.replace(day=1)
    following = (first + 32 * _DAY).replace(day=1)
    return Calendar(
        *(day_start(zone, day) for day in (today, monday, first, today + _DAY, monday + 7 * _DAY, following))
    )


def wait_days(
    wait: Wait, zone: ZoneInfo, oldest: dt.datetime, effective: dt.datetime
) -> Iterator[tuple[dt.datetime, dt.datetime, dt.datetime]]:
    """Yield (anchor from, anchor until, due at) for each local day whose anchors have come due at `effective`.

    `oldest` is the earliest anchor that is asked about.
    """
    if wait.clock is None:
        raise ValueError("only a wait that ends at a local time depends on the zone")
    day = local_date(zone, oldest)
    last = local_date(zone, effective)
    while day <= last:
        if wait.days is not None:
            target = day + wait.days * _DAY
        else:
            target = day + ((((wait.weekday or 0) - day.weekday() - 1) % 7) + 1) * _DAY
        due = instant(zone, dt.datetime.combine(target, wait.clock))
        start, end = day_start(zone, day), day_start(zone, day + _DAY)
        if start < end and due <= effective:
            yield start, end, due
        day += _DAY


def zones(names: Iterable[str | None]) -> list[str]:
    """Return the valid names among `names`, sorted."""
    return sorted({name for name in names if name} & known_zones())
