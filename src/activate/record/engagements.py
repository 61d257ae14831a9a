"""Appends providers' events to the state: each once, with its message and person, and what it says of its address."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

import pyarrow as pa
import sqlglot
from sqlglot import exp

from activate.project import Project
from activate.record.wave import replace
from activate.warehouses.base import Warehouse, literal

_ROWS, _NEW = "ingest_rows", "ingest_new"

# A provider may have one id for the messages of several people: then the person it names decides which one is meant.
_FIND = f"""
SELECT r.event_id, r.provider, r.name, COALESCE(m.message_id, j.message_id) AS message_id, r.provider_message_id,
  COALESCE(m.user_id, j.user_id, r.user_id) AS user_id, COALESCE(r.channel, m.channel, j.channel) AS channel,
  r.occurred_at, r.is_machine, r.bounce_kind, r.code, r.address_hash, r.reason, r.status
FROM (
  SELECT q.*, ROW_NUMBER() OVER (PARTITION BY q.provider, q.event_id ORDER BY q.occurred_at) AS place FROM {_ROWS} AS q
) AS r
LEFT JOIN (
  SELECT DISTINCT e.provider, e.event_id FROM state.engagements AS e WHERE e.event_id IN (SELECT k.event_id FROM {_ROWS} AS k)
) AS o ON o.provider = r.provider AND o.event_id = r.event_id
LEFT JOIN state.messages AS m ON m.message_id = r.message_id
LEFT JOIN (
  SELECT f.provider_message_id, n.user_id, MIN(n.message_id) AS message_id, MIN(n.channel) AS channel,
    COUNT(*) OVER (PARTITION BY f.provider_message_id) AS people
  FROM (
    SELECT DISTINCT d.provider_message_id, d.message_id FROM state.deliveries AS d
    WHERE d.provider_message_id IN (SELECT k.provider_message_id FROM {_ROWS} AS k WHERE k.message_id IS NULL)
  ) AS f JOIN state.messages AS n ON n.message_id = f.message_id
  GROUP BY f.provider_message_id, n.user_id
) AS j ON j.provider_message_id = r.provider_message_id AND r.message_id IS NULL
  AND (j.user_id = r.user_id OR r.user_id IS NULL AND j.people = 1)
WHERE r.place = 1 AND o.event_id IS NULL
"""
_EVENTS = (
    "event_id", "provider", "name", "message_id", "provider_message_id", "user_id", "channel", "occurred_at",
    "is_machine", "bounce_kind", "code",
)  # fmt: skip
# A lost address is known by its hash alone: to hold it against the person would bar the next address, too.
_SUPPRESS = f"""
SELECT f.channel, f.address_hash, CASE WHEN f.address_hash IS NULL THEN f.user_id END AS user_id, f.reason, f.status,
  f.provider, f.message_id, f.occurred_at, :run_id AS run_id, :at AS recorded_at
FROM {_NEW} AS f
WHERE NOT f.reason IS NULL AND NOT f.channel IS NULL
  AND (NOT f.address_hash IS NULL OR NOT f.user_id IS NULL AND f.reason IN ('opted_out', 'complained'))
"""
_SUPPRESSION = (
    "channel", "address_hash", "user_id", "reason", "status", "provider", "message_id", "occurred_at", "run_id", "recorded_at",
)  # fmt: skip


class Loaded(NamedTuple):
    """How many events were new, and how many of those said something of an address."""

    events: int
    suppressions: int


def load(warehouse: Warehouse, project: Project, rows: pa.Table, run_id: str, at: dt.datetime) -> Loaded:
    """Append the events that are not there yet, inside the caller's transaction and lease."""
    schema = project.policy.state.schema_
    parts = {"run_id": literal(run_id), "at": literal(at)}
    warehouse.load_temporary(_ROWS, rows)
    warehouse.analyze(_ROWS)
    warehouse.execute(exp.Create(
        this=exp.to_table(_NEW), kind="TABLE", expression=_tree(_FIND, schema),
        properties=exp.Properties(expressions=[exp.TemporaryProperty()]),
    ))  # fmt: skip
    new = warehouse.scalar(exp.select(exp.Count(this=exp.Star())).from_(_NEW))
    assert isinstance(new, int)
    told = 0
    if new:
        columns = ", ".join(f"f.{name}" for name in _EVENTS)
        events = _tree(f"SELECT {columns}, :run_id AS run_id, :at AS loaded_at FROM {_NEW} AS f", schema, **parts)
        _insert(warehouse, schema, "engagements", (*_EVENTS, "run_id", "loaded_at"), events)
        suppressed = _tree(_SUPPRESS, schema, **parts)
        found = warehouse.scalar(exp.select(exp.Count(this=exp.Star())).from_(suppressed.copy().subquery("s")))
        told = found if isinstance(found, int) else 0
        if told:
            _insert(warehouse, schema, "suppressions", _SUPPRESSION, suppressed)
    for name in (_NEW, _ROWS):
        warehouse.execute(f"DROP TABLE {name}")
    return Loaded(new, told)


def _insert(warehouse: Warehouse, schema: str, table: str, columns: tuple[str, ...], query: exp.Expr) -> None:
    target = exp.Schema(
        this=exp.table_(table, db=schema, quoted=True), expressions=[exp.to_identifier(column) for column in columns]
    )
    warehouse.execute(exp.Insert(this=target, expression=query))


def _tree(text: str, schema: str, **parts: exp.Expr) -> exp.Select:
    root = replace(sqlglot.parse_one(text, read="duckdb"), parts)
    for table in root.find_all(exp.Table):
        if table.db == "state":
            table.set("db", exp.to_identifier(schema, quoted=True))
    assert isinstance(root, exp.Select)
    return root
