"""The pipeline: STEPS, in order, is what a tick does. To see what happens, read the names."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping

from sqlglot import exp

from activate.compile import clocks, rulebook
from activate.compile.arrivals import arrivals
from activate.compile.audits import audits
from activate.compile.caps import caps
from activate.compile.closing import closing
from activate.compile.doors import doors
from activate.compile.due import due
from activate.compile.exits import exits
from activate.compile.gates import gates
from activate.compile.membership import membership
from activate.compile.outcomes import outcomes
from activate.compile.sql import literal, replace_placeholders, replace_tables
from activate.compile.world import World
from activate.plan import Fetch, Load, Plan, Rounds, Stage, Statement

Step = Callable[[World], Iterator[Stage]]


def rules(world: World) -> Iterator[Stage]:
    """The rules as tables."""
    yield rulebook.steps(world)
    yield rulebook.doors(world)
    yield rulebook.arms(world)
    yield rulebook.requirements(world)
    yield rulebook.exceptions(world)


def clock(world: World) -> Iterator[Stage]:
    """Local time as tables."""
    yield clocks.calendars(world)
    if world.windows:
        yield clocks.windows(world)
    if world.local_waits:
        yield clocks.waits(world)


STEPS: tuple[Step, ...] = (
    rules, clock, membership, arrivals, doors, due, exits, gates, caps, outcomes, audits, closing,
)  # fmt: skip


def compile_tick(world: World, run_id: str) -> Plan:
    """Compile the rules to everything that one tick executes. Pure: nothing is read, written or timed here."""
    constants = {
        "now": literal(world.now),
        "run_id": literal(run_id),
        "rules_version": literal(world.project.version),
    }
    stages = [stage for step in STEPS for stage in step(world)]
    return Plan(tuple(_resolved(stage, world, constants) for stage in stages))


def _resolved(stage: Stage, world: World, constants: Mapping[str, exp.Expression]) -> Stage:
    """The stage with constants bound and `state.x` and `model.x` pointing at real tables."""
    if isinstance(stage, Load):
        return stage
    if isinstance(stage, Rounds):
        body = tuple(_bound(statement, world, constants) for statement in stage.body)
        return dataclasses.replace(stage, body=body)
    if isinstance(stage, Fetch):
        return dataclasses.replace(stage, sql=_tree(stage.sql, world, constants))
    return _bound(stage, world, constants)


def _bound(statement: Statement, world: World, constants: Mapping[str, exp.Expression]) -> Statement:
    return dataclasses.replace(statement, sql=_tree(statement.sql, world, constants))


def _tree(sql: exp.Expression, world: World, constants: Mapping[str, exp.Expression]) -> exp.Expression:
    schema = world.project.policy.state.schema_
    return replace_tables(replace_placeholders(sql, constants), schema, world.models)
