"""The clock tables: zone by question → instant or flag, loaded and equi-joined (docs/design.md, decision 2)."""

from __future__ import annotations

import datetime as dt
from functools import cache
from zoneinfo import ZoneInfo

from activate.compile.clock import opening, spans, wait_days
from activate.compile.rulebook import table
from activate.compile.world import Moment, World
from activate.localtime import calendar
from activate.plan import Load

# zoneinfo itself keeps only eight zones alive and reads the others from their files again.
_zone = cache(ZoneInfo)


def calendars(world: World, moment: Moment) -> Load:
    """One row per zone: when its local day, week and month began and when the next ones begin."""
    names = ("day", "week", "month", "next_day", "next_week", "next_month")
    rows: list[dict[str, object]] = [
        {"zone": name} | vars(calendar(_zone(name), moment.now)) for name in world.zones(moment.bookmarks.zones)
    ]
    columns = {"zone": "TEXT"} | dict.fromkeys(names, "TIMESTAMP")
    return Load("clock.calendars", "Local days, weeks and months, by zone.", "tick_zones", table(columns, rows))


def windows(world: World, moment: Moment) -> Load:
    """One row per window and zone: whether it is open, when it closes, when it next opens."""
    columns = {
        "window_id": "TEXT", "zone": "TEXT", "is_open": "BOOLEAN", "opens_at": "TIMESTAMP", "closes_at": "TIMESTAMP",
    }  # fmt: skip
    rows: list[dict[str, object]] = []
    for key, window in world.windows.items():
        for name in world.zones(moment.bookmarks.zones):
            rows.append({"window_id": key, "zone": name} | vars(opening(window, _zone(name), moment.now)))
    return Load("clock.windows", "Local time windows, by zone.", "tick_windows", table(columns, rows))


def hours(world: World, moment: Moment) -> Load:
    """One row per window that asks about the trigger, zone and local day: when it was open."""
    columns = {"window_id": "TEXT", "zone": "TEXT", "opened_at": "TIMESTAMP", "closed_at": "TIMESTAMP"}
    oldest: dict[str, dt.datetime] = {}
    for name, key in world.trigger_windows.items():
        oldest[key] = min(oldest.get(key, moment.now), oldest_occurrence(world, moment, name))
    rows: list[dict[str, object]] = [
        {"window_id": key, "zone": name, "opened_at": start, "closed_at": end}
        for key, since in oldest.items()
        for name in world.zones(moment.bookmarks.zones)
        for start, end in spans(world.windows[key], _zone(name), since, moment.now)
    ]
    return Load("clock.hours", "When windows were open, by zone and day.", "tick_hours", table(columns, rows))


def oldest_occurrence(world: World, moment: Moment, name: str) -> dt.datetime:
    """The earliest time of any occurrence of the campaign that this tick can let in."""
    enter = next(campaign.enter for campaign in world.campaigns if campaign.campaign == name)
    mark = moment.bookmarks.campaigns.get(name)
    if enter.segment is not None:
        return mark.scanned_to if mark else enter.since or moment.now
    scan = world.project.policy.scan
    oldest = moment.now - dt.timedelta(seconds=scan.max_lateness if enter.max_lateness is None else enter.max_lateness)
    if enter.since is None:
        return oldest
    # What was loaded before the launch may have any age, and is read as long as the scan reaches back that far.
    read_from = None if mark is None else mark.scanned_to - dt.timedelta(seconds=scan.overlap)
    if mark is None or read_from is None or read_from < mark.launched_at:
        return min(oldest, enter.since)
    return min(oldest, read_from)


def waits(world: World, moment: Moment) -> Load:
    """One row per local wait, zone and local day of the anchor: when that day's anchors fall due."""
    columns = {
        "wait_id": "TEXT", "zone": "TEXT", "anchor_from": "TIMESTAMP", "anchor_until": "TIMESTAMP",
        "due_at": "TIMESTAMP",
    }  # fmt: skip
    oldest = oldest_anchor(world, moment)
    rows: list[dict[str, object]] = [
        {"wait_id": key, "zone": name, "anchor_from": start, "anchor_until": end, "due_at": due}
        for key, wait in world.local_waits.items()
        for name in world.zones(moment.bookmarks.zones)
        for start, end, due in wait_days(wait, _zone(name), oldest, moment.effective)
    ]
    return Load("clock.waits", "Waits that end at a local time, by zone and day.", "tick_waits", table(columns, rows))


def oldest_anchor(world: World, moment: Moment) -> dt.datetime:
    """The earliest instant that any open entry's wait can count from."""
    lateness = [world.project.policy.scan.max_lateness]
    lateness += [campaign.enter.max_lateness or 0 for campaign in world.campaigns]
    candidates = [moment.now - dt.timedelta(seconds=max(lateness))]
    local = [campaign for campaign in world.campaigns if any(step.wait.is_local for step in campaign.steps)]
    candidates += [campaign.enter.since for campaign in local if campaign.enter.since is not None]
    if moment.bookmarks.oldest_anchor is not None:
        candidates.append(moment.bookmarks.oldest_anchor)
    return min(candidates)
