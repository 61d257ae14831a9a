"""Prints one person's story so that it reads from top to bottom."""

from __future__ import annotations

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from activate.report.phrases import PHRASES
from activate.report.story import (
    Absence,
    CampaignStory,
    EntryStory,
    MessageStory,
    ProfileStory,
    Refusal,
    StepStory,
    Story,
    Verdict,
)
from activate.report.text import when

_MARKS = {"passed": ("✓", "green"), "decided": ("✗", "red"), "not_asked": ("·", "dim")}
_DECIDED = {"sent": ("→", "green"), "deferred": ("…", "yellow"), "withheld": ("✗", "cyan")}
_FATES = {"waiting": "yellow", "deferred": "yellow", "sent": "green", "suppressed": "red", "withheld": "cyan"}
_MORE = 5


def show_story(console: Console, story: Story) -> None:
    """Print a story; of long histories the newest few, and how many there are more."""
    console.print(Text(story.person, style="bold"))
    if not story.is_known:
        console.print(
            Text("No row of the models or the state tables has this key: nobody knows this person.", style="red")
        )
        return
    _profile(console, story.profile)
    tick = f"the last tick, {when(story.last_tick)}" if story.last_tick else "no tick has run yet"
    console.print(Text(f"As of {tick}.", style="dim"))
    for campaign in story.campaigns:
        console.print()
        _campaign(console, campaign)


def _profile(console: Console, profile: ProfileStory) -> None:
    if profile.rows != 1:
        said = "has no row" if profile.rows == 0 else f"has {profile.rows} rows"
        console.print(Text(f"The profiles model {said} for this key.", style="yellow"))
        return
    zone = profile.time_zone or "no time zone"
    if profile.time_zone and profile.zone_used is None:
        zone += " (not an IANA zone)"
    reach = [
        f"{found.channel}: {'reachable' if found.has_consent else 'no consent'}"
        if found.has_address
        else f"{found.channel}: no address"
        for found in profile.reach
    ]
    console.print(Text(" · ".join([zone, *reach])))


def _campaign(console: Console, story: CampaignStory) -> None:
    console.print(Text.assemble((story.campaign, "bold cyan"), "  ", (story.headline, "bold")))
    for entry in story.entries[:_MORE]:
        console.print(Padding(_Lines(_entry(entry)), (1, 0, 0, 2)))
    _more(console, len(story.entries), "older entries")
    for refusal in story.refusals[:_MORE]:
        console.print(Padding(_Lines(_refusal(refusal)), (1, 0, 0, 2)))
    _more(console, len(story.refusals), "older refusals")
    if story.absence and story.state != "never_entered":
        console.print(Padding(Text(f"Nothing new has entered: {story.absence.text}"), (1, 0, 0, 2)))
    if story.absence:
        console.print(Padding(_Lines(_absence(story.absence)), (0, 0, 0, 2)))


def _more(console: Console, found: int, what: str) -> None:
    if found > _MORE:
        console.print(Padding(Text(f"and {found - _MORE} {what} (--json lists all)", style="dim"), (0, 0, 0, 2)))


class _Lines(list["Text | Table | Padding"]):
    """Several renderables, one below the other."""

    def __rich_console__(self, console: Console, options: object) -> list[Text | Table | Padding]:
        return self


def _entry(entry: EntryStory) -> list[Text | Table | Padding]:
    lines: list[Text | Table | Padding] = [
        Text(f"Entered at {when(entry.entered_at)}: {entry.because} (seen by the tick of {when(entry.seen_at)})")
    ]
    marks = [f"variant {entry.variant}"] if entry.variant else []
    if entry.control_group:
        marks.append("in the global control group" if entry.control_group == "global" else "in the control group")
    marks.append("still open" if entry.is_open else "over")
    lines.append(Text(f"  {', '.join(marks)} · entry {entry.entry_id}", style="dim"))
    if entry.context:
        told = " · ".join(f"{name} {value}" for name, value in entry.context.items() if value is not None)
        lines.append(Padding(Text(told, style="dim"), (0, 0, 0, 2)))
    for step in entry.steps:
        lines += _step(step)
    lines += [Text(f"  {note}", style="yellow") for note in entry.notes]
    return lines


def _step(step: StepStory) -> list[Text | Table | Padding]:
    style = _FATES[step.fate]
    told: list[Text | Table | Padding] = [
        Text.assemble((f"Step {step.step} ", "bold"), (step.fate, style), f"  {step.text}")
    ]
    if len(step.answers) > 1:
        before = step.answers[:-1][-_MORE:]
        earlier = ", ".join(f"{PHRASES[row.reason].meaning} ({when(row.decided_at)})" for row in before)
        told.append(Text(f"before that: {earlier}", style="dim"))
    if step.verdicts:
        told.append(_gates(step))
    if step.message:
        told += _attempts(step.message)
    if step.change:
        told.append(_change(step.change))
    return [Padding(line, (0, 0, 0, 2)) for line in told]


def _gates(step: StepStory) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    asked = [verdict for verdict in step.verdicts if verdict.answer != "not_asked"]
    if step.due_at:
        table.add_row(Text("✓", style="green"), Text("wait"), Text(f"over at {when(step.due_at)}"))
    for verdict in asked:
        table.add_row(*_gate(step, verdict))
    rest = [verdict.gate for verdict in step.verdicts if verdict.answer == "not_asked"]
    if rest:
        table.add_row(Text("·", style="dim"), Text(""), Text(f"not asked: {', '.join(rest)}", style="dim"))
    return table


def _gate(step: StepStory, verdict: Verdict) -> tuple[Text, Text, Text]:
    mark, style = _MARKS[verdict.answer]
    if verdict.answer == "decided":
        mark, style = _DECIDED.get(step.fate, (mark, style))
    return Text(mark, style=style), Text(verdict.gate, style=style), Text(verdict.text.replace("; ", "\n"))


def _attempts(message: MessageStory) -> list[Text | Table | Padding]:
    expires = when(message.expires_at)
    head = f"message {message.message_id} by {message.channel} to {message.provider}, expires {expires}"
    lines: list[Text | Table | Padding] = [Text(head, style="dim")]
    for attempt in message.attempts[-_MORE:]:
        why = f": {attempt.error_code}" if attempt.error_code else ""
        why += f" ({attempt.error})" if attempt.error else ""
        told = f"  attempt {attempt.attempt} {attempt.status} at {when(attempt.recorded_at)}{why}"
        lines.append(Text(told, style="dim"))
    return lines


def _refusal(refusal: Refusal) -> list[Text | Table | Padding]:
    lines: list[Text | Table | Padding] = [
        Text.assemble(("Refused at the door ", "bold"), (refusal.reason, "red"), f"  at {when(refusal.decided_at)}"),
        Padding(Text(refusal.text), (0, 0, 0, 2)),
    ]
    lines += [Padding(Text(also, style="yellow"), (0, 0, 0, 2)) for also in refusal.also]
    return [*lines, Padding(_change(refusal.change), (0, 0, 0, 2))]


def _absence(absence: Absence) -> list[Text | Table | Padding]:
    lines: list[Text | Table | Padding] = []
    for occurrence in absence.occurrences:
        at = f" of {when(occurrence.time)}" if occurrence.time else ""
        lines.append(Text(f"{occurrence.occurrence_id or 'a row'}{at}: {occurrence.text}"))
        values = ", ".join(f"{name} is {value}" for name, value in occurrence.values.items())
        if values:
            lines.append(Text(f"  {values}", style="dim"))
    return [*lines, _change(absence.change)]


def _change(change: str) -> Text:
    return Text.assemble(("What would change it: ", "bold"), change)
