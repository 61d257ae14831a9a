"""What the warehouse has: the columns of the models, the names of events, the keys of their properties."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sqlglot import exp

from activate.families import family
from activate.policy import Events, Policy
from activate.project import Model
from activate.warehouses.base import Warehouse, literal

# How far back names are listed for `did you mean`; a name asked for is looked up in all of history.
RECENT = dt.timedelta(days=180)
MAX_NAMES = 2000
SAMPLE = 1000
FEW = 50


@dataclass(frozen=True)
class Field:
    """A column, or a key of the events' JSON column (`family` is `document`).

    `family` is what kind of values there are: `text`, `integer`, `boolean`, ...; None where the type is not known.
    """

    name: str
    type_name: str
    family: str | None

    @property
    def is_document(self) -> bool:
        """Whether the value has to be taken out of the JSON column."""
        return self.family == "document"


@dataclass
class Known:
    """Answers what exists; asks the warehouse once for each thing.

    `profiles`, `events` and `segments` come with their columns.
    """

    warehouse: Warehouse
    policy: Policy
    profiles: Model
    events: Model
    segments: Mapping[str, Model]
    now: dt.datetime
    _keys: dict[str, dict[str, None]] = field(default_factory=dict, repr=False)

    @cached_property
    def event_names(self) -> tuple[str, ...]:
        """The names of what happened lately, the most frequent first."""
        name, time = self._column("name"), self._column("time")
        query = (
            exp.select(exp.alias_(name, "name"))
            .from_(self.events.relation.table("e"))
            .where(exp.GT(this=time, expression=literal(self.now - RECENT)))
            .where(exp.Not(this=exp.Is(this=name.copy(), expression=exp.null())))
            .group_by(name.copy())
            .order_by(exp.Ordered(this=exp.Count(this=exp.Star()), desc=True))
            .limit(MAX_NAMES)
        )
        return tuple(str(found) for found in self._first_column(query))

    def has_event(self, name: str) -> bool:
        """Whether an event of the name was ever seen."""
        return name in self.event_names or bool(self._first_column(self._of(name, exp.Literal.number(1)).limit(1)))

    def profile_field(self, name: str) -> Field | None:
        """The profiles' column of a name."""
        return _column_field(self.profiles, name)

    def property_of(self, event: str, name: str) -> Field | None:
        """The property of an event: a column of the events model, or else a key of its JSON column."""
        found = _column_field(self.events, name)
        if found is not None or self._document is None:
            return found
        if name in self.json_keys(event) or self._ever_had(event, name):
            return Field(name, "", "document")
        return None

    def has_value(self, event: str, wanted: Field) -> bool:
        """Whether any event of the name ever had a value in a column."""
        has = exp.Not(this=exp.Is(this=exp.column(wanted.name, table="e", quoted=True), expression=exp.null()))
        return bool(self._first_column(self._of(event, exp.Literal.number(1)).where(has).limit(1)))

    def few_values(self, wanted: Field, event: str | None = None) -> tuple[str, ...] | None:
        """The texts that a property of an event (or a field of the profiles) has, if they are few; None if many.

        Addresses are nobody's to list: for them the answer is None, however few there are.
        """
        if event is None and wanted.name in {channel.address for channel in self.policy.channels.values()}:
            return None
        value: exp.Expr = exp.column(wanted.name, table="e", quoted=True)
        if wanted.is_document:
            value = self.warehouse.json_text(self._column("properties"), wanted.name)
        else:
            value = self.warehouse.text(value, wanted.type_name)
        query = exp.select(exp.alias_(value, "found")).from_(self.profiles.relation.table("e"))
        if event is not None:
            query = self._of(event, value)
        has = exp.Not(this=exp.Is(this=value.copy(), expression=exp.null()))
        found = self._first_column(query.distinct().where(has).limit(FEW + 1))
        return None if len(found) > FEW else tuple(sorted(found))

    def property_names(self, event: str) -> tuple[str, ...]:
        """What `property_of` could have been asked for."""
        return (*self.events.columns, *self.json_keys(event))

    def json_keys(self, event: str) -> Iterable[str]:
        """The keys in a sample of the event's latest rows, in the order in which they came."""
        if self._document is None:
            return ()
        if event not in self._keys:
            text = self.warehouse.text(self._column("properties"), self.events.columns[self._document])
            latest = exp.Ordered(this=self._column("time"), desc=True)
            found: dict[str, None] = {}
            for row in self._first_column(self._of(event, text).order_by(latest).limit(SAMPLE)):
                found |= dict.fromkeys(_keys_of(row))
            self._keys[event] = found
        return self._keys[event]

    @property
    def _document(self) -> str | None:
        return self.policy.events.properties

    def _ever_had(self, event: str, key: str) -> bool:
        value = self.warehouse.json_text(self._column("properties"), key)
        has = exp.Not(this=exp.Is(this=value, expression=exp.null()))
        return bool(self._first_column(self._of(event, exp.Literal.number(1)).where(has).limit(1)))

    def _of(self, event: str, what: exp.Expr) -> exp.Select:
        is_it = exp.EQ(this=self._column("name"), expression=exp.Literal.string(event))
        return exp.select(exp.alias_(what, "found")).from_(self.events.relation.table("e")).where(is_it)

    def _column(self, key: str) -> exp.Expr:
        return exp.column(getattr(self.policy.events, key), table="e", quoted=True)

    def _first_column(self, query: exp.Select) -> list[Any]:
        found: list[Any] = self.warehouse.query(query).column(0).to_pylist()
        return found


def find_column(columns: Mapping[str, str], name: str) -> str | None:
    """The column of a name: exactly, else the only one that differs by upper and lower case alone."""
    if name in columns:
        return name
    alike = [column for column in columns if column.lower() == name.lower()]
    return alike[0] if len(alike) == 1 else None


def spell(policy: Policy, profiles: Model, events: Model) -> tuple[Policy, list[str]]:
    """The policy with its columns spelled as the warehouse spells them, and what is wrong with those that it lacks."""
    faults: list[str] = []

    def spelled(model: Model, part: str, key: str, name: str | None) -> str | None:
        found = None if name is None else find_column(model.columns, name)
        if name is not None and found is None:
            faults.append(f"`{part}.{key}`: {model.relation} has no column {name!r}")
        return found

    changes = {
        key: spelled(events, "events", key, getattr(policy.events, key))
        for key in Events.model_fields
        if key != "model"
    }
    key = spelled(profiles, "profiles", "key", policy.profiles.key)
    if faults:
        return policy, faults
    update = {
        "events": policy.events.model_copy(update=changes),
        "profiles": policy.profiles.model_copy(update={"key": key}),
    }
    return policy.model_copy(update=update), []


def _column_field(model: Model, name: str) -> Field | None:
    found = find_column(model.columns, name)
    return None if found is None else Field(found, model.columns[found], family(model.columns[found]))


def _keys_of(text: Any) -> Iterable[str]:
    try:
        found = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        return ()
    return found if isinstance(found, dict) else ()
