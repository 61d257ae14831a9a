"""Checks of fitness: what a template's fixed text already makes impossible on its channel."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from activate.errors import Mistake
from activate.load.checks.channels import provider_of
from activate.load.checks.scene import Scene
from activate.load.checks.templates import FOLDER, find, uses
from activate.providers.base import Advice
from activate.providers.registry import check as check_section
from activate.template import LeastPart, TemplateMistake, least_content


def fitness(scene: Scene) -> Iterator[Mistake]:
    """A template's fixed text fits its channel's provider: lengths, SMS segments, parts that go together."""
    policy, folder = scene.project.policy, scene.project.templates
    read = lru_cache(maxsize=None)(lambda name: _read(folder, name))
    usable = lru_cache(maxsize=None)(lambda channel: _options(scene, channel))
    told: set[Mistake] = set()
    for use in uses(scene):
        found, options, name = provider_of(policy, use.channel), usable(use.channel), find(folder, use)
        parts = read(name) if found is not None and options is not None and name is not None else None
        if found is None or options is None or parts is None:
            continue  # what is wrong, another check tells
        content = {block: part.text for block, part in parts.items()}
        for sentence in found[0].misfits(options, use.channel, content, use.campaign.class_):
            file, line = _place(str(name), parts, sentence)
            message = f"the channel {use.channel!r} goes out by {found[0].type}: {sentence}"
            severity = "warning" if isinstance(sentence, Advice) else "error"
            mistake = Mistake(f"{FOLDER}/{file}", line, message, severity)
            if mistake not in told:
                told.add(mistake)
                yield mistake


def _options(scene: Scene, channel: str) -> Mapping[str, object] | None:
    """The options of a channel's provider, perhaps unresolved; None if there is something wrong with them."""
    found = provider_of(scene.project.policy, channel)
    if found is None or check_section(found[1]):
        return None
    return {key: value for key, value in found[1].items() if key != "type"}


def _read(folder: Path, name: str) -> dict[str, LeastPart] | None:
    try:
        return least_content(folder / name, folder)
    except TemplateMistake:
        return None


def _place(name: str, parts: Mapping[str, LeastPart], sentence: str) -> tuple[str, int]:
    """File and line of the block that the sentence names first, else the template's first line."""
    words = re.findall(r"\w+", sentence)
    part = next((parts[word] for word in words if word in parts), None)
    return (part.file, part.line) if part is not None else (name, 1)
