"""Checks of the dbt models that the rules name: there, of the right kind, with a contract that can be read."""

from __future__ import annotations

from collections.abc import Iterator

from activate.errors import Mistake, nearest
from activate.load.checks.scene import Scene, unknown


def models_exist(scene: Scene) -> Iterator[Mistake]:
    """Every model that the rules name is in dbt's manifest, has a table, and is a trigger or a segment as asked."""
    models = scene.project.models
    for owner, path, name, kind in scene.uses():
        if name not in models:
            of_kind = [other.name for other in models.values() if kind and other.kind == kind]
            message = (
                unknown(f"{kind} model", name, of_kind) if kind else f"no dbt model {name!r}{nearest(name, models)}"
            )
            yield scene.mistake(owner, path, f"{message} (after adding a model, run `dbt parse`)")
        elif name in scene.manifest.ephemeral:
            yield scene.mistake(owner, path, f"the model {name!r} is ephemeral, so there is no table to read")
        elif kind and models[name].kind != kind and name not in scene.manifest.broken:
            yield scene.mistake(owner, path, _wrong_kind(name, models[name].kind, kind, path[0] == "enter"))


def _wrong_kind(name: str, found: str | None, wanted: str, in_enter: bool) -> str:
    if found is None:
        return f"the model {name!r} is no {wanted}; add `config: {{meta: {{activate: {{kind: {wanted}, ...}}}}}}` to it"
    hint = f"; write `{found}: {name}`" if in_enter else ""
    return f"the model {name!r} is a {found}, not a {wanted}{hint}"


def contracts(scene: Scene) -> Iterator[Mistake]:
    """`config.meta.activate` of a model has known keys and all that its kind needs (a warning for unused models)."""
    used = {model.name for model in scene.used_models}
    for name, faults in scene.manifest.broken.items():
        severity = "error" if name in used else "warning"
        for fault in faults:
            yield scene.model_mistake(scene.project.models[name], fault, severity=severity)


def load_times(scene: Scene) -> Iterator[Mistake]:
    """A trigger that the rules use names its load time; without it, rows that arrive late can be missed (a warning)."""
    for model in scene.used_models:
        if model.kind == "trigger" and model.loaded is None:
            yield scene.model_mistake(
                model,
                "the contract names no `loaded` column, so a row that arrives later than `scan.overlap` "
                f"({scene.project.policy.scan.overlap} s) after its time is never seen",
                severity="warning",
            )


def contradictions(scene: Scene) -> Iterator[Mistake]:
    """Nobody can both be in and not be in a segment (a warning)."""
    for campaign in scene.project.campaigns:
        wanted = set(campaign.audience.in_)
        if campaign.enter.segment is not None and campaign.enter.on == "enter":
            wanted.add(campaign.enter.segment)
        for index, segment in enumerate(campaign.audience.not_in):
            if segment in wanted:
                yield scene.mistake(
                    campaign,
                    ("audience", "not_in", index),
                    f"the campaign asks people to be in {segment!r} and not to be in it: nobody is",
                    severity="warning",
                )
