"""Executes a plan: the only part of deciding that touches the world."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping

from sqlglot import exp

from activate.decision import Count
from activate.errors import WarehouseError
from activate.plan import Fetch, Load, Plan, Rounds, Stage, Statement
from activate.warehouses.base import Warehouse, literal

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
        warehouse.execute(_empty(stage))
        warehouse.ingest(stage.table, stage.rows)
        warehouse.analyze(stage.table)
    elif _is_idle(stage, constants):
        return
    elif isinstance(stage, Statement):
        warehouse.execute(stage.sql.bind(constants))
        if stage.creates:
            warehouse.analyze(stage.creates)
    elif isinstance(stage, Fetch):
        row = warehouse.query(stage.sql.bind(constants)).to_pylist()[0]
        constants |= {name: warehouse.sql(literal(row[name])) for name in stage.binds}
    else:
        _rounds(warehouse, stage, constants)


def _rounds(warehouse: Warehouse, stage: Rounds, constants: Mapping[str, str]) -> None:
    for number in range(stage.first, int(constants[stage.last]) + 1):
        for statement in stage.body:
            warehouse.execute(statement.sql.bind({**constants, "round": str(number)}))
        if stage.left is not None and not warehouse.query(stage.left.bind(constants)).column(0)[0].as_py():
            break


_KINDS = {
    name: exp.DataType.build(kind)  # parsed once: a tick makes a hundred such columns
    for name, kind in (("string", "TEXT"), ("int64", "BIGINT"), ("bool", "BOOLEAN"), ("timestamp[us]", "TIMESTAMP"))
}


def _empty(stage: Load) -> exp.Create:
    columns = [
        exp.ColumnDef(this=exp.to_identifier(field.name), kind=_KINDS[str(field.type)].copy())
        for field in stage.rows.schema
    ]
    return exp.Create(
        this=exp.Schema(this=exp.to_table(stage.table), expressions=columns),
        kind="TABLE",
        properties=exp.Properties(expressions=[exp.TemporaryProperty()]),
    )


def counts(warehouse: Warehouse, schema: str, run_id: str, now: dt.datetime) -> tuple[Count, ...]:
    """What the run decided, by campaign, outcome, gate, reason and channel."""
    keys = ("campaign", "outcome", "gate", "reason", "channel")
    query = (
        exp.select(*keys, "COUNT(*) AS people")
        .from_(exp.table_("decisions", db=schema, quoted=True))
        .where(_written("decided_at", run_id, now))
        .group_by(*keys)
        .order_by(*keys)
    )
    return tuple(Count(**row) for row in warehouse.query(query).to_pylist())


def entered(warehouse: Warehouse, schema: str, run_id: str, now: dt.datetime) -> dict[str, int]:
    """How many entries the run made, by campaign."""
    query = (
        exp.select("campaign", "COUNT(*) AS people")
        .from_(exp.table_("entries", db=schema, quoted=True))
        .where(_written("recorded_at", run_id, now))
        .group_by("campaign")
        .order_by("campaign")
    )
    return {row["campaign"]: row["people"] for row in warehouse.query(query).to_pylist()}


def others(warehouse: Warehouse, schema: str, run_id: str, now: dt.datetime) -> int:
    """How many segment changes and audits the run recorded."""
    found = 0
    for table, time in (("memberships", "changed_at"), ("audits", "recorded_at")):
        query = exp.select("COUNT(*)").from_(exp.table_(table, db=schema, quoted=True))
        found += _number(warehouse.scalar(query.where(_written(time, run_id, now))))
    return found


def _written(time: str, run_id: str, now: dt.datetime) -> exp.Expr:
    """The condition of a run's own rows. All have the run's instant, by which they are found without reading the past."""
    return exp.and_(exp.column(time).eq(literal(now)), exp.column("run_id").eq(literal(run_id)))


def unusable(warehouse: Warehouse) -> dict[str, int]:
    """How many rows of each model nobody can have: without a person, an id or a time; and people with several profiles."""
    query = exp.select("model", "unusable").from_("tick_unusable").where("unusable > 0").order_by("model")
    found = {row["model"]: int(row["unusable"]) for row in warehouse.query(query).to_pylist()}
    duplicates = _number(warehouse.scalar(exp.select("COUNT(*)").from_("tick_duplicates")))
    return found | ({"duplicate profiles": duplicates} if duplicates else {})


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


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
        .where(_written("decided_at", run_id, now))
    )
    query = (
        exp.select(*keys, "user_id")
        .from_(ranked.subquery("s"))
        .where(f"s.place <= {int(most)}")
        .order_by(*keys, "user_id")
    )
    return dict(_grouped(warehouse.query(query).to_pylist()))


def _grouped(rows: list[dict[str, str]]) -> Iterator[tuple[tuple[str, str, str], tuple[str, ...]]]:
    found: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        found.setdefault((row["campaign"], row["outcome"], row["reason"]), []).append(row["user_id"])
    for key, people in found.items():
        yield key, tuple(people)
