"""What a delivery works with: what is open, claims that a dead run left, and the report at the end."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import NamedTuple


class Interrupted(NamedTuple):
    """A message that was claimed by a run that died before it wrote an outcome."""

    message_id: str
    message_class: str
    attempt: int
    claimed_at: dt.datetime


class Lost(NamedTuple):
    """An address that a provider told is not to be used again, and why. It lives in memory only, and is stored hashed."""

    message_id: str
    channel: str
    address: str
    reason: str

    def __repr__(self) -> str:
        return f"Lost({self.message_id!r}, {self.channel!r}, {self.reason!r})"


class Kind(NamedTuple):
    """What decides which template a message takes."""

    template: str
    channel: str
    variant: str | None


@dataclass(frozen=True)
class Work:
    """What is open for a provider: how many messages, and the latest `queued_at` ever seen."""

    total: int
    latest: dt.datetime | None


@dataclass(frozen=True)
class Page:
    """The next part of the work: how many messages, of which kinds."""

    rows: int
    kinds: tuple[Kind, ...]


@dataclass(frozen=True)
class ProviderReport:
    """What one delivery to one provider did. `counts` are outcomes by status; `left` messages are still open.

    `error` says why the provider was left alone before everything was tried; None if it was not. `stopped` says why the
    run ended before everything was tried though nothing was wrong (its time was up); what is left waits.
    """

    provider: str
    counts: dict[str, int] = field(default_factory=dict)
    left: int = 0
    requests: int = 0
    seconds: float = 0.0
    error: str | None = None
    stopped: str | None = None

    @property
    def unusable(self) -> bool:
        """Whether nothing could be handed over at all, though there was something to hand over."""
        return self.error is not None and not self.counts.get("accepted") and not self.counts.get("rejected")


@dataclass
class IngestReport:
    """What an ingestion did: events new and known before, rows of `suppressions`, and what was ignored, rejected or refused."""

    source: str
    events: int = 0
    duplicates: int = 0
    suppressions: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    rejected_to: str | None = None
    seconds: float = 0.0

    @property
    def refused(self) -> int:
        """How many requests and events could not be used."""
        return sum(count for what, count in self.counts.items() if not what.startswith("ignored"))
