"""The story of one person as data: what `explain` finds, `story_view` prints and `--json` gives out.

Instants are naive UTC. A field marked private holds values of the person's own rows: the terminal shows them, JSON
(which ends up in logs) lists their names only. See docs/json.md for the shapes.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any, Literal

Answer = Literal["passed", "decided", "not_asked"]
Fate = Literal["waiting", "deferred", "sent", "suppressed", "withheld"]
State = Literal["open", "over", "refused", "never_entered"]

PRIVATE = {"private": True}


@dataclass(frozen=True)
class Verdict:
    """What one gate said: `text` is a sentence with its figures, `facts` are the same figures for machines."""

    gate: str
    answer: Answer
    text: str
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answered:
    """One row of `decisions`: the answer that a tick gave."""

    decided_at: dt.datetime
    outcome: str
    gate: str
    reason: str
    channel: str | None
    retry_at: dt.datetime | None
    rule: str | None
    evidence: str | None
    observed: int | None


@dataclass(frozen=True)
class Attempt:
    """One row of `deliveries`."""

    attempt: int
    status: str
    provider: str
    recorded_at: dt.datetime
    final: bool
    error_code: str | None
    error: str | None


@dataclass(frozen=True)
class MessageStory:
    """One message and what became of it. `status` is `queued` until a provider has been tried."""

    message_id: str
    channel: str
    provider: str
    queued_at: dt.datetime
    expires_at: dt.datetime
    send_by: dt.datetime | None
    status: str
    text: str
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True)
class StepStory:
    """One step of an entry. `answers` are all that ticks said, oldest first; `verdicts` tell how the last came."""

    step: int
    fate: Fate
    text: str
    change: str | None
    due_at: dt.datetime | None
    expires_at: dt.datetime | None
    retry_at: dt.datetime | None
    verdicts: tuple[Verdict, ...]
    answers: tuple[Answered, ...]
    message: MessageStory | None


@dataclass(frozen=True)
class EntryStory:
    """One passage through a campaign. `seen_at` is the tick that saw the occurrence."""

    entry_id: str
    occurrence_id: str
    entered_at: dt.datetime
    seen_at: dt.datetime
    because: str
    variant: str | None
    control_group: str | None
    match_key: str | None
    campaign_version: str
    is_open: bool
    steps: tuple[StepStory, ...]
    notes: tuple[str, ...]
    context: dict[str, Any] = field(default_factory=dict, metadata=PRIVATE)


@dataclass(frozen=True)
class Refusal:
    """An occurrence that was refused at the door (a decision at step 0)."""

    entry_id: str
    decided_at: dt.datetime
    gate: str
    reason: str
    text: str
    change: str
    evidence: str | None
    also: tuple[str, ...]


@dataclass(frozen=True)
class Occurrence:
    """An occurrence that no tick has taken up, and why. Looked up now, in the model itself."""

    occurrence_id: str | None
    time: dt.datetime | None
    loaded: dt.datetime | None
    why: str
    text: str
    values: dict[str, Any] = field(default_factory=dict, metadata=PRIVATE)


@dataclass(frozen=True)
class Absence:
    """Why the person has not entered (again). `why` is a fixed word; `occurrences` are the rows that were looked at."""

    why: str
    text: str
    change: str
    occurrences: tuple[Occurrence, ...] = ()


@dataclass(frozen=True)
class CampaignStory:
    """One campaign and the person: the newest entries and refusals first."""

    campaign: str
    state: State
    headline: str
    entries: tuple[EntryStory, ...]
    refusals: tuple[Refusal, ...]
    absence: Absence | None


@dataclass(frozen=True)
class Reach:
    """Whether the profile, as it is now, can be reached on a channel. The address itself is never read."""

    channel: str
    has_address: bool
    has_consent: bool


@dataclass(frozen=True)
class ProfileStory:
    """The person's profile as it is now. `rows` is 0 for nobody, more than 1 for a duplicate."""

    rows: int
    time_zone: str | None
    zone_used: str | None
    reach: tuple[Reach, ...]


@dataclass(frozen=True)
class Story:
    """Everything that is known about one person."""

    person: str
    as_of: dt.datetime
    last_tick: dt.datetime | None
    is_known: bool
    profile: ProfileStory
    campaigns: tuple[CampaignStory, ...]
