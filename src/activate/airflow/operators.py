"""Decide, deliver and report as Airflow tasks. Nothing heavy is imported before a task runs."""

from __future__ import annotations

import contextlib
import dataclasses
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator

from activate.airflow.connections import ConnectionSecrets
from activate.airflow.failures import told_to_airflow
from activate.airflow.instants import asked_for, of_run
from activate.airflow.variables import read_variables
from activate.errors import DeliveryError

if TYPE_CHECKING:
    from airflow.sdk import Context

    from activate.message import ProviderReport
    from activate.project import Project
    from activate.report.status import Status
    from activate.settings import Options
    from activate.warehouses.base import Warehouse


class ProjectOperator(BaseOperator):
    """What all tasks on one project have in common: where it is, which target, which secrets.

    `project_dir`, `profiles_dir`, `target` and `profile` are dbt's; an empty text means what it means to dbt when the
    option is not given. `vars` are dbt's variables, as a mapping or as JSON or YAML text. `now` (UTC unless it has an
    offset) replays a moment; empty, it is the DAG run's. `secrets` maps the variables that profiles.yml and
    rules/activate.yml ask for with `env_var()` to connections, e.g. `{"MAIL_PASSWORD": "mail.password"}`; a variable
    that is not in it comes from the environment. `wait_seconds` is how long to wait, before the task's retries, for
    another run to end.
    """

    template_fields: Collection[str] = ("project_dir", "profiles_dir", "target", "profile", "vars", "now", "secrets")
    template_fields_renderers: ClassVar[dict[str, str]] = {"vars": "json", "secrets": "json"}
    ui_color = "#f0e9ff"

    def __init__(
        self,
        *,
        project_dir: str | None = None,
        profiles_dir: str | None = None,
        target: str | None = None,
        profile: str | None = None,
        vars: str | Mapping[str, Any] | None = None,
        now: str | None = None,
        secrets: Mapping[str, str] | None = None,
        wait_seconds: float = 30.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.project_dir = project_dir
        self.profiles_dir = profiles_dir
        self.target = target
        self.profile = profile
        self.vars = vars
        self.now = now
        self.secrets = secrets
        self.wait_seconds = wait_seconds

    def options(self) -> Options:
        """What the fields say, completed as dbt completes it. Raises SettingsError."""
        from activate.settings import find_options  # noqa: PLC0415  # not while the DAG file is parsed

        options = find_options(
            self.project_dir or None,
            self.profiles_dir or None,
            self.target or None,
            self.profile or None,
            variables=read_variables(self.vars),
        )
        return dataclasses.replace(options, secrets=ConnectionSecrets(self.secrets or {}))

    @contextlib.contextmanager
    def opened(self) -> Iterator[tuple[Project, Warehouse]]:
        """The project and its warehouse, closed at the end; errors are translated for Airflow."""
        from activate import run  # noqa: PLC0415  # not while the DAG file is parsed

        with told_to_airflow(is_replay=bool(self.now)):
            project, warehouse = run.open_project(self.options(), wait_seconds=self.wait_seconds)
            try:
                yield project, warehouse
            finally:
                warehouse.close()

    def ask_status(self, project: Project, warehouse: Warehouse) -> Status:
        """How the project stands at the replayed moment, else now."""
        from activate import questions, run  # noqa: PLC0415  # not while the DAG file is parsed

        return questions.status(warehouse, project, asked_for(self.now) or run.wall_clock())

    def on_kill(self) -> None:
        """End the task in order: a tick is rolled back; of a delivery, what is under way is still recorded."""
        raise SystemExit("asked to stop")


class ActivateDecideOperator(ProjectOperator):
    """Decide one tick. Returns its run id and its figures.

    The same instant again changes nothing, so a retry cannot decide twice.
    """

    def execute(self, context: Context) -> dict[str, Any]:
        from activate import run  # noqa: PLC0415  # not while the DAG file is parsed

        with self.opened() as (project, warehouse):
            now = asked_for(self.now) or of_run(context)
            self.log.info("Deciding about %s", now.isoformat(sep=" "))
            tick = run.decide(warehouse, project, now, wait_seconds=self.wait_seconds, on_progress=self._progress)
        for count in tick.counts:
            self.log.info("%s: %s %s people (%s)", count.campaign, count.outcome, f"{count.people:,}", count.reason)
        for model, rows in tick.invalid.items():
            self.log.warning("%s: %s rows cannot be used", model, f"{rows:,}")
        outcomes: dict[str, int] = {}
        for count in tick.counts:
            outcomes[count.outcome] = outcomes.get(count.outcome, 0) + count.people
        return {
            "run_id": tick.run_id,
            "now": now.isoformat(),
            "changed": tick.changed,
            "entered": sum(tick.entered.values()),
            "outcomes": outcomes,
            "invalid": tick.invalid,
        }

    def _progress(self, done: int, total: int, stage: str) -> None:
        self.log.debug("%s of %s: %s", done, total, stage)


class ActivateProvidersOperator(ProjectOperator):
    """Returns the names of the providers that messages wait for: what to map `ActivateDeliverOperator` over."""

    def execute(self, context: Context) -> list[str]:  # noqa: ARG002  # Airflow's interface
        with self.opened() as (project, warehouse):
            lines = self.ask_status(project, warehouse).outbox
        return sorted(line.provider for line in lines if line.queued or line.claimed or line.to_retry)


class ActivateDeliverOperator(ProjectOperator):
    """Hand the outbox over to the providers named (one name, or several; none: all). Returns figures by provider.

    Without `now` a message is judged by the clock and not by the DAG run's instant: a retry three hours later must not
    send what has expired since, nor into somebody's night. Each message is claimed before it is handed over, so a
    retry leaves alone what the attempt before it may have sent.
    """

    template_fields: Collection[str] = (*ProjectOperator.template_fields, "providers")

    def __init__(self, *, providers: str | Sequence[str] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.providers = providers

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002  # Airflow's interface
        from activate import run  # noqa: PLC0415  # not while the DAG file is parsed

        names = [self.providers] if isinstance(self.providers, str) else self.providers
        with self.opened() as (project, warehouse):
            reports = run.deliver(
                warehouse, project, asked_for(self.now), providers=names or None, wait_seconds=self.wait_seconds
            )
            told = {report.provider: self._told(report) for report in reports}
            if broken := [report.provider for report in reports if report.unusable]:
                raise DeliveryError(f"nothing could be handed over to {', '.join(broken)}; see above")
        return told

    def _told(self, report: ProviderReport) -> dict[str, Any]:
        counts = ", ".join(f"{count:,} {status}" for status, count in sorted(report.counts.items()))
        self.log.info("%s: %s; %s left", report.provider, counts or "nothing handed over", f"{report.left:,}")
        if report.error:
            self.log.warning("%s: %s", report.provider, report.error)
        return {"counts": report.counts, "left": report.left}


class ActivateReportOperator(ProjectOperator):
    """Log how the project stands after the run, as `dbt-activate status` does. Returns what alerts are made of.

    That is: how many messages of each provider wait, are claimed, or may or may not have been taken (`outbox`); what
    became final in the last day (`delivered`); how the last sync of each audience ended (`audiences`); and sentences about
    what needs a look (`needs_a_look`).
    """

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002  # Airflow's interface
        from activate.report.console import make_console  # noqa: PLC0415  # not while the DAG file is parsed
        from activate.report.status_view import needs_a_look, show_status  # noqa: PLC0415

        with self.opened() as (project, warehouse):
            found = self.ask_status(project, warehouse)
        page = io.StringIO()
        show_status(make_console(page, width=120), found)
        for line in page.getvalue().splitlines():
            self.log.info("%s", line.rstrip())
        return {
            "last_tick": found.last_tick.isoformat() if found.last_tick else None,
            "outbox": {
                line.provider: {
                    "queued": line.queued, "claimed": line.claimed, "to_retry": line.to_retry, "unknown": line.unknown,
                }
                for line in found.outbox
            },
            "delivered": {line.provider: line.figures for line in found.delivered},
            "audiences": {
                line.audience: {
                    "status": line.status, "withheld": sum(people for _, people, *_ in line.withheld),
                    "refused": line.refused, "open": line.open,
                }
                for line in found.audiences
            },
            "needs_a_look": needs_a_look(found),
        }  # fmt: skip
