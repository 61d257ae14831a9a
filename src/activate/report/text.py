"""How instants, lengths of time and numbers are written, for people and for JSON."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from decimal import Decimal
from typing import Any

from activate.report.localtime import to_local


def when(instant: dt.datetime) -> str:
    """`2026-03-29 10:05 UTC`; seconds and their fractions only where there are some."""
    precision = "milliseconds" if instant.microsecond else "seconds" if instant.second else "minutes"
    return f"{instant.isoformat(sep=' ', timespec=precision)} UTC"


def short(instant: dt.datetime) -> str:
    """`2026-03-29 10:05`: to the minute, for tables."""
    return f"{instant:%Y-%m-%d %H:%M}"


def local(instant: dt.datetime, zone: str) -> str:
    """`Sunday 22:14`, the wall clock in a zone."""
    return f"{to_local(instant, zone):%A %H:%M}"


def span(length: dt.timedelta) -> str:
    """A length of time in its two largest units: `2 days 3 hours`, `45 seconds`."""
    seconds = int(abs(length).total_seconds())
    parts = []
    for unit, size in (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1)):
        number, seconds = divmod(seconds, size)
        if number:
            parts.append(f"{number} {unit}{'s' if number != 1 else ''}")
    return " ".join(parts[:2]) or "0 seconds"


def number(value: int) -> str:
    """`1,234,567`."""
    return f"{value:,}"


def plural(value: int, noun: str, many: str | None = None) -> str:
    """`1 message`, `2 messages`, `1,000 people`."""
    return f"{value:,} {noun if value == 1 else many or noun + 's'}"


def to_data(value: Any) -> Any:  # one answer for each kind of value
    """Dataclasses as plain data for JSON; of private fields only the names of their members."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        data: dict[str, Any] = {}
        for field in dataclasses.fields(value):
            member = getattr(value, field.name)
            data[field.name] = sorted(member) if field.metadata.get("private") else to_data(member)
        return data
    if isinstance(value, dict):
        return {str(key): to_data(member) for key, member in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_data(member) for member in value]
    if isinstance(value, dt.datetime):
        return f"{value.isoformat()}Z"
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def to_json(value: Any) -> str:
    """One JSON document, indented, of dataclasses and plain data."""
    return json.dumps(to_data(value), indent=2, ensure_ascii=False, allow_nan=False)
