"""Approvals: leave that a person gave to pass a guard once, up to a ceiling.

An approval is a row `granted`; it is open until a row `used` or `revoked` has the same id, or its time is over. Which
run used it is recorded in the transaction that does what it allows.
"""

from __future__ import annotations

import datetime as dt
import hashlib

import pyarrow as pa
from sqlglot import exp

from activate.project import Project, Relation
from activate.tables import APPROVALS
from activate.warehouses.base import Warehouse, literal

_KINDS = {"TEXT": pa.string(), "BIGINT": pa.int64(), "TIMESTAMP": pa.timestamp("us")}


def grant(
    warehouse: Warehouse,
    project: Project,
    *,
    subject: str,
    name: str,
    kind: str,
    ceiling: int,
    granted_by: str | None,
    now: dt.datetime,
    expires_at: dt.datetime,
) -> str:
    """Record an approval and return its id. The same grant at the same `now` is one approval.

    `subject` is `audience` or `campaign`, `kind` what may pass (docs/state-tables.md). The state tables must be there.
    Raises WarehouseError.
    """
    parts = (subject, name, kind, ceiling, granted_by, expires_at.isoformat(), now.isoformat())
    approval_id = hashlib.md5("|".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest()
    relation = Relation(project.policy.state.schema_, APPROVALS.name)
    given = exp.select("COUNT(*)").from_(relation.table()).where(exp.column("approval_id").eq(literal(approval_id)))
    if not warehouse.scalar(given):
        row = {
            "approval_id": approval_id, "subject": subject, "name": name, "kind": kind, "ceiling": ceiling,
            "status": "granted", "granted_by": granted_by, "expires_at": expires_at, "recorded_at": now,
        }  # fmt: skip
        schema = pa.schema([(column.name, _KINDS[column.type]) for column in APPROVALS.columns])
        warehouse.ingest(relation, pa.Table.from_pylist([row], schema=schema))
    return approval_id


def open_approvals(
    warehouse: Warehouse, project: Project, now: dt.datetime, subject: str
) -> dict[tuple[str, str], tuple[str, int]]:
    """The open approvals of a subject at `now`: by (name, kind) the id and the ceiling of the one with the largest.

    Of several with the same ceiling it is the one given first. Raises WarehouseError.
    """
    relation = Relation(project.policy.state.schema_, APPROVALS.name)
    closed = exp.select("c.approval_id").from_(relation.table("c")).where("c.status IN ('used', 'revoked')").distinct()
    expires_at, recorded_at = (exp.column(name, table="a") for name in ("expires_at", "recorded_at"))
    query = (
        exp.select("a.name", "a.kind", "a.approval_id", "a.ceiling")
        .from_(relation.table("a"))
        .join(closed.subquery("d"), on="d.approval_id = a.approval_id", join_type="left")
        .where(
            exp.column("subject", table="a").eq(literal(subject)),
            "a.status = 'granted'",
            "d.approval_id IS NULL",
            exp.LTE(this=recorded_at, expression=literal(now)),
            exp.GT(this=expires_at, expression=literal(now)),
        )
        .order_by("a.ceiling DESC", "a.recorded_at", "a.approval_id")
    )
    found: dict[tuple[str, str], tuple[str, int]] = {}
    for row in warehouse.rows(query):
        found.setdefault((row["name"], row["kind"]), (row["approval_id"], row["ceiling"]))
    return found


def revoke(warehouse: Warehouse, project: Project, *, subject: str, name: str, kind: str, now: dt.datetime) -> None:
    """Take back every approval of this kind that is still open, in the caller's transaction. Raises WarehouseError."""
    relation = Relation(project.policy.state.schema_, APPROVALS.name)
    closed = exp.select("c.approval_id").from_(relation.table("c")).where("c.status IN ('used', 'revoked')").distinct()
    kept = ("approval_id", "subject", "name", "kind", "ceiling", "expires_at")
    query = (
        exp.select(*(f"a.{column}" for column in kept), literal("revoked"), literal(now))
        .from_(relation.table("a"))
        .join(closed.subquery("d"), on="d.approval_id = a.approval_id", join_type="left")
        .where(
            *(exp.column(column, table="a").eq(literal(value)) for column, value in
              (("subject", subject), ("name", name), ("kind", kind), ("status", "granted"))),
            "d.approval_id IS NULL",
        )
    )  # fmt: skip
    warehouse.execute(exp.insert(query, relation.table(), columns=[*kept, "status", "recorded_at"]))


def record_use(warehouse: Warehouse, project: Project, approval_id: str, *, run_id: str, now: dt.datetime) -> None:
    """Record that a run used an approval, in the caller's transaction: from then on it is not open.

    A tick does the same by a statement of its plan (compile/guard.py). Raises WarehouseError.
    """
    relation = Relation(project.policy.state.schema_, APPROVALS.name)
    kept = ("approval_id", "subject", "name", "kind", "ceiling", "expires_at")
    used = {"status": literal("used"), "run_id": literal(run_id), "recorded_at": literal(now)}
    query = (
        exp.select(*kept, *used.values())
        .from_(relation.table())
        .where(exp.column("approval_id").eq(literal(approval_id)), "status = 'granted'")
    )
    warehouse.execute(exp.insert(query, relation.table(), columns=[*kept, *used]))


def renew(warehouse: Warehouse, project: Project, approval_id: str, *, run_id: str, now: dt.datetime) -> None:
    """Give leave again, as it was given: the run that used it could do nothing of what it allows. Raises WarehouseError."""
    relation = Relation(project.policy.state.schema_, APPROVALS.name)
    again = hashlib.md5(f"{approval_id}|{run_id}".encode(), usedforsecurity=False).hexdigest()
    kept = ("subject", "name", "kind", "ceiling", "status", "granted_by", "expires_at")
    query = (
        exp.select(*kept, literal(again), literal(now))
        .from_(relation.table())
        .where(exp.column("approval_id").eq(literal(approval_id)), "status = 'granted'")
    )
    warehouse.execute(exp.insert(query, relation.table(), columns=[*kept, "approval_id", "recorded_at"]))
