"""The rules of docs/rules.md again, in plain Python and one person at a time, to hold the engine's SQL against.

Nothing here is shared with the engine but the rule models. It is slow and simple on purpose: a reader who has
docs/rules.md open in the other window should be able to tick off sentence by sentence.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from activate.campaign import Campaign, ExceptionEvent
from activate.policy import Policy
from activate.project import Model
from activate.testing.oracle_caps import Counted, as_message, message_id, rank, refuse, takes_room
from activate.testing.oracle_door import Door
from activate.testing.oracle_gates import Candidate, Gates, Verdict, due_at
from activate.testing.oracle_guard import Approvals, Judged, guarded, hold_back
from activate.testing.oracle_state import (
    ALWAYS_ENDING,
    Audit,
    Decision,
    Entry,
    Membership,
    Message,
    Predicate,
    Snapshot,
    State,
    TickView,
    as_text,
    definitely_failed,
)


class Oracle:
    """Simulates ticks. `models` tells each model's columns; `predicates` maps the text of every `where:` to a function.

    A predicate takes a row (a mapping of column to value) and answers True, False, or None for SQL's unknown.
    """

    def __init__(self, policy: Policy, models: Mapping[str, Model], predicates: Mapping[str, Predicate]) -> None:
        self.policy = policy
        self.models = dict(models)
        self.predicates = dict(predicates)
        self.state = State()
        self.approvals = Approvals()

    def tick(self, now: dt.datetime, snapshot: Snapshot) -> None:
        """Decide about everybody at `now`; what was decided is appended to `state`."""
        tick_together([(self, snapshot)], now, self.approvals)

    def look(self, now: dt.datetime, snapshot: Snapshot) -> dt.datetime:
        """Compare the segments with what they were, and tell the earliest time of any occurrence (`now` without one)."""
        view = self._view(now, snapshot)
        self._compare_segments(view)
        found = (each.entered_at for door, people in self._doors(view) for one in people for each in door.found(one))
        return min(found, default=now)

    def judge(self, now: dt.datetime, snapshot: Snapshot, seen_from: dt.datetime) -> list[Judged]:
        """Let people in and ask every candidate all gates but the guard, which asks about everybody together."""
        view = replace(self._view(now, snapshot), seen_from=seen_from)
        self._open_doors(view)
        gates, judged, here = Gates(view), [], []
        for user_id in sorted({entry.user_id for entry in self.state.entries.values()}):
            stopped, passed = self._decide(user_id, gates)
            judged += stopped
            here += passed
        return judged + self._spend(here, gates)

    def record(
        self, judged: Sequence[Judged], now: dt.datetime, snapshot: Snapshot, audited: set[ExceptionEvent]
    ) -> None:
        """Append what was decided to `state`; `audited` are the exceptions that some campaign's file names."""
        self._audit(self._view(now, snapshot), audited)
        for candidate, verdict in judged:
            self._record(candidate, verdict, now)
        for campaign in snapshot.campaigns:
            self.state.scans.setdefault(campaign.campaign, []).append(now)
        self.state.last_tick = now

    def _view(self, now: dt.datetime, snapshot: Snapshot) -> TickView:
        return TickView(now, snapshot, self.policy, self.models, self.predicates)

    def _audit(self, view: TickView, audited: set[ExceptionEvent]) -> None:
        """Note the exception events loaded since the last tick that would have kept back an earlier tick's message."""
        gates, last = Gates(view), self.state.last_tick
        for message in self.state.messages if last else ():
            entry = self.state.entries[message.entry_id]
            named = [rule for rule in self._rules(entry, gates).exceptions if rule in audited]
            late = {
                event.event_id
                for event in gates.exception_events(entry, named)
                if last and event.at <= message.queued_at < event.loaded_at and last < event.loaded_at <= view.now
            }
            self.state.audits += [
                Audit(entry.entry_id, message.message_id, "late_exception", event_id, view.now)
                for event_id in sorted(late)
            ]

    def _rules(self, entry: Entry, gates: Gates) -> Campaign:
        """The definition that the entry follows now."""
        current = gates.current.get(entry.campaign)
        return current if current and current.on_edit == "adopt" else entry.definition

    # -- entering -------------------------------------------------------------------------------------------------

    def _compare_segments(self, view: TickView) -> None:
        campaigns = view.snapshot.campaigns
        for segment in sorted({campaign.enter.segment for campaign in campaigns if campaign.enter.segment}):
            before, found = self.state.members(segment), _people_in(view, segment)
            changes = [(user_id, "enter") for user_id in found - before]
            changes += [(user_id, "exit") for user_id in before - found]
            self.state.memberships += [Membership(segment, *change, view.now) for change in sorted(changes)]

    def _open_doors(self, view: TickView) -> None:
        entries: list[Entry] = []
        decisions: list[Decision] = []
        for door, people in self._doors(view):
            for user_id in people:
                entered, decided = door.pass_through(user_id)
                entries += entered
                decisions += decided
        self.state.entries |= {entry.entry_id: entry for entry in entries}
        self.state.decisions += decisions

    def _doors(self, view: TickView) -> Iterator[tuple[Door, list[str]]]:
        """Each campaign's door, and the people who may stand there."""
        for campaign in view.snapshot.campaigns:
            model = campaign.enter.model
            people = _people_in(view, model) | self.state.members(model, ever=True)
            yield Door(view, self.state, campaign), sorted(people)

    # -- falling due ----------------------------------------------------------------------------------------------

    def _candidate(self, entry: Entry, gates: Gates) -> Candidate | None:
        """The entry's next step, if there is one and it is due."""
        rules = self._rules(entry, gates)
        rows = self.state.decisions_of(entry.entry_id)
        finals = [row for row in rows if row.outcome != "defer"]
        number = len(finals) + 1
        if any(row.ends_entry for row in finals) or number > len(rules.steps):
            return None
        if finals and finals[-1].decided_at >= gates.now:
            return None
        anchor = finals[-1].decided_at if finals else entry.entered_at
        step, zone = rules.steps[number - 1], gates.zone(entry.user_id, rules)
        due = due_at(step.wait, anchor, zone)
        if due > gates.now - dt.timedelta(seconds=self.policy.scan.settle):
            return None
        return Candidate(
            entry=entry,
            rules=rules,
            number=number,
            step=step,
            due_at=due,
            expires_at=min(rules.active.until or dt.datetime.max, anchor + dt.timedelta(seconds=step.expires_seconds)),
            cap_zone=gates.zone(entry.user_id, None),
            was_held=bool(rows) and (rows[-1].outcome, rows[-1].gate) == ("defer", "window"),
        )

    # -- the gates ------------------------------------------------------------------------------------------------

    def _decide(self, user_id: str, gates: Gates) -> tuple[list[Judged], list[Candidate]]:
        """One person's candidates through the gates up to the caps: those stopped, and those that pass."""
        due = [self._candidate(entry, gates) for entry in self.state.entries_of(user_id)]
        verdicts: list[Judged] = []

        def still_here(candidate: Candidate, verdict: Verdict | None) -> bool:
            if verdict:
                verdicts.append((candidate, verdict))
            return verdict is None

        here = [each for each in due if each and still_here(each, gates.until_consent(each))]
        here = [each for each in here if still_here(each, gates.window(each))]
        kept = {id(each): self._kept(each, here) for each in here}
        here = [each for each in here if still_here(each, superseded(each, kept[id(each)]))]
        return verdicts, [each for each in here if still_here(each, gates.expiry(each))]

    def _spend(self, here: list[Candidate], gates: Gates) -> list[Judged]:
        """Everybody's candidates, one after the other, as far as caps leave room."""
        verdicts: list[Judged] = []
        messages = self._history(gates.view)
        for candidate in sorted(here, key=rank):
            refusal = refuse(self.policy.frequency_caps, candidate, messages, gates)
            verdicts.append((candidate, refusal or withheld_or_sent(candidate)))
            if not refusal and takes_room(candidate):
                messages.append(as_message(candidate, gates.now))
        return verdicts

    def _kept(self, candidate: Candidate, here: list[Candidate]) -> Candidate:
        """Of the candidates held back by the window that go with this one: the one that goes out."""
        window = candidate.rules.window(self.policy.time_window)
        if not candidate.was_held or window is None or window.held == "all":
            return candidate
        rivals = [candidate]
        for other in here:
            its = other.rules.window(self.policy.time_window)
            together = window.held == "latest" or other.entry.campaign == candidate.entry.campaign
            if other.was_held and its and its.held == window.held and together:
                rivals.append(other)
        return max(rivals, key=lambda each: (each.entry.entered_at, each.entry.entry_id))

    def _history(self, view: TickView) -> list[Counted]:
        return [
            Counted(
                row.message_id,
                row.user_id,
                row.queued_at,
                row.channel,
                row.tags,
                row.campaign,
                row.class_,
                is_new=False,
            )
            for row in self.state.messages
            if row.counts_toward_caps and not definitely_failed(row.message_id, view.snapshot.deliveries)
        ]

    # -- writing --------------------------------------------------------------------------------------------------

    def _record(self, candidate: Candidate, verdict: Verdict, now: dt.datetime) -> None:
        """Write the decision if it is new, and the message of a decision to send."""
        entry = candidate.entry
        decision = Decision(
            entry_id=entry.entry_id,
            campaign=entry.campaign,
            step=candidate.number,
            user_id=entry.user_id,
            outcome=verdict.outcome,
            gate=verdict.gate,
            reason=verdict.reason,
            decided_at=now,
            ends_entry=ends_entry(candidate, verdict),
            channel=candidate.channel,
            retry_at=verdict.retry_at,
            due_at=candidate.due_at,
            rule=verdict.rule,
            evidence=verdict.evidence,
            observed=verdict.observed,
        )
        last = [row for row in self.state.decisions_of(entry.entry_id) if row.step == candidate.number]
        if last and last[-1].answer == decision.answer:
            return
        if verdict.outcome == "send":
            decision = replace(decision, message_id=message_id(candidate))
            self.state.messages.append(self._message(candidate, now))
        self.state.decisions.append(decision)

    def _message(self, candidate: Candidate, now: dt.datetime) -> Message:
        entry, rules = candidate.entry, candidate.rules
        assert candidate.channel is not None
        return Message(
            message_id=message_id(candidate),
            entry_id=entry.entry_id,
            campaign=entry.campaign,
            step=candidate.number,
            variant=entry.variant,
            user_id=entry.user_id,
            channel=candidate.channel,
            provider=self.policy.channels[candidate.channel].provider,
            class_=rules.class_,
            tags=rules.tags,
            expires_at=candidate.expires_at,
            queued_at=now,
            send_by=candidate.send_by,
            counts_toward_caps=rules.counts,
        )


def tick_together(parts: Sequence[tuple[Oracle, Snapshot]], now: dt.datetime, approvals: Approvals) -> None:
    """One tick of several oracles that share the rules and the profiles model, each with its own people.

    Nobody's rules look at anybody else, but for guards, which count the messages of all people together, for how long
    refusals are remembered, and for which exceptions are audited.
    """
    earliest = min((oracle.look(now, snapshot) for oracle, snapshot in parts), default=now)
    remembered = now - dt.timedelta(seconds=parts[0][0].policy.scan.remember) if parts else now
    judged = [oracle.judge(now, snapshot, min(earliest, remembered)) for oracle, snapshot in parts]
    campaigns = {campaign.campaign: campaign for _, snapshot in parts for campaign in snapshot.campaigns}
    people = sum(len(snapshot.tables[oracle.policy.profiles.model]) for oracle, snapshot in parts)
    audited = {exception for campaign in campaigns.values() for exception in campaign.exceptions}
    held = hold_back(judged, campaigns, people, approvals, now)
    for (oracle, snapshot), found in zip(parts, judged, strict=True):
        oracle.record([guarded(each, held) for each in found], now, snapshot, audited)


def _people_in(view: TickView, model: str) -> set[str]:
    """The keys in a trigger's or a segment's rows."""
    key = view.models[model].key or ""
    return {user_id for row in view.rows(model) if (user_id := as_text(row[key])) is not None}


def superseded(candidate: Candidate, kept: Candidate) -> Verdict | None:
    """The verdict on a held-back candidate that another one takes the place of."""
    if kept is candidate:
        return None
    return Verdict("suppress", "window", "superseded", evidence=kept.entry.entry_id)


def withheld_or_sent(candidate: Candidate) -> Verdict:
    """The verdict on a candidate that has passed every gate."""
    if candidate.entry.control_group == "global":
        return Verdict("withhold", "control", "global_control_group")
    if candidate.entry.control_group == "campaign":
        return Verdict("withhold", "control", "control_group")
    return Verdict("send", "send", "ready")


def ends_entry(candidate: Candidate, verdict: Verdict) -> bool:
    """Whether the entry is over with this verdict."""
    if verdict.outcome == "defer":
        return False
    if verdict.outcome == "suppress" and verdict.gate in ALWAYS_ENDING:
        return True
    return candidate.is_last or (verdict.outcome == "suppress" and candidate.rules.on_suppressed == "exit")
