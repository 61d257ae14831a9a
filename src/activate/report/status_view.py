"""Prints how the project stands: what needs a look comes last, next to the prompt."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from activate.report import audience_status
from activate.report.console import STYLES, figure, make_table, note
from activate.report.status import OpenLine, OutboxLine, RunLine, Status
from activate.report.text import number, plural, short, span, when

_LATE = 3600.0
_CLAIMED = "claimed without an outcome. A delivery is running, or was killed; the next delivery settles it."
_UNKNOWN = (
    "may or may not have been taken. Ask the provider by message id; delivery.resend_unknown says what Activate does."
)
_STATUSES = ("accepted", "rejected", "failed", "aborted", "expired", "unknown")


def show_status(console: Console, found: Status) -> None:
    """Print the tables that have rows, then what needs a look."""
    if found.last_tick is None:
        console.print("No tick has been recorded yet.")
        note(console, "dbt-activate plan shows what the first one would do; dbt-activate run does it.")
        if not any(line.synced_at for line in found.audiences):
            return
    _runs(console, found)
    _open(console, found)
    _outbox(console, found)
    _delivered(console, found)
    _audiences(console, found)
    for line in needs_a_look(found):
        console.print(Text(f"! {line}", style="yellow"))


def needs_a_look(found: Status) -> list[str]:
    """What an operator should know: a late tick, held back campaigns, claims without an outcome, unknown messages."""
    lines = []
    if found.late_seconds is not None and found.late_seconds > _LATE and found.last_tick:
        ago = span(found.now - found.last_tick)
        lines.append(f"The last tick that had anything to record was {ago} ago, at {when(found.last_tick)}.")
    lines += [_guarded(line) for line in found.open if line.guarded]
    for line in found.outbox:
        if line.claimed:
            lines.append(f"{line.provider}: {plural(line.claimed, 'message')} {_CLAIMED}")
        if line.unknown:
            lines.append(f"{line.provider}: {plural(line.unknown, 'message')} {_UNKNOWN}")
    return lines + [told for audience in found.audiences for told in audience_status.needs_a_look(audience)]


def _guarded(line: OpenLine) -> str:
    allowed = "it has no guard any more, so the next tick asks again without it"
    if isinstance(line.guard, int):
        allowed = f"it may send {number(line.guard)} in a tick"
    elif line.guard is not None:
        allowed = f"it may send to {line.guard} of the profiles in a tick"
    return (
        f"{line.campaign}: {plural(line.guarded, 'message')} held back by the campaign's guard; {allowed}. To let them pass "
        f"once: dbt-activate approve campaign:{line.campaign} --messages {line.guarded}"
    )


def _runs(console: Console, found: Status) -> None:
    table = make_table("Last runs", [("now", "left"), ("kind", "left"), ("took", "right"), ("what", "left")])
    for run in found.runs:
        table.add_row(Text(short(run.now)), Text(run.kind), Text(f"{run.seconds:,.1f} s"), _what(run))
    console.print(table)
    console.print()


def _what(run: RunLine) -> Text:
    parts = [(f"{run.entered:,} entered", "")] if run.entered else []
    parts += [(f"{people:,} {name}", STYLES.get(name, "")) for name, people in run.figures.items()]
    told = Text()
    for text, style in parts:
        told.append(f"{', ' if told else ''}{text}", style=style)
    return told or Text("nothing", style="dim")


def _open(console: Console, found: Status) -> None:
    if not found.open:
        return
    columns = [("campaign", "left"), ("waiting", "right"), ("held back", "right"), ("next try", "left")]
    table = make_table("Open entries", columns)
    for line in found.open:
        again = Text(short(line.next_retry_at)) if line.next_retry_at else Text("")
        table.add_row(Text(line.campaign), figure(line.waiting), figure(line.deferred, "yellow"), again)
    console.print(table)
    console.print()


def _outbox(console: Console, found: Status) -> None:
    if not found.outbox:
        note(console, "The outbox is empty: every message has its outcome.")
        return
    columns = [
        ("provider", "left"), ("queued", "right"), ("claimed", "right"), ("to retry", "right"), ("unknown", "right"),
        ("oldest", "left"),
    ]  # fmt: skip
    table = make_table("Outbox", columns)
    for line in found.outbox:
        table.add_row(Text(line.provider), *_figures(line), Text(short(line.oldest) if line.oldest else ""))
    console.print(table)
    console.print()


def _figures(line: OutboxLine) -> list[Text]:
    odd = ((line.queued, ""), (line.claimed, "yellow"), (line.to_retry, "yellow"), (line.unknown, "red"))
    return [figure(value, style) for value, style in odd]


def _delivered(console: Console, found: Status) -> None:
    if not found.delivered:
        return
    statuses = [name for name in _STATUSES if any(name in line.figures for line in found.delivered)]
    columns = [("provider", "left"), *((name, "right") for name in statuses)]
    table = make_table("Delivered in the last 24 hours", columns)
    for line in found.delivered:
        styles = {"accepted": "green", "unknown": "red", "failed": "yellow", "rejected": "yellow"}
        told = [figure(line.figures.get(name), styles.get(name, "")) for name in statuses]
        table.add_row(Text(line.provider), *told)
    console.print(table)
    console.print()


def _audiences(console: Console, found: Status) -> None:
    if not found.audiences:
        return
    trouble = {
        "withheld": [sum(people for _, people, _, _ in line.withheld) for line in found.audiences],
        "dead letters": [line.refused for line in found.audiences],
        "to send again": [line.open for line in found.audiences],
    }
    shown = {
        name: figures for name, figures in trouble.items() if any(figures)
    }  # else names have no room on 80 columns
    columns = [("audience", "left"), ("last sync", "left"), ("status", "left"), ("wanted", "right")]
    table = make_table("Audiences", [*columns, *((name, "right") for name in shown)])
    table.columns[1].no_wrap = True
    styles = {"synced": "green", "partial": "yellow", "stopped": "red"}
    for place, line in enumerate(found.audiences):
        table.add_row(
            Text.assemble(line.audience, ("\n→ " + line.destination, "dim")), Text(short(line.synced_at) if line.synced_at else ""),
            Text(line.status, style=styles.get(line.status, "dim")), figure(line.wanted),
            *(figure(figures[place], "yellow") for figures in shown.values()),
        )  # fmt: skip
    console.print(table)
    console.print()
