"""Runs `dbt build` as a process of its own: dbt is never imported, and may live in another virtual environment."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException

from activate.airflow.failures import told_to_airflow
from activate.airflow.instants import asked_for
from activate.airflow.operators import ProjectOperator
from activate.errors import SettingsError

if TYPE_CHECKING:
    from airflow.sdk import Context

    from activate.settings import Options

_GRACE_SECONDS = 3.0


class DbtBuildOperator(ProjectOperator):
    """Run `dbt build` and put its output into the task's log. Returns nothing.

    `dbt` is the executable; none: the one beside this Python, else the first on the path. `arguments` are added to the
    command, e.g. `["--select", "tag:activation+"]`. With `now`, dbt gets the variable `activate_now`, so that models
    that use it are built as of that moment. `secrets` become environment variables of the process.

    A model or test that fails, fails the task and with it the tick: nobody is messaged on data known to be bad.
    """

    template_fields: Collection[str] = (*ProjectOperator.template_fields, "dbt", "arguments")
    ui_color = "#ffe9df"

    def __init__(self, *, dbt: str | None = None, arguments: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dbt = dbt
        self.arguments = arguments
        self._process: subprocess.Popen[str] | None = None

    def execute(self, context: Context) -> None:  # noqa: ARG002  # Airflow's interface
        with told_to_airflow():
            options = self.options()
            command = self.command(options)
            # What env_var() may ask for in profiles.yml is not known beforehand, so every secret is looked up.
            environment = {**os.environ, **options.secrets}
        self.log.info("Running %s in %s", " ".join(command[:2]), options.project_dir)
        with subprocess.Popen(  # noqa: S603  # no shell; the words are the operator's own fields
            command, cwd=options.project_dir, env=environment, text=True, errors="replace", bufsize=1,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as self._process:  # fmt: skip
            try:
                for line in self._process.stdout or ():
                    self.log.info("%s", line.rstrip())
            except BaseException:
                self._stop()
                raise
        code = self._process.returncode
        if code != 0:
            raise AirflowException(f"dbt build ended with exit code {code}; its output above says which model or test")

    def command(self, options: Options) -> list[str]:
        """The words of the command."""
        now = asked_for(self.now)
        variables = {**options.vars, **({"activate_now": now.isoformat()} if now else {})}
        flags = {
            "--project-dir": options.project_dir,
            "--profiles-dir": options.profiles_dir,
            "--target": options.target,
            "--profile": options.profile,
            # Other variables than last time make dbt parse the whole project anew, so none are given without need.
            "--vars": json.dumps(variables) if variables else None,
        }
        given = [word for flag, value in flags.items() if value for word in (flag, str(value))]
        return [self._executable(), "build", "--no-use-colors", *given, *self.arguments]

    def on_kill(self) -> None:
        """Stop dbt together with what it has started, then end the task."""
        self._stop()
        super().on_kill()

    def _stop(self) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGINT)  # dbt cancels the queries that are running
        try:
            process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()

    def _executable(self) -> str:
        beside = Path(sys.executable).with_name("dbt")
        found = shutil.which(self.dbt or (str(beside) if beside.is_file() else "dbt"))
        if found is None:
            raise SettingsError(
                f"{self.dbt or 'dbt'} is not there or not executable; install dbt beside Airflow with "
                "pip install 'dbt-activate[dbt]', or name the executable of its own environment with `dbt`"
            )
        return found
