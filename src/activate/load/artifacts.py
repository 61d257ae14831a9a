"""What dbt's last runs said of the models: stale sources (`dbt source freshness`) and failing tests (`dbt build`).

Read as JSON from dbt's target folder (schemas sources v3 and run-results v6); a file that is missing says nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from activate.audience_plan import Faults
from activate.project import Model

_STALE = ("error", "runtime error")
_FAILED = ("fail", "error")


def faults(manifest: Path, models: Iterable[Model]) -> dict[str, Faults]:
    """What is wrong with each model, by name; models that nothing is wrong with are left out."""
    raw = _read(manifest)
    stale = {
        str(result.get("unique_id"))
        for result in _results(manifest.parent / "sources.json")
        if result.get("status") in _STALE
    }
    failed = {
        str(result.get("unique_id"))
        for result in _results(manifest.parent / "run_results.json")
        if result.get("status") in _FAILED and str(result.get("unique_id")).startswith("test.")
    }
    parents: Mapping[str, list[str]] = raw.get("parent_map") or {}
    nodes: Mapping[str, Any] = raw.get("nodes") or {}
    found = {}
    for model in models:
        above = _ancestors(model.unique_id, parents)
        old = tuple(sorted(_short(node) for node in stale & above))
        bad = tuple(sorted(_short(test) for test in failed if _is_of(nodes.get(test) or {}, model.unique_id)))
        if old or bad:
            found[model.name] = Faults(old, bad)
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _results(path: Path) -> list[dict[str, Any]]:
    results = _read(path).get("results")
    return [result for result in results if isinstance(result, dict)] if isinstance(results, list) else []


def _ancestors(start: str, parents: Mapping[str, list[str]]) -> set[str]:
    seen: set[str] = {start}
    waiting = [start]
    while waiting:
        for parent in parents.get(waiting.pop(), []):
            if parent not in seen:
                seen.add(parent)
                waiting.append(parent)
    return seen


def _is_of(test: Mapping[str, Any], model: str) -> bool:
    depends = (test.get("depends_on") or {}).get("nodes") or []
    return test.get("attached_node") == model or (test.get("attached_node") is None and model in depends)


def _short(unique_id: str) -> str:
    # source.PACKAGE.SOURCE.TABLE, test.PACKAGE.NAME.HASH
    parts = unique_id.split(".")
    return ".".join(parts[2:]) if parts[0] == "source" else parts[2] if len(parts) > 2 else unique_id
