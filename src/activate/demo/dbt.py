"""Runs dbt as its own process, as a user would."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from activate.errors import ActivateError, SettingsError
from activate.settings import Options, Target


class DbtFailed(ActivateError):
    """dbt ended with an error; its own last lines say which. Exit code 1."""


def dbt_build(options: Options, target: Target, now: dt.datetime, arguments: Sequence[str] = ()) -> None:
    """Run `dbt build` on the target with `activate_now` set to `now` (naive UTC).

    Raises SettingsError when dbt is not installed, DbtFailed when a model or a test fails.
    """
    command = [
        _executable(), "build", "--project-dir", str(options.project_dir), "--target", target.name,
        "--vars", json.dumps({**options.vars, "activate_now": now.isoformat()}), "--no-use-colors",
        *(["--profiles-dir", str(options.profiles_dir)] if options.profiles_dir else []),
        *(["--profile", options.profile] if options.profile else []),
        *arguments,
    ]  # fmt: skip
    result = subprocess.run(command, cwd=options.project_dir, capture_output=True, text=True, check=False)  # noqa: S603  # no shell, and no word of it comes from outside
    if result.returncode != 0:
        tail = "\n".join((result.stdout + result.stderr).strip().splitlines()[-25:])
        raise DbtFailed(f"dbt build ended with exit code {result.returncode}:\n{tail}")


def _executable() -> str:
    """The dbt that belongs to this Python, else the first on the path."""
    beside = Path(sys.executable).parent / "dbt"
    found = str(beside) if beside.is_file() else shutil.which("dbt")
    if found is None:
        raise SettingsError("dbt is not installed; run: pip install 'dbt-activate[dbt]'")
    return found
