"""A small warehouse to ask requests of: two models and a segment, with rows that a test chooses."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlglot

from activate.ask.check import Findings, check
from activate.ask.known import Known
from activate.ask.lines import number_lines
from activate.ask.place import DbtModel, Warehouse
from activate.ask.printing import print_model
from activate.ask.query import figures, members
from activate.ask.question import Question
from activate.errors import Mistake
from activate.load.parse import Document, parse_yaml
from activate.load.validate import validate
from activate.policy import Policy
from activate.project import Model, Project, Relation
from activate.request import Request
from activate.warehouses.base import Warehouse as Connection
from activate.warehouses.dialect import DIALECTS

NOW = dt.datetime(2026, 3, 1, 12)
POLICY = Policy.model_validate({
    "profiles": {"model": "profiles", "key": "user_id"},
    "events": {"model": "events", "id": "event_id", "key": "user_id", "name": "event_name", "time": "occurred_at",
               "loaded": "loaded_at", "properties": "properties"},
    "channels": {"email": {"address": "email", "provider": "outbox"}},
})  # fmt: skip
COLUMNS = {
    "profiles": {"user_id": "TEXT", "city": "TEXT", "country": "TEXT", "email": "TEXT", "age": "BIGINT", "score": "DOUBLE",
                 "is_vip": "BOOLEAN", "signed_up_at": "TIMESTAMP"},
    "events": {"event_id": "TEXT", "user_id": "TEXT", "event_name": "TEXT", "occurred_at": "TIMESTAMP",
               "loaded_at": "TIMESTAMP", "category": "TEXT", "quantity": "BIGINT", "properties": "TEXT"},
    "loyal": {"user_id": "TEXT"},
}  # fmt: skip
_ARROW = {"TEXT": pa.string(), "BIGINT": pa.int64(), "DOUBLE": pa.float64(), "BOOLEAN": pa.bool_(),
          "TIMESTAMP": pa.timestamp("us")}  # fmt: skip


def project() -> Project:
    """The project without its columns: those come from the warehouse."""
    models = {
        name: Model(
            name, Relation("shop", name), unique_id=f"model.shop.{name}",
            kind="segment" if name == "loyal" else None, key="user_id" if name == "loyal" else None,
        )
        for name in COLUMNS
    }  # fmt: skip
    return Project(Path(), "shop", POLICY, (), models)


@dataclass
class World:
    """A connection, with the three tables made."""

    warehouse: Connection

    def make(self) -> World:
        self.warehouse.execute(sqlglot.parse_one("CREATE SCHEMA shop"))
        for name, columns in COLUMNS.items():
            listed = ", ".join(f'"{column}" {kind}' for column, kind in columns.items())
            self.warehouse.execute(sqlglot.parse_one(f'CREATE TABLE shop."{name}" ({listed})', read="duckdb"))
        return self

    def fill(self, **rows: Iterable[dict[str, Any]]) -> World:
        """Put these rows into the tables, in place of what was there; what a row does not name is null."""
        for name, columns in COLUMNS.items():
            self.warehouse.execute(sqlglot.parse_one(f'DELETE FROM shop."{name}"'))
            found = list(rows.get(name, ()))
            if found:
                schema = pa.schema([(column, _ARROW[kind]) for column, kind in columns.items()])
                self.warehouse.ingest(Relation("shop", name), pa.Table.from_pylist(found, schema))
        return self

    def models(self) -> dict[str, Model]:
        found = project().models
        columns = self.warehouse.columns([model.relation for model in found.values()])
        return {name: replace(model, columns=columns[model.relation]) for name, model in found.items()}

    def check(self, request: Request, document: Document, *, allow_unseen: bool = False) -> tuple[Question, Findings]:
        models = self.models()
        known = Known(self.warehouse, POLICY, models["profiles"], models["events"], {"loyal": models["loyal"]}, NOW)
        root = number_lines(request)
        found = check(root, known, document, request.request, allow_unseen=allow_unseen)
        return Question(request, root, found.leaves, POLICY, models["profiles"], models["events"]), found

    def ask(self, question: Question, now: dt.datetime = NOW) -> dict[str, dict[str, Any]]:
        """Who fits, by key."""
        rows = self.warehouse.query(members(question, Warehouse(self.warehouse, now))).to_pylist()
        return {row["user_id"]: row for row in rows}

    def count(self, question: Question, now: dt.datetime = NOW) -> dict[str, int]:
        [row] = self.warehouse.query(figures(question, Warehouse(self.warehouse, now))).to_pylist()
        return row


def read(text: str) -> tuple[Request | None, Document, list[Mistake]]:
    """A request written as YAML, and what is wrong with it."""
    document, mistakes = parse_yaml(text, "rules/requests/r.yml")
    assert document is not None
    request, found = validate(Request, document)
    return request, document, [*mistakes, *found]


def asking(who: str, name: str = "asked_for") -> str:
    """A request with one line, or several below `all`."""
    return f"request: {name}\ndescription: Somebody.\nwho: {who}\n"


def printed(question: Question, dialect: str, macros: Sequence[str] = ("json_text",)) -> str:
    """The dbt model's query."""
    place = DbtModel(DIALECTS[dialect], project(), set(macros))
    return print_model(members(question, place), dialect, place.jinja)
