"""What is wrong with the requests of rules/requests, for `dbt-activate lint`: nothing is counted or written."""

from __future__ import annotations

import datetime as dt
from contextlib import closing
from pathlib import Path

from activate.ask.answer import model_paths, questioned, read_request, refuse_other_model
from activate.errors import LeaseHeldError, Mistake, RulesError, SettingsError, WarehouseError
from activate.load.parse import Document
from activate.load.project import read_project
from activate.request import Request
from activate.settings import Options, load_target
from activate.warehouses.registry import connect

REQUESTS = "rules/requests"


def lint_requests(options: Options, *, now: dt.datetime, wait_seconds: float = 30.0) -> list[Mistake]:
    """All mistakes and warnings of the requests, by file and line.

    Where the warehouse does not answer, a warning says so, and what the files alone can tell is told all the same. An event
    that was never seen is a warning where the model was made already: somebody has said `--allow-unseen`.
    """
    mistakes: list[Mistake] = []
    requests = _read_all(options.project_dir, mistakes)
    if not requests:
        return mistakes
    target = load_target(options)
    project = read_project(options, target).project
    if project is None:
        return mistakes  # rules/activate.yml is told about already
    try:
        with closing(connect(target, wait_seconds)) as warehouse:
            for request, document in requests:
                try:
                    paths = model_paths(options, request)
                    refuse_other_model(project, request, document, paths)
                    was_made = all((options.project_dir / path).is_file() for path in paths)
                    mistakes += questioned(warehouse, project, request, document, now, was_made)[1]
                except RulesError as error:
                    mistakes += error.mistakes
    except (SettingsError, WarehouseError, LeaseHeldError) as error:
        told = f"the requests were not held against the warehouse: {error}"
        mistakes.append(Mistake(REQUESTS, 0, told, "warning"))
    return mistakes


def _read_all(directory: Path, mistakes: list[Mistake]) -> list[tuple[Request, Document]]:
    found: dict[str, tuple[Request, Document]] = {}
    for file in sorted((directory / REQUESTS).rglob("*.y*ml")):
        try:
            request, document = read_request(file, file.relative_to(directory).as_posix())
        except RulesError as error:
            mistakes += error.mistakes
            continue
        if request.request in found:
            first = found[request.request][1]
            where = f"{first.file}:{first.line(('request',))}"
            message = f"the request {request.request!r} is already in {where}; give this one another name"
            mistakes.append(document.mistake(("request",), message))
            continue
        found[request.request] = (request, document)
    return list(found.values())
