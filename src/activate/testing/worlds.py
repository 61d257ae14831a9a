"""Generated worlds: small, dense pieces of life in which every rule has something to decide.

A *batch* is one policy, a few tick instants and some independent *worlds* that share them: a few people, everything
they do, and the campaigns they meet. Nobody in one world has anything to do with anybody in another, so one run of the
engine answers for all of them at once; only guards count the messages of all worlds together.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from activate.campaign import Campaign
from activate.policy import Policy
from activate.project import Model, Relation
from activate.testing.oracle import Oracle, tick_together
from activate.testing.oracle_guard import Approval, Approvals
from activate.testing.oracle_state import Message, Predicate, Row, Snapshot, State

PROFILE_COLUMNS = {
    "user_id": "text",
    "time_zone": "text",
    "push_token": "text",
    "push_consent": "boolean",
    "email": "text",
    "email_consent": "text",
    "phone": "text",
    "push_at": "timestamp",
}
EVENT_COLUMNS = {
    "event_id": "text",
    "user_id": "text",
    "event_name": "text",
    "occurred_at": "timestamp",
    "loaded_at": "timestamp",
    "cart_id": "text",
    "item_id": "bigint",
    "cart_value": "bigint",
    "kind": "text",
    "properties": "text",
}
TRIGGER_COLUMNS = {
    "event_id": "text",
    "user_id": "text",
    "occurred_at": "timestamp",
    "loaded_at": "timestamp",
    "cart_id": "text",
    "item_id": "bigint",
    "cart_value": "bigint",
    "kind": "text",
    "coupon": "text",
}
SEGMENT_COLUMNS = {
    "user_id": "text",
    "cart_id": "text",
    "item_id": "bigint",
    "cart_value": "bigint",
    "kind": "text",
    "coupon": "text",
}


def _unknown(test: Callable[..., bool], *values: object) -> bool | None:
    """SQL's comparison: unknown as soon as a value is null."""
    return None if None in values else test(*values)


def _or(*sides: bool | None) -> bool | None:
    """SQL's OR."""
    return True if True in sides else None if None in sides else False


# Every filter as people would write it, and what it means of a row. All models have the two columns.
FILTERS: dict[str, Predicate] = {
    "cart_value > 100": lambda row: _unknown(lambda value: value > 100, row["cart_value"]),
    "NOT (cart_value > 100)": lambda row: _unknown(lambda value: not value > 100, row["cart_value"]),
    "kind <> 'a'": lambda row: _unknown(lambda kind: kind != "a", row["kind"]),
    "kind IS NULL": lambda row: row["kind"] is None,
    "kind IN ('a', 'b') OR cart_value >= 100": lambda row: _or(
        _unknown(lambda kind: kind in ("a", "b"), row["kind"]),
        _unknown(lambda value: value >= 100, row["cart_value"]),
    ),
}

# What a provider made of a message: the rows of `deliveries` as (status, final), in order.
FATES: tuple[tuple[tuple[str, bool], ...], ...] = (
    (),
    (("claimed", False),),
    (("claimed", False), ("accepted", True)),
    (("claimed", False), ("failed", False)),
    (("claimed", False), ("failed", True)),
    (("claimed", False), ("failed", False), ("claimed", False), ("rejected", True)),
    (("claimed", False), ("unknown", True)),
    (("aborted", True),),
    (("expired", True),),
)


@dataclass(frozen=True)
class Moment:
    """One tick in one world: the rules, the rows of every model, the fates of the messages that the tick queues, and the
    suppressions that were told just before it.
    """

    campaigns: tuple[Campaign, ...]
    tables: Mapping[str, tuple[Row, ...]]
    fates: tuple[tuple[tuple[str, bool], ...], ...] = ((),)
    suppressions: tuple[Row, ...] = ()


@dataclass(frozen=True)
class World:
    """A few people over all ticks. `models` are the triggers and segments that the campaigns use."""

    name: str
    models: Mapping[str, Model]
    moments: tuple[Moment, ...]


@dataclass(frozen=True)
class Leave:
    """Somebody approves, just before a tick, up to `ceiling` messages of a campaign."""

    tick: int
    campaign: str
    ceiling: int
    expires_at: dt.datetime


@dataclass(frozen=True)
class Batch:
    """Worlds that share a policy and the ticks. `instants_with_zone`: the tables' times are TIMESTAMPs with zone."""

    policy: Policy
    ticks: tuple[dt.datetime, ...]
    worlds: tuple[World, ...]
    integer_keys: bool = False
    instants_with_zone: bool = False
    approvals: tuple[Leave, ...] = ()

    def leave(self, tick: int) -> list[Leave]:
        """What is approved just before a tick."""
        return [each for each in self.approvals if each.tick == tick]

    def types(self, columns: Mapping[str, str]) -> dict[str, str]:
        """The column types as this batch's tables have them."""
        types = dict(columns)
        if self.integer_keys:
            types["user_id"] = "bigint"
        if self.instants_with_zone:
            types = {k: "timestamp with time zone" if t == "timestamp" else t for k, t in types.items()}
        return types


def model(name: str, kind: str, schema: str = "models", loaded: bool = True) -> Model:
    """A trigger or segment model as the worlds have them."""
    if kind == "segment":
        return Model(name, Relation(schema, name), "segment", key="user_id", columns=dict(SEGMENT_COLUMNS))
    return Model(
        name,
        Relation(schema, name),
        "trigger",
        key="user_id",
        id="event_id",
        time="occurred_at",
        loaded="loaded_at" if loaded else None,
        columns=dict(TRIGGER_COLUMNS),
    )


def delivery_rows(messages: Sequence[Message], fates: Sequence[Sequence[tuple[str, bool]]]) -> list[dict[str, Any]]:
    """The rows of `deliveries` that the messages of one tick lead to: each message has the next of `fates`."""
    rows = []
    for index, message in enumerate(sorted(messages, key=lambda each: each.message_id)):
        for number, (status, final) in enumerate(fates[index % len(fates)]):
            rows.append(
                {
                    "message_id": message.message_id,
                    "attempt": number // 2 + 1,
                    "status": status,
                    "provider": message.provider,
                    "run_id": "delivery",
                    "recorded_at": message.queued_at,
                    "final": final,
                }
            )
    return rows


def simulate(batch: Batch) -> list[tuple[State, list[list[dict[str, Any]]]]]:
    """What the oracle makes of a batch: for each world its state at the end, and the deliveries after each tick."""
    oracles = [Oracle(batch.policy, world.models, FILTERS) for world in batch.worlds]
    deliveries: list[list[list[dict[str, Any]]]] = [[] for _ in batch.worlds]
    approvals = Approvals()
    for tick, now in enumerate(batch.ticks):
        approvals.given += [Approval(each.campaign, each.ceiling, now, each.expires_at) for each in batch.leave(tick)]
        parts = []
        for oracle, world, rows in zip(oracles, batch.worlds, deliveries, strict=True):
            moment, so_far = world.moments[tick], [row for found in rows for row in found]
            told = [row for earlier in world.moments[: tick + 1] for row in earlier.suppressions]
            parts.append((oracle, Snapshot(moment.campaigns, moment.tables, so_far, told)))
        known = [len(oracle.state.messages) for oracle in oracles]
        tick_together(parts, now, approvals)
        for oracle, world, rows, before in zip(oracles, batch.worlds, deliveries, known, strict=True):
            rows.append(delivery_rows(oracle.state.messages[before:], world.moments[tick].fates))
    return [(oracle.state, rows) for oracle, rows in zip(oracles, deliveries, strict=True)]
