"""Where the demo runs: in the reference project itself, or in a copy of it for those who only installed the package."""

from __future__ import annotations

import shutil
from pathlib import Path

import activate
from activate.errors import SettingsError

PROJECT_NAME = "activate_reference"
COPY = "activate_demo"
PARTS = ("dbt_project.yml", "profiles.yml", "models", "macros", "rules")


def reference_project() -> Path:
    """The folder that holds the reference project: inside the installed package, or the clone it is run from.

    Raises SettingsError when neither is there.
    """
    package = Path(activate.__file__).resolve().parent
    for folder in (package / "demo" / "project", package.parents[1]):
        if all((folder / part).exists() for part in PARTS):
            return folder
    raise SettingsError("this installation of Activate has no reference project; clone the repository to run the demo")


def demo_project(directory: Path) -> Path:
    """The project to run the demo in: `directory` if it is the reference project, else a copy in `activate_demo` below.

    Nothing that exists is overwritten; a copy made before is used again.
    """
    if _is_reference(directory):
        return directory
    target = directory / COPY
    if target.exists():
        if _is_reference(target):
            return target
        raise SettingsError(f"{target} exists and is not a copy of the demo; move it away, or go somewhere else")
    source = reference_project()
    target.mkdir(parents=True)
    for part in PARTS:
        if (source / part).is_dir():
            shutil.copytree(source / part, target / part)
        else:
            shutil.copy2(source / part, target / part)
    return target


def _is_reference(directory: Path) -> bool:
    file = directory / "dbt_project.yml"
    return file.is_file() and f"name: {PROJECT_NAME}\n" in file.read_text("utf-8")
