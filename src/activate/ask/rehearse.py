"""Asks a request's query about made-up rows, on an empty DuckDB of its own."""

from __future__ import annotations

import datetime as dt
from contextlib import closing
from dataclasses import replace
from typing import Any

from sqlglot import exp

from activate.ask.known import Field
from activate.ask.place import Warehouse
from activate.ask.query import members
from activate.ask.question import Question
from activate.families import family
from activate.project import Model, Relation
from activate.warehouses.duckdb import DuckDB

_TYPES = {
    "text": "TEXT", "integer": "BIGINT", "decimal": "DOUBLE", "float": "DOUBLE", "boolean": "BOOLEAN", "instant": "TIMESTAMP",
}  # fmt: skip
_SCHEMA = "made_up"


def rehearse(question: Question, now: dt.datetime, given: dict[str, list[dict[str, Any]]]) -> dict[Any, dict[str, Any]]:
    """Who fits, by key, if the models (by name) hold the given rows. Raises WarehouseError where DuckDB cannot tell."""
    with closing(DuckDB.open(":memory:")) as warehouse:
        query = members(_rebuilt(question, warehouse, given), Warehouse(warehouse, now))
        return {row[question.key]: row for row in warehouse.query(query).to_pylist()}


def _rebuilt(question: Question, warehouse: DuckDB, given: dict[str, list[dict[str, Any]]]) -> Question:
    """The question about tables of the given rows, with DuckDB's types."""
    warehouse.execute(f"CREATE SCHEMA {_SCHEMA}")

    def table(model: Model) -> Model:
        types = {name: _TYPES.get(family(type_name) or "", "TEXT") for name, type_name in model.columns.items()}
        relation = Relation(_SCHEMA, model.name.replace(".", "_"))
        columns = [exp.ColumnDef(this=exp.to_identifier(name, quoted=True), kind=exp.DataType.build(kind, dialect="duckdb"))
                   for name, kind in types.items()]  # fmt: skip
        schema = exp.Schema(this=relation.table(), expressions=columns)
        warehouse.execute(exp.Create(this=schema, kind="TABLE"))
        for row in given.get(model.name, ()):
            names = [exp.to_identifier(name, quoted=True) for name in row]
            values = exp.values([tuple(exp.convert(value) for value in row.values())])
            warehouse.execute(exp.Insert(this=exp.Schema(this=relation.table(), expressions=names), expression=values))
        return replace(model, relation=relation, columns={name: kind.lower() for name, kind in types.items()})

    segments = {name: table(segment) for name, segment in question.segments.items()}
    leaves = {
        number: replace(
            leaf,
            compared=tuple((_retyped(found), comparison) for found, comparison in leaf.compared),
            total=None if leaf.total is None else _retyped(leaf.total),
            segment=None if leaf.segment is None else segments[leaf.segment.name],
        )
        for number, leaf in question.leaves.items()
    }
    return replace(question, leaves=leaves, profiles=table(question.profiles), events=table(question.events))


def _retyped(found: Field) -> Field:
    return found if found.is_document else replace(found, type_name=_TYPES.get(found.family or "", "TEXT").lower())
