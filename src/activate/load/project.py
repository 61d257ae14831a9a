"""The project as a tick works on it: rules and dbt models together, checked, or every mistake at once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from sqlglot import Dialect, exp

from activate.campaign import Campaign
from activate.errors import Mistake, RulesError, SettingsError, WarehouseError
from activate.expression import parse_where
from activate.load.artifacts import faults
from activate.load.check import CHECKS, COLUMN_CHECKS, check
from activate.load.checks.scene import Scene
from activate.load.manifest import Manifest, read_manifest
from activate.load.parse import Path_
from activate.load.rules import Positions, load_rules
from activate.project import Model, Project
from activate.settings import Options, Target, manifest_path
from activate.warehouses.base import Warehouse


class Reading(NamedTuple):
    """All that was read. `project` is None when nothing can be made of the policy; with an error among `mistakes`, it is
    for looking at, not for running."""

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
    if reading.project is None or _has_error(reading.mistakes):
        raise RulesError(reading.mistakes)
    return reading.project


def read_project(
    options: Options,
    target: Target | None = None,
    warehouse: Warehouse | None = None,
    today: dt.datetime | None = None,
) -> Reading:
    """Read the project and list its mistakes, without raising for them.

    With a warehouse, columns are checked against what it holds, and the project's models come with their columns.
    `today` (UTC) is what `until` is compared with; None: it is not. Raises SettingsError as `load_project`.
    """
    manifest = read_manifest(manifest_path(options))
    if target is not None and target.type != manifest.adapter:
        raise SettingsError(
            f"the manifest was made for {manifest.adapter}, but target {target.name!r} is on {target.type}; "
            f"run `dbt parse --target {target.name}`"
        )
    rules = load_rules(options.project_dir)
    if rules.draft is None:
        return Reading(None, tuple(sorted(rules.mistakes)), rules.positions, manifest)
    project = Project(
        options.project_dir, manifest.project, rules.draft, rules.campaigns, manifest.models, audiences=rules.audiences
    )
    dialect = manifest.adapter if Dialect.get(manifest.adapter) else "duckdb"
    segments = {audience.segment for audience in rules.audiences} & set(manifest.models)
    if segments:
        told = faults(manifest_path(options), [manifest.models[name] for name in sorted(segments)])
        project = replace(project, faults=told)
    scene = Scene(project, rules.positions, manifest, dialect, not _has_error(rules.mistakes), today)
    missing: list[Mistake] = []
    if warehouse is not None:
        scene, missing = _with_columns(scene, warehouse)
        if missing and not any(model.columns for model in scene.used_models):
            # A project that is linted before its first build (in CI, say) is not wrong for that.
            message = "none of the models that the rules use is built yet, so their columns were not checked"
            missing = [Mistake("target/manifest.json", 0, message, "warning")]
    found = [*rules.mistakes, *missing, *check(scene, CHECKS)]
    if warehouse is not None:
        found += _try_expressions(scene, warehouse)
    return Reading(scene.project, tuple(sorted(set(found))), rules.positions, manifest)


def inspect(project: Project, warehouse: Warehouse) -> Project:
    """Ask the warehouse, in one call, for the columns of the models that the rules use, and check by their types.

    Returns the project with `columns` filled. Raises RulesError with all that does not fit.
    """
    positions = load_rules(project.directory).positions
    scene, missing = _with_columns(Scene(project, positions, Manifest("", project.name), warehouse.dialect), warehouse)
    mistakes = [*missing, *check(scene, COLUMN_CHECKS), *_try_expressions(scene, warehouse)]
    if _has_error(mistakes):
        raise RulesError(mistakes)
    return scene.project


def _with_columns(scene: Scene, warehouse: Warehouse) -> tuple[Scene, list[Mistake]]:
    """The scene with the warehouse's columns in its models, and a mistake for each model that is not there."""
    used = scene.used_models
    columns = warehouse.columns([model.relation for model in used])
    models = dict(scene.project.models)
    missing = []
    for model in used:
        if model.relation in columns:
            models[model.name] = replace(model, columns=columns[model.relation])
        elif model.name not in scene.manifest.ephemeral:
            message = f"{model.relation} is not in the warehouse; run `dbt build` with the same target"
            missing.append(scene.model_mistake(model, message))
    return replace(scene, project=replace(scene.project, models=models)), missing


def _try_expressions(scene: Scene, warehouse: Warehouse) -> list[Mistake]:
    """Let the warehouse look at every `where:` without reading a row: types that cannot be compared show here."""
    probes = list(_probes(scene))
    if not probes or _refusal(warehouse, [probe for _, _, probe in probes]) is None:
        return []
    found = []
    for campaign, path, probe in probes:
        refusal = _refusal(warehouse, [probe])
        if refusal is not None:
            found.append(scene.mistake(campaign, path, f"the warehouse cannot use this `where`: {refusal}"))
    return found


def _probes(scene: Scene) -> Iterator[tuple[Campaign, Path_, exp.Select]]:
    project = scene.project
    for campaign in project.campaigns:
        named: list[tuple[Path_, str | None, str]] = [(("enter", "where"), campaign.enter.where, campaign.enter.model)]
        for index, exception in enumerate(campaign.exceptions):
            named.append((("exceptions", index, "where"), exception.where, project.policy.events.model))
        for path, text, name in named:
            model = project.models.get(name)
            if text is None or model is None or not model.columns:
                continue
            try:
                where = parse_where(text, columns=model.columns, dialect=scene.dialect)
            except ValueError:
                continue  # what is wrong with it, the check of expressions tells
            yield campaign, path, _probe(where, model)


def _probe(where: exp.Expression, model: Model) -> exp.Select:
    """The expression of one row of nulls. A filter would not do: DuckDB folds one that can never hold away, and with it
    a text that is no number; the tick would meet it."""
    nothing = exp.select("*").from_(model.relation.table()).where(exp.false()).subquery("nothing")
    one = exp.select(exp.alias_("1", "one")).subquery("one")
    return exp.select(where).from_(one).join(nothing, on=exp.true(), join_type="left")


def _refusal(warehouse: Warehouse, probes: list[exp.Select]) -> str | None:
    try:
        warehouse.query(probes[0] if len(probes) == 1 else exp.union(*probes, distinct=False))
    except WarehouseError as error:
        return str(error)
    return None


def _has_error(mistakes: Iterable[Mistake]) -> bool:
    return any(mistake.severity == "error" for mistake in mistakes)
