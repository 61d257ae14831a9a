"""Checks of audiences and destinations: everything that a file names is there, and the destination can do it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from activate.audience import CASTS, EXTERNAL_ID, Audience, Mapped
from activate.destinations.base import Destination
from activate.destinations.registry import DESTINATIONS
from activate.destinations.registry import check as check_section
from activate.errors import Mistake, nearest
from activate.families import castable, family
from activate.load.checks.scene import Scene, unknown
from activate.load.parse import Path_
from activate.providers.options import place_of


def destination_of(scene: Scene, audience: Audience) -> tuple[type[Destination], Mapping[str, Any]] | None:
    """The destination class of an audience and its section of `destinations:`; None where it cannot be told."""
    section = scene.project.policy.destinations.get(audience.destination)
    kind = DESTINATIONS.get(str(section.get("type"))) if section is not None else None
    return (kind, section) if kind is not None and section is not None else None


def destinations(scene: Scene) -> Iterator[Mistake]:
    """A destination in `destinations:` has a known type and all its options."""
    for name, section in scene.project.policy.destinations.items():
        for problem in check_section(section):
            yield scene.mistake(None, ("destinations", name, *place_of(problem)), problem, part="key")


def audiences(scene: Scene) -> Iterator[Mistake]:
    """An audience names a destination that can hold it, a channel for its consent, and segments that differ."""
    policy = scene.project.policy
    for audience in scene.project.audiences:
        if audience.destination not in policy.destinations:
            message = unknown("destination", audience.destination, policy.destinations)
            yield scene.mistake(audience, ("destination",), f"{message} (in rules/activate.yml)")
        if audience.consent is not None and audience.consent not in policy.channels:
            yield scene.mistake(audience, ("consent",), unknown("channel", audience.consent, policy.channels))
        if audience.segment in audience.exclude:
            at = audience.exclude.index(audience.segment)
            yield scene.mistake(audience, ("exclude", at), "the audience excludes its own segment: nobody is left")
        yield from _fit(scene, audience)
    yield from _splits(scene)
    yield from _shared_places(scene)


def _shared_places(scene: Scene) -> Iterator[Mistake]:
    """Two audiences in one file, or in one table without a column to tell them apart, would overwrite each other."""
    first: dict[str, Audience] = {}
    for audience in scene.project.audiences:
        found = destination_of(scene, audience)
        if found is None or found[0].holds_several(found[1]):
            continue
        other = first.setdefault(audience.destination, audience)
        if other is not audience:
            message = (
                f"the audience {other.audience!r} is at {audience.destination!r} too, and the destination's options do not "
                "keep them apart: put {audience} into its path or table, or write a destination for each"
            )
            yield scene.mistake(audience, ("destination",), message)


def _fit(scene: Scene, audience: Audience) -> Iterator[Mistake]:
    found = destination_of(scene, audience)
    if found is None:
        return
    kind, section = found
    abilities = kind.abilities_of(section)
    if abilities.needs_hash and audience.identify_by.hash is None:
        message = f"{kind.type} takes hashed identifiers only; write `identify_by: {{column: email, normalise: email, hash: sha256}}`"
        yield scene.mistake(audience, ("identify_by",), message)
    for problem in kind.audience_problems(section, audience.identify_by, audience.fields):
        yield scene.mistake(audience, ("identify_by",) if "identify_by" in problem else ("fields",), problem)
    if audience.mode == "mirror" and not abilities.removes:
        message = f"{kind.type} cannot take people out, so `mode: mirror` cannot hold; write `upsert` or `add_only`"
        yield scene.mistake(audience, ("mode",), message)
    if audience.mode != "mirror" and abilities.replaces:
        message = f"{kind.type} is given the full set each time, which always mirrors the segment"
        yield scene.mistake(audience, ("mode",), message)


def _splits(scene: Scene) -> Iterator[Mistake]:
    first: dict[str, Audience] = {}
    for audience in scene.project.audiences:
        split = audience.split
        if split is None:
            continue
        other = first.setdefault(split.name, audience)
        if other.split is not None and other.split.arms != split.arms:
            message = (
                f"the split {split.name!r} has other arms in the audience {other.audience!r}; they must be the same"
            )
            yield scene.mistake(audience, ("split", "arms"), message)


def audience_columns(scene: Scene) -> Iterator[Mistake]:
    """A column that an audience sends is in its segment's model or in the profiles, and can be sent as asked."""
    for audience in scene.project.audiences:
        yield from _column(scene, audience, ("identify_by",), audience.identify_by)
        for name, mapped in audience.fields.items():
            yield from _column(scene, audience, ("fields", name), mapped)


def _column(scene: Scene, audience: Audience, path: Path_, mapped: Mapped) -> Iterator[Mistake]:
    if mapped.column is None or mapped.column == EXTERNAL_ID:
        return
    model, known = scene.column_of(audience, mapped.column)
    if known is None:
        return
    if mapped.column not in known.types:
        profiles = scene.columns(scene.project.policy.profiles.model)
        names = [*known.types, *(profiles.types if profiles else ())]
        verb = "has a" if known.certain else "declares a"
        message = (
            f"neither the segment {audience.segment!r} nor the profiles model {verb} column {mapped.column!r}"
            f"{nearest(mapped.column, names)}"
        )
        yield scene.mistake(audience, path, message, severity="error" if known.certain else "warning")
        return
    found = family(known.types[mapped.column])
    if found in ("nested", "binary") and known.certain:
        message = f"the column {mapped.column!r} of {model!r} is {known.types[mapped.column]}, which cannot be sent; cast it in dbt"
        yield scene.mistake(audience, path, message)
    elif (mapped.normalise or mapped.hash) and found is not None and found not in ("text", "integer", "decimal"):
        message = f"the column {mapped.column!r} of {model!r} is {known.types[mapped.column]}; only text can be normalised or hashed"
        yield scene.mistake(audience, path, message)
    elif mapped.cast and known.certain and not castable(known.types[mapped.column], mapped.cast):
        fitting = ", ".join(cast for cast in CASTS if castable(known.types[mapped.column], cast))
        message = (
            f"the column {mapped.column!r} of {model!r} is {known.types[mapped.column]}, which cannot be cast to "
            f"{mapped.cast}; allowed: {fitting}"
        )
        yield scene.mistake(audience, path, message)
