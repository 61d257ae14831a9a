"""Where a model's contract stands in dbt's files, so that a mistake in it has a file and a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from activate.load.parse import Path_, read_yaml
from activate.project import Model

_SECTIONS = ("models", "seeds", "snapshots")
_CONTRACTS = (("config", "meta", "activate"), ("meta", "activate"))


def contract_place(directory: Path, model: Model) -> tuple[str, int]:
    """The file and line of the model's contract; line 0 where it cannot be found (e.g. in an installed package)."""
    path = directory / model.file
    if not model.file or not path.is_file():
        return model.file or "target/manifest.json", 0
    if path.suffix not in (".yml", ".yaml"):
        return model.file, _line_of_config(path)
    document, _ = read_yaml(path, model.file)
    if document is None:
        return model.file, 0
    for place in _places(document.data, model):
        for contract in _CONTRACTS:
            if (*place, *contract) in document.key_lines:
                return model.file, document.line((*place, *contract), "key")
        return model.file, document.line((*place, "name"), "key")
    return model.file, 0


def _places(data: Any, model: Model) -> list[Path_]:
    """Paths of the entries that describe the model; at most one in a file that dbt accepts."""
    source, _, table = model.name.partition(".")
    if model.unique_id.startswith("source."):
        return [
            ("sources", at, "tables", inner)
            for at, entry in _named(data, "sources", source)
            for inner, _ in _named(entry, "tables", table)
        ]
    return [(section, at) for section in _SECTIONS for at, _ in _named(data, section, source)]


def _named(data: Any, section: str, name: str) -> list[tuple[int, Any]]:
    entries = data.get(section) if isinstance(data, dict) else None
    if not isinstance(entries, list):
        return []
    return [(at, entry) for at, entry in enumerate(entries) if isinstance(entry, dict) and entry.get("name") == name]


def _line_of_config(path: Path) -> int:
    """The line of `activate` in a model's own `{{ config(...) }}`."""
    for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), start=1):
        if "activate" in line:
            return number
    return 0
