"""What the oracle remembers: rows as plain objects, named like the state tables they are compared with."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from activate.campaign import Campaign
from activate.policy import Policy
from activate.project import Model

Row = Mapping[str, Any]
Predicate = Callable[[Row], bool | None]

REFUSED_FOR_GOOD = ("rejected", "failed", "aborted", "expired")
ALWAYS_ENDING = ("active", "exception", "audience", "re_entry")


def md5(*parts: object) -> str:
    """md5 of the parts, joined by `|`, as 32 hex digits."""
    return hashlib.md5("|".join(str(part) for part in parts).encode(), usedforsecurity=False).hexdigest()


def as_text(value: object) -> str | None:
    """A key or a match value as text; null stays null."""
    return None if value is None else str(value)


@dataclass(frozen=True)
class Snapshot:
    """What a tick finds: the rules, every model's rows (also those not loaded yet), what became of messages, and which addresses were lost."""

    campaigns: Sequence[Campaign]
    tables: Mapping[str, Sequence[Row]]
    deliveries: Sequence[Row] = ()
    suppressions: Sequence[Row] = ()


@dataclass(frozen=True)
class TickView:
    """One tick and all it can look at, but for the state: see `Oracle` for `models` and `predicates`.

    `seen_from`: a refusal of an occurrence that was recorded before that is forgotten.
    """

    now: dt.datetime
    snapshot: Snapshot
    policy: Policy
    models: Mapping[str, Model]
    predicates: Mapping[str, Predicate]
    seen_from: dt.datetime = dt.datetime.min

    def rows(self, model: str) -> Sequence[Row]:
        """All rows of a model."""
        return self.snapshot.tables[model]

    def holds(self, segment: str, user_id: str) -> bool:
        """Whether a segment's model has a row for the person now."""
        key = self.models[segment].key or ""
        return any(as_text(row[key]) == user_id for row in self.rows(segment))

    def accepts(self, where: str | None, row: Row) -> bool:
        """Whether a filter is true for a row; unknown is not true."""
        return where is None or self.predicates[where](row) is True

    def not_in_audience(self, campaign: Campaign, user_id: str) -> bool:
        """Whether a segment of `audience.in` does not hold the person now, or one of `audience.not_in` does."""
        audience = campaign.audience
        return not all(self.holds(segment, user_id) for segment in audience.in_) or any(
            self.holds(segment, user_id) for segment in audience.not_in
        )


@dataclass(frozen=True)
class Entry:
    """A row of `entries`, with the definition that it began with."""

    entry_id: str
    campaign: str
    user_id: str
    occurrence_id: str
    entered_at: dt.datetime
    variant: str | None
    is_control: bool
    control_group: str | None
    match_key: str | None
    recorded_at: dt.datetime
    definition: Campaign
    context: Row


@dataclass(frozen=True)
class Decision:
    """A row of `decisions`."""

    entry_id: str
    campaign: str
    step: int
    user_id: str
    outcome: str
    gate: str
    reason: str
    decided_at: dt.datetime
    ends_entry: bool
    message_id: str | None = None
    channel: str | None = None
    retry_at: dt.datetime | None = None
    due_at: dt.datetime | None = None
    rule: str | None = None
    evidence: str | None = None
    observed: int | None = None

    @property
    def answer(self) -> tuple[object, ...]:
        """What makes a decision another one than the last."""
        return self.outcome, self.gate, self.reason, self.retry_at


@dataclass(frozen=True)
class Message:
    """A row of `messages`; `tags` as a tuple."""

    message_id: str
    entry_id: str
    campaign: str
    step: int
    variant: str | None
    user_id: str
    channel: str
    provider: str
    class_: str
    tags: tuple[str, ...]
    expires_at: dt.datetime
    queued_at: dt.datetime
    send_by: dt.datetime | None
    counts_toward_caps: bool


@dataclass(frozen=True)
class Membership:
    """A row of `memberships`."""

    segment: str
    user_id: str
    change: str
    changed_at: dt.datetime


@dataclass(frozen=True)
class Audit:
    """A row of `audits`."""

    entry_id: str
    message_id: str
    kind: str
    evidence: str
    recorded_at: dt.datetime


@dataclass
class State:
    """Everything recorded so far. Nothing in it is ever changed or removed."""

    entries: dict[str, Entry] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    memberships: list[Membership] = field(default_factory=list)
    audits: list[Audit] = field(default_factory=list)
    scans: dict[str, list[dt.datetime]] = field(default_factory=dict)
    last_tick: dt.datetime | None = None

    def decisions_of(self, entry_id: str) -> list[Decision]:
        """The decisions of an entry, oldest first, without what was said at the door before it came in."""
        return [decision for decision in self.decisions if decision.entry_id == entry_id and decision.step > 0]

    def entries_of(self, user_id: str, campaign: str | None = None) -> list[Entry]:
        """A person's entries, in all campaigns or in one."""
        return [
            entry for entry in self.entries.values() if entry.user_id == user_id and campaign in (None, entry.campaign)
        ]

    def is_waiting(self, entry: Entry) -> bool:
        """Whether nothing but deferrals has been decided about the entry."""
        return all(decision.outcome == "defer" for decision in self.decisions_of(entry.entry_id))

    def members(self, segment: str, ever: bool = False) -> set[str]:
        """Who was in the segment when it was last looked at, or at any time."""
        latest: dict[str, str] = {}
        for row in self.memberships:
            if row.segment == segment:
                latest[row.user_id] = row.change
        return {user_id for user_id, change in latest.items() if ever or change == "enter"}


def definitely_failed(message_id: str, deliveries: Sequence[Row]) -> bool:
    """Whether a delivery's last row says that the message did not go out."""
    return any(
        row["message_id"] == message_id and row["final"] and row["status"] in REFUSED_FOR_GOOD for row in deliveries
    )
