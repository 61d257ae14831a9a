"""The model's two files, `NAME.sql` and `NAME.yml`, and what keeps them from being overwritten.

The first line of each says which request it was made from, with a fingerprint of the rest: a file without that line, or
with another fingerprint, is somebody's work.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from activate.ask.people import Rows
from activate.ask.phrases import outline, phrase
from activate.ask.place import DbtModel
from activate.ask.printing import comment, neutral, print_model
from activate.ask.query import members
from activate.ask.question import Question
from activate.errors import Mistake
from activate.load.exposures import reference
from activate.project import Project

_MADE = re.compile(r"(?:--|#) Made by `dbt-activate request` from (.+); fingerprint ([0-9a-f]{16})\.")
_ADVICE = "change the request, not this file."


@dataclass(frozen=True)
class ModelFile:
    """A file of the model: its path in the project, its text, and what writing it does.

    `status`: `new`, `unchanged`, `replaced` (it was made from this request before) or `kept` (it is somebody's work, and
    `reason` says why).
    """

    path: str
    text: str
    status: Literal["new", "unchanged", "replaced", "kept"]
    reason: str = ""

    @property
    def mistake(self) -> Mistake:
        """Why the file is not written."""
        return Mistake(self.path, 1, f"{self.reason}; move it away, or overwrite it with --force")


def model_sql(question: Question, place: DbtModel) -> str:
    """The text of the model, without its first line."""
    query = print_model(members(question, place), place.dialect.dialect, place.jinja)
    request = question.request
    by = f" Asked for by {request.owner}." if request.owner else ""
    head = [f"{request.description.strip()}{by}", "", f"Everybody in {question.profiles.name}, where"]
    return comment([*head, *(f"  {line}" for line in in_words(question))]) + query


def in_words(question: Question) -> list[str]:
    """The lines of the request, numbered and indented."""
    return [
        f"{'  ' * depth}{line.number + '. ' if line.number else ''}{phrase(line)}"
        for depth, line in outline(question.root)
    ]


def model_yaml(question: Question, project: Project, groups: Set[str], rows: Rows | None) -> str:
    """The text of the model's properties, without its first line. `groups` are dbt's, for the owner to be one of."""
    request = question.request
    meta: dict[str, Any] = {"activate": {"kind": "segment", "key": question.key}}
    if request.owner:
        meta = {"owner": request.owner, **meta}
    columns = [{"name": question.key, "description": "The person."}]
    for count in question.shown:
        what = phrase(count.leaf.line)
        said = f"What {count.total.name} came to" if count.total else "How often"
        columns.append({"name": count.name, "description": f"{said} (line {count.leaf.line.number}: {what})."})
    model = {
        "name": request.request,
        "description": "\n".join(
            [request.description.strip(), "", "Everybody who fits:", "", "```", *in_words(question), "```"]
        ),
        "config": ({"group": request.owner} if request.owner in groups else {}) | {"meta": meta},
        "data_tests": ["activate_segment_contract"],
        "columns": columns,
    }
    body: dict[str, Any] = {"models": [model]}
    if rows is not None and not _has_jinja(rows):
        body["unit_tests"] = [_unit_test(question, project, rows)]
    return yaml.dump(_neutral(body), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)


def _unit_test(question: Question, project: Project, rows: Rows) -> dict[str, Any]:
    models = {model.name: model for model in (question.profiles, question.events, *question.segments.values())}
    return {
        "name": f"{question.request.request}_takes_who_fits_and_nobody_else",
        "model": question.request.request,
        "overrides": {"vars": {"activate_now": rows.now.isoformat()}},
        "given": [
            {"input": reference(project, models[name]), "rows": [_row_of(row) for row in given]}
            for name, given in rows.given.items()
        ],
        "expect": {"rows": [_row_of(row) for row in rows.expected]},
    }  # fmt: skip


def _row_of(row: dict[str, Any]) -> _Row:
    # dbt takes what a row does not name as null.
    return _Row({name: value for name, value in row.items() if value is not None})


def _has_jinja(rows: Rows) -> bool:
    # Whether dbt renders the rows of a unit test has changed from version to version, so none may depend on it.
    return neutral(repr(rows.given)) != repr(rows.given)


def _neutral(value: Any) -> Any:
    """Texts that dbt's Jinja renders to what they were."""
    if isinstance(value, _Row):
        return value
    if isinstance(value, dict):
        return {key: _neutral(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_neutral(member) for member in value]
    return neutral(value) if isinstance(value, str) else value


class _Row(dict[str, Any]):
    """A row of a unit test: written on one line."""


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks, rows on one line, lists indented; the same value twice is written twice."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        del indentless
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


def _row(dumper: yaml.SafeDumper, row: _Row) -> yaml.Node:
    return dumper.represent_mapping("tag:yaml.org,2002:map", row, flow_style=True)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(_Row, _row)


# -- writing ----------------------------------------------------------------------------------------------------------


def plan_file(directory: Path, path: str, body: str, origin: str, *, force: bool = False) -> ModelFile:
    """What writing a file would do. `origin` is the request's path, `body` all but the first line."""
    origin = comment([origin]).removeprefix("-- ").strip().replace("\n-- ", " ")
    sign = "#" if path.endswith(".yml") else "--"
    text = f"{sign} Made by `dbt-activate request` from {origin}; fingerprint {_fingerprint(body)}. {_ADVICE[0].upper()}{_ADVICE[1:]}\n{body}"
    file = directory / path
    if not file.exists():
        return ModelFile(path, text, "new")
    try:
        there = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        there = ""
    if there == text:
        return ModelFile(path, text, "unchanged")
    reason = "" if force else _whose(there, origin)
    return ModelFile(path, text, "kept" if reason else "replaced", reason)


def write_files(directory: Path, files: Iterable[ModelFile]) -> None:
    """Write what is new or replaced."""
    for file in files:
        if file.status in ("new", "replaced"):
            target = directory / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(file.text, "utf-8")


def _whose(text: str, origin: str) -> str:
    """Why a file that is there may not be overwritten; empty if it may."""
    first, _, body = text.partition("\n")
    made = _MADE.match(first)
    if made is None:
        return "was not made by `dbt-activate request`"
    if made[1] != origin:
        return f"was made from another request, {made[1]}"
    if made[2] != _fingerprint(body):
        return "was changed by hand since it was made"
    return ""


def _fingerprint(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:16]
