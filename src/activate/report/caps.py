"""Frequency caps for one person, counted again as they stood at one instant (docs/rules.md, section 6)."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from activate.campaign import Campaign
from activate.policy import FrequencyCap
from activate.report.localtime import period_began
from activate.report.state import Row
from activate.report.text import short

_NOT_COUNTED = ("rejected", "failed", "aborted", "expired")


@dataclass(frozen=True)
class Count:
    """One cap that applies, and the messages that it counted. `name` is its path in the rules."""

    name: str
    cap: FrequencyCap
    messages: tuple[Row, ...]

    @property
    def is_full(self) -> bool:
        """Whether there was no room left."""
        return len(self.messages) >= self.cap.limit

    @property
    def text(self) -> str:
        """`2 per 1 day: 2 counted, full (promo of 2026-03-28 10:05, …)`."""
        counted = ", ".join(f"{row['campaign']} of {short(row['queued_at'])}" for row in self.messages)
        found = f"{self.cap}: {len(self.messages)} counted{', full' if self.is_full else ''}"
        return f"{found} ({counted})" if counted else found

    @property
    def facts(self) -> dict[str, Any]:
        """The same figures for machines."""
        keys = ("message_id", "campaign", "channel", "queued_at")
        return {
            "rule": self.name,
            "cap": str(self.cap),
            "limit": self.cap.limit,
            "counted": len(self.messages),
            "full": self.is_full,
            "messages": [{key: row[key] for key in keys} for row in self.messages],
        }


@dataclass(frozen=True)
class Candidate:
    """What a cap asks about: the campaign, the chosen channel, when it fell due, and the entry."""

    campaign: Campaign
    channel: str
    due_at: dt.datetime
    entry_id: str

    @property
    def rank(self) -> tuple[int, int, dt.datetime, str, str]:
        """Where the candidate stands among those of one person in one tick."""
        first = 0 if self.campaign.class_ == "transactional" else 1
        return (first, -self.campaign.priority, self.due_at, self.campaign.campaign, self.entry_id)


class History:
    """The messages of one person, and what became of them.

    `others` are, by channel, the messages of those who share the person's address, which caps by address count too;
    `deliveries` and `decisions` are about all of them.
    """

    def __init__(
        self, messages: Sequence[Row], deliveries: Sequence[Row], decisions: Mapping[str, Row],
        others: Mapping[str, Sequence[Row]] | None = None,
    ) -> None:  # fmt: skip
        self.messages = sorted(messages, key=lambda row: (row["queued_at"], row["message_id"]))
        self._others = others or {}
        self._decisions = decisions
        self._gone = {
            row["message_id"]: row["recorded_at"]
            for row in deliveries
            if row["final"] and row["status"] in _NOT_COUNTED
        }

    def count(self, caps: Sequence[FrequencyCap], candidate: Candidate, instant: dt.datetime, zone: str) -> list[Count]:
        """Count for every cap that applies to the candidate, as the tick at `instant` did."""
        fitting = [(index, cap) for index, cap in enumerate(caps) if _applies(cap, candidate)]
        return [
            Count(
                f"frequency_caps[{index}]",
                cap,
                tuple(
                    row
                    for row in self._of(cap)
                    if self._took_room(row, candidate, instant) and _counts(cap, row, instant, zone)
                ),
            )
            for index, cap in fitting
        ]

    def _of(self, cap: FrequencyCap) -> list[Row]:
        """The messages that the cap looks at, oldest first."""
        others = self._others.get(cap.channel or "", ()) if cap.by == "address" else ()
        return sorted([*self.messages, *others], key=lambda row: (row["queued_at"], row["message_id"]))

    def has(self, message_id: str) -> bool:
        """Whether the message was queued."""
        rows = [*self.messages, *(row for others in self._others.values() for row in others)]
        return any(row["message_id"] == message_id for row in rows)

    def standing(self, instant: dt.datetime) -> list[Row]:
        """The messages queued before `instant` whose delivery had not definitely failed by then."""
        return [row for row in self.messages if row["queued_at"] < instant and not self._is_gone(row, instant)]

    def _is_gone(self, row: Row, instant: dt.datetime) -> bool:
        gone = self._gone.get(row["message_id"])
        return gone is not None and bool(gone <= instant)

    def _took_room(self, row: Row, candidate: Candidate, instant: dt.datetime) -> bool:
        if not row["counts_toward_caps"] or self._is_gone(row, instant):
            return False
        if row["queued_at"] == instant:  # queued by the same tick: only those before the candidate took room
            return row["entry_id"] != candidate.entry_id and self._rank(row) < candidate.rank
        return bool(row["queued_at"] < instant)

    def _rank(self, row: Row) -> tuple[int, int, dt.datetime, str, str]:
        decision = self._decisions.get(row["message_id"])
        due_at = decision["due_at"] if decision and decision["due_at"] else row["queued_at"]
        first = 0 if row["class"] == "transactional" else 1
        return (first, -int(row["priority"]), due_at, row["campaign"], row["entry_id"])


def _applies(cap: FrequencyCap, candidate: Candidate) -> bool:
    campaign = candidate.campaign
    return (
        cap.channel in (None, candidate.channel)
        and (cap.tag is None or cap.tag in campaign.tags)
        and cap.campaign in (None, campaign.campaign)
        and cap.class_ in (None, campaign.class_)
    )


def _counts(cap: FrequencyCap, row: Row, instant: dt.datetime, zone: str) -> bool:
    if cap.rolling_seconds is None:
        inside = row["queued_at"] >= period_began(instant, cap.per, zone)
    else:
        inside = row["queued_at"] > instant - dt.timedelta(seconds=cap.rolling_seconds)
    return (
        inside
        and cap.channel in (None, row["channel"])
        and (cap.tag is None or cap.tag in json.loads(row["tags"]))
        and cap.campaign in (None, row["campaign"])
        and cap.class_ in (None, row["class"])
    )
