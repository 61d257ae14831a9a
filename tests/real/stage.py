"""A place to replay in: a copy of a dbt project, a database with the raw tables, and the models built by dbt itself."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .data_sets import DataSet
from .database import Database

_REPLAY_TABLES = """
CREATE TABLE raw.ticks (now TIMESTAMP, as_of TIMESTAMP);
CREATE TABLE raw.as_of (as_of TIMESTAMP);
"""


@dataclass
class Stage:
    """A built dbt project (`directory`) over a database of its own. `rows` and `seconds` tell what it took."""

    data_set: DataSet
    directory: Path
    target: str
    run_dbt: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run
    rows: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def open(self) -> Database:
        """A plain connection of the tests' own."""
        return Database(self.target)

    def build(self, as_of: dt.datetime | None = None) -> None:
        """Run `dbt build` in a process of its own; its own tests of the models are part of it.

        With `as_of` only the segments are built, for that instant, as a nightly job would.
        """
        command = [str(Path(sys.executable).parent / "dbt"), "--quiet", "build", "--no-use-colors"]
        if as_of is not None:
            command += ["--select", "path:models/segments", "--vars", json.dumps({"activate_now": f"{as_of}"})]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("DBT_")}
        environment |= {"DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "DBT_PROFILES_DIR": str(self.directory)}
        began = time.perf_counter()
        done = self.run_dbt(command, cwd=self.directory, env=environment, capture_output=True, text=True, check=False)
        self.seconds["dbt"] = self.seconds.get("dbt", 0.0) + time.perf_counter() - began
        if done.returncode:
            raise RuntimeError(f"dbt build failed:\n{done.stdout[-4000:]}\n{done.stderr[-2000:]}")


def set_stage(
    data_set: DataSet,
    directory: Path,
    target: str,
    run_dbt: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run,
) -> Stage:
    """Copy the project, load the raw tables and build the models.

    `target` is a path for a new DuckDB file, or the postgresql:// URI of an empty database. `run_dbt` runs a command as
    `subprocess.run` does.
    """
    ignored = shutil.ignore_patterns("target", "logs", "facts.sql", "history.sql")
    shutil.copytree(data_set.folder, directory, ignore=ignored)
    stage = Stage(data_set, directory, target, run_dbt)
    database = stage.open()
    try:
        began = time.perf_counter()
        database.run("CREATE SCHEMA raw")
        database.run(_REPLAY_TABLES)
        for table, select in data_set.raw.items():
            stage.rows[table] = database.load("raw", table, select)
        stage.seconds["load"] = time.perf_counter() - began
        profile = {"real": {"target": "real", "outputs": {"real": database.dbt_profile("shop")}}}
        (directory / "profiles.yml").write_text(json.dumps(profile))  # JSON is YAML
    finally:
        database.close()
    stage.build()
    return stage
