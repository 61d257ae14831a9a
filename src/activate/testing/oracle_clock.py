"""Local time for the oracle, found by trial rather than by rule, so that it cannot share a mistake with the engine."""

from __future__ import annotations

import datetime as dt
import functools
import zoneinfo

_DAY = dt.timedelta(days=1)


@functools.cache
def iana_zone(name: str | None) -> zoneinfo.ZoneInfo | None:
    """The zone of that name, or None where `name` is null or no IANA name."""
    return zoneinfo.ZoneInfo(name) if name in zoneinfo.available_timezones() else None


def local_time(instant: dt.datetime, zone: zoneinfo.ZoneInfo) -> dt.datetime:
    """What a clock in `zone` shows at `instant`; both are naive."""
    return instant.replace(tzinfo=dt.UTC).astimezone(zone).replace(tzinfo=None)


@functools.lru_cache(maxsize=100_000)
def instant_of(day: dt.date, clock: dt.time, zone: zoneinfo.ZoneInfo, second: bool = False) -> dt.datetime:
    """The instant when clocks in `zone` show `clock` on `day`.

    Of a time that happens twice it is the first occurrence (the `second`, if asked for). For a time that never happens
    it is the first instant at which the clocks show a later one.
    """
    wanted = dt.datetime.combine(day, clock)
    guesses = sorted(wanted.replace(tzinfo=zone, fold=fold).astimezone(dt.UTC).replace(tzinfo=None) for fold in (0, 1))
    hits = [guess for guess in guesses if local_time(guess, zone) == wanted]
    if hits:
        return hits[-1] if second else hits[0]
    before, after = guesses  # one lies on either side of the jump: close in on it
    while after - before > dt.timedelta(seconds=1):
        middle = before + dt.timedelta(seconds=(after - before) // dt.timedelta(seconds=2))
        if local_time(middle, zone) < wanted:
            before = middle
        else:
            after = middle
    return after


def period_start(kind: str, instant: dt.datetime, zone: zoneinfo.ZoneInfo, periods_on: int = 0) -> dt.datetime:
    """The first instant of the local day, week (from Monday) or month of `instant`; or of one `periods_on` later."""
    day = local_time(instant, zone).date()
    if kind == "calendar day":
        day += periods_on * _DAY
    elif kind == "calendar week":
        day += periods_on * 7 * _DAY - day.weekday() * _DAY
    else:
        months = day.year * 12 + day.month - 1 + periods_on
        day = dt.date(months // 12, months % 12 + 1, 1)
    return instant_of(day, dt.time(0), zone)
