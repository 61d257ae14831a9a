"""The pipeline: STEPS, in order, is what a tick does. To see what happens, read the names."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from functools import lru_cache

from sqlglot import exp

from activate import plan
from activate.bookmarks import Bookmarks
from activate.compile import clocks, draft, rulebook
from activate.compile.arrivals import arrivals
from activate.compile.audits import audits
from activate.compile.caps import caps
from activate.compile.closing import closing
from activate.compile.doors import doors
from activate.compile.due import due
from activate.compile.exits import exits
from activate.compile.gates import gates
from activate.compile.guard import guard, is_guarded, limits
from activate.compile.membership import membership
from activate.compile.outcomes import outcomes
from activate.compile.sql import literal, replace_tables
from activate.compile.world import Moment, World
from activate.project import Project
from activate.warehouses.dialect import Dialect

LOADS: tuple[Callable[[World, Moment], plan.Load], ...] = (
    rulebook.steps, rulebook.doors, rulebook.arms, rulebook.requirements, rulebook.exceptions, rulebook.verdicts,
    clocks.calendars, clocks.windows, clocks.waits,
)  # fmt: skip

STEPS: tuple[Callable[[World], Iterator[draft.Stage]], ...] = (
    membership, arrivals, doors, due, exits, gates, caps, guard, outcomes, audits, closing,
)  # fmt: skip

# A hole in a printed statement: a named constant between two private-use characters, which no rule may contain.
_HOLE = re.compile("\ue000([^\ue000\ue001]*)\ue001")


def compile_tick(project: Project, dialect: Dialect, now: dt.datetime, bookmarks: Bookmarks, run_id: str) -> plan.Plan:
    """Compile the rules to everything that one tick executes. Pure: nothing is read, written or timed here.

    `now` is a naive UTC datetime. The statements are printed once per set of rules; a tick only fills in its instants.
    """
    return _plan(
        World(
            project, dialect, bookmarks.versions, frozenset(bookmarks.campaigns), bookmarks.suppressed, bookmarks.past
        ),
        now,
        bookmarks,
        run_id,
    )


def _plan(world: World, now: dt.datetime, bookmarks: Bookmarks, run_id: str) -> plan.Plan:
    world, stages = _printed(world)
    moment = Moment(now, world.project.policy.scan.settle, bookmarks)
    values: dict[str, object] = {name: of(moment) for name, of in world.times.items()}
    values |= {"now": now, "run_id": run_id, "rules_version": world.project.version}
    constants = {name: world.dialect.sql(literal(value)) for name, value in values.items()}
    loads = [*LOADS, *[clocks.hours] * bool(world.trigger_windows), *[limits] * is_guarded(world)]
    return plan.Plan((*(load(world, moment) for load in loads), *stages), constants)


@lru_cache(maxsize=16)
def _printed(world: World) -> tuple[World, tuple[plan.Stage, ...]]:
    """The statements for these rules. Returns the world that they were made from, which knows their constants."""
    stages = [stage for step in STEPS for stage in step(world)]
    return world, tuple(_print(stage, world) for stage in stages)


def _print(stage: draft.Stage, world: World) -> plan.Stage:
    if isinstance(stage, draft.Rounds):
        body = tuple(_print_statement(statement, world) for statement in stage.body)
        left = None if stage.left is None else _text(stage.left, world)
        return plan.Rounds(stage.name, stage.doc, stage.first, stage.last, body, stage.needs, left)
    if isinstance(stage, draft.Fetch):
        return plan.Fetch(stage.name, stage.doc, _text(stage.sql, world), stage.binds, stage.needs)
    return _print_statement(stage, world)


def _print_statement(stage: draft.Statement, world: World) -> plan.Statement:
    return plan.Statement(stage.name, stage.doc, _text(stage.sql, world), stage.creates, stage.needs)


def _text(sql: exp.Expr, world: World) -> plan.Text:
    replace_tables(sql, world.project.policy.state.schema_, world.models)
    for node in list(sql.find_all(exp.Placeholder)):
        node.replace(exp.Var(this=f"\ue000{node.name}\ue001"))
    pieces = _HOLE.split(world.dialect.sql(sql, pretty=True))
    return plan.Text(tuple(pieces[::2]), tuple(pieces[1::2]))
