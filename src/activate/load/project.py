"""The project as a tick works on it: rules and dbt models together, checked, or every mistake at once."""

from __future__ import annotations

from typing import NamedTuple

from activate.errors import Mistake, RulesError, SettingsError
from activate.load.manifest import Manifest, read_manifest
from activate.load.rules import Positions, load_rules
from activate.project import Project
from activate.settings import Options, Target, manifest_path


class Reading(NamedTuple):
    """All that was read. `project` is None when the policy cannot be used; then `mistakes` says why."""

    project: Project | None
    mistakes: tuple[Mistake, ...]
    positions: Positions
    manifest: Manifest


def load_project(options: Options, target: Target | None = None) -> Project:
    """Read and check the project; `columns` of its models are empty until `inspect`.

    Raises RulesError with all mistakes (warnings among them) if there is an error, and SettingsError when
    dbt_project.yml or the manifest is missing, or the manifest was made for another kind of warehouse than `target`.
    """
    reading = read_project(options, target)
    if reading.project is None or any(mistake.severity == "error" for mistake in reading.mistakes):
        raise RulesError(reading.mistakes)
    return reading.project


def read_project(options: Options, target: Target | None = None) -> Reading:
    """Read the project and list its mistakes, without raising for them. Raises SettingsError as `load_project`."""
    manifest = read_manifest(manifest_path(options))
    if target is not None and target.type != manifest.adapter:
        raise SettingsError(
            f"the manifest was made for {manifest.adapter}, but target {target.name!r} is on {target.type}; "
            f"run `dbt parse --target {target.name}`"
        )
    rules = load_rules(options.project_dir)
    if rules.policy is None:
        return Reading(None, rules.mistakes, rules.positions, manifest)
    project = Project(options.project_dir, manifest.project, rules.policy, rules.campaigns, manifest.models)
    return Reading(project, rules.mistakes, rules.positions, manifest)
