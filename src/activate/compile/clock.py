"""Every question about local time, answered once per zone, for one instant.

A tick has one `now`, so "is the window open?", "when does it open?", "when did this local day begin?" and "which
anchors have come due at a local time?" each have one answer per zone. Python's zoneinfo gives them; the answers are
loaded as small tables and equi-joined. All instants are naive UTC.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from zoneinfo import ZoneInfo

from activate.localtime import day_start, instant, known_zones, local_date, window_on
from activate.policy import TimeWindow
from activate.words import Wait

_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Opening:
    """A time window at one instant in one zone. `closes_at` is None while closed; `opens_at` is the next opening."""

    is_open: bool
    opens_at: dt.datetime
    closes_at: dt.datetime | None


def opening(window: TimeWindow, zone: ZoneInfo, now: dt.datetime) -> Opening:
    """Answer whether the window is open at `now`, when it closes and when it next opens."""
    closes_at: dt.datetime | None = None
    for start, end in _spans_around(window, zone, local_date(zone, now)):
        if start > now:
            return Opening(closes_at is not None, start, closes_at)
        if now < end:
            closes_at = end
    raise ValueError(f"the window {window.open:%H:%M}-{window.close:%H:%M} never opens in {zone.key}")


@lru_cache(maxsize=50_000)  # an hourly tick asks about the same local days again
def _spans_around(window: TimeWindow, zone: ZoneInfo, day: dt.date) -> tuple[tuple[dt.datetime, dt.datetime], ...]:
    """The windows that are open at some time of a local day, and the first that opens after it."""
    found = []
    after = day_start(zone, day + _DAY)
    # A zone that moved across the date line skips a whole day, so look a little further than a week.
    for number in range(-2, 19):
        if span := window_on(window, zone, day + number * _DAY):
            found.append(span)
            if span[0] >= after:
                break
    return tuple(found)


def spans(
    window: TimeWindow, zone: ZoneInfo, oldest: dt.datetime, now: dt.datetime
) -> Iterator[tuple[dt.datetime, dt.datetime]]:
    """Yield the windows [open, close) that may hold an instant from `oldest` to `now`."""
    # A window over midnight belongs to the day before; one more for a zone that skipped a day.
    day, last = local_date(zone, oldest) - 2 * _DAY, local_date(zone, now)
    while day <= last:
        if span := window_on(window, zone, day):
            yield span
        day += _DAY


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
        start, end, due = _wait_day(wait, wait.clock, zone, day)
        if start < end and due <= effective:
            yield start, end, due
        day += _DAY


@lru_cache(maxsize=100_000)
def _wait_day(wait: Wait, clock: dt.time, zone: ZoneInfo, day: dt.date) -> tuple[dt.datetime, dt.datetime, dt.datetime]:
    """(anchor from, anchor until, due at) of one local day."""
    if wait.days is not None:
        target = day + wait.days * _DAY
    else:
        target = day + ((((wait.weekday or 0) - day.weekday() - 1) % 7) + 1) * _DAY
    return day_start(zone, day), day_start(zone, day + _DAY), instant(zone, dt.datetime.combine(target, clock))


def zones(names: Iterable[str | None]) -> list[str]:
    """Return the valid names among `names`, sorted."""
    return sorted({name for name in names if name} & known_zones())
