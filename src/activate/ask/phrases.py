"""Each line of a request in words, as comments, descriptions and the terminal repeat it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from activate.ask.lines import Line
from activate.request import Comparison, Did, Happening, Value
from activate.words import format_duration

_SIZES = {
    "exactly": "exactly", "at_least": "at least", "at_most": "at most", "more_than": "more than",
    "less_than": "less than",
}  # fmt: skip
_GROUPS = {
    ("all", False): "all of:",
    ("any", False): "any of:",
    ("all", True): "not all of:",
    ("any", True): "none of:",
}


def phrase(line: Line) -> str:
    """The line in words, without those of the lines in it."""
    if line.is_group:
        return _GROUPS[line.key, line.negated]
    said = _leaf(line)
    return f"not so: {said}" if line.negated else said


def outline(root: Line) -> Iterator[tuple[int, Line]]:
    """Every line with how far it is indented, in the order of reading."""
    for line in root.walk():
        yield line.number.count(".") + 1 if line.number and line is not root else 0, line


def period(seconds: int) -> str:
    """A period as marketers count: `14 days` rather than `2 weeks`."""
    days, rest = divmod(seconds, 86_400)
    return format_duration(seconds) if rest else f"{days} day{'s' if days != 1 else ''}"


def _leaf(line: Line) -> str:
    condition = line.condition
    if condition.did is not None:
        return f"did {condition.did.event}{_amount(condition.did)}{_circumstances(condition.did)}"
    if condition.did_not is not None:
        return f"did not do {condition.did_not.event}{_circumstances(condition.did_not)}"
    if condition.profile is not None:
        return " and ".join(_compared(name, comparison) for name, comparison in condition.profile.items())
    if condition.in_segment is not None:
        return f"is in the segment {condition.in_segment}"
    return f"is not in the segment {condition.not_in_segment}"


def _amount(did: Did) -> str:
    sizes = " and ".join(f"{_SIZES[key]} {amount}" for key, amount in did.amounts.items())
    if did.sum is not None:
        return f", {did.sum} adding up to {sizes},"
    if not sizes:
        return ""
    return f" {sizes}" if any(amount.is_times for amount in did.amounts.values()) else f" {sizes} times"


def _circumstances(happening: Happening) -> str:
    when = ""
    if happening.within is not None:
        when = f" within {period(happening.within)}"
    elif happening.since is not None:
        when = f" since {_instant(happening.since)}"
    where = " and ".join(_compared(name, comparison) for name, comparison in happening.where.items())
    return f"{when}, where {where}" if where else when


def _compared(name: str, comparison: Comparison) -> str:
    said = [
        f"{name} is {_value(comparison.is_)}" if comparison.is_ is not None else "",
        f"{name} is one of {', '.join(_value(value) for value in comparison.in_)}" if comparison.in_ else "",
        *(
            f"{name} is {_SIZES[key]} {_value(value)}"
            for key in comparison.SIZES
            if (value := getattr(comparison, key)) is not None
        ),
        f"{name} is within {period(comparison.within)}" if comparison.within is not None else "",
        "" if comparison.missing is None else f"{name} is {'' if comparison.missing else 'not '}missing",
        f"not ({_compared(name, comparison.not_)})" if comparison.not_ is not None else "",
    ]
    return " and ".join(part for part in said if part)


def _value(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"'{value}'" if isinstance(value, str) else str(value)


def _instant(instant: dt.datetime) -> str:
    return f"{instant:%Y-%m-%d}" if instant.time() == dt.time() else f"{instant.isoformat(sep=' ')} UTC"
