"""How the audiences stand: the last sync of each, what it withheld, and what the destination refused."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass

from sqlglot import exp

from activate.project import Project, Relation
from activate.report.state import State, column
from activate.tables import AUDIENCE_SYNCS
from activate.warehouses.base import literal


@dataclass(frozen=True)
class AudienceLine:
    """One audience's last sync. `held` are the members that the destination had before it, `wanted` those it should have.

    `withheld` lists kind, people, reason and what releases them; `refused` are dead letters, those of the last sync among
    them; `open` failed or may not have arrived, and are sent again.
    """

    audience: str
    destination: str
    synced_at: dt.datetime | None = None
    run_id: str | None = None
    status: str = "never"
    held: int = 0
    wanted: int = 0
    withheld: tuple[tuple[str, int, str, str], ...] = ()
    invalid: int = 0
    refused: int = 0
    open: int = 0
    error: str | None = None


def audience_lines(state: State, project: Project) -> tuple[AudienceLine, ...]:
    """The last sync of every audience that has a file, by name. State tables older than audiences have none."""
    relation = state.table(AUDIENCE_SYNCS)
    place = Relation(state.schema, AUDIENCE_SYNCS.name)
    if place not in state.warehouse.columns([place]):
        return tuple(AudienceLine(audience.audience, audience.destination) for audience in project.audiences)
    found = []
    for audience in sorted(project.audiences, key=lambda one: one.audience):
        query = exp.select(*(column(name) for name in AUDIENCE_SYNCS.names)).from_(relation.copy())
        query = query.where(
            column("audience").eq(literal(audience.audience)), column("destination").eq(literal(audience.destination)),
            exp.NEQ(this=column("status"), expression=literal("compacted")),
        )  # fmt: skip
        query = query.order_by(
            exp.Ordered(this=column("recorded_at"), desc=True, nulls_first=False),
            exp.Ordered(this=exp.func("LENGTH", column("run_id")), desc=True, nulls_first=False),
            exp.Ordered(this=column("run_id"), desc=True, nulls_first=False),
        ).limit(1)
        rows = state.ask(query)
        if not rows:
            found.append(AudienceLine(audience.audience, audience.destination))
            continue
        row, counts = rows[0], json.loads(rows[0]["counts"])
        outcomes = counts.get("outcomes", {})
        found.append(
            AudienceLine(
                audience.audience, audience.destination, row["recorded_at"], row["run_id"], row["status"],
                counts.get("held", 0), counts.get("wanted", 0),
                tuple((kind, people, reason, release) for kind, people, reason, release in counts.get("withheld", ())),
                sum(counts.get("invalid", {}).values()), counts.get("refused", 0) + outcomes.get("rejected", 0),
                sum(outcomes.get(status, 0) for status in ("failed", "unknown", "aborted")), row["error"],
            )
        )  # fmt: skip
    return tuple(found)


def needs_a_look(line: AudienceLine) -> list[str]:
    """What an operator should know of an audience."""
    name, told = line.audience, []
    for kind, people, reason, release in line.withheld:
        told.append(f"{name}: {people:,} {kind} withheld: {reason}. To release: {release}")
    if line.refused:
        told.append(
            f"{name}: {line.refused:,} dead letters, refused by {line.destination}. To try again: dbt-activate retry --audience {name}"
        )
    if line.error:
        told.append(f"{name}: the last sync stopped: {line.error}")
    return told
