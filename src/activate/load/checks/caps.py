"""Checks of frequency caps: each can hold somebody back, and leaves room for somebody."""

from __future__ import annotations

from collections.abc import Iterator

from activate.errors import Mistake
from activate.load.checks.scene import Scene, unknown


def caps(scene: Scene) -> Iterator[Mistake]:
    """A cap's limit is at least 1, and its channel, tag and campaign are ones that there are."""
    campaigns = scene.project.campaigns
    tags = sorted({tag for campaign in campaigns for tag in campaign.tags})
    names = sorted(campaign.campaign for campaign in campaigns)
    for index, cap in enumerate(scene.project.policy.frequency_caps):
        path = ("frequency_caps", index)
        if cap.limit == 0:
            message = "a limit of 0 would block every message that the cap applies to; the least is 1"
            yield scene.mistake(None, (*path, "limit"), message)
        if cap.channel is not None and cap.channel not in scene.project.policy.channels:
            message = unknown("channel", cap.channel, scene.project.policy.channels)
            yield scene.mistake(None, (*path, "channel"), message)
        # While a campaign's file cannot be used, its name and tags are not known: that is no mistake of the cap.
        if scene.complete and cap.tag is not None and cap.tag not in tags:
            yield scene.mistake(None, (*path, "tag"), unknown("campaign with the tag", cap.tag, tags))
        if scene.complete and cap.campaign is not None and cap.campaign not in names:
            yield scene.mistake(None, (*path, "campaign"), unknown("campaign", cap.campaign, names))
        if cap.class_ == "transactional":
            message = "transactional messages pass every cap, so this one holds nobody back"
            yield scene.mistake(None, (*path, "class"), message, severity="warning")
