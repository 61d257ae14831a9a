"""A request for a segment, as a marketer writes it without SQL: rules/requests/*.yml as a frozen model."""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, field_validator, model_validator

from activate.policy import Frozen, Name
from activate.words import Duration, Instant

MAX_TEXT = 500
MAX_LIST = 500
_TIMES = re.compile(r"^\s*(\d{1,9})\s+times?\s*$")
_WORDS = {"once": 1, "twice": 2}
Value = str | int | float | bool


@dataclass(frozen=True)
class Amount:
    """What an event is counted or added up to. `is_times`: it was written as `3 times`, so it counts."""

    number: int | float
    is_times: bool = False

    def __str__(self) -> str:
        if not self.is_times:
            return str(self.number)
        return {1: "once", 2: "twice"}.get(int(self.number), f"{self.number} times")


def parse_amount(value: Any) -> Amount:
    """Read `3 times`, `once`, `twice` or a number. Raises ValueError for anything else."""
    if isinstance(value, Amount):
        return value
    if isinstance(value, str):
        if match := _TIMES.match(value):
            return Amount(int(match[1]), True)
        if value.strip() in _WORDS:
            return Amount(_WORDS[value.strip()], True)
    elif _is_number(value):
        return Amount(value)
    raise ValueError(f"{value!r} is not an amount; write e.g. '3 times', 'once' or a number")


def parse_value(value: Any) -> Value:
    """Read what a property or a field is compared with: text, a number, true or false."""
    if isinstance(value, bool) or _is_number(value):
        return value  # type: ignore[no-any-return]  # narrowed by what was just asked
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise ValueError(f"the text has {len(value)} characters; at most {MAX_TEXT} are allowed")
        if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in value):
            raise ValueError("the text contains a control character (a line break, for example)")
        return value
    if value is None:
        raise ValueError("there is no value; for people without one write {missing: true}")
    raise ValueError("a single value is meant here: text, a number, true or false")


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) and abs(value) < 2**63


def _amount_as_written(amount: Amount) -> str | int | float:
    return str(amount) if amount.is_times else amount.number


AmountPhrase = Annotated[
    Amount,
    BeforeValidator(parse_amount),
    PlainSerializer(_amount_as_written),
    WithJsonSchema({
        "anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^\s*(\d{1,9}\s+times?|once|twice)\s*$"}],
        "examples": ["3 times", 200],
    }),
]  # fmt: skip
Scalar = Annotated[Any, BeforeValidator(parse_value), WithJsonSchema({"type": ["string", "number", "boolean"]})]


def _comparison(value: Any) -> Any:
    """A plain value is short for `{is: value}`."""
    if isinstance(value, (dict, Comparison)):
        return value
    if isinstance(value, (list, tuple)):
        raise ValueError("a list is written as {in: [a, b]}")
    return {"is": parse_value(value)}


class Comparison(Frozen):
    """What a property or a field has to be; several keys must all hold. Nothing but `missing` and `not` fits a missing value."""

    is_: Scalar | None = Field(None, alias="is")
    in_: tuple[Scalar, ...] | None = Field(None, alias="in", min_length=1, max_length=MAX_LIST)
    not_: Annotated[Comparison, BeforeValidator(_comparison)] | None = Field(None, alias="not")
    at_least: Scalar | None = None
    at_most: Scalar | None = None
    more_than: Scalar | None = None
    less_than: Scalar | None = None
    within: Duration | None = None
    missing: bool | None = None

    SIZES: ClassVar[tuple[str, ...]] = ("at_least", "at_most", "more_than", "less_than")

    @model_validator(mode="after")
    def _says_something(self) -> Comparison:
        said = self.model_fields_set
        if not said:
            raise ValueError("says nothing; write a value, or a comparison such as {at_least: 3}")
        for low, high in (("at_least", "more_than"), ("at_most", "less_than")):
            if {low, high} <= said:
                raise ValueError(f"`{low}` and `{high}` say the same; write one of them")
        if "missing" in said and len(said) > 1:
            raise ValueError("`missing` stands alone")
        if any(getattr(self, key) is None for key in said):
            raise ValueError("there is no value; for people without one write {missing: true}")
        return self

    @field_validator("within")
    @classmethod
    def _some_time(cls, value: int | None) -> int | None:
        return _not_zero(value)


Filter = Annotated[Comparison, BeforeValidator(_comparison)]


def _not_zero(seconds: int | None) -> int | None:
    if seconds == 0:
        raise ValueError("a period of zero holds nothing; write a longer one, e.g. '1 day'")
    return seconds


class Happening(Frozen):
    """An event, when, and with which properties."""

    event: str = Field(min_length=1, max_length=MAX_TEXT)
    within: Duration | None = None
    since: Instant | None = None
    where: dict[str, Filter] = Field(default_factory=dict)

    @field_validator("event")
    @classmethod
    def _plain_text(cls, value: str) -> str:
        return str(parse_value(value))

    @field_validator("within")
    @classmethod
    def _some_time(cls, value: int | None) -> int | None:
        return _not_zero(value)

    @model_validator(mode="after")
    def _one_period(self) -> Happening:
        if self.within is not None and self.since is not None:
            raise ValueError("write `within` or `since`, not both")
        return self


class DidNot(Happening):
    """No such event."""


class Did(Happening):
    """At least one such event, and so many of them, or so much of a property."""

    sum: str | None = None
    exactly: AmountPhrase | None = None
    at_least: AmountPhrase | None = None
    at_most: AmountPhrase | None = None
    more_than: AmountPhrase | None = None
    less_than: AmountPhrase | None = None

    SIZES: ClassVar[tuple[str, ...]] = ("exactly", "at_least", "at_most", "more_than", "less_than")

    @property
    def amounts(self) -> dict[str, Amount]:
        """The comparisons that are written, by key."""
        return {key: getattr(self, key) for key in self.SIZES if getattr(self, key) is not None}

    @model_validator(mode="after")
    def _amounts_fit(self) -> Did:
        amounts = self.amounts
        if "exactly" in amounts and len(amounts) > 1:
            raise ValueError("`exactly` stands alone")
        for low, high in (("at_least", "more_than"), ("at_most", "less_than")):
            if {low, high} <= set(amounts):
                raise ValueError(f"`{low}` and `{high}` say the same; write one of them")
        if self.sum is None:
            self._check_counts(amounts)
        elif not amounts:
            raise ValueError(f"`sum` needs something to compare with, e.g. {{sum: {self.sum}, at_least: 200}}")
        elif any(amount.is_times for amount in amounts.values()):
            raise ValueError("`sum` adds up values, so write a number without `times`")
        least, most = amounts.get("at_least"), amounts.get("at_most")
        if least and most and least.number > most.number:
            raise ValueError(f"nothing is at least {least} and at most {most}")
        return self

    def _check_counts(self, amounts: dict[str, Amount]) -> None:
        for key, amount in amounts.items():
            if not isinstance(amount.number, int):
                raise ValueError(
                    f"`{key}: {amount}` counts events, so write a whole number; to add up values, add `sum`"
                )
            # `did` means at least once, so a count that allows only zero is a contradiction.
            least = {"more_than": 0, "less_than": 2}.get(key, 1)
            if amount.number < least:
                raise ValueError(
                    f"`did` means at least once, so `{key}` must be at least {least}; for never, write `did_not`"
                )


class Condition(Frozen):
    """One line of a request: exactly one of these keys."""

    all: tuple[Condition, ...] | None = Field(None, min_length=1)
    any: tuple[Condition, ...] | None = Field(None, min_length=1)
    not_: Condition | None = Field(None, alias="not")
    did: Did | None = None
    did_not: DidNot | None = None
    profile: dict[str, Filter] | None = Field(None, min_length=1)
    in_segment: str | None = None
    not_in_segment: str | None = None

    KEYS: ClassVar[tuple[str, ...]] = (
        "all", "any", "not", "did", "did_not", "profile", "in_segment", "not_in_segment",
    )  # fmt: skip

    @model_validator(mode="after")
    def _one_key(self) -> Condition:
        said = [key for key in self.KEYS if self.get(key) is not None]
        if len(said) != 1:
            hint = f"here are {' and '.join(said)}; put them under `all`" if said else "here is none"
            raise ValueError(f"a line has exactly one of: {', '.join(self.KEYS)}; {hint}")
        return self

    def get(self, key: str) -> Any:
        """What stands under a key, as people write it."""
        return self.not_ if key == "not" else getattr(self, key)

    @property
    def key(self) -> str:
        """The one key that is written."""
        return next(key for key in self.KEYS if self.get(key) is not None)


class Request(Frozen):
    """rules/requests/*.yml: who is asked for. `request` becomes the dbt model's name."""

    request: Name
    description: str = Field(min_length=1, max_length=2000)
    owner: str | None = None
    who: Condition
