"""docs/rules.md, section 3, in plain Python: who enters a campaign, and who is refused at the door."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from activate.campaign import Campaign, ReEnterAfter
from activate.testing.oracle_gates import Gates, Verdict, closing_time
from activate.testing.oracle_state import Decision, Entry, Row, State, TickView, as_text, definitely_failed, md5

TOO_LATE = ("entry", "trigger_too_late")
OUTSIDE = ("audience", "not_in_audience")
WAITING = ("re_entry", "already_waiting")
NOT_ELIGIBLE = ("re_entry", "not_re_eligible")
RESTARTED = ("re_entry", "restarted")
AT_NIGHT = ("window", "triggered_outside_window")


@dataclass(frozen=True)
class Occurrence:
    """Something that brings a person to the door of a campaign."""

    entry_id: str
    user_id: str
    occurrence_id: str
    entered_at: dt.datetime
    loaded_at: dt.datetime
    row: Row
    match_key: str | None

    @property
    def order(self) -> tuple[dt.datetime, str]:
        """Earlier comes first; the entry's id decides between equals."""
        return self.entered_at, self.entry_id


def is_inside(salt: str, user_id: str, share: Fraction | float) -> bool:
    """Whether the person's hash lies in the first `share` of all hashes."""
    return int(md5(salt, user_id), 16) < int(Fraction(share) * 2**128)


class Door:
    """One campaign's door at one tick. `state` is the state before the tick (but for memberships, already compared)."""

    def __init__(self, view: TickView, state: State, campaign: Campaign) -> None:
        self.view = view
        self.now = view.now
        self.policy = view.policy
        self.state = state
        self.campaign = campaign
        self.model = view.models[campaign.enter.model]
        scans = state.scans.get(campaign.campaign, [])
        self.launch = min(scans) if scans else self.now
        self.cursor = scans[-1] if scans else None

    # -- occurrences ----------------------------------------------------------------------------------------------

    def found(self, user_id: str) -> list[Occurrence]:
        """The person's occurrences that this tick comes across, those that are settled among them."""
        return self._of_trigger(user_id) if self.campaign.enter.trigger else self._of_segment(user_id)

    def occurrences(self, user_id: str) -> list[Occurrence]:
        """The person's occurrences that were never let in, nor refused as far as that is remembered."""
        seen_from = self.view.seen_from
        settled = set(self.state.entries)
        settled |= {row.entry_id for row in self.state.decisions if row.step == 0 and row.decided_at >= seen_from}
        return [occurrence for occurrence in self.found(user_id) if occurrence.entry_id not in settled]

    def _occurrence(
        self, user_id: str, occurrence_id: str, at: dt.datetime, loaded: dt.datetime, row: Row
    ) -> Occurrence:
        match = self.campaign.match_property
        return Occurrence(
            entry_id=md5(self.campaign.campaign, user_id, occurrence_id),
            user_id=user_id,
            occurrence_id=occurrence_id,
            entered_at=at,
            loaded_at=loaded,
            row=row,
            match_key=as_text(row.get(match)) if match else None,
        )

    def _of_trigger(self, user_id: str) -> list[Occurrence]:
        model = self.model
        since, active = self.campaign.enter.since, self.campaign.active
        first = max(self.launch if since is None else since, active.from_ or dt.datetime.min)
        earliest: dict[str, Occurrence] = {}
        for row in self.view.rows(model.name):
            occurrence_id, at = as_text(row[model.id or ""]), row[model.time or ""]
            loaded = row[model.loaded] if model.loaded else at
            if as_text(row[model.key or ""]) != user_id or occurrence_id is None or at is None or loaded is None:
                continue
            if not (first <= at < (active.until or dt.datetime.max) and at <= self.now and loaded <= self.now):
                continue
            if self.cursor and max(loaded, at) <= self.cursor - dt.timedelta(seconds=self.policy.scan.overlap):
                continue
            if not self.view.accepts(self.campaign.enter.where, row):
                continue
            new = self._occurrence(user_id, occurrence_id, at, loaded, row)
            old = earliest.get(occurrence_id, new)
            earliest[occurrence_id] = min(old, new, key=lambda each: (each.entered_at, each.loaded_at))
        return list(earliest.values())

    def _of_segment(self, user_id: str) -> list[Occurrence]:
        model = self.model
        enter, active = self.campaign.enter, self.campaign.active
        found = []
        for change in self.state.memberships:
            at = change.changed_at
            if (change.segment, change.user_id, change.change) != (model.name, user_id, enter.on):
                continue
            if not (at > self.launch if enter.since is None else at >= enter.since):
                continue
            if not (active.from_ or dt.datetime.min) <= at < (active.until or dt.datetime.max):
                continue
            if self.cursor and at <= self.cursor:
                continue
            row: Row | None = {}
            if enter.on == "enter":
                rows = [row for row in self.view.rows(model.name) if as_text(row[model.key or ""]) == user_id]
                row = rows[0] if rows and self.view.accepts(enter.where, rows[0]) else None
            if row is not None:
                stamp = at.isoformat(timespec="microseconds") + "Z"
                found.append(self._occurrence(user_id, md5(model.name, user_id, enter.on, stamp), at, at, row))
        return found

    # -- refusals -------------------------------------------------------------------------------------------------

    def pass_through(self, user_id: str) -> tuple[list[Entry], list[Decision]]:
        """Let the person's new occurrences in, or refuse them; entries that one restarts get their last decision."""
        self._decisions: list[Decision] = []
        waiting = [e for e in self.state.entries_of(user_id, self.campaign.campaign) if self.state.is_waiting(e)]
        here = self.occurrences(user_id)
        here = self._refuse(here, TOO_LATE, self._is_too_late)
        here = self._refuse(here, OUTSIDE, lambda each: self.view.not_in_audience(self.campaign, each.user_id))
        here = self._refuse(here, AT_NIGHT, self._is_outside_window)
        here = self._compete(here, waiting)
        here = self._refuse(here, NOT_ELIGIBLE, lambda each: self._not_re_eligible(each, waiting))
        if self.campaign.is_journey and not self._is_always():
            earliest = min(here, key=lambda each: each.order, default=None)
            here = self._refuse(here, NOT_ELIGIBLE, lambda each: each is not earliest)
        for occurrence in here:
            for entry in self._restarts(occurrence, waiting):
                self._decide(entry.entry_id, user_id, RESTARTED, step=1, evidence=occurrence.entry_id)
        return [self._entry(occurrence) for occurrence in here], self._decisions

    def _decide(
        self, entry_id: str, user_id: str, why: tuple[str, str], *, step: int = 0, evidence: str | None = None
    ) -> None:
        gate, reason = why
        self._decisions.append(
            Decision(
                entry_id=entry_id,
                campaign=self.campaign.campaign,
                step=step,
                user_id=user_id,
                outcome="suppress",
                gate=gate,
                reason=reason,
                decided_at=self.now,
                ends_entry=True,
                evidence=evidence,
            )
        )

    def _refuse(
        self, here: list[Occurrence], why: tuple[str, str], is_refused: Callable[[Occurrence], bool]
    ) -> list[Occurrence]:
        """Write a refusal for each occurrence that `is_refused` is true of, and return the others."""
        stay = []
        for occurrence in here:
            if is_refused(occurrence):
                self._decide(occurrence.entry_id, occurrence.user_id, why)
            else:
                stay.append(occurrence)
        return stay

    def _is_too_late(self, occurrence: Occurrence) -> bool:
        enter = self.campaign.enter
        if enter.segment or (enter.since is not None and occurrence.loaded_at <= self.launch):
            return False
        lateness = enter.max_lateness if enter.max_lateness is not None else self.policy.scan.max_lateness
        return occurrence.entered_at < self.now - dt.timedelta(seconds=lateness)

    def _is_outside_window(self, occurrence: Occurrence) -> bool:
        window = self.campaign.window(self.policy.time_window)
        if window is None or window.triggered_outside == "allow":
            return False
        zone = Gates(self.view).window_zone(window, occurrence.user_id)
        return not isinstance(zone, Verdict) and closing_time(window, occurrence.entered_at, zone) is None

    def _compete(self, here: list[Occurrence], waiting: list[Entry]) -> list[Occurrence]:
        mode = self.campaign.on_retrigger
        if mode == "stack":
            return here
        if mode == "ignore":
            taken = {entry.match_key for entry in waiting}
            here = self._refuse(here, WAITING, lambda each: each.match_key in taken)
        winners: dict[str | None, Occurrence] = {}
        for occurrence in sorted(here, key=lambda each: each.order, reverse=mode == "ignore"):
            winners[occurrence.match_key] = occurrence
        why = WAITING if mode == "ignore" else RESTARTED
        return self._refuse(here, why, lambda each: each is not winners[each.match_key])

    def _restarts(self, occurrence: Occurrence, waiting: list[Entry]) -> list[Entry]:
        if self.campaign.on_retrigger != "restart":
            return []
        return [entry for entry in waiting if entry.match_key == occurrence.match_key]

    def _is_always(self) -> bool:
        rule = self.campaign.re_enter
        return rule == "always" or (isinstance(rule, ReEnterAfter) and rule.after == 0)

    def _not_re_eligible(self, occurrence: Occurrence, waiting: list[Entry]) -> bool:
        rule, user_id = self.campaign.re_enter, occurrence.user_id
        last = self._last_entry(occurrence, waiting) if self.campaign.is_journey else self._last_send(user_id)
        if last is None or not isinstance(rule, ReEnterAfter):
            return last is not None and rule == "never"
        return self.now - last < dt.timedelta(seconds=rule.after)

    def _last_send(self, user_id: str) -> dt.datetime | None:
        mine = (user_id, self.campaign.campaign)
        sent = [
            message.queued_at
            for message in self.state.messages
            if (message.user_id, message.campaign) == mine
            and not definitely_failed(message.message_id, self.view.snapshot.deliveries)
        ]
        withheld = [
            decision.decided_at
            for decision in self.state.decisions
            if (decision.user_id, decision.campaign, decision.outcome) == (*mine, "withhold")
        ]
        return max(sent + withheld, default=None)

    def _last_entry(self, occurrence: Occurrence, waiting: list[Entry]) -> dt.datetime | None:
        restarted = self._restarts(occurrence, waiting)
        entries = [e for e in self.state.entries_of(occurrence.user_id, self.campaign.campaign) if e not in restarted]
        return max((entry.recorded_at for entry in entries), default=None)

    # -- assignment -----------------------------------------------------------------------------------------------

    def _entry(self, occurrence: Occurrence) -> Entry:
        user_id = occurrence.user_id
        group = self._control_group(user_id)
        return Entry(
            entry_id=occurrence.entry_id,
            campaign=self.campaign.campaign,
            user_id=user_id,
            occurrence_id=occurrence.occurrence_id,
            entered_at=occurrence.entered_at,
            variant=self._variant(user_id),
            is_control=group is not None,
            control_group=group,
            match_key=occurrence.match_key,
            recorded_at=self.now,
            definition=self.campaign,
            context=occurrence.row,
        )

    def _control_group(self, user_id: str) -> str | None:
        globally, own = self.policy.global_control, self.campaign.control
        if globally and self.campaign.class_ != "transactional" and is_inside("global_control", user_id, globally):
            return "global"
        return "campaign" if own and is_inside(f"{self.campaign.campaign}:control", user_id, own) else None

    def _variant(self, user_id: str) -> str | None:
        total, so_far = sum(variant.weight for variant in self.campaign.variants), 0
        for variant in self.campaign.variants:
            so_far += variant.weight
            if is_inside(f"{self.campaign.campaign}:variant", user_id, Fraction(so_far, total)):
                return variant.name
        return None
