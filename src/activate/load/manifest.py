"""dbt's manifest.json as models by name, with the contract that each declares in `config.meta.activate`.

The file is read as JSON (schema v12, which dbt-core 1.10, 1.11 and 1.12 write); dbt is never imported.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from activate.errors import SettingsError, nearest
from activate.project import Model, Relation

_KINDS = ("segment", "trigger")
_NEEDS: Mapping[str, tuple[str, ...]] = {"segment": ("key",), "trigger": ("key", "id", "time")}
_KEYS = ("kind", "key", "id", "time", "loaded")
_RESOURCES = ("model", "seed", "snapshot")


@dataclass(frozen=True)
class Manifest:
    """What Activate needs of a manifest.

    `models` are models, seeds and snapshots by name and sources as `source.table`. `declared` are the columns that
    dbt's YAML files declare, by model; only for a model in `enforced` are they all there are. `broken` tells what is
    wrong with a model's contract; such a model has no `kind`. `ephemeral` models have no table to read. `groups` are
    dbt's, `macros` the root project's own, by name.
    """

    adapter: str
    project: str
    models: dict[str, Model] = field(default_factory=dict)
    declared: dict[str, dict[str, str]] = field(default_factory=dict)
    enforced: set[str] = field(default_factory=set)
    broken: dict[str, tuple[str, ...]] = field(default_factory=dict)
    ephemeral: set[str] = field(default_factory=set)
    groups: set[str] = field(default_factory=set)
    macros: set[str] = field(default_factory=set)


def read_manifest(path: Path) -> Manifest:
    """Read manifest.json. Raises SettingsError when there is none, or it is not one that can be read."""
    if not path.is_file():
        raise SettingsError(f"{path} does not exist; run `dbt parse` (or `dbt build`) first")
    try:
        raw = json.loads(path.read_bytes())
        metadata, nodes, sources = raw["metadata"], raw["nodes"], raw["sources"]
        adapter, project = metadata["adapter_type"], metadata["project_name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            f"{path} is not a manifest that Activate can read ({type(error).__name__}); run `dbt parse` again"
        ) from None
    groups = {group["name"] for group in (raw.get("groups") or {}).values()}
    macros = {macro["name"] for macro in (raw.get("macros") or {}).values() if macro["package_name"] == project}
    manifest = Manifest(adapter, project, groups=groups, macros=macros)
    for name, node in _by_name(nodes, sources, project):
        model, faults = _model(name, node, adapter)
        manifest.models[name] = model
        manifest.declared[name] = {
            column["name"]: (column.get("data_type") or "").lower() for column in (node.get("columns") or {}).values()
        }
        config = node.get("config") or {}
        if (config.get("contract") or {}).get("enforced"):
            manifest.enforced.add(name)
        if config.get("materialized") == "ephemeral":
            manifest.ephemeral.add(name)
        if faults:
            manifest.broken[name] = faults
    return manifest


def _by_name(
    nodes: Mapping[str, Any], sources: Mapping[str, Any], project: str
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each name once: of several packages' models the root project's, of several versions the latest."""
    chosen: dict[str, Mapping[str, Any]] = {}

    def rank(node: Mapping[str, Any]) -> tuple[bool, bool, str]:
        return (
            node["package_name"] != project,
            node.get("version") != node.get("latest_version"),
            node["unique_id"],
        )

    for node in nodes.values():
        if node.get("resource_type") not in _RESOURCES:
            continue
        names = [node["name"]] if node.get("version") is None else [node["name"], f"{node['name']}.v{node['version']}"]
        for name in names:
            if name not in chosen or rank(node) < rank(chosen[name]):
                chosen[name] = node
    yield from chosen.items()
    for node in sorted(sources.values(), key=lambda source: (source["package_name"] != project, source["unique_id"])):
        name = f"{node['source_name']}.{node['name']}"
        if name not in chosen:
            chosen[name] = node
            yield name, node


def _model(name: str, node: Mapping[str, Any], adapter: str) -> tuple[Model, tuple[str, ...]]:
    contract = _contract(node)
    faults = _faults(contract)
    model = Model(
        name=name,
        relation=_relation(node, adapter),
        unique_id=node["unique_id"],
        # The YAML file that describes the model, where there is one: that is where its contract stands.
        file=(node.get("patch_path") or "").split("://", 1)[-1] or node.get("original_file_path") or "",
    )
    if contract is None or faults:
        return model, faults
    kind: Literal["segment", "trigger"] = "segment" if contract["kind"] == "segment" else "trigger"
    names = {key: contract.get(key) for key in ("key", "id", "time", "loaded")}
    return replace(model, kind=kind, **names), ()


def _contract(node: Mapping[str, Any]) -> Any:
    """`config.meta.activate`; a model's own `meta.activate` where dbt has not copied it into the config."""
    config = (node.get("config") or {}).get("meta") or {}
    return config.get("activate", (node.get("meta") or {}).get("activate"))


def _faults(contract: Any) -> tuple[str, ...]:
    if contract is None:
        return ()
    if not isinstance(contract, dict):
        return ("`meta.activate` must be a mapping, e.g. {kind: segment, key: user_id}",)
    faults = [
        f"`meta.activate` has the unknown key {str(key)!r}; allowed: {', '.join(_KEYS)}{nearest(str(key), _KEYS)}"
        for key in contract
        if key not in _KEYS
    ]
    kind = contract.get("kind")
    if kind not in _KINDS:
        said = "has no `kind`" if kind is None else f"has the unknown kind {kind!r}"
        return (*faults, f"`meta.activate` {said}; allowed: {', '.join(_KINDS)}{nearest(str(kind), _KINDS)}")
    faults += [f"`meta.activate` of a {kind} needs `{key}`" for key in _NEEDS[kind] if not contract.get(key)]
    faults += [
        f"`meta.activate.{key}` must be the name of a column"
        for key in _KEYS[1:]
        if contract.get(key) is not None and not isinstance(contract[key], str)
    ]
    return tuple(faults)


def _relation(node: Mapping[str, Any], adapter: str) -> Relation:
    written = node.get("relation_name") or ""

    def spelled(part: str) -> str:
        # PostgreSQL folds names that dbt was told not to quote; DuckDB compares names without regard to case.
        return part.lower() if adapter == "postgres" and written and f'"{part}"' not in written else part

    name = node.get("identifier") or node.get("alias") or node["name"]
    database = node.get("database")
    return Relation(spelled(node["schema"]), spelled(name), spelled(database) if database else None)
