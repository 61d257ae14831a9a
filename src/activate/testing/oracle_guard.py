"""docs/rules.md, section 7, in plain Python: whether a campaign's messages of one tick are too many."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from activate.campaign import Campaign
from activate.testing.oracle_gates import Candidate, Verdict

Judged = tuple[Candidate, Verdict]


@dataclass
class Approval:
    """Leave for up to `ceiling` messages of a campaign, once."""

    campaign: str
    ceiling: int
    granted_at: dt.datetime
    expires_at: dt.datetime
    is_used: bool = False

    def is_open(self, now: dt.datetime) -> bool:
        """Whether it can still be used."""
        return not self.is_used and self.granted_at <= now < self.expires_at


@dataclass
class Approvals:
    """All approvals that were ever given."""

    given: list[Approval] = field(default_factory=list)

    def use(self, campaign: str, messages: int, now: dt.datetime) -> bool:
        """Whether the open approval with the largest ceiling lets so many messages pass; it is then used."""
        found = [each for each in self.given if each.campaign == campaign and each.is_open(now)]
        best = max(found, key=lambda each: each.ceiling, default=None)
        if best is None or messages > best.ceiling:
            return False
        best.is_used = True
        return True


def hold_back(
    judged: Iterable[Sequence[Judged]],
    campaigns: Mapping[str, Campaign],
    people: int,
    approvals: Approvals,
    now: dt.datetime,
) -> dict[str, Verdict]:
    """By campaign what its guard says in this tick, where it says something, of everybody's candidates together.

    `people` is the number of rows of the profiles model.
    """
    messages = Counter(
        candidate.entry.campaign for group in judged for candidate, verdict in group if verdict.outcome == "send"
    )
    held = {}
    for name, count in sorted(messages.items()):
        limit = most_messages(campaigns[name], people)
        if limit is not None and count > limit and not approvals.use(name, count, now):
            held[name] = Verdict(
                "defer", "guard", "guard_messages", rule="guard.max_messages", evidence=str(limit), observed=count
            )
    return held


def most_messages(campaign: Campaign, people: int) -> int | None:
    """The guard's limit as a whole number; None for a campaign without a guard."""
    if campaign.guard is None:
        return None
    limit = campaign.guard.max_messages
    if isinstance(limit, int):
        return limit
    return int(Fraction(f"{limit * 100:.4f}") / 100 * people)


def guarded(judged: Judged, held: Mapping[str, Verdict]) -> Judged:
    """The candidate with its guard's verdict, if it has come as far and its campaign is held back."""
    candidate, verdict = judged
    if verdict.gate in ("control", "send"):
        return candidate, held.get(candidate.entry.campaign, verdict)
    return judged
