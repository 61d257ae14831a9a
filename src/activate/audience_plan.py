"""What a sync of an audience would do, what is withheld of it and why, and what it did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from activate.audience import Audience

# The kinds of changes a guard looks at, by the verdict of the rows.
KINDS = {"add": "added", "update": "updated", "remove": "removed"}
HELD_BACK = ("stale", "untested", "mapping", "hold")


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
    """What a sync did: changes by status, error codes, and the plan that it followed."""

    audience: str
    destination: str
    plan: AudiencePlan | None = None
    outcomes: Mapping[str, int] = field(default_factory=dict)
    codes: Mapping[str, int] = field(default_factory=dict)
    requests: int = 0
    seconds: float = 0.0
    error: str | None = None

    @property
    def refused_share(self) -> float:
        """The share of the changes sent that the destination refused, for good or until the next sync."""
        sent = sum(self.outcomes.values())
        return (self.outcomes.get("rejected", 0) + self.outcomes.get("failed", 0)) / sent if sent else 0.0

    @property
    def unusable(self) -> bool:
        """Whether the destination could not be used, though there was something to send."""
        return self.error is not None


def guard(
    audience: Audience, figures: Figures, faults: Faults, approvals: Mapping[str, int], *, is_first: bool,
    replaces: bool, mapping: str | None, on_hold: str | None,
) -> tuple[tuple[Withheld, ...], tuple[str, ...]]:  # fmt: skip
    """What is withheld of a change set, and the kinds of the approvals that let something pass.

    `approvals` are ceilings by kind. `mapping` says what became of the mapping (None: nothing new), `on_hold` why the
    audience was stopped by hand. A limit is on a kind as a whole: a guard that let a part through at every sync would hold
    nothing back. Suppressions always pass.
    """
    name, used, found = audience.audience, [], []
    everything = figures.added + figures.updated + figures.removed

    def hold_all(kind: str, reason: str, release: str) -> None:
        if everything and approvals.get(kind, -1) >= everything:
            used.append(kind)
            return
        for each in KINDS.values():
            if people := getattr(figures, each):
                found.append(Withheld(each, people, reason, release))

    how = f"dbt-activate approve audience:{name}"
    if on_hold is not None:
        for each in KINDS.values():
            if people := getattr(figures, each):
                found.append(Withheld(each, people, on_hold, f"{how} --resume"))
    elif mapping is not None and mapping.startswith("identity"):
        hold_all("mapping", "`identify_by` was changed: everybody would be removed and added again",
                 "on_new_mapping: resend, in the audience's file")  # fmt: skip
    else:
        if faults.stale and audience.guard.fresh:
            hold_all(
                "stale", f"stale by dbt's source freshness: {', '.join(faults.stale)}", f"{how} --stale {everything}"
            )
        if faults.failing and audience.guard.tested and not found:
            hold_all("untested", f"dbt tests fail: {', '.join(faults.failing)}", f"{how} --untested {everything}")
        if not found:
            found += _over(audience, figures, approvals, used, how, is_first)
    if figures.remapped and audience.on_new_mapping == "ask":
        found.append(
            Withheld(
                "remapped",
                figures.remapped,
                "the mapping is new",
                "on_new_mapping: rebaseline or resend, in the audience's file",
            )
        )
    if replaces and found:
        held = {part.kind for part in found}
        why = "the destination takes the full set or nothing"
        for each in KINDS.values():
            if each not in held and (people := getattr(figures, each)):
                found.append(Withheld(each, people, why, found[0].release))
        if figures.suppressed:
            found.append(Withheld("suppressed", figures.suppressed, why, found[0].release))
    return tuple(found), tuple(used)


def _over(
    audience: Audience, figures: Figures, approvals: Mapping[str, int], used: list[str], how: str, is_first: bool
) -> list[Withheld]:
    found = []
    for kind in KINDS.values():
        limit, people = getattr(audience.guard, f"max_{kind}"), getattr(figures, kind)
        if limit is None or not people:
            continue
        if limit.share is not None and (is_first or not figures.held) and kind == "added":
            continue  # a share of nobody is nobody: the first members could never come
        if people <= limit.of(figures.held):
            continue
        if approvals.get(kind, -1) >= people:
            used.append(kind)
            continue
        found.append(Withheld(kind, people, f"over max_{kind}: {limit}", f"{how} --{kind} {people}"))
    return found
