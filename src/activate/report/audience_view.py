"""Prints what syncs of audiences would do or did: one table, then what is withheld, odd, or to be done next."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from activate.audience_plan import AudiencePlan, AudienceReport
from activate.report.console import figure, make_table, note
from activate.report.text import number, plural, span

_KINDS = (("added", "green"), ("updated", ""), ("removed", "red"), ("suppressed", "red"))
REASONS = {
    "null_key": "no key", "duplicate_key": "in the segment twice", "no_identifier": "no identifier",
    "bad_email": "not an e-mail address", "bad_phone": "not a phone number with its country",
    "duplicate_identifier": "another person has the same identifier", "excluded": "on an exclusion list",
    "no_consent": "no consent or no address", "control_group": "control group", "other_arm": "another arm of the split",
    "other_audience": "in an audience of higher priority",
}  # fmt: skip


_UNDONE = {"add": "put back", "remove": "taken out again", "kept": "updated"}


def in_words(reason: str) -> str:
    """Why a row cannot be sent or a person is left out; `bad_date: born` names the field that cannot be cast."""
    kind, _, field = reason.partition(": ")
    if field:
        return f"{field} cannot be cast to {kind.removeprefix('bad_')}"
    return REASONS.get(reason, reason)


def show_plans(console: Console, plans: Sequence[AudiencePlan], *, as_next: bool = True) -> None:
    """Print plans: people by kind with their share, what is withheld and why, samples, requests and minutes."""
    if not plans:
        return
    columns = [("audience", "left"), ("change", "left"), ("people", "right"), ("of those held", "right"), ("", "left")]
    table = make_table("What a sync of the audiences would send", columns)
    for plan in plans:
        _plan(table, plan)
        table.add_section()
    console.print(table)
    console.print()
    _samples(console, plans)
    for plan in plans:
        _odd(console, plan)
    if as_next:
        note(console, "Nothing was sent. `dbt-activate sync` sends; what is withheld waits for its release.")


def _plan(table: Table, plan: AudiencePlan) -> None:
    found = plan.figures
    table.add_row(
        Text.assemble((plan.audience, "bold"), (f" → {plan.destination}", "dim")), "held", figure(found.held), "", ""
    )
    for kind, style in _KINDS:
        people = getattr(found, kind)
        if people:
            share = f"{people / found.held:.1%}" if found.held else ""
            is_withheld = plan.is_withheld(kind)
            colour = "yellow" if is_withheld else style
            table.add_row(
                "",
                Text(f"  {kind}", style=colour),
                Text(number(people), style=colour),
                share,
                "withheld" if is_withheld else "",
            )
    quiet = {
        "unchanged": found.unchanged, "remapped": found.remapped, "dead letters": found.refused,
        "invalid": sum(found.invalid.values()), "left out": sum(found.left_out.values()),
    }  # fmt: skip
    for name, people in quiet.items():
        if people:
            told = "withheld" if plan.is_withheld(name) else ""
            table.add_row("", Text(f"  {name}", style="dim"), Text(number(people), style="dim"), "", told)
    if plan.baselined:
        table.add_row("", "  acknowledged", figure(plan.baselined), "", "without being sent")
    if plan.requests:
        took = f"about {span(dt.timedelta(seconds=round(plan.seconds)))}" if plan.seconds and plan.seconds >= 1 else ""
        table.add_row("", Text("  requests", style="dim"), figure(plan.requests), "", took)


def show_reports(console: Console, reports: Sequence[AudienceReport]) -> None:
    """Print what syncs did, and what of it needs a look."""
    if not reports:
        return
    statuses = [
        name
        for name in ("accepted", "rejected", "failed", "unknown", "aborted")
        if any(name in report.outcomes for report in reports)
    ]
    table = make_table(
        "Audiences", [("audience", "left"), *((name, "right") for name in statuses or ["accepted"]), ("what", "left")]
    )
    styles = {"accepted": "green", "rejected": "yellow", "failed": "yellow", "unknown": "red", "aborted": "red"}
    for report in reports:
        cells = [figure(report.outcomes.get(name), styles[name]) for name in statuses or ["accepted"]]
        table.add_row(Text.assemble(report.audience, ("\n→ " + report.destination, "dim")), *cells, _what(report))
    console.print(table)
    console.print()
    for report in reports:
        if report.plan is not None:
            _odd(console, report.plan)
        for code, count in sorted(report.codes.items()):
            console.print(Text(f"! {report.audience}: {plural(count, 'row')}: {code}", style="yellow"))
        if report.stopped:
            console.print(
                Text(f"{report.audience}: {report.stopped}; what is left is sent by the next sync", style="yellow")
            )
        if report.error:
            console.print(Text(f"! {report.audience}: {report.error}", style="red"))


def show_undo(
    console: Console,
    audience: str,
    run_id: str,
    figures: Mapping[str, int],
    samples: Mapping[str, list[str]],
    *,
    done: bool,
) -> None:
    """Print the inverse of a run."""
    console.print(Text(f"The inverse of {run_id}", style="bold"))
    console.print(
        f"  {plural(figures['removals'], 'member')} {'' if done else 'to be '}taken out again, "
        f"{number(figures['additions'])} {'' if done else 'to be '}put back."
    )
    if figures["updates"]:
        told = "left as they are" if done else "that cannot be undone"
        console.print(f"  {plural(figures['updates'], 'update')} {told}: old values are kept nowhere.")
    for verdict, people in sorted(samples.items()):
        console.print(Text(f"  {_UNDONE[verdict]}: {', '.join(people)}", style="dim"))
    if not (figures["removals"] or figures["additions"]):
        note(console, "There is nothing to undo.")
    elif done:
        note(console, f"The audience is on hold until `dbt-activate approve audience:{audience} --resume`.")
    else:
        words = "--apply --without-updates" if figures["updates"] else "--apply"
        note(console, f"Nothing was sent. Add {words} to send it; the audience is then on hold until it is resumed.")


def _what(report: AudienceReport) -> Text:
    plan = report.plan
    if plan is None:
        return Text("stopped", style="red") if report.error else Text("undone")
    found = plan.figures
    parts = [
        f"{number(getattr(found, kind))} {kind}"
        for kind, _ in _KINDS
        if getattr(found, kind) and not plan.is_withheld(kind)
    ]
    if plan.baselined:
        parts.append(f"{number(plan.baselined)} taken for acknowledged")
    parts += [f"{number(part.people)} {part.kind} withheld" for part in plan.withheld]
    return Text(", ".join(parts) or "nothing new", style="" if parts else "dim")


def _samples(console: Console, plans: Sequence[AudiencePlan]) -> None:
    if not any(plan.samples for plan in plans):
        return
    console.print(Text("People to look at", style="bold"))
    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(3):
        table.add_column(overflow="fold")
    for plan in plans:
        for verdict, people in plan.samples.items():
            table.add_row(Text(f"  {plan.audience}"), Text(verdict), Text(", ".join(people)))
    console.print(table)
    console.print()


def _odd(console: Console, plan: AudiencePlan) -> None:
    found = plan.figures
    for part in plan.withheld:
        console.print(
            Text(f"! {plan.audience}: {number(part.people)} {part.kind} withheld: {part.reason}", style="yellow")
        )
        note(console, f"  to release: {part.release}")
    for reason, count in found.invalid.items():
        console.print(
            Text(
                f"! {plan.audience}: {plural(count, 'row')} cannot be sent: {in_words(reason)}",
                style="yellow",
            )
        )
    for reason, count in found.left_out.items():
        note(console, f"{plan.audience}: {plural(count, 'person', 'people')} left out: {in_words(reason)}")
    if found.refused:
        console.print(
            Text(
                f"! {plan.audience}: {plural(found.refused, 'dead letter')}, not sent again until the row changes",
                style="yellow",
            )
        )
        note(console, f"  to try again: dbt-activate retry --audience {plan.audience}")
    if plan.error:
        console.print(Text(f"! {plan.audience}: {plan.error}", style="red"))
