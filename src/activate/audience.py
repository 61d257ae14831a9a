"""An audience: one file of rules/audiences as a frozen model."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, field_validator, model_validator

from activate.policy import Frozen, Name
from activate.words import Share, parse_share

EXTERNAL_ID = "external_id"
NORMALISERS = ("email", "email_gmail", "phone", "phone_digits", "lower", "trim")
CASTS = ("text", "integer", "decimal", "boolean", "date", "timestamp")
_RESERVED = re.compile(r"^_")
_WHOLE = re.compile(r"^\d[\d_]*$")


@dataclass(frozen=True)
class Limit:
    """A number of people (`count`) or a share of those that the destination holds (`share`); exactly one is set."""

    count: int | None = None
    share: float | None = None

    def of(self, members: int) -> int:
        """The limit as a number of people, where the destination holds so many."""
        return self.count if self.count is not None else int((self.share or 0.0) * members + 1e-9)

    def __str__(self) -> str:
        return f"{self.count}" if self.count is not None else f"{(self.share or 0.0) * 100:.10g}%"


def parse_limit(value: Any) -> Limit:
    """Read `5%` or `1000`."""
    if isinstance(value, Limit):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return Limit(count=value)
    if isinstance(value, str) and value.strip().endswith("%"):
        return Limit(share=parse_share(value))
    if isinstance(value, str) and _WHOLE.match(value.strip()):
        return Limit(count=int(value))
    raise ValueError(f"{value!r} is not a limit; write a number of people, e.g. 1000, or a share, e.g. '5%'")


def _written(limit: Limit) -> int | str:
    return limit.count if limit.count is not None else str(limit)


LimitPhrase = Annotated[
    Limit,
    BeforeValidator(parse_limit),
    PlainSerializer(_written),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": r"^\s*\d+(\.\d+)?%\s*$"}],
            "description": "A number of people, or a share of the members that the destination holds.",
        }
    ),
]


class Mapped(Frozen):
    """One value that is sent: a column or a constant, made uniform, cast or hashed on its way."""

    column: str | None = None
    value: str | int | float | bool | None = None
    normalise: Literal["email", "email_gmail", "phone", "phone_digits", "lower", "trim"] | None = None
    country_code: str | None = Field(None, pattern=r"^\+[1-9]\d{0,3}$")
    cast: Literal["text", "integer", "decimal", "boolean", "date", "timestamp"] | None = None
    hash: Literal["sha256", "md5"] | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Mapped:
        if (self.column is None) == (self.value is None):
            raise ValueError("write either `column` or `value`")
        if self.value is not None and (self.normalise or self.hash or self.cast):
            raise ValueError("a constant `value` is sent as it is written; leave `normalise`, `hash` and `cast` out")
        if self.hash is not None and self.cast not in (None, "text"):
            raise ValueError("a hash is text; leave `cast` out")
        if self.country_code is not None and self.normalise not in ("phone", "phone_digits"):
            raise ValueError("`country_code` completes phone numbers; add `normalise: phone`")
        return self


def _mapped(value: Any) -> Any:
    return {"column": value} if isinstance(value, str) else value


MappedPhrase = Annotated[Mapped, BeforeValidator(_mapped)]


class AudienceGuard(Frozen):
    """What may change at once. What is over a limit is withheld, all of its kind; the rest flows."""

    max_added: LimitPhrase | None = None
    max_removed: LimitPhrase | None = None
    max_updated: LimitPhrase | None = None
    max_suppressed: LimitPhrase | None = None
    fresh: bool = True
    tested: bool = True
    max_rejected: Share | None = None


class Split(Frozen):
    """A split of the audience by hash: audiences with the same split name take different arms."""

    name: Name
    arms: dict[Name, int] = Field(min_length=2)
    take: Name | None = None
    field: str | None = None

    @model_validator(mode="after")
    def _some_use(self) -> Split:
        if self.take is None and self.field is None:
            raise ValueError("say which arm this audience takes (`take`), or which `field` the arm is sent in")
        if self.take is not None and self.take not in self.arms:
            raise ValueError(f"`take` names no arm; arms: {', '.join(self.arms)}")
        if any(weight < 1 for weight in self.arms.values()):
            raise ValueError("an arm's weight must be at least 1")
        return self


class Audience(Frozen):
    """rules/audiences/*.yml: a segment that a destination is to hold."""

    audience: Name
    description: str = ""
    owner: str | None = None
    segment: str
    destination: Name
    identify_by: MappedPhrase = Mapped(column=EXTERNAL_ID)
    fields: dict[str, MappedPhrase] = Field(default_factory=dict)
    mode: Literal["mirror", "upsert", "add_only"] = "mirror"
    first_run: Literal["send_all", "baseline"] = "send_all"
    on_new_mapping: Literal["ask", "rebaseline", "resend"] = "ask"
    exclude: tuple[str, ...] = ()
    consent: Name | None = None
    control: Share | None = None
    split: Split | None = None
    priority: int | None = Field(None, ge=0, le=1000)
    group: Name | None = None
    guard: AudienceGuard = AudienceGuard()
    schedule: Name | None = None

    @field_validator("fields")
    @classmethod
    def _names(cls, value: dict[str, Mapped]) -> dict[str, Mapped]:
        for name in value:
            if _RESERVED.match(name) or not name.strip():
                raise ValueError(f"{name!r} cannot be a field's name; a name begins with a letter or a digit")
        low = [name.lower() for name in value]
        if len(set(low)) < len(low):
            raise ValueError("two fields differ only in upper and lower case; most destinations cannot tell them apart")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Audience:
        if self.identify_by.value is not None:
            raise ValueError("`identify_by` must be a column: a constant would make everybody one member")
        if self.group is not None and self.priority is None:
            raise ValueError("`group` needs a `priority`: it decides who keeps a person")
        if self.split is not None and self.split.field in self.fields:
            raise ValueError(f"the field {self.split.field!r} is both mapped and the split's")
        return self

    @property
    def by_key(self) -> bool:
        """Whether the destination knows people by their key in the profiles; else by a hashed identifier.

        An identifier that is not hashed (an address) is sent as a field beside the key: state must not hold it.
        """
        return self.identify_by.column == EXTERNAL_ID or self.identify_by.hash is None

    @property
    def exclusive(self) -> str:
        """The group of audiences of which a person is in one at most."""
        return self.group or f"destination {self.destination}"

    @property
    def mapping_version(self) -> str:
        """Hash of everything that decides what a row looks like at the destination; not of who is in it.

        Two hashes with a dot between: of `identify_by`, then of the fields.
        """
        split = self.split.model_dump() if self.split is not None and self.split.field else None
        parts = {
            "fields": [[name, self.fields[name].model_dump(mode="json")] for name in sorted(self.fields)],
            "split": split,
        }
        return f"{_digest(self.identify_by.model_dump(mode='json'))}.{_digest(parts)}"

    @property
    def version(self) -> str:
        """Hash of the whole definition, without its words for people."""
        text = self.model_dump_json(by_alias=True, exclude={"description", "owner"})
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:12]


def _digest(parts: Any) -> str:
    return hashlib.md5(json.dumps(parts, sort_keys=True).encode(), usedforsecurity=False).hexdigest()[:8]
