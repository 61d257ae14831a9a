"""Local time for one person: when windows open and close, when days, weeks and months began, when a wait is over.

The engine asks these questions once per zone and joins the answers (docs/rules.md, sections 4 to 6); here they are
asked again for one person, so that a story can show the figures. Instants are naive UTC.
"""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

from activate import localtime
from activate.policy import TimeWindow
from activate.words import Wait


def is_zone(name: str | None) -> bool:
    """Whether `name` is an IANA zone."""
    return name in localtime.known_zones()


def to_local(instant: dt.datetime, zone: str) -> dt.datetime:
    """The wall clock in `zone`, naive."""
    return instant.replace(tzinfo=dt.UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def wait_over(anchor: dt.datetime, wait: Wait, zone: str) -> dt.datetime:
    """The instant at which a wait that began at `anchor` is over."""
    if wait.seconds is not None or wait.clock is None:
        return anchor + dt.timedelta(seconds=wait.seconds or 0)
    date = to_local(anchor, zone).date()
    if wait.weekday is not None:
        date += dt.timedelta(days=(wait.weekday - date.weekday() - 1) % 7 + 1)
    target = date + dt.timedelta(days=wait.days or 0)
    return localtime.instant(ZoneInfo(zone), dt.datetime.combine(target, wait.clock))


def period_began(instant: dt.datetime, period: str, zone: str) -> dt.datetime:
    """The first instant of the local `calendar day`, `calendar week` (from Monday) or `calendar month`."""
    days = localtime.calendar(ZoneInfo(zone), instant)
    return {"calendar week": days.week, "calendar month": days.month}.get(period, days.day)


def window_at(instant: dt.datetime, window: TimeWindow, zone: str) -> tuple[dt.datetime, dt.datetime] | None:
    """The window that holds `instant`, or None when it is closed."""
    for span in _windows(instant, window, zone):
        if span[0] <= instant < span[1]:
            return span
    return None


def next_opening(instant: dt.datetime, window: TimeWindow, zone: str) -> dt.datetime | None:
    """The earliest opening after `instant`."""
    return min((span[0] for span in _windows(instant, window, zone) if span[0] > instant), default=None)


def _windows(instant: dt.datetime, window: TimeWindow, zone: str) -> list[tuple[dt.datetime, dt.datetime]]:
    info = ZoneInfo(zone)
    today = localtime.local_date(info, instant)
    # Three weeks reach the next opening even when one weekday is allowed and a transition swallows its window.
    spans = (localtime.window_on(window, info, today + dt.timedelta(days=offset)) for offset in range(-2, 20))
    return [span for span in spans if span]
