"""Checks of templates: each step has one for every channel and variant, it compiles, and its fields exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from activate.campaign import Campaign
from activate.errors import Mistake, nearest
from activate.load.checks.channels import provider_of
from activate.load.checks.scene import TEMPLATES, Scene
from activate.load.parse import Path_
from activate.template import BODY, TemplateInfo, TemplateMistake, template_names

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-/.]*")


@dataclass(frozen=True)
class Use:
    """One place where a template is needed: a campaign's step on a channel, by one arm of the experiment."""

    campaign: Campaign
    path: Path_
    template: str
    channel: str
    variant: str | None


def templates(scene: Scene) -> Iterator[Mistake]:
    """A step's template is there for each of its channels and variants, compiles, and uses only fields that exist."""
    folder = scene.project.templates
    told: set[Mistake] = set()
    for use in uses(scene):
        name = find(folder, use)
        if name is None:
            found: Iterator[Mistake] = iter([_missing(scene, use, folder)])
        else:
            found = _content(scene, use, name)
        for mistake in found:
            if mistake not in told:
                told.add(mistake)
                yield mistake


def uses(scene: Scene) -> Iterator[Use]:
    """Every place where a template is needed, on channels that there are."""
    for campaign in scene.project.campaigns:
        arms: list[str | None] = [variant.name for variant in campaign.variants] or [None]
        for index, step in enumerate(campaign.steps):
            for channel in dict.fromkeys(step.channels):
                if channel in scene.project.policy.channels:
                    for arm in dict.fromkeys(arms):
                        yield Use(campaign, ("steps", index, "template"), step.template, channel, arm)


def find(folder: Path, use: Use) -> str | None:
    """The template's file, relative to its folder; None if there is none, or the name is no file's."""
    if not _SAFE.fullmatch(use.template) or ".." in use.template:
        return None
    names = template_names(use.template, use.channel, use.variant)
    return next((name for name in names if (folder / name).is_file()), None)


def _missing(scene: Scene, use: Use, folder: Path) -> Mistake:
    if not _SAFE.fullmatch(use.template) or ".." in use.template:
        message = f"{use.template!r} is not a template's name; allowed: letters, digits, `_`, `-`, and `/` for folders"
        return scene.mistake(use.campaign, use.path, message)
    general = template_names(use.template, use.channel)[0]
    there = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*.j2"))
    names = " or ".join(f"{TEMPLATES}/{name}" for name in template_names(use.template, use.channel, use.variant))
    message = f"no template for the channel {use.channel!r}: {names} does not exist{nearest(general, there)}"
    return scene.mistake(use.campaign, use.path, message)


def _content(scene: Scene, use: Use, name: str) -> Iterator[Mistake]:
    """What is wrong in a template, and what it needs that the campaign's people, or the channel's provider, lack."""
    read = scene.template(name)
    for wrong in (read,) if isinstance(read, TemplateMistake) else read.mistakes:
        yield Mistake(f"{TEMPLATES}/{wrong.file or name}", wrong.line, wrong.message)
    if isinstance(read, TemplateMistake):
        return
    info = read.info
    yield from _fields(scene, use, info)
    found = provider_of(scene.project.policy, use.channel)
    if found is None:
        return
    provider, section = found
    for block in provider.capabilities.needs:
        if block not in (info.blocks or (BODY,)):
            message = f"the channel {use.channel!r} goes out by {provider.type}, which needs the block {block!r}"
            yield Mistake(f"{TEMPLATES}/{info.name}", 1, message)
    line = _line(scene, info.name, "unsubscribe_url")
    if line and not section.get("unsubscribe_url") and not _is_guarded(scene, info.name, "unsubscribe_url"):
        name = scene.project.policy.channels[use.channel].provider
        message = (
            f"`unsubscribe_url` is used, but the provider {name!r} has no option `unsubscribe_url`; "
            "ask `{% if unsubscribe_url is defined %}` where it may be missing"
        )
        yield Mistake(f"{TEMPLATES}/{info.name}", line, message)


def _fields(scene: Scene, use: Use, info: TemplateInfo) -> Iterator[Mistake]:
    for row, field in sorted(info.fields):
        if field.startswith("_"):
            continue  # told as private already
        model = scene.project.policy.profiles.model if row == "profile" else use.campaign.enter.model
        file, line = f"{TEMPLATES}/{info.name}", _line(scene, info.name, field, row)
        if row == "context" and use.campaign.enter.on == "exit":
            message = f"`context.{field}`: people who leave a segment ({use.campaign.campaign}) bring no row"
            yield Mistake(file, line, message)
            continue
        known = scene.columns(model)
        if known is None or field in known.types:
            continue
        verb = "has no" if known.certain else "does not declare a"
        message = f"`{row}.{field}`: model {model!r} {verb} column {field!r}{nearest(field, known.types)}"
        yield Mistake(file, line, message, "error" if known.certain else "warning")


def _line(scene: Scene, name: str, word: str, row: str | None = None) -> int:
    """The first line of a template that uses a name or a row's field; 0 where only a file it includes does."""
    before = rf"\b{row}\s*(?:\.\s*|\[\s*['\"])" if row else r"\b"
    pattern = re.compile(before + re.escape(word) + r"\b")
    lines = _text(scene, name).splitlines()
    return next((number for number, line in enumerate(lines, start=1) if pattern.search(line)), 0)


def _is_guarded(scene: Scene, name: str, word: str) -> bool:
    return re.search(rf"\b{word}\s+is\s+(not\s+)?(un)?defined\b", _text(scene, name)) is not None


def _text(scene: Scene, name: str) -> str:
    return (scene.project.templates / name).read_text("utf-8", "replace")
