"""docs/rules.md, sections 4 and 5, in plain Python: when a step falls due, and the gates up to the caps."""

from __future__ import annotations

import datetime as dt
import hashlib
import zoneinfo
from collections.abc import Sequence
from dataclasses import dataclass

from activate.campaign import Campaign, ExceptionEvent, Step
from activate.policy import Channel, TimeWindow
from activate.testing.oracle_clock import iana_zone, instant_of, local_time
from activate.testing.oracle_state import Entry, Row, TickView, as_text
from activate.words import WEEKDAYS, Wait

_DAY = dt.timedelta(days=1)
_FURTHEST_WINDOW = 40


@dataclass
class Candidate:
    """An entry whose next step is due. The gates fill in the fields after `was_held`."""

    entry: Entry
    rules: Campaign
    number: int
    step: Step
    due_at: dt.datetime
    expires_at: dt.datetime
    cap_zone: zoneinfo.ZoneInfo
    was_held: bool
    channel: str | None = None
    send_by: dt.datetime | None = None

    @property
    def is_last(self) -> bool:
        """Whether no step comes after this one."""
        return self.number == len(self.rules.steps)


@dataclass(frozen=True)
class Exceptional:
    """An event that speaks against an entry's messages."""

    event_id: str
    at: dt.datetime
    loaded_at: dt.datetime


@dataclass(frozen=True)
class Verdict:
    """What a gate says when it does not let a candidate pass."""

    outcome: str
    gate: str
    reason: str
    retry_at: dt.datetime | None = None
    rule: str | None = None
    evidence: str | None = None
    observed: int | None = None


def due_at(wait: Wait, anchor: dt.datetime, zone: zoneinfo.ZoneInfo) -> dt.datetime:
    """The instant when the wait that began at `anchor` is over."""
    if wait.clock is None:
        return anchor + dt.timedelta(seconds=wait.seconds or 0)
    day = local_time(anchor, zone).date()
    if wait.days is not None:
        return instant_of(day + wait.days * _DAY, wait.clock, zone)
    day += _DAY
    while day.weekday() != wait.weekday:
        day += _DAY
    return instant_of(day, wait.clock, zone)


def window_of(window: TimeWindow, day: dt.date, zone: zoneinfo.ZoneInfo) -> tuple[dt.datetime, dt.datetime] | None:
    """The window that belongs to the local date `day` as instants, or None where there is none (or an empty one)."""
    if WEEKDAYS[day.weekday()] not in window.weekdays:
        return None
    opens = instant_of(day, window.open, zone, second=True)
    closes = instant_of(day + _DAY if window.close < window.open else day, window.close, zone)
    return (opens, closes) if opens < closes else None


def closing_time(window: TimeWindow, now: dt.datetime, zone: zoneinfo.ZoneInfo) -> dt.datetime | None:
    """When the window that holds `now` closes; None when it is closed now."""
    today = local_time(now, zone).date()
    for days in (-2, -1, 0, 1):
        found = window_of(window, today + days * _DAY, zone)
        if found and found[0] <= now < found[1]:
            return found[1]
    return None


def next_opening(window: TimeWindow, now: dt.datetime, zone: zoneinfo.ZoneInfo) -> dt.datetime:
    """The earliest instant after `now` at which a window opens."""
    today = local_time(now, zone).date()
    windows = (window_of(window, today + days * _DAY, zone) for days in range(-2, _FURTHEST_WINDOW))
    return min(found[0] for found in windows if found and found[0] > now)


class Gates:
    """The gates 3 to 8 at one tick. Each method answers None for a candidate that passes."""

    def __init__(self, view: TickView) -> None:
        self.view = view
        self.now = view.now
        self.policy = view.policy
        self.current = {campaign.campaign: campaign for campaign in view.snapshot.campaigns}

    # -- the person -----------------------------------------------------------------------------------------------

    def profiles(self, user_id: str) -> Sequence[Row]:
        """The rows of the profiles model for the person."""
        rows = self.view.rows(self.policy.profiles.model)
        return [row for row in rows if as_text(row[self.policy.profiles.key]) == user_id]

    def zone_name(self, user_id: str) -> str | None:
        """The time zone in the person's profile, valid or not. Somebody with several profiles has none."""
        column, rows = self.policy.profiles.time_zone, self.profiles(user_id)
        return rows[0][column] if column and len(rows) == 1 else None

    def zone(self, user_id: str, rules: Campaign | None) -> zoneinfo.ZoneInfo:
        """The person's own zone, else the `unknown_zone` of the rules, else UTC.

        Waits ask for a campaign's rules; calendar caps, which cross campaigns, for the policy's (None).
        """
        window = (rules.window(self.policy.time_window) if rules else None) or self.policy.time_window
        fallback = window.unknown_zone if window else None
        return iana_zone(self.zone_name(user_id)) or iana_zone(fallback) or zoneinfo.ZoneInfo("UTC")

    def sharing(self, user_id: str, channel: str) -> set[str]:
        """The person, and everybody else with one profile and the same address on the channel."""
        column, key = self.policy.channels[channel].address, self.policy.profiles.key
        keys = {as_text(row[key]) for row in self.view.rows(self.policy.profiles.model)}
        found = {one: self.profiles(one) for one in keys if one is not None}
        addresses = {
            one: plain(channel, str(rows[0][column]))
            for one, rows in found.items()
            if len(rows) == 1 and rows[0][column] not in (None, "")
        }
        mine = addresses.get(user_id)
        return {user_id} | {one for one, address in addresses.items() if address == mine}

    # -- the gates ------------------------------------------------------------------------------------------------

    def until_consent(self, candidate: Candidate) -> Verdict | None:
        """Gates 3 to 6; the candidate's channel is chosen."""
        gates = (self.active, self.exception, self.audience, self.consent)
        return next((verdict for gate in gates if (verdict := gate(candidate))), None)

    def active(self, candidate: Candidate) -> Verdict | None:
        """Whether the campaign still is."""
        if candidate.entry.campaign not in self.current:
            return Verdict("suppress", "active", "campaign_removed")
        until = candidate.rules.active.until
        return Verdict("suppress", "active", "campaign_ended") if until and self.now >= until else None

    def exception(self, candidate: Candidate) -> Verdict | None:
        """Whether something happened since that makes the message pointless."""
        hits = [
            (event.at, event.event_id)
            for event in self.exception_events(candidate.entry, candidate.rules.exceptions)
            if event.at <= self.now and event.loaded_at <= self.now
        ]
        return Verdict("suppress", "exception", "exception_event", evidence=min(hits)[1]) if hits else None

    def exception_events(self, entry: Entry, rules: Sequence[ExceptionEvent]) -> list[Exceptional]:
        """What these exceptions mean for the entry: the events since it began, whenever they happen and are loaded."""
        events = self.policy.events
        return [
            Exceptional(str(as_text(row[events.id])), row[events.time], row[events.loaded or events.time])
            for row in self.view.rows(events.model)
            if any(self._is_exception(entry, rule, row) for rule in rules)
        ]

    def _is_exception(self, entry: Entry, rule: ExceptionEvent, row: Row) -> bool:
        events = self.policy.events
        at, loaded = row[events.time], row[events.loaded or events.time]
        if row[events.name] != rule.event or as_text(row[events.key]) != entry.user_id or None in (at, loaded):
            return False
        if at < entry.entered_at or as_text(row[events.id]) == entry.occurrence_id:
            return False
        if not self.view.accepts(rule.where, row):
            return False
        if rule.match is None:
            return True
        mine, other = as_text(entry.context.get(rule.match)), as_text(self._event_value(row, rule.match))
        return mine is not None and mine == other

    def _event_value(self, row: Row, name: str) -> object:
        properties = self.policy.events.properties
        if name in row or properties is None:
            return row.get(name)
        return (row[properties] or {}).get(name)

    def audience(self, candidate: Candidate) -> Verdict | None:
        """Whether the person is still among those the campaign is meant for."""
        rules, user_id = candidate.rules, candidate.entry.user_id
        if not rules.audience.recheck:
            return None
        if self.view.not_in_audience(rules, user_id):
            return Verdict("suppress", "audience", "not_in_audience")
        segment, expected = rules.enter.segment, rules.enter.on == "enter"
        if segment and self.view.holds(segment, user_id) != expected:
            return Verdict("suppress", "audience", "left_segment")
        return None

    def consent(self, candidate: Candidate) -> Verdict | None:
        """Choose the first channel with an address and consent."""
        profiles = self.profiles(candidate.entry.user_id)
        if len(profiles) != 1:
            return Verdict("suppress", "consent", "duplicate_profile" if profiles else "no_profile")
        channels = [(name, self.policy.channels[name]) for name in candidate.step.channels]
        reachable = [(name, channel) for name, channel in channels if profiles[0][channel.address] not in (None, "")]
        if not reachable:
            return Verdict("suppress", "consent", "unreachable")
        agreed = [(name, channel) for name, channel in reachable if consents(profiles[0], channel)]
        if not agreed:
            return Verdict("suppress", "consent", "no_consent")
        free = (name for name, channel in agreed if not self._is_suppressed(candidate, profiles[0], name, channel))
        candidate.channel = next(free, None)
        return None if candidate.channel else Verdict("suppress", "consent", "address_suppressed")

    def _is_suppressed(self, candidate: Candidate, profile: Row, name: str, channel: Channel) -> bool:
        """Whether the address, or the person on this channel, is lost, or refuses what the campaign sends."""
        hashed = hashlib.sha256(plain(name, str(profile[channel.address])).encode()).hexdigest()
        told = [row for row in self.view.snapshot.suppressions if row["channel"] == name]
        by_address = [row for row in told if row["address_hash"] == hashed]
        by_person = [row for row in told if not row["address_hash"] and row["user_id"] == candidate.entry.user_id]
        registered = profile[channel.registered] if channel.registered else None
        for rows in (by_address, by_person):
            lost_at = since(rows, "unregistered", "hard_bounce")
            if lost_at and not (registered and registered > lost_at):
                return True
            exempt = name == "email" and candidate.rules.class_ == "transactional"
            if since(rows, "opted_out", "complained") and not exempt:
                return True
        return False

    def window(self, candidate: Candidate) -> Verdict | None:
        """Whether the local window is open; the candidate learns when it closes."""
        window = candidate.rules.window(self.policy.time_window)
        if window is None:
            return None
        zone = self.window_zone(window, candidate.entry.user_id)
        if isinstance(zone, Verdict):
            return zone
        candidate.send_by = closing_time(window, self.now, zone)
        if candidate.send_by is not None:
            return None
        if window.when_closed == "drop":
            return Verdict("suppress", "window", "window_closed")
        retry_at = next_opening(window, self.now, zone)
        if retry_at >= candidate.expires_at:
            return Verdict("suppress", "expiry", "expired_in_quiet_hours")
        return Verdict("defer", "window", "window_closed", retry_at=retry_at)

    def window_zone(self, window: TimeWindow, user_id: str) -> zoneinfo.ZoneInfo | Verdict:
        """The zone whose clocks the window goes by, or why there is none."""
        if window.zone != "recipient":
            return zoneinfo.ZoneInfo(window.zone)
        name = self.zone_name(user_id)
        zone = iana_zone(name) or iana_zone(window.unknown_zone)
        if zone:
            return zone
        return Verdict("suppress", "window", "zone_missing" if name is None else "zone_invalid")

    def expiry(self, candidate: Candidate) -> Verdict | None:
        """Whether it is too late for the message."""
        return Verdict("suppress", "expiry", "expired") if self.now >= candidate.expires_at else None


def plain(channel: str, address: str) -> str:
    """An address as it is hashed: nobody's spelling of it makes another."""
    if channel == "email":
        return "".join(
            letter.lower() if letter.isascii() else letter for letter in address if letter not in " \t\r\n\xa0"
        )
    if channel in ("sms", "whatsapp"):
        number = "".join(letter for letter in address if letter not in " \t\r\n\xa0()-./")
        return "+" + number[2:] if number[:2] == "00" else number
    return address


def since(rows: Sequence[Row], *reasons: str) -> dt.datetime | None:
    """When the last suppression for one of these reasons was told, unless a release came after it."""
    told = {
        status: [row["occurred_at"] for row in rows if row["reason"] in reasons and row["status"] == status]
        for status in ("suppressed", "released")
    }
    last = max(told["suppressed"], default=None)
    return last if last and all(released <= last for released in told["released"]) else None


def consents(profile: Row, channel: Channel) -> bool:
    """Whether the person agreed to be messaged on the channel."""
    if channel.consent is None:
        return True
    value = profile[channel.consent]
    return value is True or (isinstance(value, str) and value in channel.consent_values)
