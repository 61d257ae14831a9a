"""Checks of channels and providers: every step can be delivered by somebody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from activate.errors import Mistake, nearest
from activate.load.checks.scene import Scene, unknown
from activate.policy import Policy
from activate.providers.base import Provider
from activate.providers.options import place_of
from activate.providers.registry import PROVIDERS
from activate.providers.registry import check as check_section
from activate.sources.registry import check as check_source

_KNOWN = ("email", "sms", "whatsapp", "push", "web_push", "in_app", "chat", "card")


def provider_of(policy: Policy, channel: str) -> tuple[type[Provider], Mapping[str, Any]] | None:
    """The provider class of a channel and its section of `providers:`; None where it cannot be told."""
    name = policy.channels[channel].provider
    section = policy.providers.get(name, {"type": name})
    kind = PROVIDERS.get(str(section.get("type")))
    return (kind, section) if kind is not None else None


def channels(scene: Scene) -> Iterator[Mistake]:
    """A step names channels of rules/activate.yml, each once; a channel that no campaign uses is no mistake."""
    allowed = scene.project.policy.channels
    for campaign in scene.project.campaigns:
        for step_at, step in enumerate(campaign.steps):
            for at, channel in enumerate(step.channels):
                path = ("steps", step_at, "channels", at)
                if channel not in allowed:
                    yield scene.mistake(campaign, path, unknown("channel", channel, allowed))
                elif channel in step.channels[:at]:
                    message = f"the channel {channel!r} is already in the list"
                    yield scene.mistake(campaign, path, message, severity="warning")


def sources(scene: Scene) -> Iterator[Mistake]:
    """Each section of `ingest:` is of a known type and has all its options."""
    for name, section in scene.project.policy.ingest.items():
        for problem in check_source(name, section):
            yield scene.mistake(None, ("ingest", name, *place_of(problem)), problem, part="key")


def providers(scene: Scene) -> Iterator[Mistake]:
    """A channel's provider is set up in `providers:`, has all its options, and can carry the channel."""
    policy = scene.project.policy
    for name, section in policy.providers.items():
        for problem in check_section(section):
            yield scene.mistake(None, ("providers", name, *place_of(problem)), problem, part="key")
    for name, channel in policy.channels.items():
        path = ("channels", name, "provider")
        if channel.provider not in policy.providers and channel.provider not in PROVIDERS:
            known = (*policy.providers, *PROVIDERS)
            message = (
                f"no provider {channel.provider!r} in `providers:`, and no provider type of that name; allowed: "
                f"{', '.join(dict.fromkeys(known))}{nearest(channel.provider, known)}"
            )
            yield scene.mistake(None, path, message)
            continue
        if channel.provider not in policy.providers:
            for problem in check_section({"type": channel.provider}):
                message = f"the provider {channel.provider!r} has no section in `providers:`: {problem}"
                yield scene.mistake(None, path, message)
        found = provider_of(policy, name)
        carried = found[0].capabilities.channels if found else None
        # A name that nobody knows, such as `newsletter`, says nothing of what the channel is.
        if carried is not None and name not in carried and name in _KNOWN:
            message = f"the provider {channel.provider!r} cannot carry {name!r}; it carries: {', '.join(carried)}"
            yield scene.mistake(None, path, message)
