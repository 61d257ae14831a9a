"""Where the reference dbt project is: packed into the installed package, or the clone that the package is run from."""

from __future__ import annotations

from pathlib import Path

import activate
from activate.errors import SettingsError

PARTS = ("dbt_project.yml", "profiles.yml", "models", "macros", "rules")


def reference_project() -> Path:
    """The folder that holds the reference project. Raises SettingsError when there is none."""
    package = Path(activate.__file__).resolve().parent
    for folder in (package / "reference", package.parents[1]):
        if all((folder / part).exists() for part in PARTS):
            return folder
    raise SettingsError(
        "this installation of Activate has no reference project; install the wheel or clone the repository"
    )
