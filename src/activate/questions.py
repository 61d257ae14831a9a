"""Questions that change nothing: `run`'s quiet sibling, joining the verbs without deciding or sending."""

from __future__ import annotations

import datetime as dt
from contextlib import closing

from activate.deliver.preview import Preview
from activate.deliver.preview import preview as rehearse
from activate.errors import LeaseHeldError, Mistake, SettingsError, WarehouseError
from activate.load.exposures import FILE as EXPOSURES_FILE
from activate.load.exposures import exposures_yaml
from activate.load.project import load_project, read_project
from activate.load.schema import schemas
from activate.project import Project
from activate.record.deliveries import Outbox
from activate.report.explain import explain
from activate.report.status import status
from activate.settings import Options, load_target
from activate.warehouses.base import Warehouse
from activate.warehouses.registry import connect

__all__ = ["Preview", "explain", "exposures", "lint", "preview", "schemas", "status"]


def lint(options: Options, *, now: dt.datetime, wait_seconds: float = 30.0) -> list[Mistake]:
    """All mistakes and warnings of the rules, by file and line.

    Columns are checked against the warehouse where it can be reached; where it cannot, a warning says so and the rest
    is checked all the same. `now` is what a campaign's end is compared with. Raises SettingsError when there is no
    project or no manifest.
    """
    target = load_target(options)
    try:
        with closing(connect(target, wait_seconds)) as warehouse:
            return list(read_project(options, target, warehouse, now).mistakes)
    except (SettingsError, WarehouseError, LeaseHeldError) as error:
        found = read_project(options, target, today=now).mistakes
        told = f"the columns of the models were not checked, because the warehouse does not answer: {error}"
        return [*found, Mistake("profiles.yml", 0, told, "warning")]


def exposures(options: Options) -> tuple[str, str]:
    """The text of the exposures file, and where it belongs in the project."""
    return exposures_yaml(load_project(options)), EXPOSURES_FILE


def preview(
    warehouse: Warehouse,
    project: Project,
    campaign: str,
    user_id: str,
    *,
    now: dt.datetime,
    step: int = 1,
    channel: str | None = None,
    variant: str | None = None,
) -> Preview:
    """Render a step of a campaign for one person, as `activate.deliver.preview` says; nothing is sent or recorded."""
    rehearsal = Outbox(warehouse, project, "preview", "preview")
    return rehearse(project, rehearsal, campaign, user_id, at=now, step=step, channel=channel, variant=variant)
