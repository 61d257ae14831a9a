"""A small stage for testing campaigns: put people and events on it, run ticks, read what was decided.

    scenario = Scenario(warehouse)
    scenario.campaign("cart", enter={"trigger": "cart_abandoned"}, steps=[{"wait": "30 minutes", "channels": ["push"]}])
    scenario.profile("ada", zone="Europe/Berlin").tick("2026-03-02 08:00")
    scenario.event("cart_abandoned", "ada", at="2026-03-02 09:00")
    assert scenario.tick("2026-03-02 09:30") == ["ada cart/1: send ready"]

Every tick is also put to the oracle; a disagreement between the two is an AssertionError.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from sqlglot import exp

from activate import run
from activate.address import address_hash
from activate.campaign import Campaign
from activate.policy import Policy
from activate.policy import State as StatePolicy
from activate.project import Model, Project, Relation
from activate.record.approvals import grant
from activate.tables import APPROVALS, AUDITS, DECISIONS, DELIVERIES, ENTRIES, MESSAGES, SUPPRESSIONS, Table
from activate.testing.oracle import Oracle
from activate.testing.oracle_guard import Approval
from activate.testing.oracle_state import Predicate, Snapshot
from activate.testing.worlds import FILTERS
from activate.testing.worlds_compare import actual_tables, differences, expected_tables
from activate.testing.worlds_stage import Stage, append, drop_schema, read
from activate.warehouses.base import Warehouse
from activate.words import parse_instant

POLICY: dict[str, Any] = {
    "profiles": {"model": "profiles", "key": "user_id", "time_zone": "time_zone"},
    "events": {
        "model": "events",
        "id": "event_id",
        "key": "user_id",
        "name": "event_name",
        "time": "occurred_at",
        "loaded": "loaded_at",
    },
    "channels": {
        "push": {"address": "push_token", "consent": "push_consent", "provider": "pushes"},
        "email": {"address": "email", "consent": "email_consent", "provider": "mails"},
        "sms": {"address": "phone", "provider": "texts"},
    },
}
_TYPES: dict[type, str] = {str: "text", bool: "boolean", int: "bigint", float: "double", dt.datetime: "timestamp"}
_NUMBERS = count(1)


class Scenario:
    """People, events, segments and rules in schemas of their own; all methods that put something there return self.

    `policy` holds the keys of rules/activate.yml that differ from a default policy with the channels push, email and
    sms (or it is a whole Policy). `where` maps the text of each `where:` used to the same as a Python function of a
    row. A campaign's trigger `x` is the events named `x`. `properties` maps the columns that events and segments have
    besides, even before any row is there, to their types (text, bigint, double, boolean, timestamp).
    """

    def __init__(
        self,
        warehouse: Warehouse,
        policy: Mapping[str, Any] | Policy | None = None,
        where: Mapping[str, Predicate] | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> None:
        number = next(_NUMBERS)
        self.warehouse = warehouse
        self.schema, self.state_schema = f"scenario_{number}", f"scenario_state_{number}"
        rules = policy if isinstance(policy, Policy) else Policy.model_validate({**POLICY, **(policy or {})})
        self.policy = rules.model_copy(update={"state": StatePolicy.model_validate({"schema": self.state_schema})})
        self.properties = dict(properties or {})
        self.campaigns: dict[str, Campaign] = {}
        self.profiles: dict[str, list[dict[str, Any]]] = {}
        self.events: list[dict[str, Any]] = []
        self.segments: dict[str, list[dict[str, Any]]] = {}
        self.deliveries: list[dict[str, Any]] = []
        self.suppressions: list[dict[str, Any]] = []
        self.oracle = Oracle(self.policy, {}, {**FILTERS, **(where or {})})

    # -- putting things on the stage ------------------------------------------------------------------------------

    def campaign(self, name: str, **keys: Any) -> Scenario:
        """Add a campaign, or edit the one of this name, with the keys of its file.

        Steps may leave out `channels` (push) and `template`.
        """
        steps = [{"channels": ["push"], "template": "hello", **step} for step in keys.pop("steps", [{}])]
        self.campaigns[name] = Campaign.model_validate({"campaign": name, **keys, "steps": steps})
        return self

    def remove_campaign(self, name: str) -> Scenario:
        """Take the campaign's file away."""
        del self.campaigns[name]
        return self

    def edit_policy(self, **keys: Any) -> Scenario:
        """Change keys of the policy, e.g. `frequency_caps`."""
        self.policy = self.oracle.policy = self.policy.model_copy(update=keys)
        return self

    def profile(self, user_id: str, zone: str | None = "UTC", **columns: Any) -> Scenario:
        """Add or replace a person: reachable on every channel, with consent, unless `columns` say otherwise.

        Consents are texts.
        """
        row: dict[str, Any] = {self.policy.profiles.key: user_id}
        if self.policy.profiles.time_zone:
            row[self.policy.profiles.time_zone] = zone
        for name, channel in self.policy.channels.items():
            row[channel.address] = f"{name} of {user_id}"
            if channel.consent:
                row[channel.consent] = channel.consent_values[0]
            if channel.registered:
                row[channel.registered] = None
        self.profiles[user_id] = [{**row, **columns}]
        return self

    def profile_twice(self, user_id: str) -> Scenario:
        """Let the profiles model have two rows for the person."""
        self.profiles[user_id] = self.profiles[user_id] * 2
        return self

    def no_profile(self, user_id: str) -> Scenario:
        """Take the person out of the profiles model."""
        self.profiles.pop(user_id, None)
        return self

    def event(
        self, name: str, user_id: str, at: str, *, id: str | None = None, loaded: str | None = None, **properties: Any
    ) -> Scenario:
        """Let something happen. Ids are `e1`, `e2` and so on, and it is loaded at once, unless said otherwise."""
        events = self.policy.events
        row = {
            events.id: id or f"e{len(self.events) + 1}",
            events.key: user_id,
            events.name: name,
            events.time: parse_instant(at),
        }
        if events.loaded:
            row[events.loaded] = parse_instant(loaded or at)
        self.events.append({**row, **properties})
        return self

    def segment(self, name: str, *user_ids: str, **columns: Any) -> Scenario:
        """Say who is in a segment from now on; `columns` are the same for all of them."""
        self.segments[name] = [{"user_id": user_id, **columns} for user_id in user_ids]
        return self

    def delivered(self, status: str, at: str, *, user_id: str, final: bool = True) -> Scenario:
        """Record what became of the person's latest message."""
        latest = max(self.messages(user_id), key=lambda row: (row["queued_at"], row["message_id"]))
        row = {
            "message_id": latest["message_id"],
            "attempt": 1,
            "status": status,
            "provider": latest["provider"],
            "run_id": "delivery",
            "recorded_at": parse_instant(at),
            "final": final,
        }
        types = {column.name: column.type.lower() for column in DELIVERIES.columns}
        append(self.warehouse, Relation(self.state_schema, "deliveries"), types, [row])
        self.deliveries.append(row)
        return self

    def suppressed(
        self, channel: str, reason: str, at: str, *, address: str | None = None, user_id: str | None = None,
        released: bool = False,
    ) -> Scenario:  # fmt: skip
        """Record that an address (or a person) is suppressed on a channel, or released."""
        row = {
            "channel": channel,
            "address_hash": None if address is None else address_hash(channel, address),
            "user_id": user_id,
            "reason": reason,
            "status": "released" if released else "suppressed",
            "provider": "somebody",
            "occurred_at": parse_instant(at),
            "run_id": "ingestion",
            "recorded_at": parse_instant(at),
        }
        types = {column.name: column.type.lower() for column in SUPPRESSIONS.columns}
        append(self.warehouse, Relation(self.state_schema, SUPPRESSIONS.name), types, [row])
        self.suppressions.append(row)
        return self

    def approve(self, campaign: str, messages: int, at: str, expires: str = "2100-01-01") -> str:
        """Let up to so many messages of a campaign pass its guard once; returns the approval's id."""
        now, expires_at = parse_instant(at), parse_instant(expires)
        self.oracle.approvals.given.append(Approval(campaign, messages, now, expires_at))
        return grant(
            self.warehouse, self.project(), subject="campaign", name=campaign, kind="messages", ceiling=messages,
            granted_by="somebody", now=now, expires_at=expires_at,
        )  # fmt: skip

    # -- running --------------------------------------------------------------------------------------------------

    def tick(self, at: str) -> list[str]:
        """Run a tick and return what it decided, as `PERSON CAMPAIGN/STEP: OUTCOME REASON [until RETRY_AT]`, in order.

        Step 0 is a refusal at the door.
        """
        now = parse_instant(at)
        models, tables = self._set()
        run.decide(self.warehouse, self.project(models), now)
        self.oracle.models = models
        self.oracle.tick(now, Snapshot(tuple(self.campaigns.values()), tables, self.deliveries, self.suppressions))
        found = differences(expected_tables([self.oracle.state]), actual_tables(self.warehouse, self.state_schema))
        assert not found, "engine and oracle disagree:\n" + "\n".join(map(str, found))
        return sorted(_line(row) for row in self.decisions() if row["decided_at"] == now)

    def project(self, models: Mapping[str, Model] | None = None) -> Project:
        """The rules and models as they are now."""
        return Project(Path(), "scenario", self.policy, tuple(self.campaigns.values()), dict(models or self._set()[0]))

    def _set(self) -> tuple[dict[str, Model], dict[str, list[dict[str, Any]]]]:
        """Build the stage anew: the tables of profiles, events and segments, and a view for each trigger."""
        drop_schema(self.warehouse, self.schema)
        stage = Stage(self.warehouse, self.schema)
        events, profiles = self.policy.events, self.policy.profiles
        tables: dict[str, list[dict[str, Any]]] = {
            profiles.model: [row for rows in self.profiles.values() for row in rows],
            events.model: self.events,
        }
        models: dict[str, Model] = {}
        for name in (profiles.model, events.model):
            types = _types(tables[name], self._asked(name))
            tables[name] = [{**dict.fromkeys(types), **row} for row in tables[name]]
            models[name] = _table(stage, name, types, tables[name])
        for campaign in self.campaigns.values():
            for segment in {campaign.enter.segment, *campaign.audience.in_, *campaign.audience.not_in} - {None}:
                rows = [{**dict.fromkeys(self.properties), **row} for row in self.segments.get(str(segment), [])]
                types = _types(rows, {"user_id": "text", **self.properties})
                models[str(segment)] = _table(stage, str(segment), types, rows, "segment")
                tables[str(segment)] = rows
        for trigger in {campaign.enter.trigger for campaign in self.campaigns.values()} - {None}:
            named = exp.column(events.name, quoted=True).eq(exp.Literal.string(str(trigger)))
            query = exp.select("*").from_(models[events.model].relation.table()).where(named)
            stage.create_view(str(trigger), query)
            models[str(trigger)] = Model(
                str(trigger),
                stage.relation(str(trigger)),
                "trigger",
                key=events.key,
                id=events.id,
                time=events.time,
                loaded=events.loaded,
                columns=models[events.model].columns,
            )
            tables[str(trigger)] = [row for row in tables[events.model] if row[events.name] == trigger]
        return models, tables

    def _asked(self, model: str) -> dict[str, str]:
        """The columns that the policy asks of the profiles or the events model, with their types."""
        profiles, events = self.policy.profiles, self.policy.events
        if model == profiles.model:
            channels = self.policy.channels.values()
            names = [profiles.key, profiles.time_zone, *(c.address for c in channels), *(c.consent for c in channels)]
            registered = {channel.registered: "timestamp" for channel in channels if channel.registered}
            return {name: "text" for name in names if name} | registered
        texts = {name: "text" for name in (events.id, events.key, events.name, events.properties) if name}
        return texts | self.properties | {name: "timestamp" for name in (events.time, events.loaded) if name}

    # -- reading --------------------------------------------------------------------------------------------------

    def decisions(self, user_id: str | None = None) -> list[dict[str, Any]]:
        """The rows of `decisions`, oldest first, of one person or of all."""
        return self._read(DECISIONS, user_id, "decided_at")

    def messages(self, user_id: str | None = None) -> list[dict[str, Any]]:
        """The rows of `messages`, oldest first, of one person or of all."""
        return self._read(MESSAGES, user_id, "queued_at")

    def entries(self, user_id: str | None = None) -> list[dict[str, Any]]:
        """The rows of `entries`, oldest first, of one person or of all."""
        return self._read(ENTRIES, user_id, "recorded_at")

    def audits(self, user_id: str | None = None) -> list[dict[str, Any]]:
        """The rows of `audits`, oldest first, of one person or of all."""
        owned = {entry["entry_id"] for entry in self.entries(user_id)}
        rows = read(self.warehouse, Relation(self.state_schema, AUDITS.name), AUDITS.names)
        return sorted((row for row in rows if row["entry_id"] in owned), key=lambda row: row["recorded_at"])

    def approvals(self) -> list[dict[str, Any]]:
        """The rows of `approvals`, oldest first."""
        rows = read(self.warehouse, Relation(self.state_schema, APPROVALS.name), APPROVALS.names)
        return sorted(rows, key=lambda row: (row["recorded_at"], row["status"]))

    def _read(self, table: Table, user_id: str | None, order: str) -> list[dict[str, Any]]:
        rows = read(self.warehouse, Relation(self.state_schema, table.name), table.names)
        return sorted((row for row in rows if user_id in (None, row["user_id"])), key=lambda row: row[order])


def _table(
    stage: Stage, name: str, types: Mapping[str, str], rows: Sequence[Mapping[str, Any]], kind: Any = None
) -> Model:
    stage.create(name, types)
    stage.append(name, types, rows)
    return Model(name, stage.relation(name), kind, key="user_id" if kind else None, columns=dict(types))


def _types(rows: Sequence[Mapping[str, Any]], known: Mapping[str, str]) -> dict[str, str]:
    """Column types by the values there are; a column of nulls is text."""
    types = {name: "text" for row in rows for name in row}
    types |= {name: _TYPES[type(value)] for row in rows for name, value in row.items() if value is not None}
    return {**types, **known}


def _line(row: Mapping[str, Any]) -> str:
    until = f" until {row['retry_at']:%Y-%m-%d %H:%M:%S}" if row["retry_at"] else ""
    return f"{row['user_id']} {row['campaign']}/{row['step']}: {row['outcome']} {row['reason']}{until}"
