"""The small phrases that people write in rules: durations, shares, waits, local times, instants.

Each is parsed once into a frozen value; `str()` gives back the canonical phrase. A phrase that cannot be read raises
ValueError with what is allowed, which the loader turns into a mistake with file and line.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, PlainValidator, ValidationInfo, WithJsonSchema

_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
_DURATION = re.compile(r"^\s*(\d+)\s*(second|minute|hour|day|week)s?\s*$")
_CLOCK = re.compile(r"^([01]\d|2[0-3]):([0-5]\d)$")
_IN_DAYS = re.compile(r"^\s*in\s+(\d+)\s+days?\s+at\s+(\S+)\s*$")
_NEXT = re.compile(r"^\s*next\s+([a-z]+)\s+at\s+(\S+)\s*$")
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_LONGEST = 10 * 365 * 86_400


def parse_duration(value: Any) -> int:
    """Read `30 minutes` as seconds. A day is 86,400 seconds, whatever the clocks do (semantics.md, section 1)."""
    match = _DURATION.match(value) if isinstance(value, str) else None
    if not match:
        raise ValueError(
            f"{value!r} is not a duration; write a whole number and a unit, e.g. '30 minutes' "
            f"(units: {', '.join(unit + 's' for unit in _UNITS)})"
        )
    seconds = int(match[1]) * _UNITS[match[2]]
    if seconds > _LONGEST:
        raise ValueError(f"{value!r} is longer than ten years")
    return seconds


def format_duration(seconds: int) -> str:
    """Write seconds as the shortest whole phrase, e.g. 1800 as `30 minutes`."""
    for unit, size in reversed(_UNITS.items()):
        if seconds % size == 0 and seconds >= size:
            count = seconds // size
            return f"{count} {unit}{'s' if count != 1 else ''}"
    return "0 seconds"


def parse_share(value: Any) -> float:
    """Read `10%` as 0.1. Between 0% and 100%."""
    text = value.strip() if isinstance(value, str) else ""
    if not re.fullmatch(r"\d+(\.\d+)?%", text):
        raise ValueError(f"{value!r} is not a share; write it with a percent sign, e.g. '10%'")
    share = float(text[:-1]) / 100
    if share > 1:
        raise ValueError(f"{value!r} is more than 100%")
    return share


def parse_limit(value: Any) -> int | float:
    """Read `10000` as a number and `5%` as 0.05: a guard's limit. More than nothing; a percentage to four decimals.

    The least percentage is exact in millionths, so that a limit is a whole number on every warehouse.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1:
            raise ValueError(f"{value} is too small; a guard that lets nothing pass guards nothing; the least is 1")
        return value
    try:
        share = parse_share(value)
    except ValueError as error:
        if isinstance(value, str) and value.strip().endswith("%"):
            raise
        raise ValueError(
            f"{value!r} is not a limit; write a whole number such as 10000, or a percentage such as '5%'"
        ) from error
    if share == 0:
        raise ValueError(f"{value!r} is too small; a guard that lets nothing pass guards nothing")
    if abs(share * 1_000_000 - round(share * 1_000_000)) > 1e-6:
        raise ValueError(f"{value!r} has more than four decimal places")
    return share


def parse_clock(value: Any) -> dt.time:
    """Read a local time of day written as HH:MM, e.g. `09:00`."""
    match = _CLOCK.match(value) if isinstance(value, str) else None
    if not match:
        raise ValueError(f'{value!r} is not a time of day; write it in quotes as "HH:MM", e.g. "09:00"')
    return dt.time(int(match[1]), int(match[2]))


def parse_instant(value: Any) -> dt.datetime:
    """Read a date (midnight UTC) or an ISO time (UTC unless it has an offset) as a naive UTC datetime."""
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(
                f"{value!r} is not a date or time; write e.g. 2026-01-01 or 2026-01-01T08:00:00Z"
            ) from None
    if isinstance(value, dt.datetime):
        try:
            return value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value
        except OverflowError:
            raise ValueError(f"{value.isoformat()!r} lies outside the calendar (years 1 to 9999)") from None
    if isinstance(value, dt.date):
        return dt.datetime(value.year, value.month, value.day)
    raise ValueError(f"{value!r} is not a date or time; write e.g. 2026-01-01 or 2026-01-01T08:00:00Z")


@dataclass(frozen=True)
class Wait:
    """How long a step waits after its anchor (the occurrence, or the previous step's decision).

    Exactly one of: `seconds`; `days` with `clock` (that many calendar days later at a local time); `weekday`
    (0 = Monday) with `clock` (the next such weekday, strictly after the anchor's local date).
    """

    seconds: int | None = None
    days: int | None = None
    weekday: int | None = None
    clock: dt.time | None = None

    @property
    def is_local(self) -> bool:
        """Whether the wait ends at a local time of day."""
        return self.clock is not None

    @property
    def shortest(self) -> int:
        """A lower bound of the wait in seconds, over all zones and anchors."""
        if self.seconds is not None:
            return self.seconds
        # A local day can be as short as 23 hours, and an anchor can lie at the very end of its day.
        return max(0, ((self.days or 1) - 1) * 86_400 - 7200)

    @property
    def longest(self) -> int:
        """An upper bound of the wait in seconds, over all zones and anchors."""
        if self.seconds is not None:
            return self.seconds
        return ((self.days if self.days is not None else 7) + 1) * 86_400 + 7200

    def __str__(self) -> str:
        if self.seconds is not None:
            return format_duration(self.seconds)
        at = f"at {self.clock:%H:%M}"
        if self.days is not None:
            return f"in {self.days} day{'s' if self.days != 1 else ''} {at}"
        return f"next {WEEKDAYS[self.weekday or 0]} {at}"


def parse_wait(value: Any) -> Wait:
    """Read `30 minutes`, `in 2 days at 10:00` or `next saturday at 10:00`."""
    if isinstance(value, Wait):
        return value
    if isinstance(value, str):
        text = value.lower()
        if match := _IN_DAYS.match(text):
            if not 1 <= int(match[1]) <= 365:
                raise ValueError(f"{value!r}: the number of days must be from 1 to 365")
            return Wait(days=int(match[1]), clock=parse_clock(match[2]))
        if match := _NEXT.match(text):
            if match[1] not in WEEKDAYS:
                raise ValueError(f"{match[1]!r} is not a weekday; allowed: {', '.join(WEEKDAYS)}")
            return Wait(weekday=WEEKDAYS.index(match[1]), clock=parse_clock(match[2]))
        if _DURATION.match(text):
            return Wait(seconds=parse_duration(text))
    raise ValueError(
        f"{value!r} is not a wait; write '30 minutes', 'in 2 days at 10:00' or 'next saturday at 10:00' (local time)"
    )


def _phrase(parse: Any, write: Any, example: str, description: str) -> Any:
    schema = {"type": "string", "examples": [example], "description": description}
    return (BeforeValidator(parse), PlainSerializer(write), WithJsonSchema(schema))


def _made_in_python(value: Any, kind: type, info: ValidationInfo) -> bool:
    """Whether the value is already what a phrase stands for. In a file (context `written`) it has to be the phrase."""
    written = bool(info.context and info.context.get("written"))
    return not written and isinstance(value, kind) and not isinstance(value, bool)


def _seconds(value: Any, info: ValidationInfo) -> int:
    return value if _made_in_python(value, int, info) else parse_duration(value)


def _share(value: Any, info: ValidationInfo) -> float:
    return value if _made_in_python(value, float, info) else parse_share(value)


def _limit(value: Any, info: ValidationInfo) -> int | float:
    return float(value) if _made_in_python(value, float, info) else parse_limit(value)


def format_limit(limit: int | float) -> int | str:
    """Write a limit as people do: `10000`, `5%`."""
    return limit if isinstance(limit, int) else f"{limit * 100:.10g}%"


def _clock(value: Any) -> dt.time:
    return value if isinstance(value, dt.time) else parse_clock(value)


Duration = Annotated[int, *_phrase(_seconds, format_duration, "30 minutes", "A whole number and a unit.")]
Share = Annotated[float, *_phrase(_share, lambda share: f"{share * 100:.10g}%", "10%", "A percentage.")]
Limit = Annotated[
    int | float,
    PlainValidator(_limit),
    PlainSerializer(format_limit),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "examples": ["5%"]}]}),
]
Clock = Annotated[dt.time, *_phrase(_clock, lambda clock: f"{clock:%H:%M}", "09:00", "A local time of day, HH:MM.")]
Instant = Annotated[
    dt.datetime, *_phrase(parse_instant, lambda t: f"{t.isoformat()}Z", "2026-01-01", "A date or time, UTC.")
]
WaitPhrase = Annotated[
    Wait,
    *_phrase(parse_wait, str, "in 2 days at 10:00", "A duration, 'in N days at HH:MM' or 'next WEEKDAY at HH:MM'."),
]
