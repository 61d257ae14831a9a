"""Shows what one person would get: the message is rendered for the terminal, and nothing is sent or recorded."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

from activate.campaign import Campaign
from activate.deliver.render import Renderer
from activate.errors import SettingsError, nearest
from activate.message import Kind
from activate.project import Project
from activate.providers.base import HttpRequest, Limits, Outgoing, Provider

_MEANINGS = {
    "no_profile": "the profiles model has no row for this person",
    "duplicate_profile": "the profiles model has several rows for this person",
    "address_suppressed": "this person's address is suppressed (it does not exist any more, or its owner opted out)",
    "unreachable": "this person has no address on this channel",
    "consent_withdrawn": "this person has given no consent on this channel",
}


@dataclass(frozen=True)
class Preview:
    """A rendered message. `content` maps blocks to text; `problem` says why it would not be sent, None if it would.

    `template` is the file's name under rules/templates.
    """

    campaign: str
    user_id: str
    step: int
    channel: str
    variant: str | None
    template: str
    content: Mapping[str, str] = field(default_factory=dict, repr=False)
    problem: str | None = None


class Rehearsal(Protocol):
    """What a preview needs from the state. `activate.record.deliveries.Outbox` has it."""

    def own_variant(self, campaign: Campaign, user_id: str) -> str | None:
        """The person's variant."""

    def rehearse(
        self, campaign: Campaign, user_id: str, kind: Kind, step: int, columns: frozenset[str], at: dt.datetime
    ) -> pa.Table:
        """One message as a wave of one row."""


def preview(
    project: Project,
    rehearsal: Rehearsal,
    campaign: str,
    user_id: str,
    *,
    at: dt.datetime,
    step: int = 1,
    channel: str | None = None,
    variant: str | None = None,
) -> Preview:
    """Render a campaign's step for one person, with their profile and the latest row that brought them in.

    `channel` defaults to the first that reaches the person, `variant` to the person's own. Raises SettingsError for a
    campaign, step, channel or variant that does not exist, and TemplateMistake for a template that cannot be used.
    """
    found = _campaign(project, campaign)
    if not 1 <= step <= len(found.steps):
        raise SettingsError(f"campaign {campaign!r} has no step {step}; it has {len(found.steps)}")
    channels = found.steps[step - 1].channels
    if channel is not None:
        channels = (_one_of(channel, channels, f"step {step} of {campaign!r} has no channel"),)
    if variant is not None:
        _one_of(variant, [arm.name for arm in found.variants], f"campaign {campaign!r} has no variant")
    variant = variant or rehearsal.own_variant(found, user_id)
    tries = [_on_channel(project, rehearsal, found, user_id, at, step, name, variant) for name in channels]
    return next((one for one in tries if one.problem not in _MEANINGS.values()), tries[0])


def _on_channel(
    project: Project,
    rehearsal: Rehearsal,
    campaign: Campaign,
    user_id: str,
    at: dt.datetime,
    step: int,
    channel: str,
    variant: str | None,
) -> Preview:
    kind = Kind(campaign.steps[step - 1].template, channel, variant)
    renderer = Renderer(project, _Printer(project, channel))
    columns, _ = renderer.prepare([kind])
    template = renderer.file_of(kind)
    rows = rehearsal.rehearse(campaign, user_id, kind, step, columns, at)
    verdict = rows.column("verdict")[0].as_py()
    problem = _MEANINGS.get(verdict)
    content: Mapping[str, str] = {}
    if verdict not in ("no_profile", "duplicate_profile"):
        # What a person without consent would get is still worth looking at.
        free = rows.set_column(rows.column_names.index("verdict"), "verdict", pa.nulls(1, pa.string()))
        done = renderer.render(free, at)
        content = done.outgoing[0].content if done.outgoing else {}
        problem = problem or next((one.error or one.error_code for one in done.refused), None)
    return Preview(campaign.campaign, user_id, step, channel, variant, template, content, problem)


class _Printer(Provider):
    """Stands in for the channel's provider, whose secrets a preview has no need of."""

    type = "preview"
    summary = "Prints messages."

    def __init__(self, project: Project, channel: str) -> None:
        name = project.policy.channels[channel].provider
        super().__init__(name, project.policy.providers.get(name, {}))

    @property
    def limits(self) -> Limits:
        return Limits()

    def extras(self, user_id: str, channel: str) -> Mapping[str, str]:
        del user_id, channel
        url = self.options.get("unsubscribe_url")
        return {"unsubscribe_url": str(url).replace("{token}", "PREVIEW")} if url else {}

    def build(self, batch: Sequence[Outgoing], at: dt.datetime) -> HttpRequest:
        raise NotImplementedError("a preview is not sent")


def _campaign(project: Project, name: str) -> Campaign:
    known = {campaign.campaign: campaign for campaign in project.campaigns}
    return known[_one_of(name, list(known), "there is no campaign")]


def _one_of(name: str, allowed: Sequence[str], complaint: str) -> str:
    if name not in allowed:
        raise SettingsError(f"{complaint} {name!r}; there are: {', '.join(allowed) or 'none'}{nearest(name, allowed)}")
    return name
