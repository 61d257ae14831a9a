"""Checks of a campaign's own arms: control groups and variants."""

from __future__ import annotations

from collections.abc import Iterator

from activate.errors import Mistake
from activate.load.checks.scene import Scene


def experiments(scene: Scene) -> Iterator[Mistake]:
    """Variants have different names, and a control group leaves somebody to message."""
    if scene.project.policy.global_control == 1:
        message = "the global control group holds back everybody: no marketing campaign sends anything"
        yield scene.mistake(None, ("global_control",), message, severity="warning")
    for campaign in scene.project.campaigns:
        seen: set[str] = set()
        for index, variant in enumerate(campaign.variants):
            if variant.name in seen:
                message = f"the variant {variant.name!r} is already in the list; give each its own name"
                yield scene.mistake(campaign, ("variants", index, "name"), message)
            seen.add(variant.name)
        if campaign.control == 1:
            message = "`control` holds back everybody: nobody gets a message"
            severity = "error" if campaign.variants else "warning"
            reason = ", and the variants can never be compared" if campaign.variants else ""
            yield scene.mistake(campaign, ("control",), message + reason, severity=severity)
