"""Checks of waits, expiries, windows and zones: what can never happen, and what nobody can mean."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from activate.campaign import Campaign
from activate.errors import Mistake, nearest
from activate.load.checks.scene import Scene
from activate.load.parse import Path_
from activate.localtime import known_zones
from activate.policy import TimeWindow
from activate.words import format_duration

LONGEST_WINDOW = 20 * 60


def campaign_life(scene: Scene) -> Iterator[Mistake]:
    """A step's waits add up to less than the campaign's life; a campaign whose `until` is past is a warning."""
    for campaign in scene.project.campaigns:
        active = campaign.active
        if active.until is not None and scene.today is not None and active.until <= scene.today:
            message = f"`until` ({active.until:%Y-%m-%d %H:%M} UTC) is past: nobody enters any more"
            yield scene.mistake(campaign, ("active", "until"), message, severity="warning")
        if active.from_ is None or active.until is None:
            continue
        life, waited = int((active.until - active.from_).total_seconds()), 0
        for index, step in enumerate(campaign.steps):
            waited += step.wait.shortest
            if waited >= life:
                message = (
                    f"step {index + 1} falls due {format_duration(waited)} after the entry at the earliest, "
                    f"but the campaign lives for {format_duration(life)}: it is never sent"
                )
                yield scene.mistake(campaign, ("steps", index, "wait"), message)
                break


def expiries(scene: Scene) -> Iterator[Mistake]:
    """A step's `expires` is longer than its shortest wait (an error) and its longest (a warning)."""
    settle = scene.project.policy.scan.settle
    for campaign in scene.project.campaigns:
        for index, step in enumerate(campaign.steps):
            if step.expires is None:
                continue
            path: Path_ = ("steps", index, "expires")
            both = (
                f"`expires` ({format_duration(step.expires)}) is counted from the same moment as the wait ({step.wait})"
            )
            with_settle = f" and `scan.settle` ({format_duration(settle)})" if settle else ""
            if step.expires <= step.wait.shortest + settle:
                message = f"{both}{with_settle}, so the step has always expired when it falls due"
                yield scene.mistake(campaign, path, message)
            elif step.expires <= step.wait.longest + settle:
                longest = format_duration(step.wait.longest + settle)
                message = f"{both}{with_settle}, which can take up to {longest}: some expire before they fall due"
                yield scene.mistake(campaign, path, message, severity="warning")


def windows(scene: Scene) -> Iterator[Mistake]:
    """A window is longer than zero and at most 20 hours, its zones are IANA names; only a trigger has a moment to ask about."""
    policy = scene.project.policy
    if policy.time_window is not None:
        yield from _window(scene, None, policy.time_window)
    for campaign in scene.project.campaigns:
        if isinstance(campaign.time_window, TimeWindow):
            yield from _window(scene, campaign, campaign.time_window)
            if campaign.time_window.triggered_outside == "drop" and campaign.enter.segment is not None:
                message = (
                    "people enter by a segment when a tick first finds them in it, so `triggered_outside: drop` goes by "
                    "when dbt and ticks run, not by what people did"
                )
                yield scene.mistake(campaign, ("time_window", "triggered_outside"), message, severity="warning")
        if campaign.time_window is not None and campaign.class_ == "transactional":
            message = "a transactional campaign passes every window, so `time_window` has no effect"
            yield scene.mistake(campaign, ("time_window",), message, severity="warning", part="key")


def _window(scene: Scene, campaign: Campaign | None, window: TimeWindow) -> Iterator[Mistake]:
    minutes = (_minutes(window.close) - _minutes(window.open)) % (24 * 60)
    if minutes == 0:
        message = (
            f"the window opens and closes at {window.open:%H:%M}: it is never open; for no window write none at all"
        )
        yield scene.mistake(campaign, ("time_window", "close"), message)
    elif minutes > LONGEST_WINDOW:
        message = (
            f"the window is open for {minutes / 60:g} hours; at most 20 are allowed, because a longer one is nearly "
            "always `open` and `close` the wrong way round"
        )
        yield scene.mistake(campaign, ("time_window", "close"), message)
    for key, word in (("zone", "recipient"), ("unknown_zone", "suppress")):
        value = getattr(window, key)
        if value != word and value not in known_zones():
            message = f"{value!r} is not an IANA time zone; write one such as Europe/Berlin, or `{word}`"
            yield scene.mistake(campaign, ("time_window", key), message + _nearest_zone(value, word))


def _nearest_zone(value: str, word: str) -> str:
    by_lower = {name.lower(): name for name in (*known_zones(), word)}
    city = {name.rsplit("/", 1)[-1]: name for name in by_lower}
    wanted = value.lower().replace(" ", "_")
    found = by_lower.get(wanted) or by_lower.get(city.get(wanted, ""))
    return f"; did you mean {found!r}?" if found else nearest(value, by_lower.values())


def _minutes(clock: dt.time) -> int:
    return clock.hour * 60 + clock.minute
