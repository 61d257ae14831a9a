"""Local time for one person: when windows open and close, when days, weeks and months began, when a wait is over.

The engine asks these questions once per zone and joins the answers (docs/rules.md, sections 4 to 6); here they are
asked again for one person, so that a story can show the figures. Instants are naive UTC.
"""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from activate.policy import TimeWindow
from activate.words import WEEKDAYS, Wait

_SECOND = dt.timedelta(seconds=1)
# Names that the tz database ships for machines, not for places.
_NOT_PLACES = frozenset({"localtime", "posixrules", "Factory"})


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones() - _NOT_PLACES)


def is_zone(name: str | None) -> bool:
    """Whether `name` is an IANA zone."""
    return name is not None and name in _zones()


def to_local(instant: dt.datetime, zone: str) -> dt.datetime:
    """The wall clock in `zone`, naive."""
    return instant.replace(tzinfo=dt.UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def to_utc(local: dt.datetime, zone: str, fold: int = 0) -> dt.datetime:
    """The instant of a wall-clock time: in a gap the first valid instant after it, in a fold the one asked for."""
    info = ZoneInfo(zone)
    instant = _utc(local.replace(tzinfo=info, fold=fold))
    if to_local(instant, zone) == local:
        return instant
    # Inside a gap the two folds lie on either side of the transition, so it is found between them.
    before, after = sorted(_utc(local.replace(tzinfo=info, fold=fold)) for fold in (0, 1))
    offset = _offset(before, zone)
    while after - before > _SECOND:
        middle = before + (after - before) // 2 // _SECOND * _SECOND
        before, after = (middle, after) if _offset(middle, zone) == offset else (before, middle)
    return after


def _utc(aware: dt.datetime) -> dt.datetime:
    return aware.astimezone(dt.UTC).replace(tzinfo=None)


def _offset(instant: dt.datetime, zone: str) -> dt.timedelta | None:
    return instant.replace(tzinfo=dt.UTC).astimezone(ZoneInfo(zone)).utcoffset()


def wait_over(anchor: dt.datetime, wait: Wait, zone: str) -> dt.datetime:
    """The instant at which a wait that began at `anchor` is over."""
    if wait.seconds is not None or wait.clock is None:
        return anchor + dt.timedelta(seconds=wait.seconds or 0)
    date = to_local(anchor, zone).date()
    if wait.weekday is not None:
        date += dt.timedelta(days=(wait.weekday - date.weekday() - 1) % 7 + 1)
    return to_utc(dt.datetime.combine(date + dt.timedelta(days=wait.days or 0), wait.clock), zone)


def period_began(instant: dt.datetime, period: str, zone: str) -> dt.datetime:
    """The first instant of the local `calendar day`, `calendar week` (from Monday) or `calendar month`."""
    date = to_local(instant, zone).date()
    if period == "calendar week":
        date -= dt.timedelta(days=date.weekday())
    elif period == "calendar month":
        date = date.replace(day=1)
    return to_utc(dt.datetime.combine(date, dt.time()), zone)


def window_on(date: dt.date, window: TimeWindow, zone: str) -> tuple[dt.datetime, dt.datetime] | None:
    """The window [open, close) that belongs to a local date, or None where there is none."""
    if WEEKDAYS[date.weekday()] not in window.weekdays:
        return None
    end = date + dt.timedelta(days=1 if window.close < window.open else 0)
    opens = to_utc(dt.datetime.combine(date, window.open), zone, fold=1)
    closes = to_utc(dt.datetime.combine(end, window.close), zone, fold=0)
    return (opens, closes) if opens < closes else None


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
    today = to_local(instant, zone).date()
    # Three weeks reach the next opening even when one weekday is allowed and a transition swallows its window.
    spans = (window_on(today + dt.timedelta(days=offset), window, zone) for offset in range(-2, 20))
    return [span for span in spans if span]
