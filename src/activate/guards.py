"""The guard of an audience: which kinds of changes are withheld, why, and what releases them. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from activate.audience import Audience, Limit
from activate.audience_plan import KINDS, Faults, Figures, Withheld

IN_FILE = "in the audience's file"


class Guard:
    """Looks at one change set. A limit is on a kind as a whole: a guard that let a part through at every sync would hold
    nothing back. Removals because of an exclusion or a withdrawn consent pass, unless `max_suppressed` says otherwise.

    `approvals` are ceilings by kind (of changes, or `stale`, `untested`); those that let something pass are in `used`.
    """

    def __init__(self, audience: Audience, figures: Figures, approvals: Mapping[str, int]) -> None:
        self._audience = audience
        self._figures = figures
        self._approvals = approvals
        self._people = {kind: people for kind in KINDS.values() if (people := getattr(figures, kind))}
        self._approve = f"dbt-activate approve audience:{audience.audience}"
        self.used: list[str] = []

    def withheld(
        self, faults: Faults, *, is_first: bool, replaces: bool, new_identity: bool, on_hold: bool
    ) -> tuple[Withheld, ...]:
        """What is held back of the change set.

        `replaces`: the destination takes the full set or nothing. `new_identity`: `identify_by` was changed since the last
        sync. `on_hold`: the audience was stopped by hand.
        """
        found = self._as_a_whole(faults, new_identity, on_hold) or self._over(is_first)
        found += self._suppressed()
        if self._figures.remapped and self._audience.on_new_mapping == "ask" and not new_identity:
            how = f"on_new_mapping: rebaseline or resend, {IN_FILE}"
            found.append(Withheld("remapped", self._figures.remapped, "the mapping is new", how))
        return tuple(found + self._rest(found) if replaces and found else found)

    def _as_a_whole(self, faults: Faults, new_identity: bool, on_hold: bool) -> list[Withheld]:
        """Reasons to hold everything back."""
        guard = self._audience.guard
        if on_hold:
            return self._all("stopped by `undo`, until it is resumed", f"{self._approve} --resume")
        if new_identity:
            reason = "`identify_by` was changed: everybody would be removed and added again"
            return self._all(reason, f"on_new_mapping: resend, {IN_FILE}")
        if faults.stale and guard.fresh and not self._is_approved("stale"):
            reason = f"stale by dbt's source freshness: {', '.join(faults.stale)}"
            return self._all(reason, f"{self._approve} --stale {sum(self._people.values())}")
        if faults.failing and guard.tested and not self._is_approved("untested"):
            reason = f"dbt tests fail: {', '.join(faults.failing)}"
            return self._all(reason, f"{self._approve} --untested {sum(self._people.values())}")
        return []

    def _all(self, reason: str, release: str) -> list[Withheld]:
        return [Withheld(kind, people, reason, release) for kind, people in self._people.items()]

    def _is_approved(self, kind: str) -> bool:
        if self._approvals.get(kind, -1) < sum(self._people.values()):
            return False
        if self._people:
            self.used.append(kind)
        return True

    def _over(self, is_first: bool) -> list[Withheld]:
        """The kinds that are over their limit."""
        found = []
        for kind, people in self._people.items():
            limit = getattr(self._audience.guard, f"max_{kind}")
            if limit is None or people <= limit.of(self._figures.held):
                continue
            if limit.share is not None and kind == "added" and (is_first or not self._figures.held):
                continue  # a share of nobody is nobody: the first members could never come
            if self._approvals.get(kind, -1) >= people:
                self.used.append(kind)
            else:
                found.append(self._too_many(kind, people, limit))
        return found

    def _suppressed(self) -> list[Withheld]:
        """Suppressions pass every guard but their own: a profiles model that lost its rows would take everybody out."""
        limit, people = self._audience.guard.max_suppressed, self._figures.suppressed
        if limit is None or people <= limit.of(self._figures.held):
            return []
        if self._approvals.get("suppressed", -1) >= people:
            self.used.append("suppressed")
            return []
        return [self._too_many("suppressed", people, limit)]

    def _too_many(self, kind: str, people: int, limit: Limit) -> Withheld:
        given = self._approvals.get(kind)
        short = "" if given is None else f", and the approval allows {given:,} only"
        return Withheld(kind, people, f"over max_{kind}: {limit}{short}", f"{self._approve} --{kind} {people}")

    def _rest(self, found: list[Withheld]) -> list[Withheld]:
        """Where the full set is replaced, nothing can go while something stays."""
        held, reason = {part.kind for part in found}, "the destination takes the full set or nothing"
        rest = [
            Withheld(kind, people, reason, found[0].release)
            for kind, people in self._people.items()
            if kind not in held
        ]
        if self._figures.suppressed and "suppressed" not in held:
            rest.append(Withheld("suppressed", self._figures.suppressed, reason, found[0].release))
        return rest
