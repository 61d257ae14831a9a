"""A small shop on both warehouses: four models, two campaigns, and state rows written by hand."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from sqlglot import exp

from activate.campaign import Campaign
from activate.policy import Policy
from activate.project import Model, Project, Relation
from activate.tables import CAMPAIGN_VERSIONS, DECISIONS, DELIVERIES, ENTRIES, MESSAGES, RUNS, SCANS, TABLES, Table
from activate.warehouses.base import Warehouse
from activate.warehouses.duckdb import DuckDB
from activate.warehouses.postgres import Postgres

LAUNCH = dt.datetime(2026, 3, 1, 8)
NOW = dt.datetime(2026, 3, 28, 12)
SHOP = "shop"

POLICY = Policy.model_validate(
    {
        "profiles": {"model": "profiles", "key": "user_id", "time_zone": "time_zone"},
        "events": {
            "model": "events", "id": "event_id", "key": "user_id", "name": "event_name", "time": "occurred_at",
            "loaded": "loaded_at", "properties": "properties",
        },
        "channels": {
            "push": {"address": "push_token", "consent": "push_consent", "provider": "phone"},
            "email": {"address": "email", "consent": "email_consent", "provider": "post"},
        },
        "providers": {"phone": {"type": "file", "path": "x"}, "post": {"type": "file", "path": "y"}},
        "time_window": {"open": "09:00", "close": "21:00"},
        "frequency_caps": [
            {"limit": 2, "per": "1 day"},
            {"limit": 3, "per": "7 days", "channel": "push"},
            {"limit": 1, "per": "calendar day", "tag": "promotion"},
        ],
        "global_control": "5%",
    }
)  # fmt: skip
CART = Campaign.model_validate(
    {
        "campaign": "abandoned_cart",
        "priority": 60,
        "tags": ["promotion"],
        "active": {"from": "2026-01-01", "until": "2027-01-01"},
        "enter": {"trigger": "cart_abandoned", "where": "cart_value > 100"},
        "re_enter": {"after": "7 days"},
        "audience": {"in": ["vip"]},
        "exceptions": [{"event": "purchase", "match": "cart_id"}],
        "control": "10%",
        "steps": [
            {"wait": "30 minutes", "channels": ["push", "email"], "template": "cart", "expires": "24 hours"},
        ],
    }
)
WELCOME = Campaign.model_validate(
    {
        "campaign": "welcome",
        "enter": {"segment": "vip", "where": "points > 10"},
        "steps": [
            {"channels": ["email"], "template": "hello"},
            {"wait": "in 2 days at 10:00", "channels": ["email"], "template": "tips"},
        ],
    }
)

_MODELS: dict[str, dict[str, str]] = {
    "profiles": {
        "user_id": "TEXT", "time_zone": "TEXT", "push_token": "TEXT", "push_consent": "BOOLEAN",
        "email": "TEXT", "email_consent": "TEXT",
    },
    "events": {
        "event_id": "TEXT", "user_id": "TEXT", "event_name": "TEXT", "occurred_at": "TIMESTAMP",
        "loaded_at": "TIMESTAMP", "properties": "TEXT",
    },
    "cart_abandoned": {
        "event_id": "TEXT", "user_id": "TEXT", "occurred_at": "TIMESTAMP", "loaded_at": "TIMESTAMP",
        "cart_value": "DOUBLE", "cart_id": "TEXT",
    },
    "vip": {"user_id": "TEXT", "points": "BIGINT"},
}  # fmt: skip
_CONTRACTS: dict[str, dict[str, Any]] = {
    "cart_abandoned": {
        "kind": "trigger", "key": "user_id", "id": "event_id", "time": "occurred_at", "loaded": "loaded_at",
    },
    "vip": {"kind": "segment", "key": "user_id"},
}  # fmt: skip
_ARROW = {
    "TEXT": pa.string(),
    "BIGINT": pa.int64(),
    "BOOLEAN": pa.bool_(),
    "TIMESTAMP": pa.timestamp("us"),
    "DOUBLE": pa.float64(),
}


def changed(campaign: Campaign, **changes: object) -> Campaign:
    """The campaign with some keys of its file written differently."""
    data = campaign.model_dump(by_alias=True, mode="json", exclude_defaults=True)
    return Campaign.model_validate({**data, **changes})


def entry_id(campaign: str, person: str, occurrence: str) -> str:
    return hashlib.md5(f"{campaign}|{person}|{occurrence}".encode(), usedforsecurity=False).hexdigest()


@dataclass
class Shop:
    """The warehouse with helpers that write one row each."""

    warehouse: Warehouse
    campaigns: tuple[Campaign, ...] = (CART, WELCOME)
    policy: Policy = POLICY
    models: dict[str, Model] = field(default_factory=dict)

    @property
    def project(self) -> Project:
        return Project(Path("/nowhere"), "shop", self.policy, self.campaigns, self.models)

    def model(self, name: str, **values: Any) -> None:
        types = _MODELS[name]
        columns = {column: pa.array([values.get(column)], _ARROW[kind]) for column, kind in types.items()}
        self.warehouse.ingest(Relation(SHOP, name), pa.table(columns))

    def state(self, table: Table, **values: Any) -> None:
        kinds = {column.name: column.type for column in table.columns}
        columns = {name: pa.array([values.get(name)], _ARROW[kind]) for name, kind in kinds.items()}
        self.warehouse.ingest(Relation("activate", table.name), pa.table(columns))

    def profile(self, person: str, **values: Any) -> None:
        row = {
            "time_zone": "Europe/Berlin", "push_token": "t0k3n", "push_consent": True,
            "email": "someone@example.com", "email_consent": "subscribed", **values,
        }  # fmt: skip
        self.model("profiles", user_id=person, **row)

    def cart(self, person: str, occurrence: str | None, at: dt.datetime, **values: Any) -> None:
        row = {"occurred_at": at, "loaded_at": at, "cart_value": 150.0, "cart_id": "c1", **values}
        self.model("cart_abandoned", event_id=occurrence, user_id=person, **row)

    def event(self, person: str, event: str, name: str, at: dt.datetime, **values: Any) -> None:
        row = {"loaded_at": at, "properties": json.dumps({"cart_id": "c1"}), **values}
        self.model("events", event_id=event, user_id=person, event_name=name, occurred_at=at, **row)

    def tick(self, now: dt.datetime = NOW) -> None:
        self.state(
            RUNS, run_id=f"r{now:%d%H%M}", now=now, started_at=now, finished_at=now, status="decided",
            rules_version="v",
            counts=json.dumps(
                {
                    "entered": {"abandoned_cart": 1200},
                    "invalid": {},
                    "decisions": [
                        ["abandoned_cart", "send", "send", "ready", "push", 900],
                        ["abandoned_cart", "send", "send", "ready", "email", 100],
                        ["welcome", "defer", "window", "window_closed", "email", 30],
                    ],
                }
            ),
        )  # fmt: skip
        for campaign in self.campaigns:
            self.state(
                SCANS,
                campaign=campaign.campaign,
                scanned_to=now,
                decided_at=now,
                live_from=LAUNCH,
                run_id=f"r{now:%d%H%M}",
            )

    def enter(self, person: str, occurrence: str, at: dt.datetime, campaign: Campaign = CART, **values: Any) -> str:
        entry = entry_id(campaign.campaign, person, occurrence)
        row = {
            "entered_at": at, "recorded_at": at + dt.timedelta(minutes=5), "is_control": False, "rules_version": "v",
            "context": json.dumps({"cart_id": "c1", "cart_value": 150.0}), "run_id": "r", "match_key": "c1",
            "campaign_version": campaign.version, **values,
        }  # fmt: skip
        self.state(ENTRIES, entry_id=entry, campaign=campaign.campaign, user_id=person, occurrence_id=occurrence, **row)
        return entry

    def decide(
        self, person: str, entry: str, at: dt.datetime, reason: str, gate: str, outcome: str, **values: Any
    ) -> None:
        row = {"campaign": CART.campaign, "step": 1, "run_id": "r", "ends_entry": outcome != "defer", **values}
        self.state(
            DECISIONS, user_id=person, entry_id=entry, decided_at=at, reason=reason, gate=gate, outcome=outcome, **row
        )

    def message(self, person: str, message: str, at: dt.datetime, **values: Any) -> None:
        row = {
            "entry_id": "e0", "campaign": "promo", "step": 1, "channel": "push", "provider": "phone",
            "class": "marketing", "tags": json.dumps(["promotion"]), "expires_at": at + dt.timedelta(days=1),
            "run_id": "r", "counts_toward_caps": True, "template": "cart", "priority": 50, **values,
        }  # fmt: skip
        self.state(MESSAGES, message_id=message, user_id=person, queued_at=at, **row)

    def deliver(self, message: str, status: str, at: dt.datetime, attempt: int = 1, **values: Any) -> None:
        row = {"provider": "phone", "run_id": "r", "final": status not in ("claimed", "failed"), **values}
        self.state(DELIVERIES, message_id=message, status=status, recorded_at=at, attempt=attempt, **row)

    def define(self, campaign: Campaign) -> None:
        self.state(
            CAMPAIGN_VERSIONS, campaign=campaign.campaign, campaign_version=campaign.version,
            definition=campaign.canonical(), run_id="r", recorded_at=LAUNCH,
        )  # fmt: skip


def _create(warehouse: Warehouse, relation: Relation, columns: dict[str, str]) -> None:
    defined = [
        exp.ColumnDef(this=exp.to_identifier(name, quoted=True), kind=exp.DataType.build(kind))
        for name, kind in columns.items()
    ]
    warehouse.execute(exp.Create(this=exp.Schema(this=relation.table(), expressions=defined), kind="TABLE"))


def _build(warehouse: Warehouse) -> Shop:
    """The models without a row, and no state table."""
    for schema in (SHOP, "activate"):
        warehouse.execute(exp.Create(this=exp.to_identifier(schema), kind="SCHEMA"))
    for name, columns in _MODELS.items():
        _create(warehouse, Relation(SHOP, name), columns)
    relations = {name: Relation(SHOP, name) for name in _MODELS}
    found = warehouse.columns(list(relations.values()))
    models = {
        name: Model(name, relation, columns=found[relation], **_CONTRACTS.get(name, {}))
        for name, relation in relations.items()
    }
    return Shop(warehouse, models=models)


def _begin(made: Shop) -> Shop:
    """State tables, the launch, one later tick at NOW, and the campaigns' definitions."""
    for table in TABLES:
        columns = {column.name: column.type for column in table.columns}
        _create(made.warehouse, Relation("activate", table.name), columns)
    for campaign in made.campaigns:
        made.define(campaign)
    made.tick(LAUNCH)
    made.tick(NOW)
    return made


@pytest.fixture(scope="session")
def _prepared() -> Iterator[dict[str, Shop]]:
    """The shops on DuckDB, made once: reports only read, so what a test writes is rolled back after it."""
    with contextlib.closing(DuckDB.open(":memory:")) as empty, contextlib.closing(DuckDB.open(":memory:")) as full:
        yield {"empty": _build(empty), "full": _begin(_build(full))}


@contextlib.contextmanager
def _on(kind: str, which: str, request: pytest.FixtureRequest) -> Iterator[Shop]:
    if kind == "duckdb":
        made = request.getfixturevalue("_prepared")[which]
        made.warehouse.execute("BEGIN")
        yield dataclasses.replace(made)
        made.warehouse.execute("ROLLBACK")
        return
    with contextlib.closing(Postgres.open(request.getfixturevalue("postgres_server"))) as warehouse:
        yield _build(warehouse) if which == "empty" else _begin(_build(warehouse))


on_each = pytest.fixture(params=["duckdb", pytest.param("postgres", marks=pytest.mark.slow)])


@on_each
def empty_shop(request: pytest.FixtureRequest) -> Iterator[Shop]:
    """The models without a row, and no state table: no tick has ever run."""
    with _on(request.param, "empty", request) as made:
        yield made


@on_each
def shop(request: pytest.FixtureRequest) -> Iterator[Shop]:
    """A shop whose campaigns were launched at LAUNCH and ticked at NOW."""
    with _on(request.param, "full", request) as made:
        yield made
