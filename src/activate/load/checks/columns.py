"""Checks of columns: every column that rules and contracts name exists and has a type that can serve."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from activate.campaign import Campaign
from activate.errors import Mistake, nearest
from activate.expression import columns_of, parse_where
from activate.families import family
from activate.load.checks.scene import Columns, Scene
from activate.load.parse import Path_
from activate.project import Model

_ID = ("text", "integer", "decimal")
_INSTANT = ("instant",)
_TEXT = ("text",)
_CONSENT = ("boolean", "text")
_DOCUMENT = ("json", "text")
_WORDS = {
    _ID: "text or a whole number",
    _INSTANT: "a timestamp or a date",
    _TEXT: "text",
    _CONSENT: "a boolean or text",
    _DOCUMENT: "JSON or text",
}


@dataclass(frozen=True)
class _Wanted:
    """A column that the policy names: where it is named, and which families of types can serve."""

    model: str
    path: Path_
    column: str
    families: tuple[str, ...]


def policy_columns(scene: Scene) -> Iterator[Mistake]:
    """The columns that rules/activate.yml names exist in the profiles and events models and have a type that serves."""
    for wanted in _policy_columns(scene):
        known = scene.columns(wanted.model)
        fault = _fault(wanted.column, wanted.families, known, f"model {wanted.model!r}")
        if fault:
            yield scene.mistake(None, wanted.path, fault, severity=_severity(known))


def _policy_columns(scene: Scene) -> Iterator[_Wanted]:
    policy = scene.project.policy
    profiles, events = policy.profiles, policy.events
    yield _Wanted(profiles.model, ("profiles", "key"), profiles.key, _ID)
    if profiles.time_zone is not None:
        yield _Wanted(profiles.model, ("profiles", "time_zone"), profiles.time_zone, _TEXT)
    yield _Wanted(events.model, ("events", "id"), events.id, _ID)
    yield _Wanted(events.model, ("events", "key"), events.key, _ID)
    yield _Wanted(events.model, ("events", "name"), events.name, _TEXT)
    yield _Wanted(events.model, ("events", "time"), events.time, _INSTANT)
    if events.loaded is not None:
        yield _Wanted(events.model, ("events", "loaded"), events.loaded, _INSTANT)
    if events.properties is not None:
        yield _Wanted(events.model, ("events", "properties"), events.properties, _DOCUMENT)
    for name, channel in policy.channels.items():
        yield _Wanted(profiles.model, ("channels", name, "address"), channel.address, _ID)
        if channel.consent is not None:
            yield _Wanted(profiles.model, ("channels", name, "consent"), channel.consent, _CONSENT)
        if channel.registered is not None:
            yield _Wanted(profiles.model, ("channels", name, "registered"), channel.registered, _INSTANT)


def contract_columns(scene: Scene) -> Iterator[Mistake]:
    """The columns that a used model's contract names exist and have a type that serves."""
    for model in scene.used_models:
        known = scene.columns(model.name)
        for key, column, families in _contract_columns(model):
            fault = _fault(column, families, known, "the model")
            if fault:
                yield scene.model_mistake(model, f"`activate.{key}`: {fault}", severity=_severity(known))


def _contract_columns(model: Model) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    named = {"key": (model.key, _ID), "id": (model.id, _ID), "time": (model.time, _INSTANT)}
    if model.kind == "trigger":
        named["loaded"] = (model.loaded, _INSTANT)
    else:
        named = {"key": (model.key, _ID)}
    for key, (column, families) in named.items():
        if column is not None:
            yield key, column, families


def _fault(column: str, families: tuple[str, ...], known: Columns | None, owner: str) -> str | None:
    """What is wrong with a column, or None. A name may differ from the column's in case, if only one column fits."""
    if known is None:
        return None
    alike = [name for name in known.types if name.lower() == column.lower()]
    spelled = column if column in alike else alike[0] if len(alike) == 1 else None
    if spelled is None:
        if not known.certain:
            return f"{owner} does not declare a column {column!r}{nearest(column, known.types)}"
        return f"{owner} has no column {column!r}; its columns: {', '.join(known.types)}{nearest(column, known.types)}"
    type_name = known.types[spelled]
    found = family(type_name)
    if found is not None and found not in families:
        return (
            f"the column {column!r} of {owner} is {type_name}; it must be {_WORDS[families]}: cast it in the dbt model"
        )
    return None


def _severity(known: Columns | None) -> str:
    return "error" if known is not None and known.certain else "warning"


def expressions(scene: Scene) -> Iterator[Mistake]:
    """A `where:` is one boolean expression over the model's columns: no sub-statement, no comment, no clock."""
    events = scene.project.policy.events.model
    for campaign in scene.project.campaigns:
        if campaign.enter.where is not None:
            yield from _expression(scene, campaign, ("enter", "where"), campaign.enter.where, campaign.enter.model)
        for index, exception in enumerate(campaign.exceptions):
            if exception.where is not None:
                yield from _expression(scene, campaign, ("exceptions", index, "where"), exception.where, events)


def _expression(scene: Scene, campaign: Campaign, path: Path_, text: str, model: str) -> Iterator[Mistake]:
    known = scene.columns(model)
    certain = known.types if known is not None and known.certain else None
    try:
        tree = parse_where(text, columns=certain, dialect=scene.dialect)
    except ValueError as error:
        yield scene.mistake(campaign, path, f"`where` of {model}: {error}")
        return
    if known is None or known.certain:
        return
    declared = {name.lower() for name in known.types}
    for column in dict.fromkeys(columns_of(tree)):
        if column.lower() not in declared:
            message = f"`where`: model {model!r} does not declare a column {column!r}{nearest(column, known.types)}"
            yield scene.mistake(campaign, path, message, severity="warning")


def match_properties(scene: Scene) -> Iterator[Mistake]:
    """A match property is a column of the model that people enter by, and a column or JSON property of the events."""
    for campaign in scene.project.campaigns:
        named: list[tuple[Path_, str, bool]] = []
        if campaign.match is not None:
            named.append((("match",), campaign.match, False))
        named += [
            (("exceptions", index, "match"), exception.match, True)
            for index, exception in enumerate(campaign.exceptions)
            if exception.match is not None
        ]
        for path, match, in_events in named:
            yield from _match(scene, campaign, path, match)
            if in_events:
                yield from _event_property(scene, campaign, path, match)
        if campaign.goal is not None and campaign.goal.value is not None:
            yield from _event_property(scene, campaign, ("goal", "value"), campaign.goal.value)


def _match(scene: Scene, campaign: Campaign, path: Path_, match: str) -> Iterator[Mistake]:
    if campaign.enter.on == "exit":
        message = f"people who leave a segment bring no row, so {match!r} is never known and nothing ever matches"
        yield scene.mistake(campaign, path, message)
        return
    known = scene.columns(campaign.enter.model)
    if known is not None and match not in known.types:
        verb = "has no" if known.certain else "does not declare a"
        hint = nearest(match, known.types)
        message = f"model {campaign.enter.model!r} {verb} column {match!r} to match by{hint}"
        yield scene.mistake(campaign, path, message, severity=_severity(known))


def _event_property(scene: Scene, campaign: Campaign, path: Path_, name: str) -> Iterator[Mistake]:
    events = scene.project.policy.events
    known = scene.columns(events.model)
    if known is not None and name not in known.types and events.properties is None:
        verb = "has no" if known.certain else "does not declare a"
        message = (
            f"the events model {verb} column {name!r}, and rules/activate.yml names no `events.properties` "
            f"to look it up in{nearest(name, known.types)}"
        )
        yield scene.mistake(campaign, path, message, severity=_severity(known))
