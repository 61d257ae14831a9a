"""The closed vocabulary of outcomes, gates and reasons, and what a tick reports."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Literal

Outcome = Literal["send", "defer", "suppress", "withhold"]
GATES = (
    "entry", "re_entry", "active", "exception", "audience", "consent", "window", "expiry", "caps", "guard", "control",
    "send",
)  # fmt: skip


@dataclass(frozen=True)
class Reason:
    """One word of the vocabulary: its gate, what it may lead to, and its meaning in a sentence."""

    gate: str
    outcomes: tuple[Outcome, ...]
    meaning: str
    ends_entry: bool = False


REASONS: dict[str, Reason] = {
    "trigger_too_late": Reason("entry", ("suppress",), "the occurrence is older than max_lateness", True),
    "already_waiting": Reason("re_entry", ("suppress",), "an earlier occurrence still waits for its first step", True),
    "not_re_eligible": Reason("re_entry", ("suppress",), "re_enter does not allow it yet", True),
    "restarted": Reason("re_entry", ("suppress",), "a later trigger took its place", True),
    "campaign_ended": Reason("active", ("suppress",), "the campaign is over", True),
    "campaign_removed": Reason("active", ("suppress",), "the campaign's file is gone", True),
    "exception_event": Reason("exception", ("suppress",), "an exception event happened", True),
    "not_in_audience": Reason("audience", ("suppress",), "not in the campaign's audience", True),
    "left_segment": Reason("audience", ("suppress",), "the entry segment no longer holds", True),
    "no_profile": Reason("consent", ("suppress",), "the profiles model has no row for the person"),
    "duplicate_profile": Reason("consent", ("suppress",), "the profiles model has several rows for the person"),
    "unreachable": Reason("consent", ("suppress",), "no channel of the step has an address"),
    "no_consent": Reason("consent", ("suppress",), "no channel that has an address has consent"),
    "address_suppressed": Reason(
        "consent", ("suppress",), "every address that has consent is suppressed: lost, bounced or opted out"
    ),
    "triggered_outside_window": Reason(
        "window", ("suppress",), "the local time window was closed when the trigger happened", True
    ),
    "zone_missing": Reason("window", ("suppress",), "the person has no time zone"),
    "zone_invalid": Reason("window", ("suppress",), "the person's time zone is not an IANA name"),
    "window_closed": Reason("window", ("defer", "suppress"), "the local time window is closed"),
    "superseded": Reason("window", ("suppress",), "another message held back by the window took its place"),
    "expired": Reason("expiry", ("suppress",), "the step's expiry has passed"),
    "expired_in_quiet_hours": Reason("expiry", ("suppress",), "the window opens only after the step's expiry"),
    "frequency_cap": Reason("caps", ("defer", "suppress"), "a frequency cap is full"),
    "guard_messages": Reason(
        "guard", ("defer",), "the campaign would send more messages at once than its guard allows"
    ),
    "control_group": Reason("control", ("withhold",), "held back in the campaign's control group"),
    "global_control_group": Reason("control", ("withhold",), "held back in the global control group"),
    "ready": Reason("send", ("send",), "a message was queued"),
}

# Each reason with each outcome that it may have; a verdict's place in this list is its number while a tick is decided.
VERDICTS: tuple[tuple[str, Outcome], ...] = tuple(
    (name, outcome) for name, reason in REASONS.items() for outcome in reason.outcomes
)


def verdict(reason: str, outcome: Outcome = "suppress") -> int:
    """The number of a reason with an outcome. Raises ValueError for a pair outside the vocabulary."""
    return VERDICTS.index((reason, outcome))


@dataclass(frozen=True)
class Count:
    """How many people of one campaign had one outcome in a tick. `channel` is None where none was chosen."""

    campaign: str
    outcome: str
    gate: str
    reason: str
    channel: str | None
    people: int


@dataclass(frozen=True)
class Tick:
    """What one tick decided. `samples` maps (campaign, outcome, reason) to a few person keys.

    `changed` tells whether anything was (or, in a plan, would be) written; `invalid` counts unusable rows by model;
    `launched` are the campaigns that no tick had seen before.
    """

    run_id: str
    now: dt.datetime
    counts: tuple[Count, ...]
    entered: dict[str, int] = field(default_factory=dict)
    samples: dict[tuple[str, str, str], tuple[str, ...]] = field(default_factory=dict)
    invalid: dict[str, int] = field(default_factory=dict)
    statements: tuple[tuple[str, str], ...] = ()
    changed: bool = False
    committed: bool = False
    seconds: float = 0.0
    launched: tuple[str, ...] = ()

    @property
    def candidates(self) -> int:
        """How many decisions the tick made."""
        return sum(count.people for count in self.counts)

    def total(self, outcome: str) -> int:
        """How many decisions had this outcome."""
        return sum(count.people for count in self.counts if count.outcome == outcome)
