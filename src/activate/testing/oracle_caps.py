"""docs/rules.md, section 6, in plain Python: one person's candidates, one after the other, against every cap."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Sequence
from dataclasses import dataclass

from activate.policy import FrequencyCap
from activate.testing.oracle_clock import period_start
from activate.testing.oracle_gates import Candidate, Gates, Verdict
from activate.testing.oracle_state import md5


@dataclass(frozen=True)
class Counted:
    """A message that caps count: from history, or (`is_new`) admitted earlier in this tick."""

    message_id: str
    user_id: str
    at: dt.datetime
    channel: str
    tags: tuple[str, ...]
    campaign: str
    class_: str
    is_new: bool


def fits(cap: FrequencyCap, message: Counted) -> bool:
    """Whether a message fits every filter of the cap."""
    return (
        cap.channel in (None, message.channel)
        and (cap.tag is None or cap.tag in message.tags)
        and cap.campaign in (None, message.campaign)
        and cap.class_ in (None, message.class_)
    )


def message_id(candidate: Candidate) -> str:
    """The id of the message that the candidate would become."""
    return md5(candidate.entry.entry_id, candidate.number, candidate.channel)


def as_message(candidate: Candidate, now: dt.datetime) -> Counted:
    """The message that the candidate would become."""
    rules = candidate.rules
    assert candidate.channel is not None
    who = candidate.entry.user_id
    return Counted(
        message_id(candidate), who, now, candidate.channel, rules.tags, rules.campaign, rules.class_, is_new=True
    )


def rank(candidate: Candidate) -> tuple[bool, int, dt.datetime, str, str]:
    """Transactional first, then priority, due time, campaign and entry."""
    rules = candidate.rules
    entry = candidate.entry
    return rules.class_ != "transactional", -rules.priority, candidate.due_at, rules.campaign, entry.entry_id


def counted_by(
    cap: FrequencyCap, messages: Sequence[Counted], now: dt.datetime, zone: zoneinfo.ZoneInfo
) -> list[Counted]:
    """The messages that fill the cap now, latest first."""
    if cap.rolling_seconds is not None:
        after = now - dt.timedelta(seconds=cap.rolling_seconds)
        inside = [message for message in messages if message.at > after]
    else:
        start = period_start(cap.per, now, zone)
        inside = [message for message in messages if message.at >= start]
    return sorted((message for message in inside if fits(cap, message)), key=lambda each: each.at, reverse=True)


def room_at(
    cap: FrequencyCap, counted: Sequence[Counted], now: dt.datetime, zone: zoneinfo.ZoneInfo
) -> dt.datetime | None:
    """When a full cap has room again; None for never."""
    if cap.limit == 0:
        return None
    if cap.rolling_seconds is None:
        return period_start(cap.per, now, zone, periods_on=1)
    return counted[cap.limit - 1].at + dt.timedelta(seconds=cap.rolling_seconds)


def refuse(
    caps: Sequence[FrequencyCap], candidate: Candidate, messages: Sequence[Counted], gates: Gates
) -> Verdict | None:
    """The verdict on a candidate that some cap has no room for, of everybody's messages; None where every cap has room."""
    if candidate.rules.class_ == "transactional":
        return None
    now, user_id = gates.now, candidate.entry.user_id
    own = as_message(candidate, now)
    full = []
    for index, cap in enumerate(caps):
        people = {user_id} if cap.by == "person" else gates.sharing(user_id, own.channel)
        theirs = [message for message in messages if message.user_id in people]
        counted = counted_by(cap, theirs, now, candidate.cap_zone)
        if fits(cap, own) and len(counted) >= cap.limit:
            full.append((index, cap, counted))
    if not full:
        return None
    index, _, counted = full[0]
    times = [room_at(cap, counted, now, candidate.cap_zone) for _, cap, counted in full]
    retry_at = None if None in times else max(time for time in times if time)
    waits = candidate.rules.when_capped == "wait" and retry_at is not None and retry_at < candidate.expires_at
    return Verdict(
        outcome="defer" if waits else "suppress",
        gate="caps",
        reason="frequency_cap",
        retry_at=retry_at if waits else None,
        rule=f"frequency_caps[{index}]",
        evidence=min((message.message_id for message in counted if message.is_new), default=None),
        observed=len(counted),
    )


def takes_room(candidate: Candidate) -> bool:
    """Whether an admitted candidate fills caps for those after it."""
    return candidate.rules.counts and not candidate.entry.is_control
