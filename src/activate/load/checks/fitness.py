"""Checks of fitness: what a template's fixed text already makes impossible on its channel."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

from activate.errors import Mistake
from activate.load.checks.channels import provider_of
from activate.load.checks.scene import TEMPLATES, Scene
from activate.load.checks.templates import find, uses
from activate.providers.base import Advice
from activate.providers.registry import check as check_section
from activate.template import LeastPart, TemplateMistake


def fitness(scene: Scene) -> Iterator[Mistake]:
    """A template's fixed text fits its channel's provider: lengths, SMS segments, parts that go together."""
    policy, folder = scene.project.policy, scene.project.templates
    usable = lru_cache(maxsize=None)(lambda channel: _options(scene, channel))
    for use in uses(scene):
        found, options, name = provider_of(policy, use.channel), usable(use.channel), find(folder, use)
        if found is None or options is None or name is None:
            continue  # what is missing, another check tells
        read = scene.template(name)
        parts = {} if isinstance(read, TemplateMistake) else read.least
        content = {block: part.text for block, part in parts.items()}
        for sentence in found[0].misfits(options, use.channel, content, use.campaign.class_) if parts else ():
            file, line = _place(name, parts, sentence)
            message = f"the channel {use.channel!r} goes out by {found[0].type}: {sentence}"
            severity = "warning" if isinstance(sentence, Advice) else "error"
            yield Mistake(f"{TEMPLATES}/{file}", line, message, severity)


def _options(scene: Scene, channel: str) -> Mapping[str, object] | None:
    """The options of a channel's provider, perhaps unresolved; None if there is something wrong with them."""
    found = provider_of(scene.project.policy, channel)
    if found is None or check_section(found[1]):
        return None
    return {key: value for key, value in found[1].items() if key != "type"}


def _place(name: str, parts: Mapping[str, LeastPart], sentence: str) -> tuple[str, int]:
    """File and line of the block that the sentence names first, else the template's first line."""
    words = re.findall(r"\w+", sentence)
    part = next((parts[word] for word in words if word in parts), None)
    return (part.file, part.line) if part is not None else (name, 1)
