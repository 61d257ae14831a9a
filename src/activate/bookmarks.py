"""Where the state stands before a tick: what compiling needs to know about the past."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from activate.campaign import Campaign


@dataclass(frozen=True)
class Bookmark:
    """One campaign's position: its launch, how far its trigger was read, and its oldest open entry, as of `decided_at`."""

    launched_at: dt.datetime
    scanned_to: dt.datetime
    live_from: dt.datetime
    decided_at: dt.datetime


@dataclass(frozen=True)
class StoredVersion:
    """A campaign version that open entries may follow, as it was when they entered."""

    version: str
    definition: Campaign


@dataclass(frozen=True)
class Bookmarks:
    """`campaigns` by name (none: never seen); `versions` that entries follow; `zones` in use, valid ones only. `past` are
    the versions that no open entry follows any more.

    `last_now` is the latest tick's instant. `oldest_anchor` is the earliest `entered_at` among entries that may be
    open, or None. Only guards ask for `people` (how many rows the profiles model has, where a guard is a percentage)
    and for `approvals` (the open approval's id and ceiling by campaign). `suppressed` are the channels of `suppressions`,
    each with whether the rows are by person (instead of by address).
    """

    campaigns: dict[str, Bookmark] = field(default_factory=dict)
    versions: tuple[StoredVersion, ...] = ()
    zones: tuple[str, ...] = ()
    last_now: dt.datetime | None = None
    oldest_anchor: dt.datetime | None = None
    people: int = 0
    approvals: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    suppressed: frozenset[tuple[str, bool]] = frozenset()
    past: tuple[StoredVersion, ...] = ()

    @property
    def live_from(self) -> dt.datetime | None:
        """The smallest `recorded_at` of any entry that may be open.

        A campaign that the last tick did not look at had no file and no open entry then, and has none now.
        """
        marks = [mark.live_from for mark in self.campaigns.values() if mark.decided_at == self.last_now]
        return min(marks, default=None)
