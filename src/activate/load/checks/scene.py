"""What a check looks at: the project, where everything stands, and what is known of the models' columns."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from activate.audience import EXTERNAL_ID, Audience
from activate.campaign import Campaign
from activate.errors import Mistake, nearest
from activate.load.contracts import contract_place
from activate.load.manifest import Manifest
from activate.load.parse import Path_
from activate.load.rules import Positions
from activate.project import Model, Project
from activate.template import TemplateMistake, TemplateReading, read_template

TEMPLATES = "rules/templates"

Owner = Campaign | Audience | None
"""Whose file a mistake stands in; None: the policy's."""


@dataclass(frozen=True)
class Columns:
    """The columns of a model with their type names. `certain` is False where dbt declares them without enforcing."""

    types: dict[str, str]
    certain: bool


@dataclass(frozen=True)
class Scene:
    """Everything that the checks may ask about.

    `complete` is False when a campaign's file could not be used, so that what no campaign has cannot be told.
    `today` (UTC) is None where nobody asked what is past.
    """

    project: Project
    positions: Positions
    manifest: Manifest
    dialect: str
    complete: bool = True
    today: dt.datetime | None = None
    _places: dict[str, tuple[str, int]] = field(default_factory=dict, repr=False)
    _templates: dict[str, TemplateReading | TemplateMistake] = field(default_factory=dict, repr=False)

    def columns(self, name: str) -> Columns | None:
        """What is known of a model's columns: from the warehouse, else as dbt declares them, else None."""
        model = self.project.models.get(name)
        if model is not None and model.columns:
            return Columns(model.columns, True)
        declared = self.manifest.declared.get(name)
        return Columns(declared, name in self.manifest.enforced) if declared else None

    def uses(self) -> Iterator[tuple[Owner, Path_, str, Literal["segment", "trigger"] | None]]:
        """Every place where the rules name a model: the file's owner, path, model, the kind it must be."""
        yield None, ("profiles", "model"), self.project.policy.profiles.model, None
        yield None, ("events", "model"), self.project.policy.events.model, None
        for campaign in self.project.campaigns:
            if campaign.enter.trigger is not None:
                yield campaign, ("enter", "trigger"), campaign.enter.trigger, "trigger"
            if campaign.enter.segment is not None:
                yield campaign, ("enter", "segment"), campaign.enter.segment, "segment"
            for key, segments in (("in", campaign.audience.in_), ("not_in", campaign.audience.not_in)):
                for index, segment in enumerate(segments):
                    yield campaign, ("audience", key, index), segment, "segment"
        for audience in self.project.audiences:
            yield audience, ("segment",), audience.segment, "segment"
            for index, segment in enumerate(audience.exclude):
                yield audience, ("exclude", index), segment, "segment"

    @cached_property
    def used_models(self) -> tuple[Model, ...]:
        """The models that the rules name and dbt has, each once, by name."""
        names = {name for _, _, name, _ in self.uses()}
        return tuple(self.project.models[name] for name in sorted(names) if name in self.project.models)

    def mistake(
        self,
        owner: Owner,
        path: Path_,
        message: str,
        *,
        severity: str = "error",
        part: Literal["key", "value"] = "value",
    ) -> Mistake:
        """A mistake at a path of a campaign's or an audience's file, or of the policy's for None."""
        return self.positions.mistake(owner, path, message, severity=severity, part=part)

    def column_of(self, audience: Audience, column: str) -> tuple[str, Columns | None]:
        """Where an audience's column is: the model's name (the segment, else the profiles) and what is known of it."""
        profiles = self.project.policy.profiles
        if column == EXTERNAL_ID:
            return audience.segment, None
        in_segment, in_profiles = self.columns(audience.segment), self.columns(profiles.model)
        if in_segment is None or column in in_segment.types or in_profiles is None:
            return audience.segment, in_segment
        return (profiles.model, in_profiles) if column in in_profiles.types else (audience.segment, in_segment)

    def template(self, name: str) -> TemplateReading | TemplateMistake:
        """What a template file uses, and what is wrong in it; or why it cannot be read. Each is read once."""
        if name not in self._templates:
            folder = self.project.templates
            try:
                self._templates[name] = read_template(folder / name, folder)
            except TemplateMistake as error:
                self._templates[name] = error
        return self._templates[name]

    def model_mistake(self, model: Model, message: str, *, severity: str = "error") -> Mistake:
        """A mistake in a model's contract, at the line where dbt's files declare it."""
        if model.name not in self._places:
            self._places[model.name] = contract_place(self.project.directory, model)
        file, line = self._places[model.name]
        return Mistake(file, line, f"model {model.name}: {message}", severity)


def unknown(what: str, word: str, allowed: Iterable[str]) -> str:
    """`no channel 'pusch'; allowed: push, email; did you mean 'push'?`"""
    names = list(allowed)
    return f"no {what} {word!r}; allowed: {', '.join(names) or 'none'}{nearest(word, names)}"
