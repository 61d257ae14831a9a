"""Why a person has not entered a campaign: the refusals that ticks recorded, else what the models say."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from activate.campaign import Campaign, ReEnterAfter
from activate.project import Model
from activate.report.caps import Candidate, History
from activate.report.gates import hours, membership
from activate.report.person import Person, Seen
from activate.report.phrases import ABSENCES, PHRASES
from activate.report.state import Row
from activate.report.story import Absence, Occurrence, Refusal
from activate.report.text import local, span, when
from activate.tables import MEMBERSHIPS
from activate.words import format_duration

_LOOK_BACK = 50


@dataclass(frozen=True)
class Door:
    """One campaign's door. `entries` and `decisions` are the person's own in this campaign; `scanned` is None before
    the campaign's first tick.
    """

    person: Person
    campaign: Campaign
    scanned: Row | None
    as_of: dt.datetime
    entries: Sequence[Row]
    decisions: Sequence[Row]
    history: History

    @property
    def model(self) -> Model:
        """The trigger's or the segment's model."""
        return self.person.project.models[self.campaign.enter.model]

    # -- refused --------------------------------------------------------------------------------------------------

    def refusals(self) -> tuple[Refusal, ...]:
        """The refusals that are recorded, newest first."""
        rows = [row for row in self.decisions if row["step"] == 0]
        occurrences = self._occurrences_by_entry() if rows else {}
        rows.sort(key=lambda row: (row["decided_at"], row["entry_id"]), reverse=True)
        return tuple(self._refusal(row, occurrences.get(row["entry_id"])) for row in rows)

    def _refusal(self, row: Row, seen: Seen | None) -> Refusal:
        phrase = PHRASES[row["reason"]]
        what = f"{self.campaign.enter.model} {seen.id} of {when(seen.time)}" if seen and seen.time else "an occurrence"
        figures, change = "", phrase.change
        also: tuple[str, ...] = ()
        if row["reason"] == "trigger_too_late" and seen and seen.time:
            most = format_duration(self._max_lateness())
            figures = f"{span(row['decided_at'] - seen.time)} old; at most {most} is let in"
        elif row["reason"] == "not_in_audience":
            segments = [*self.campaign.audience.in_, *self.campaign.audience.not_in]
            figures = membership({name: self.person.is_member(name) for name in segments})
        elif row["reason"] == "triggered_outside_window":
            figures = self._hours(row, seen)
        elif row["reason"] == "not_re_eligible":
            figures, change = self._re_eligibility(row, change)
            also = self._full_caps(row)
        elif row["evidence"]:
            figures = f"it is the entry {row['evidence']}"
        text = f"{what} was refused: {phrase.meaning}" + (f" ({figures})" if figures else "")
        gate, reason = row["gate"], row["reason"]
        return Refusal(row["entry_id"], row["decided_at"], gate, reason, text, change, row["evidence"], also)

    def _hours(self, row: Row, seen: Seen | None) -> str:
        window = self.campaign.window(self.person.project.policy.time_window)
        at = row["decided_at"] if self.campaign.enter.segment else seen.time if seen else None
        zone = row["zone"]
        return f"{hours(window, zone)}; it was {local(at, zone)} there" if window and zone and at else ""

    def _occurrences_by_entry(self) -> dict[str, Seen]:
        if self.campaign.enter.segment:
            return {}
        seen = self.person.rows(self.model, self.campaign.enter.where, _LOOK_BACK)
        return {self._entry_id(row): row for row in seen}

    def _entry_id(self, row: Seen) -> str:
        parts = f"{self.campaign.campaign}|{self.person.user_id}|{row.id}"
        return hashlib.md5(parts.encode(), usedforsecurity=False).hexdigest()

    def _max_lateness(self) -> int:
        own = self.campaign.enter.max_lateness
        return own if own is not None else self.person.project.policy.scan.max_lateness

    def _re_eligibility(self, row: Row, change: str) -> tuple[str, str]:
        last, what = self._last_time(row["decided_at"])
        rule = self.campaign.re_enter
        if last is None or not isinstance(rule, ReEnterAfter):
            return (f"the last {what} was at {when(last)}" if last else ""), change
        again = last + dt.timedelta(seconds=rule.after)
        told = f"the last {what} was at {when(last)}, and {format_duration(rule.after)} must pass"
        return told, f"A new occurrence from {when(again)} on can enter. {change}"

    def _last_time(self, until: dt.datetime) -> tuple[dt.datetime | None, str]:
        """When the campaign last reached the person before the tick at `until`: by entry in a journey, else by send."""
        if self.campaign.is_journey:
            entries = (row["recorded_at"] for row in self.entries if row["recorded_at"] <= until)
            return max(entries, default=None), "entry"
        sends = [
            row["queued_at"] for row in self.history.standing(until) if row["campaign"] == self.campaign.campaign
        ] + [row["decided_at"] for row in self.decisions if row["outcome"] == "withhold" and row["decided_at"] < until]
        return max(sends, default=None), "send"

    def _full_caps(self, row: Row) -> tuple[str, ...]:
        """Caps that would have refused the first step as well: both reasons are worth knowing (semantics.md, 3.12)."""
        reach = {found.channel: found for found in self.person.profile.reach}
        channels = (reach[name] for name in self.campaign.steps[0].channels if name in reach)
        channel = next((found.channel for found in channels if found.has_address and found.has_consent), None)
        if channel is None or self.campaign.class_ == "transactional":
            return ()
        candidate = Candidate(self.campaign, channel, row["decided_at"], row["entry_id"])
        caps = self.person.project.policy.frequency_caps
        counts = self.history.count(caps, candidate, row["decided_at"], self.person.cap_zone)
        return tuple(f"{count.name} would have been full as well: {count.text}" for count in counts if count.is_full)

    # -- never asked ----------------------------------------------------------------------------------------------

    def absence(self) -> Absence:
        """Why nothing (more) has come through the door, from the models as they are now."""
        if self.scanned is None:
            return _absence("no_tick")
        return self._no_segment_change() if self.campaign.enter.segment else self._no_occurrence()

    def _no_occurrence(self) -> Absence:
        seen = self.person.rows(self.model, self.campaign.enter.where)
        if not seen:
            return _absence("no_occurrence")
        known = {row["entry_id"] for row in (*self.entries, *self.decisions)}
        fresh = [row for row in seen if row.id is None or self._entry_id(row) not in known]
        if not fresh:
            return _absence("nothing_new")
        looked = tuple(self._look(row) for row in fresh)
        return _absence(looked[0].why, looked)

    def _look(self, row: Seen) -> Occurrence:
        why = self._why_not(row)
        figures = {
            "before_launch": lambda: f"launched at {when(self._scan('launch'))}",
            "before_since": lambda: f"since {when(self.campaign.enter.since or self.as_of)}",
            "before_active": lambda: f"active from {when(self.campaign.active.from_ or self.as_of)}",
            "after_active": lambda: f"active until {when(self.campaign.active.until or self.as_of)}",
            "where_false": lambda: f"where: {self.campaign.enter.where}",
            "in_future": lambda: f"the last tick was at {when(self.as_of)}",
            "not_loaded": lambda: f"loaded at {when(row.loaded or self.as_of)}, last tick at {when(self.as_of)}",
            "behind_scan": lambda: f"loaded at {when(row.loaded or self.as_of)}",
        }
        told = f"{ABSENCES[why].meaning}" + (f" ({figures[why]()})" if why in figures else "")
        values = row.values if why == "where_false" else {}
        return Occurrence(row.id, row.time, row.loaded, why, told, values)

    def _why_not(self, row: Seen) -> str:
        since, life = self.campaign.enter.since, self.campaign.active
        if row.id is None:
            return "missing_id"
        if row.time is None:
            return "missing_time"
        tests: Iterable[tuple[str, bool]] = (
            ("before_since", since is not None and row.time < since),
            ("before_launch", since is None and row.time < self._scan("launch")),
            ("before_active", life.from_ is not None and row.time < life.from_),
            ("after_active", life.until is not None and row.time >= life.until),
            ("where_false", not row.passes),
            ("in_future", row.time > self.as_of),
            ("not_loaded", row.loaded is not None and row.loaded > self.as_of),
            ("behind_scan", max(row.time, row.loaded or row.time) <= self._read_from()),
        )
        return next((why for why, holds in tests if holds), "awaiting_tick")

    def _scan(self, name: str) -> dt.datetime:
        instant: dt.datetime = (self.scanned or {})[name]
        return instant

    def _read_from(self) -> dt.datetime:
        return self._scan("cursor") - dt.timedelta(seconds=self.person.project.policy.scan.overlap)

    # -- segments -------------------------------------------------------------------------------------------------

    def _no_segment_change(self) -> Absence:
        enter = self.campaign.enter
        changes = self.person.state.rows(
            MEMBERSHIPS, order=("changed_at",), segment=enter.segment, user_id=self.person.user_id
        )
        member = self.person.is_member(enter.segment or "")
        last = changes[-1]["change"] if changes else None
        if enter.on == "exit":
            return self._not_left(changes, member, last)
        if member and last != "enter":
            return _absence("awaiting_tick")
        if not member:
            return _absence("not_member")
        return self._stayed_out(changes[-1]["changed_at"])

    def _not_left(self, changes: Sequence[Row], member: bool | None, last: str | None) -> Absence:
        if not changes:
            return _absence("never_left" if member else "never_member")
        if last == "enter":
            return _absence("never_left" if member else "awaiting_tick")
        return self._stayed_out(changes[-1]["changed_at"])

    def _stayed_out(self, changed_at: dt.datetime) -> Absence:
        """The person's last change is of the right kind, and yet no entry came of it."""
        enter, life = self.campaign.enter, self.campaign.active
        rows = self.person.rows(self.model, enter.where, 1) if enter.where else []
        tests: Iterable[tuple[str, bool]] = (
            ("before_since", enter.since is not None and changed_at < enter.since),
            ("member_at_launch", enter.since is None and changed_at <= self._scan("launch")),
            ("before_active", life.from_ is not None and changed_at < life.from_),
            ("after_active", life.until is not None and changed_at >= life.until),
            ("where_false", bool(rows) and not any(row.passes for row in rows)),
        )
        why = next((why for why, holds in tests if holds), "nothing_new")
        text = f"{ABSENCES[why].meaning} (the change was seen at {when(changed_at)})"
        values = rows[0].values if why == "where_false" else {}
        return _absence(why, (Occurrence(None, changed_at, changed_at, why, text, values),))


def _absence(why: str, occurrences: tuple[Occurrence, ...] = ()) -> Absence:
    phrase = ABSENCES[why]
    return Absence(why, phrase.meaning, phrase.change, occurrences)
