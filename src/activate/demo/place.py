"""Where the demo runs: in the reference project itself, or in a copy of it for those who only installed the package."""

from __future__ import annotations

import shutil
from pathlib import Path

from activate.errors import SettingsError
from activate.scaffold.reference import PARTS, reference_project

PROJECT_NAME = "activate_reference"
COPY = "activate_demo"


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
    # Copied beside and renamed, so that a copy that was cut short is never taken for a whole one.
    unfinished = directory / f".{COPY}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for part in PARTS:
        if (source / part).is_dir():
            shutil.copytree(source / part, unfinished / part)
        else:
            shutil.copy2(source / part, unfinished / part)
    return unfinished.rename(target)


def _is_reference(directory: Path) -> bool:
    file = directory / "dbt_project.yml"
    return file.is_file() and f"name: {PROJECT_NAME}\n" in file.read_text("utf-8")
