"""Every question about local time, answered once per zone, for one instant.

A tick has one `now`, so "is the window open?", "when does it open?", "when did this local day begin?" and "which
anchors have come due at a local time?" each have one answer per zone. Python's zoneinfo gives them; the answers are
loaded as small tables and equi-joined. All instants are naive UTC.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
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
    opens_at: dt.datetime | None = None
    day = local_date(zone, now) - 2 * _DAY
    # A zone that moved across the date line skips a whole day, so look a little further than a week.
    last = day + 20 * _DAY
    while day <= last and opens_at is None:
        if span := window_on(window, zone, day):
            start, end = span
            if start <= now < end:
                closes_at = end
            elif start > now:
                opens_at = start
        day += _DAY
    if opens_at is None:
        raise ValueError(f"the window {window.open:%H:%M}-{window.close:%H:%M} never opens in {zone.key}")
    return Opening(closes_at is not None, opens_at, closes_at)


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
