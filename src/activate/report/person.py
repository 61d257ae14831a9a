"""One person's rows in the dbt models, as they are now: the profile, events, occurrences, memberships of segments.

Addresses are never read: the warehouse only says whether there is one.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from activate.address import uniform_of
from activate.campaign import Campaign, ExceptionEvent
from activate.expression import columns_of, parse_where
from activate.policy import TimeWindow
from activate.project import Model, Project
from activate.report.localtime import is_zone
from activate.report.state import Row, State, column, count
from activate.report.story import ProfileStory, Reach
from activate.tables import ENTRIES
from activate.warehouses.base import literal


@dataclass(frozen=True)
class Seen:
    """A row of a trigger or segment model. `passes` is what `where` says; `values` are the columns it asks about."""

    id: str | None
    time: dt.datetime | None
    loaded: dt.datetime | None
    passes: bool
    values: dict[str, Any]


class Person:
    """Questions about one person to the models of a project."""

    def __init__(self, state: State, project: Project, user_id: str) -> None:
        self.state = state
        self.project = project
        self.user_id = user_id
        self.profile = self._profile()

    def zone(self, campaign: Campaign) -> str:
        """The zone that waits and windows use: the profile's, else `unknown_zone`, else UTC."""
        if self.profile.time_zone is not None and is_zone(self.profile.time_zone):
            return self.profile.time_zone
        own = campaign.time_window if isinstance(campaign.time_window, TimeWindow) else None
        return _fallback(own or self.project.policy.time_window)

    @property
    def cap_zone(self) -> str:
        """The zone of calendar caps: the profile's, else the policy's `unknown_zone`, else UTC."""
        zone = self.profile.time_zone
        return zone if zone is not None and is_zone(zone) else _fallback(self.project.policy.time_window)

    def is_member(self, segment: str) -> bool | None:
        """Whether the segment's model has a row for the person now; None when there is no such model."""
        model = self.project.models.get(segment)
        if model is None or model.key is None:
            return None
        query = exp.select(exp.alias_(count(), "n")).from_(model.relation.table()).where(self._is(model, model.key))
        return bool(self.state.ask(query)[0]["n"])

    def rows(self, model: Model, where: str | None, limit: int = 5) -> list[Seen]:
        """The person's newest rows in a trigger or segment model."""
        condition = self._where(model, where)
        asked = list(dict.fromkeys(columns_of(condition))) if condition else []
        query = exp.select(
            exp.alias_(self._as_text(model, model.id) if model.id else exp.null(), "id"),
            exp.alias_(self._instant(model, model.time) if model.time else exp.null(), "time"),
            exp.alias_(self._instant(model, model.loaded) if model.loaded else exp.null(), "loaded"),
            exp.alias_(_flag(condition) if condition else exp.true(), "passes"),
            *(exp.alias_(column(name), f"v{place}") for place, name in enumerate(asked)),
        )
        query = query.from_(model.relation.table()).where(self._is(model, model.key or "")).limit(limit)
        if model.time:
            query = query.order_by(exp.Ordered(this=column(_spelled(model, model.time)), desc=True, nulls_first=True))
        return [
            Seen(
                row["id"],
                row["time"],
                row["loaded"] if model.loaded else row["time"],
                bool(row["passes"]),
                {name: row[f"v{place}"] for place, name in enumerate(asked)},
            )
            for row in self.state.ask(query)
        ]

    def exception_event(self, exception: ExceptionEvent, entry: Row, until: dt.datetime) -> Row | None:
        """The earliest event that this exception means, from the entry to `until`: `id`, `time` and `loaded`."""
        events = self.project.policy.events
        model = self.project.models[events.model]
        time, loaded = self._instant(model, events.time), self._instant(model, events.loaded or events.time)
        key = self._as_text(model, events.id)
        query = exp.select(exp.alias_(key, "id"), exp.alias_(time, "time"), exp.alias_(loaded, "loaded"))
        query = query.from_(model.relation.table()).where(
            self._is(model, events.key),
            column(_spelled(model, events.name)).eq(literal(exception.event)),
            exp.GTE(this=time, expression=literal(entry["entered_at"])),
            exp.LTE(this=time, expression=literal(until)),
            exp.LTE(this=loaded, expression=literal(until)),
            exp.NEQ(this=key.copy(), expression=literal(entry["occurrence_id"])),
        )
        condition = self._where(model, exception.where)
        if condition is not None:
            query = query.where(condition)
        if exception.match is not None:
            wanted = self._context_value(entry, exception.match)
            query = query.where(self._match_value(model, exception.match).eq(wanted))
        found = self.state.ask(query.order_by("time", "id").limit(1))
        return found[0] if found else None

    def event(self, event_id: str) -> Row | None:
        """When an event happened and was loaded, by its id."""
        events = self.project.policy.events
        model = self.project.models[events.model]
        query = (
            exp.select(
                exp.alias_(self._instant(model, events.time), "time"),
                exp.alias_(self._instant(model, events.loaded or events.time), "loaded"),
                exp.alias_(self._as_text(model, events.name), "name"),
            )
            .from_(model.relation.table())
            .where(self._is(model, events.key), self._as_text(model, events.id).eq(literal(event_id)))
            .order_by("time")
            .limit(1)
        )
        return next(iter(self.state.ask(query)), None)

    def sharers(self, channel: str) -> list[str]:
        """Who else has the person's address on a channel now, each with one profile: up to a hundred, by key."""
        if self.profile.rows != 1:
            return []
        policy = self.project.policy
        model = self.project.models[policy.profiles.model]
        text = self._as_text(model, policy.channels[channel].address)
        key, address = self._as_text(model, policy.profiles.key), uniform_of(channel, text)
        mine = exp.select(address).from_(model.relation.table()).where(self._is(model, policy.profiles.key))
        theirs = exp.select(key).from_(model.relation.table())
        theirs = theirs.where(exp.NEQ(this=text, expression=literal("")), address.copy().isin(query=mine))
        query = exp.select(exp.alias_(key.copy(), "user_id")).from_(model.relation.table())
        query = query.where(key.copy().isin(query=theirs), exp.NEQ(this=key.copy(), expression=literal(self.user_id)))
        query = query.group_by(key.copy()).having(exp.EQ(this=count(), expression=literal(1)))
        return [row["user_id"] for row in self.state.ask(query.order_by("user_id").limit(100))]

    def _profile(self) -> ProfileStory:
        policy = self.project.policy
        model = self.project.models[policy.profiles.model]
        zone = policy.profiles.time_zone
        chosen = [exp.alias_(self._as_text(model, zone) if zone else exp.null(), "zone")]
        for place, channel in enumerate(policy.channels.values()):
            address = self._as_text(model, channel.address)
            # An address that is null does not differ from the empty text either: the comparison is then not true.
            there = exp.NEQ(this=address, expression=literal(""))
            consent = column(_spelled(model, channel.consent)) if channel.consent else exp.true()
            chosen += [exp.alias_(_flag(there), f"a{place}"), exp.alias_(consent, f"c{place}")]
        query = exp.select(*chosen).from_(model.relation.table()).where(self._is(model, policy.profiles.key))
        found = self.state.ask(query.limit(100))
        if not found:
            return ProfileStory(0, None, None, ())
        row = found[0]
        reach = [
            Reach(name, bool(row[f"a{place}"]), _consents(row[f"c{place}"], channel.consent_values))
            for place, (name, channel) in enumerate(policy.channels.items())
        ]
        return ProfileStory(len(found), row["zone"], row["zone"] if is_zone(row["zone"]) else None, tuple(reach))

    def _is(self, model: Model, key: str) -> exp.Expr:
        return self._as_text(model, key).eq(literal(self.user_id))

    def _as_text(self, model: Model, name: str) -> exp.Expr:
        name = _spelled(model, name)
        return self.state.warehouse.text(column(name), model.columns.get(name, ""))

    def _instant(self, model: Model, name: str) -> exp.Expr:
        name = _spelled(model, name)
        return self.state.warehouse.instant(column(name), model.columns.get(name, ""))

    def _where(self, model: Model, where: str | None) -> exp.Expression | None:
        return parse_where(where, columns=model.columns, dialect=self.state.warehouse.dialect) if where else None

    def _match_value(self, model: Model, name: str) -> exp.Expr:
        properties = self.project.policy.events.properties
        if _spelled(model, name) not in model.columns and properties is not None:
            return self.state.warehouse.json_text(column(_spelled(model, properties)), name)
        return self._as_text(model, name)

    def _context_value(self, entry: Row, name: str) -> exp.Expr:
        # The warehouse reads the value out of the stored JSON, as the engine does, so that numbers are written alike.
        value = self.state.warehouse.json_text(column("context"), name)
        source = exp.select(value).from_(self.state.table(ENTRIES))
        return exp.Subquery(this=source.where(column("entry_id").eq(literal(entry["entry_id"]))).limit(1))


def _fallback(window: TimeWindow | None) -> str:
    return "UTC" if window is None or window.unknown_zone == "suppress" else window.unknown_zone


def _spelled(model: Model, name: str) -> str:
    """The column's own spelling, found as the warehouse would find it."""
    if name in model.columns:
        return name
    return next((found for found in model.columns if found.lower() == name.lower()), name)


def _flag(condition: exp.Expr) -> exp.Expr:
    return exp.Case().when(condition.copy(), exp.true()).else_(exp.false())


def _consents(value: Any, allowed: Sequence[str]) -> bool:
    return value if isinstance(value, bool) else value in allowed
