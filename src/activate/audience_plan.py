"""What a sync of an audience would do, what is withheld of it and why, and what it did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# The kinds of changes a guard looks at, by the verdict of the rows.
KINDS = {"add": "added", "update": "updated", "remove": "removed"}


@dataclass(frozen=True)
class Faults:
    """What dbt says is wrong with a model: sources that are stale, and tests that fail."""

    stale: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Figures:
    """The change set in numbers of people.

    `held` are at the destination now, `wanted` are to be there. `suppressed` are removals because of an exclusion or a
    withdrawn consent, which no guard withholds; `removed` are the others. `refused` are dead letters, `remapped` rows that
    were acknowledged under another mapping.
    """

    held: int = 0
    wanted: int = 0
    added: int = 0
    updated: int = 0
    removed: int = 0
    suppressed: int = 0
    unchanged: int = 0
    refused: int = 0
    remapped: int = 0
    invalid: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def changes(self) -> int:
        """How many people would be told of."""
        return self.added + self.updated + self.removed + self.suppressed


@dataclass(frozen=True)
class Withheld:
    """One kind of changes that is held back, how many, and why; `ceiling` is what an approval must allow."""

    kind: str
    people: int
    reason: str
    release: str


@dataclass(frozen=True)
class AudiencePlan:
    """What a sync would do. `requests` and `seconds` are at the destination's batch size and pace."""

    audience: str
    destination: str
    segment: str
    figures: Figures
    withheld: tuple[Withheld, ...] = ()
    is_first: bool = False
    baselined: int = 0
    requests: int = 0
    seconds: float | None = None
    samples: Mapping[str, list[str]] = field(default_factory=dict)
    approvals: tuple[str, ...] = ()
    statements: tuple[tuple[str, str], ...] = ()
    error: str | None = None

    def is_withheld(self, kind: str) -> bool:
        """Whether this kind of changes stays where it is."""
        return any(part.kind == kind for part in self.withheld)


@dataclass(frozen=True)
class AudienceReport:
    """What a sync did: changes by status, error codes, and the plan that it followed.

    `is_mistake`: `error` is about rules or settings, so that trying again does not help. `stopped` says why it ended before
    everything was sent though nothing was wrong (its time was up); what is left is sent by the next sync.
    """

    audience: str
    destination: str
    plan: AudiencePlan | None = None
    outcomes: Mapping[str, int] = field(default_factory=dict)
    codes: Mapping[str, int] = field(default_factory=dict)
    requests: int = 0
    seconds: float = 0.0
    error: str | None = None
    is_mistake: bool = False
    stopped: str | None = None

    @property
    def handed_over(self) -> int:
        """How many changes reached the destination, or may have; the others were `aborted`."""
        return sum(count for status, count in self.outcomes.items() if status != "aborted")

    @property
    def refused_share(self) -> float:
        """The share of the changes handed over that the destination refused, for good or until the next sync."""
        refused = self.outcomes.get("rejected", 0) + self.outcomes.get("failed", 0)
        return refused / self.handed_over if self.handed_over else 0.0

    @property
    def unusable(self) -> bool:
        """Whether the destination could not be used, though there was something to send: it stopped, or took no row."""
        answered = self.outcomes.get("accepted", 0) + self.outcomes.get("rejected", 0)
        return self.error is not None or (sum(self.outcomes.values()) > 0 and not answered and self.stopped is None)
