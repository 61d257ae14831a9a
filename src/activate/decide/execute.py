"""Executes a plan: the only part of deciding that touches the world."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from activate.decision import Count
from activate.errors import WarehouseError
from activate.plan import Fetch, Load, Plan, Rounds, Stage, Statement
from activate.project import Relation
from activate.warehouses.base import Warehouse, literal
from activate.warehouses.constant import ask

OnProgress = Callable[[int, int, str], None]


def execute(warehouse: Warehouse, plan: Plan, on_progress: OnProgress | None = None) -> dict[str, str]:
    """Run every stage in order, inside the caller's transaction; return the constants, fetched ones included.

    Raises WarehouseError naming the stage that failed; the caller's transaction then rolls back as a whole.
    """
    constants = dict(plan.constants)
    total = len(plan.stages)
    for done, stage in enumerate(plan.stages):
        if on_progress is not None:
            on_progress(done, total, stage.name)
        try:
            _run(warehouse, stage, constants)
        except WarehouseError as error:
            raise WarehouseError(f"{stage.name} ({stage.doc}) failed, nothing was recorded: {error}") from None
    if on_progress is not None:
        on_progress(total, total, "done")
    return constants


def clean_up(warehouse: Warehouse, plan: Plan, constants: Mapping[str, str]) -> None:
    """Drop the temporary tables that the plan has made."""
    for stage in plan.stages:
        table = stage.table if isinstance(stage, Load) else stage.creates if isinstance(stage, Statement) else None
        if table is not None and not _is_idle(stage, constants):
            warehouse.execute(exp.Drop(tables=[exp.to_table(table)], kind="TABLE"))


def _is_idle(stage: Stage, constants: Mapping[str, str]) -> bool:
    """Whether there is nothing for the stage to do."""
    return not isinstance(stage, Load) and stage.needs is not None and constants.get(stage.needs, "0") == "0"


def _run(warehouse: Warehouse, stage: Stage, constants: dict[str, str]) -> None:
    if isinstance(stage, Load):
        warehouse.load_temporary(stage.table, stage.rows)
        warehouse.analyze(stage.table)
    elif _is_idle(stage, constants):
        return
    elif isinstance(stage, Statement):
        warehouse.execute(stage.sql.bind(constants))
        if stage.creates:
            warehouse.analyze(stage.creates)
    elif isinstance(stage, Fetch):
        row = warehouse.rows(stage.sql.bind(constants))[0]
        constants |= {name: warehouse.sql(literal(row[name])) for name in stage.binds}
    else:
        _rounds(warehouse, stage, constants)


def _rounds(warehouse: Warehouse, stage: Rounds, constants: Mapping[str, str]) -> None:
    for number in range(stage.first, int(constants[stage.last]) + 1):
        for statement in stage.body:
            warehouse.execute(statement.sql.bind({**constants, "round": str(number)}))
        if stage.left is not None and not warehouse.query(stage.left.bind(constants)).column(0)[0].as_py():
            break


# What a run wrote, and what it met: asked in one statement. A run's own rows are found by its instant, without reading
# the past.
_WRITTEN = """
SELECT 'decided' AS kind, d.campaign, d.outcome, d.gate, d.reason, d.channel, COUNT(*) AS people FROM decisions AS d
WHERE d.decided_at = :now AND d.run_id = :run GROUP BY d.campaign, d.outcome, d.gate, d.reason, d.channel
UNION ALL
SELECT 'entered', e.campaign, NULL, NULL, NULL, NULL, COUNT(*) FROM entries AS e
WHERE e.recorded_at = :now AND e.run_id = :run GROUP BY e.campaign
UNION ALL
SELECT 'other', NULL, NULL, NULL, NULL, NULL, COUNT(*) FROM memberships AS m WHERE m.changed_at = :now AND m.run_id = :run
UNION ALL
SELECT 'other', NULL, NULL, NULL, NULL, NULL, COUNT(*) FROM audits AS a WHERE a.recorded_at = :now AND a.run_id = :run
UNION ALL
SELECT 'unusable', u.model, NULL, NULL, NULL, NULL, u.unusable FROM tick_unusable AS u WHERE u.unusable > 0
UNION ALL
SELECT 'unusable', 'duplicate profiles', NULL, NULL, NULL, NULL, COUNT(*) FROM tick_duplicates AS p HAVING COUNT(*) > 0
"""


@dataclass(frozen=True)
class Written:
    """What a run wrote: its decisions counted, entries by campaign, how many segment changes and audits; and how many
    rows of each model nobody can have (without a person, an id or a time) and people with several profiles."""

    counts: tuple[Count, ...]
    entered: dict[str, int]
    others: int
    unusable: dict[str, int]


def written(warehouse: Warehouse, schema: str, run_id: str, now: dt.datetime) -> Written:
    """Ask what the run wrote; each list is in the order of its names."""
    tables = {name: Relation(schema, name) for name in ("decisions", "entries", "memberships", "audits")}
    found = ask(warehouse, _WRITTEN, now=literal(now), run=literal(run_id), **tables)
    found.sort(key=lambda row: [row[name] or "" for name in ("campaign", "outcome", "gate", "reason", "channel")])
    kinds: dict[str, list[dict[str, Any]]] = {"decided": [], "entered": [], "other": [], "unusable": []}
    for row in found:
        kinds[row.pop("kind")].append(row)
    return Written(
        counts=tuple(Count(**row) for row in kinds["decided"]),
        entered={row["campaign"]: row["people"] for row in kinds["entered"]},
        others=sum(row["people"] for row in kinds["other"]),
        unusable={row["campaign"]: row["people"] for row in kinds["unusable"]},
    )


def samples(
    warehouse: Warehouse, schema: str, run_id: str, now: dt.datetime, most: int
) -> dict[tuple[str, str, str], tuple[str, ...]]:
    """Up to `most` person keys for each campaign, outcome and reason of the run."""
    keys = ("campaign", "outcome", "reason")
    place = exp.Window(
        this=exp.RowNumber(),
        partition_by=[exp.column(key) for key in keys],
        order=exp.Order(expressions=[exp.Ordered(this=exp.column("user_id"), nulls_first=False)]),
    )
    ranked = (
        exp.select(*keys, "user_id", place.as_("place"))
        .from_(exp.table_("decisions", db=schema, quoted=True))
        .where(exp.column("decided_at").eq(literal(now)), exp.column("run_id").eq(literal(run_id)))
    )
    query = (
        exp.select(*keys, "user_id")
        .from_(ranked.subquery("s"))
        .where(f"s.place <= {int(most)}")
        .order_by(*keys, "user_id")
    )
    return dict(_grouped(warehouse.rows(query)))


def _grouped(rows: list[dict[str, str]]) -> Iterator[tuple[tuple[str, str, str], tuple[str, ...]]]:
    found: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        found.setdefault((row["campaign"], row["outcome"], row["reason"]), []).append(row["user_id"])
    for key, people in found.items():
        yield key, tuple(people)
