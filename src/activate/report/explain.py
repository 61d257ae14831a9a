"""Answers "why did she (not) get it?" for one person: the stored rows, put in order and told as a story."""

from __future__ import annotations

import datetime as dt
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from activate.campaign import Campaign
from activate.errors import nearest
from activate.project import Project
from activate.report.caps import History
from activate.report.door import Door
from activate.report.passage import Passage, entry_story
from activate.report.person import Person
from activate.report.phrases import ABSENCES, PHRASES
from activate.report.state import Row, State
from activate.report.story import Absence, Answered, CampaignStory, EntryStory, Refusal, StepStory, Story
from activate.report.text import when
from activate.tables import AUDITS, CAMPAIGN_VERSIONS, DECISIONS, ENTRIES, MESSAGES
from activate.warehouses.base import Warehouse

_SENT = {
    "accepted": "sent",
    "queued": "queued, not delivered yet,",
    "claimed": "being delivered",
    "failed": "not taken yet",
}


@dataclass(frozen=True)
class Stored:
    """All state rows of one person, and per campaign where the ticks stand."""

    entries: list[Row]
    decisions: list[Row]
    messages: list[Row]
    deliveries: list[Row]
    audits: list[Row]
    definitions: dict[tuple[str, str], Campaign]
    scanned: dict[str, Row]
    last_tick: dt.datetime | None


def explain(
    warehouse: Warehouse, project: Project, user_id: str, *, now: dt.datetime, campaign: str | None = None
) -> Story:
    """Tell one person's story in every campaign, or in one.

    Questions that no row answers are asked of the models as they are, as of the last tick (`now` before the first one).
    A person nobody knows gives a Story with `is_known` false. Raises WarehouseError.
    """
    state = State(warehouse, project.policy.state.schema_)
    stored = _stored(state, user_id)
    person = Person(state, project, user_id)
    as_of = stored.last_tick or now
    history = _history(state, person, stored)
    teller = _Teller(person, stored, history, as_of, everything=campaign is not None)
    names = [campaign] if campaign is not None else _names(project, stored)
    stories = tuple(teller.campaign(name) for name in names)
    known = person.profile.rows > 0 or bool(stored.entries or stored.decisions) or any(map(_has_rows, stories))
    return Story(user_id, as_of, stored.last_tick, known, person.profile, stories)


def _history(state: State, person: Person, stored: Stored) -> History:
    """The person's messages, and those of people whom a cap by address counts with them."""
    caps = person.project.policy.frequency_caps
    shared = {cap.channel for cap in caps if cap.by == "address" and cap.channel} if state.exists() else set()
    sharers = {channel: person.sharers(channel) for channel in sorted(shared)}
    everybody = sorted({user_id for found in sharers.values() for user_id in found})
    decisions = [*stored.decisions, *(row for each in everybody for row in state.rows(DECISIONS, user_id=each))]
    return History(
        stored.messages,
        [*stored.deliveries, *(row for each in everybody for row in state.deliveries_of(each))],
        {row["message_id"]: row for row in decisions if row["message_id"]},
        {
            channel: [row for each in found for row in state.rows(MESSAGES, user_id=each, channel=channel)]
            for channel, found in sharers.items()
        },
    )


def _stored(state: State, user_id: str) -> Stored:
    if not state.exists():
        return Stored([], [], [], [], [], {}, {}, None)
    entries = state.rows(ENTRIES, user_id=user_id)
    last_tick = state.last_tick()
    return Stored(
        entries,
        state.rows(DECISIONS, order=("decided_at", "entry_id", "step"), user_id=user_id),
        state.rows(MESSAGES, user_id=user_id),
        state.deliveries_of(user_id),
        [row for entry in entries for row in state.rows(AUDITS, entry_id=entry["entry_id"])],
        _definitions(state, {row["campaign"] for row in entries}),
        state.scanned(),
        last_tick["now"] if last_tick else None,
    )


def _definitions(state: State, campaigns: Iterable[str]) -> dict[tuple[str, str], Campaign]:
    rows = [row for name in sorted(campaigns) for row in state.rows(CAMPAIGN_VERSIONS, campaign=name)]
    return {
        (row["campaign"], row["campaign_version"]): Campaign.model_validate(json.loads(row["definition"]))
        for row in rows
    }


def _names(project: Project, stored: Stored) -> list[str]:
    rules = sorted((-found.priority, found.campaign) for found in project.campaigns)
    names = [name for _, name in rules]
    return list(dict.fromkeys([*names, *sorted(row["campaign"] for row in (*stored.entries, *stored.decisions))]))


def _has_rows(story: CampaignStory) -> bool:
    return story.absence is not None and bool(story.absence.occurrences)


@dataclass(frozen=True)
class _Teller:
    person: Person
    stored: Stored
    history: History
    as_of: dt.datetime
    everything: bool

    def campaign(self, name: str) -> CampaignStory:
        current = next((found for found in self.person.project.campaigns if found.campaign == name), None)
        entries = [row for row in self.stored.entries if row["campaign"] == name]
        decisions = [row for row in self.stored.decisions if row["campaign"] == name]
        told = self._entries(entries, decisions, current)
        if current is None:
            gone = None if told else _absence("campaign_gone") if decisions else self._unknown(name)
            return self._story(name, told, (), gone)
        door = Door(self.person, current, self.stored.scanned.get(name), self.as_of, entries, decisions, self.history)
        refusals = door.refusals()
        asks = self.everything or not (told or refusals)
        return self._story(name, told, refusals, door.absence() if asks else None)

    def _unknown(self, name: str) -> Absence:
        absence = _absence("campaign_unknown")
        hint = nearest(name, [campaign.campaign for campaign in self.person.project.campaigns]).removeprefix("; ")
        return replace(absence, change=hint[0].upper() + hint[1:]) if hint else absence

    def _entries(
        self, entries: Sequence[Row], decisions: Sequence[Row], current: Campaign | None
    ) -> tuple[EntryStory, ...]:
        by_entry: dict[str, list[Row]] = defaultdict(list)
        for row in decisions:
            if row["step"] > 0:
                by_entry[row["entry_id"]].append(row)
        newest = sorted(entries, key=lambda row: (row["entered_at"], row["entry_id"]), reverse=True)
        return tuple(entry_story(self._passage(row, by_entry[row["entry_id"]], current)) for row in newest)

    def _passage(self, entry: Row, decisions: list[Row], current: Campaign | None) -> Passage:
        followed = self.stored.definitions.get((entry["campaign"], entry["campaign_version"]), current)
        if current is not None and current.on_edit == "adopt":
            followed = current
        return Passage(
            self.person,
            followed,
            entry,
            decisions,
            [row for row in self.stored.messages if row["entry_id"] == entry["entry_id"]],
            self.stored.deliveries,
            [row for row in self.stored.audits if row["entry_id"] == entry["entry_id"]],
            self.history,
            self.as_of,
        )

    def _story(
        self, name: str, entries: tuple[EntryStory, ...], refusals: tuple[Refusal, ...], absence: Absence | None
    ) -> CampaignStory:
        is_open = any(entry.is_open for entry in entries)
        newest = max((_last_word(entry) for entry in entries), default=None)
        refused = refusals[0] if refusals else None
        if refused and (newest is None or newest[0] < refused.decided_at):
            headline = f"refused at the door: {PHRASES[refused.reason].meaning}"
            return CampaignStory(name, "open" if is_open else "refused", headline, entries, refusals, absence)
        if newest:
            return CampaignStory(name, "open" if is_open else "over", newest[1], entries, refusals, absence)
        headline = f"never entered: {absence.text if absence else 'nothing is recorded'}"
        return CampaignStory(name, "never_entered", headline, entries, refusals, absence)


def _last_word(entry: EntryStory) -> tuple[dt.datetime, str]:
    """When the entry's newest answer was given, and that answer in a few words."""
    if not entry.steps:
        return entry.seen_at, f"entered at {when(entry.entered_at)}"
    step = entry.steps[-1]
    place = f"step {step.step} " if len(entry.steps) > 1 else ""
    if not step.answers:
        return entry.seen_at, f"{place}waits until {when(step.due_at)}" if step.due_at else f"{place}waits"
    last = step.answers[-1]
    return last.decided_at, place + _in_a_few_words(step, last)


def _in_a_few_words(step: StepStory, last: Answered) -> str:
    if step.fate == "sent":
        status = step.message.status if step.message else "unknown"
        return f"{_SENT.get(status, status)} by {last.channel}"
    meaning = PHRASES[last.reason].meaning
    if step.fate == "deferred":
        return f"held back{f' until {when(step.retry_at)}' if step.retry_at else ''}: {meaning}"
    return f"{'withheld' if step.fate == 'withheld' else 'not sent'}: {meaning}"


def _absence(why: str) -> Absence:
    return Absence(why, ABSENCES[why].meaning, ABSENCES[why].change)
