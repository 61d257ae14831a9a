"""The demo's audiences: planned, applied, changed by the next days, held back by a guard, and released."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlglot import exp

from activate import mending, planfile, run, syncing
from activate.audience_plan import AudiencePlan, AudienceReport
from activate.settings import Options, load_target
from activate.warehouses.base import Warehouse

PLAN = "outbox/audiences.plan.json"
_A_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Moment:
    """One sync of one audience: when, what for, what was sent, what was held back and why."""

    now: dt.datetime
    what: str
    audience: str
    sent: Mapping[str, int]
    withheld: int
    why: str = ""


def begin(options: Options, now: dt.datetime) -> list[Moment]:
    """Plan every audience into a file, and apply the file."""
    project, warehouse = run.open_project(options)
    with closing(warehouse):
        target, audiences = load_target(options).name, syncing.choose(project)
        plans = syncing.plan(warehouse, project, audiences, now)
        path = options.project_dir / PLAN
        path.parent.mkdir(parents=True, exist_ok=True)
        made_at = run.wall_clock()
        planfile.write(path, project, target, now, made_at, None, plans)
        promised = planfile.read(path, project, target, made_at - _A_DAY)["figures"]

        def check(plan: AudiencePlan) -> None:
            planfile.compare(promised, planfile.figures(None, [plan]), f"audience {plan.audience} ", 0.0)

        reports = syncing.sync(warehouse, project, audiences, now, check=check)
    return list(_moments(now, "applied", reports))


def go_on(options: Options, now: dt.datetime) -> list[Moment]:
    """Sync what has changed since; let what a guard held back pass, up to what it held back."""
    project, warehouse = run.open_project(options)
    with closing(warehouse):
        audiences = syncing.choose(project)
        reports = syncing.sync(warehouse, project, audiences, now)
        found = list(_moments(now, "synced", reports))
        later = now + dt.timedelta(minutes=10)
        held = [report.audience for report in reports if report.plan is not None and report.plan.withheld]
        for report in reports:
            if report.plan is not None and report.plan.withheld:
                ceilings = {part.kind: part.people for part in report.plan.withheld}
                mending.approve(
                    warehouse, project, "audience", report.audience, ceilings, now, lasting=_A_DAY, granted_by="demo"
                )
        if held:
            released = syncing.sync(warehouse, project, syncing.choose(project, held), later)
            found += _moments(later, "released", released)
    return found


def _moments(now: dt.datetime, what: str, reports: Sequence[AudienceReport]) -> Iterator[Moment]:
    for report in reports:
        plan = report.plan
        if plan is None:
            yield Moment(now, what, report.audience, {}, 0, report.error or "")
            continue
        kinds = ("added", "updated", "removed", "suppressed")
        sent = {kind: getattr(plan.figures, kind) for kind in kinds if not plan.is_withheld(kind)}
        why = "; ".join(f"{part.people:,} {part.kind}: {part.reason}" for part in plan.withheld)
        yield Moment(now, what, report.audience, sent, sum(part.people for part in plan.withheld), report.error or why)


def clear(warehouse: Warehouse) -> None:
    """Drop the tables of an earlier demo's audiences: they are about to be written again."""
    warehouse.execute(
        exp.Drop(tables=[exp.Table(db=exp.to_identifier("crm"))], kind="SCHEMA", exists=True, cascade=True)
    )


def show(console: Console, moments: Sequence[Moment]) -> None:
    """Print what became of the audiences."""
    table = Table(title="Audiences kept at their destinations", title_justify="left", box=box.SIMPLE_HEAD,
                  padding=(0, 1, 0, 0), show_edge=False)  # fmt: skip
    for name in ("when", "audience"):
        table.add_column(name, no_wrap=True)
    for name in ("added", "updated", "removed", "withheld"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("what", no_wrap=True)
    for moment in moments:
        removed = moment.sent.get("removed", 0) + moment.sent.get("suppressed", 0)
        figures = (moment.sent.get("added", 0), moment.sent.get("updated", 0), removed, moment.withheld)
        table.add_row(
            f"{moment.now:%d %b %H:%M}",
            moment.audience,
            *(f"{figure:,}" if figure else "-" for figure in figures),
            moment.what,
        )
    console.print(table)
    for moment in moments:
        if moment.why:
            console.print(Text(f"{moment.now:%d %b %H:%M} {moment.audience}: {moment.why}", "yellow"))
