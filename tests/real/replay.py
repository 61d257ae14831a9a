"""Replays history: tick after tick, the segments as of each morning, other people's messages as they happened."""

from __future__ import annotations

import datetime as dt
import time
from collections import Counter
from dataclasses import dataclass, field

from activate import run
from activate.settings import Options

from .database import Database
from .stage import Stage

_HOUR = dt.timedelta(hours=1)
_BUILT_AT = dt.timedelta(hours=6)  # the segments are those of 06:00 UTC until the next morning


@dataclass
class Figures:
    """What a replay did. `decisions` counts (outcome, gate, reason), `deliveries` statuses; times are seconds."""

    first: dt.datetime
    last: dt.datetime
    ticks: int = 0
    entered: int = 0
    decisions: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    deliveries: Counter[str] = field(default_factory=Counter)
    deciding: float = 0.0
    delivering: float = 0.0


def replay(
    stage: Stage, first: dt.datetime, last: dt.datetime, every: dt.timedelta = _HOUR, dbt_each_day: bool = False
) -> Figures:
    """Run the ticks of [first, last], deciding and delivering, and record them in raw.ticks.

    With `dbt_each_day` the segments are built by dbt for each morning, else views follow the instant in raw.as_of.
    """
    options = Options(project_dir=stage.directory, profiles_dir=stage.directory)
    figures = Figures(first, last)
    database = stage.open()
    project, warehouse = run.open_project(options)
    try:
        run.migrate_state(warehouse, project, first)
        as_of, told_until, now = None, dt.datetime(2000, 1, 1), first
        while now <= last:
            morning = (now - _BUILT_AT).replace(hour=6, minute=0)
            if morning != as_of:
                as_of = morning
                database.run(f"DELETE FROM raw.as_of;\nINSERT INTO raw.as_of VALUES (TIMESTAMP '{as_of}')")
                if dbt_each_day:
                    warehouse.close()
                    database.close()
                    stage.build(as_of)
                    database = stage.open()
                    project, warehouse = run.open_project(options)
            if stage.data_set.history:
                database.run(stage.data_set.history.format(after=told_until, before=now))
                told_until = now
            database.run(f"INSERT INTO raw.ticks VALUES (TIMESTAMP '{now}', TIMESTAMP '{as_of}')")
            _tick(figures, warehouse, project, now)
            now += every
        _count_deliveries(figures, database)
    finally:
        warehouse.close()
        database.close()
    return figures


def _tick(figures: Figures, warehouse: run.Warehouse, project: run.Project, now: dt.datetime) -> None:
    began = time.perf_counter()
    tick = run.decide(warehouse, project, now)
    decided = time.perf_counter()
    if tick.total("send"):
        reports = run.deliver(warehouse, project, now)
        if errors := [f"{report.provider}: {report.error}" for report in reports if report.error]:
            raise RuntimeError(f"delivery at {now}: {'; '.join(errors)}")
    figures.deciding += decided - began
    figures.delivering += time.perf_counter() - decided
    figures.ticks += 1
    figures.entered += sum(tick.entered.values())
    for count in tick.counts:
        figures.decisions[count.outcome, count.gate, count.reason] += count.people


def _count_deliveries(figures: Figures, database: Database) -> None:
    rows = database.rows(
        "SELECT status, count(*) FROM activate.deliveries WHERE final AND run_id <> 'history' GROUP BY status"
    )
    figures.deliveries.update(dict(rows))
