"""Runs a batch of worlds through the engine and through the oracle."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlglot import exp

from activate import run
from activate.policy import State as StatePolicy
from activate.project import Model, Project, Relation
from activate.record.approvals import grant
from activate.tables import DELIVERIES, SUPPRESSIONS, Table
from activate.testing.worlds import (
    EVENT_COLUMNS,
    PROFILE_COLUMNS,
    SEGMENT_COLUMNS,
    TRIGGER_COLUMNS,
    Batch,
    simulate,
)
from activate.testing.worlds_compare import Difference, Tables, actual_tables, differences, expected_tables
from activate.testing.worlds_stage import Stage, append, drop_schema
from activate.warehouses.base import Warehouse

_SHARED = {"profiles": PROFILE_COLUMNS, "events": EVENT_COLUMNS}
_OWNED = {"trigger": ("triggers", TRIGGER_COLUMNS), "segment": ("segments", SEGMENT_COLUMNS)}
_SCHEMAS = itertools.count(1)


class Engine:
    """The engine over one batch: the worlds' models are views over a few tables, so that loading is quick."""

    def __init__(self, warehouse: Warehouse, batch: Batch) -> None:
        number = next(_SCHEMAS)
        self.warehouse = warehouse
        self.batch = batch
        self.stage = Stage(warehouse, f"models_{number}")
        self.state_schema = f"state_{number}"
        state = StatePolicy.model_validate({"schema": self.state_schema})
        self.policy = batch.policy.model_copy(update={"state": state})
        self.tables: dict[str, dict[str, str]] = {name: batch.types(columns) for name, columns in _SHARED.items()}
        for name, columns in _OWNED.values():
            self.tables[name] = {"owner": "text", **batch.types(columns)}
        self.loaded: dict[str, list[Mapping[str, Any]]] = {}
        self.models = self._create()

    def _create(self) -> dict[str, Model]:
        for name, types in self.tables.items():
            self.stage.create(name, types)
        models = {name: Model(name, self.stage.relation(name), columns=self.tables[name]) for name in _SHARED}
        for name, model in {name: each for world in self.batch.worlds for name, each in world.models.items()}.items():
            base, columns = _OWNED[model.kind or ""]
            owned = exp.column("owner").eq(exp.Literal.string(name))
            self.stage.create_view(name, exp.select(*columns).from_(self.stage.relation(base).table()).where(owned))
            models[name] = replace(model, relation=self.stage.relation(name), columns=self.batch.types(columns))
        return models

    def load(self, tick: int) -> None:
        """Fill the tables with what is true at that tick; those that did not change stay."""
        rows: dict[str, list[Mapping[str, Any]]] = {name: [] for name in self.tables}
        for world in self.batch.worlds:
            for name, found in world.moments[tick].tables.items():
                if name in _SHARED:
                    rows[name] += found
                else:
                    base, _ = _OWNED[world.models[name].kind or ""]
                    rows[base] += [{**row, "owner": name} for row in found]
        for name, found_rows in rows.items():
            if self.loaded.get(name) != found_rows:
                self.stage.replace(name, self.tables[name], found_rows)
                self.loaded[name] = found_rows

    def tick(self, tick: int, deliveries: Sequence[Mapping[str, Any]]) -> None:
        """Run one tick, and record what became of the messages afterwards."""
        self.load(tick)
        campaigns = {c.campaign: c for world in self.batch.worlds for c in world.moments[tick].campaigns}
        project = Project(Path(), "worlds", self.policy, tuple(campaigns.values()), self.models)
        now = self.batch.ticks[tick]
        run.migrate_state(self.warehouse, project, now)
        for each in self.batch.leave(tick):
            grant(
                self.warehouse, project, subject="campaign", name=each.campaign, kind="messages", ceiling=each.ceiling,
                granted_by="somebody", now=now, expires_at=each.expires_at,
            )  # fmt: skip
        self._append(SUPPRESSIONS, [row for world in self.batch.worlds for row in world.moments[tick].suppressions])
        run.decide(self.warehouse, project, now)
        self._append(DELIVERIES, deliveries)

    def _append(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        types = {column.name: column.type.lower() for column in table.columns}
        append(self.warehouse, Relation(self.state_schema, table.name), types, rows)

    def drop(self) -> None:
        """Drop everything again."""
        self.stage.drop()
        drop_schema(self.warehouse, self.state_schema)


def both(warehouse: Warehouse, batch: Batch) -> tuple[Tables, Tables]:
    """What the oracle expects of the batch, and what the engine makes of it."""
    simulated = simulate(batch)
    engine = Engine(warehouse, batch)
    try:
        for tick in range(len(batch.ticks)):
            engine.tick(tick, [row for _, deliveries in simulated for row in deliveries[tick]])
        return expected_tables(state for state, _ in simulated), actual_tables(warehouse, engine.state_schema)
    finally:
        engine.drop()


def disagreements(warehouse: Warehouse, batch: Batch) -> list[Difference]:
    """Where engine and oracle disagree about the batch; nothing, hopefully."""
    return differences(*both(warehouse, batch))
