"""The story of a request: read it, hold it against the warehouse, compile it, count, write the model."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from activate.ask.check import check
from activate.ask.files import ModelFile, model_sql, model_yaml, plan_file, write_files
from activate.ask.known import Known, find_column, spell
from activate.ask.lines import Line, number_lines
from activate.ask.people import make_rows
from activate.ask.phrases import outline, phrase
from activate.ask.place import DbtModel, Warehouse
from activate.ask.query import figures, steps
from activate.ask.question import Question
from activate.ask.values import unknown_values
from activate.errors import Mistake, RulesError, SettingsError
from activate.load.manifest import Manifest
from activate.load.parse import Document, read_yaml
from activate.load.project import read_project
from activate.load.rules import POLICY_FILE
from activate.load.validate import validate
from activate.project import Model, Project
from activate.request import Request
from activate.settings import Options, load_target, project_setting
from activate.warehouses.base import Warehouse as Connection
from activate.warehouses.registry import connect

FOLDER = "segments"
_NEEDED = {"activate_now": "activate_now()", "test_activate_segment_contract": "the test activate_segment_contract"}


@dataclass(frozen=True)
class LineCount:
    """How many people fit one line, and (in an outermost `all`) that line and all before it."""

    line: str
    depth: int
    text: str
    people: int | None
    so_far: int | None


@dataclass(frozen=True)
class Answer:
    """What became of a request. `has_unit_test` is False where nobody who fits could be made up."""

    request: str
    now: dt.datetime
    everybody: int
    people: int
    lines: tuple[LineCount, ...]
    files: tuple[ModelFile, ...]
    warnings: tuple[Mistake, ...]
    has_unit_test: bool


def answer(
    options: Options,
    file: Path,
    *,
    now: dt.datetime,
    dry_run: bool = False,
    force: bool = False,
    allow_unseen: bool = False,
    wait_seconds: float = 30.0,
) -> Answer:
    """Turn a request into a dbt model and count who fits at `now` (naive UTC).

    Raises RulesError with all mistakes: in the request, with file and line, or because a file of the model is somebody
    else's work (unless `force`); then nothing is written. With `dry_run` nothing is written either way. Raises
    SettingsError, WarehouseError and LeaseHeldError as every command does.
    """
    origin = _name_of(file, options.project_dir)
    request, document = read_request(file, origin)
    target = load_target(options)
    reading = read_project(options, target)
    if reading.project is None:
        raise RulesError(reading.mistakes)
    _need_macros(reading.manifest)
    paths = model_paths(options, request)
    refuse_other_model(reading.project, request, document, paths)
    with closing(connect(target, wait_seconds)) as warehouse:
        question, warnings = questioned(warehouse, reading.project, request, document, now, allow_unseen)
        counts = _figures(warehouse, question, now)
    place = DbtModel(warehouse, reading.project, reading.manifest.macros)
    rows = make_rows(question)
    bodies = (model_sql(question, place), model_yaml(question, reading.project, reading.manifest.groups, rows))
    files = tuple(
        plan_file(options.project_dir, path, body, origin, force=force)
        for path, body in zip(paths, bodies, strict=True)
    )
    if not dry_run:
        if kept := [made.mistake for made in files if made.status == "kept"]:
            raise RulesError(kept)
        write_files(options.project_dir, files)
    return Answer(
        request=request.request,
        now=now,
        everybody=counts["everybody"],
        people=counts["people"],
        lines=tuple(_line_counts(question.root, counts)),
        files=files,
        warnings=tuple(sorted(warnings)),
        has_unit_test="unit_tests:" in bodies[1],
    )


def _name_of(file: Path, project_dir: Path) -> str:
    """The request's path as mistakes and the model's first line name it."""
    path = file.resolve()
    return path.relative_to(project_dir).as_posix() if path.is_relative_to(project_dir) else file.as_posix()


def read_request(file: Path, name: str) -> tuple[Request, Document]:
    """A request's file, which mistakes call `name`. Raises RulesError with all that is wrong in it."""
    document, mistakes = read_yaml(file, name)
    if document is None:
        raise RulesError(mistakes)
    request, found = validate(Request, document)
    if request is None or mistakes or found:
        raise RulesError([*mistakes, *found])
    return request, document


def _need_macros(manifest: Manifest) -> None:
    missing = [words for name, words in _NEEDED.items() if name not in manifest.macros]
    if missing:
        raise SettingsError(
            f"the dbt project {manifest.project!r} lacks {' and '.join(missing)}, which the model would use; "
            "`dbt-activate init` adds them (then run `dbt parse`)"
        )


def model_paths(options: Options, request: Request) -> tuple[str, str]:
    """The two files of the request's model, in the project."""
    found = project_setting(options, "model-paths")
    models = str(found[0]) if isinstance(found, list) and found else "models"
    return f"{models}/{FOLDER}/{request.request}.sql", f"{models}/{FOLDER}/{request.request}.yml"


def refuse_other_model(project: Project, request: Request, document: Document, paths: Sequence[str]) -> None:
    """Raise RulesError where dbt has a model of the name that is not this request's."""
    there = project.models.get(request.request)
    if there is not None and there.file not in paths:
        message = (
            f"the dbt project already has a model {request.request!r} ({there.file}); give the request another name"
        )
        raise RulesError([document.mistake(("request",), message)])


def questioned(
    warehouse: Connection, project: Project, request: Request, document: Document, now: dt.datetime, allow_unseen: bool
) -> tuple[Question, list[Mistake]]:
    """The request held against the warehouse, with warnings. Raises RulesError with all that no model has."""
    profiles, events, segments = _models(warehouse, project)
    policy, faults = spell(project.policy, profiles, events)
    if faults:
        raise RulesError([Mistake(POLICY_FILE, 0, fault) for fault in faults])
    try:
        root = number_lines(request)
    except ValueError as error:
        raise RulesError([document.mistake(("who",), str(error), part="key")]) from None
    known = Known(warehouse, policy, profiles, events, segments, now)
    found = check(root, known, document, request.request, allow_unseen=allow_unseen)
    if any(mistake.severity == "error" for mistake in found.mistakes):
        raise RulesError(found.mistakes)
    warnings = [*found.mistakes, *unknown_values(found.leaves.values(), known, document)]
    return Question(request, root, found.leaves, policy, profiles, events), warnings


def _models(warehouse: Connection, project: Project) -> tuple[Model, Model, dict[str, Model]]:
    """The profiles, the events and every segment, with their columns; a segment that is not built has none."""
    wanted = {"profiles": project.policy.profiles.model, "events": project.policy.events.model}
    absent = [
        f"`{part}.model`: dbt has no model {name!r}" for part, name in wanted.items() if name not in project.models
    ]
    if absent:
        raise RulesError([Mistake(POLICY_FILE, 0, fault) for fault in absent])
    profiles, events = (project.models[name] for name in wanted.values())
    segments = {name: model for name, model in sorted(project.models.items()) if model.kind == "segment"}
    columns = warehouse.columns([model.relation for model in (profiles, events, *segments.values())])
    for model in (profiles, events):
        if model.relation not in columns:
            raise SettingsError(f"{model.relation} is not in the warehouse; run `dbt build` with the same target")

    def seen(model: Model) -> Model:
        found = columns.get(model.relation, {})
        # The key as the warehouse spells it; a segment whose table lacks it is as good as not built.
        key = None if model.key is None else find_column(found, model.key)
        return replace(model, columns={} if model.kind and key is None else found, key=key)

    return seen(profiles), seen(events), {name: seen(model) for name, model in segments.items()}


def _figures(warehouse: Connection, question: Question, now: dt.datetime) -> dict[str, int]:
    [row] = warehouse.query(figures(question, Warehouse(warehouse, now))).to_pylist()
    return {name: int(value) for name, value in row.items()}


def _line_counts(root: Line, counts: dict[str, int]) -> list[LineCount]:
    passed = {line.number for line in steps(root)}
    return [
        LineCount(
            line=line.number,
            depth=depth,
            text=phrase(line),
            people=counts[line.column] if line.number else None,
            so_far=counts[line.column.replace("line", "so_far", 1)] if line.number in passed else None,
        )
        for depth, line in outline(root)
    ]
