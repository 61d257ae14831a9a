"""Audiences as Airflow tasks: which ones there are to sync, and one mapped task for each. Nothing heavy is imported before."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from activate.airflow.failures import told_to_airflow
from activate.airflow.instants import asked_for, of_run
from activate.airflow.operators import ProjectOperator
from activate.errors import DeliveryError, SettingsError

if TYPE_CHECKING:
    from airflow.sdk import Context

    from activate.audience import Audience
    from activate.audience_plan import AudiencePlan, AudienceReport

MAX_REJECTED = "5%"


class ActivateAudiencesOperator(ProjectOperator):
    """Returns the names of the audiences with this `schedule` (none: of those without one): what to map
    `ActivateSyncOperator` over.

    Only files are read, so it never waits for the warehouse.
    """

    template_fields: Collection[str] = (*ProjectOperator.template_fields, "schedule")

    def __init__(self, *, schedule: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.schedule = schedule

    def execute(self, context: Context) -> list[str]:  # noqa: ARG002  # Airflow's interface
        from activate.load.project import load_project  # noqa: PLC0415  # not while the DAG file is parsed
        from activate.syncing import choose  # noqa: PLC0415

        with told_to_airflow():
            project = load_project(self.options())
            return [audience.audience for audience in choose(project, schedule=self.schedule or None)]


class ActivateSyncOperator(ProjectOperator):
    """Sync one audience with its destination. Returns its figures.

    Fails, without a retry, when the destination refuses a larger share of the changes sent than `max_rejected` (e.g.
    "5%"; none: what the audience's file says under `guard`, else 5%). A destination that takes nothing at all is left to
    the task's retries. What a guard withholds fails nothing: it is a warning in the log, and the report shows it.

    The same instant again sends nothing that was acknowledged, so a retry cannot send twice. `full` sends every member
    again, also on a retry. An instant that lies before the audience's last sync is skipped.
    """

    template_fields: Collection[str] = (*ProjectOperator.template_fields, "audience", "full", "max_rejected")

    def __init__(
        self, *, audience: str, full: bool | str = False, max_rejected: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.audience = audience
        self.full = full
        self.max_rejected = max_rejected
        self._stopping = threading.Event()

    def execute(self, context: Context) -> dict[str, Any]:
        from activate import run, syncing  # noqa: PLC0415  # not while the DAG file is parsed

        with self.opened() as (project, warehouse):
            (audience,) = syncing.choose(project, [self.audience])
            # What was written by hand is read before anything is sent.
            allowed, full, now = self._allowed(audience), is_yes("full", self.full), asked_for(self.now)
            now = now or of_run(context)
            syncing.refuse_the_past(warehouse, project, [audience], now)
            self.log.info("Syncing %s as of %s", audience.audience, now.isoformat(sep=" "))
            (report,) = syncing.sync(
                warehouse, project, [audience], now, open_target=run.target_opener(self.options(), self.wait_seconds),
                full=full, wait_seconds=self.wait_seconds, check=self._tell_plan, on_progress=self._progress,
            )  # fmt: skip
            self._tell(report)
            self._judge(report, allowed, f"{project.policy.state.schema_}.audience_changes", now)
        return _figures(report)

    def on_kill(self) -> None:
        """End the task in order: no other page is begun; one that is under way may have to be sent again."""
        self._stopping.set()
        super().on_kill()

    def _allowed(self, audience: Audience) -> float:
        """The share of the changes that the destination may refuse."""
        from activate.words import parse_share  # noqa: PLC0415  # not while the DAG file is parsed

        if not self.max_rejected and audience.guard.max_rejected is not None:
            return audience.guard.max_rejected
        try:
            return parse_share(self.max_rejected or MAX_REJECTED)
        except ValueError as error:
            raise SettingsError(f"max_rejected: {error}") from None

    def _tell_plan(self, plan: AudiencePlan) -> None:
        from activate.airflow.telling import plan_lines  # noqa: PLC0415  # not while the DAG file is parsed

        self._stop_if_asked()
        for level, line in plan_lines(plan):
            self.log.log(level, "%s", line)

    def _tell(self, report: AudienceReport) -> None:
        from activate.airflow.telling import report_lines  # noqa: PLC0415  # not while the DAG file is parsed

        for level, line in report_lines(report):
            self.log.log(level, "%s", line)

    def _progress(self, audience: str, done: int, total: int) -> None:
        self.log.debug("%s: %s of %s", audience, done, total)
        self._stop_if_asked()

    def _stop_if_asked(self) -> None:
        # Called in the sync's own thread, when a page was recorded: the task's thread can only wait for it to end.
        if self._stopping.is_set():
            raise DeliveryError("the task was asked to stop; the next sync sends the rest")

    def _judge(self, report: AudienceReport, allowed: float, table: str, now: dt.datetime) -> None:
        from activate.airflow.telling import codes, refusal  # noqa: PLC0415  # not while the DAG file is parsed

        if report.is_mistake:
            raise SettingsError(f"{report.audience}: {report.error}")
        if report.refused_share > allowed:
            # Not left to the retries: what was refused for good is not sent again, so that the second attempt would be
            # green; and what may be tried again has only so many attempts, which are better spent with time in between.
            raise AirflowFailException(refusal(report, allowed, table, now))
        if report.unusable:
            raise DeliveryError(
                f"{report.audience}: {report.error or f'{report.destination} acknowledged nothing ({codes(report)})'}"
            )


def is_yes(name: str, value: bool | str | None) -> bool:
    """A yes or no, which is text where it came out of a template. Raises SettingsError for any other text."""
    if isinstance(value, bool) or value is None:
        return bool(value)
    text = value.strip().lower()
    if text not in ("true", "false", "none", ""):
        raise SettingsError(f"{name}: {value!r} is neither true nor false")
    return text == "true"


def _figures(report: AudienceReport) -> dict[str, Any]:
    plan = report.plan
    told: dict[str, Any] = {"audience": report.audience, "outcomes": report.outcomes, "codes": report.codes}
    if plan is not None:
        withheld: dict[str, int] = {part.kind: part.people for part in plan.withheld}
        told |= {"withheld": withheld, "invalid": dict(plan.figures.invalid), "wanted": plan.figures.wanted}
    return told
