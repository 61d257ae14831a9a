"""Prints what a tick decided (or would decide), campaign by campaign."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from rich import box
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from activate.decision import Count, Tick
from activate.report.console import OUTCOMES, STYLES, note
from activate.report.text import number, plural, when


def show_tick(console: Console, tick: Tick, planned: bool) -> None:
    """Print a tick's counts by campaign, outcome, gate and reason, then the totals and what to do next."""
    what = "would decide" if planned else "decided"
    if not tick.counts and not tick.entered:
        console.print(f"The tick of {when(tick.now)} {what} nothing: nobody was due, nobody new had come.")
        _launched(console, tick)
        _invalid(console, tick)
        return
    console.print(Text(f"What the tick of {when(tick.now)} {what}", style="bold"))
    table = _table()
    for campaign in sorted({count.campaign for count in tick.counts} | set(tick.entered)):
        _campaign(table, tick, campaign)
    _totals(table, tick)
    console.print(table)
    console.print()
    _samples(console, tick)
    _guards(console, tick, planned)
    _launched(console, tick)
    _invalid(console, tick)
    note(console, _next(tick, planned))


def show_sql(console: Console, statements: Iterable[tuple[str, str]], dialect: str) -> None:
    """Print each statement under its name; highlighted on a terminal, plain and unwrapped elsewhere."""
    for name, sql in statements:
        console.print(Text(f"-- {name}", style="bold"), soft_wrap=True)
        if console.is_terminal:
            console.print(Syntax(f"{sql};", "postgresql" if dialect == "postgres" else "sql", word_wrap=True))
        else:
            console.print(Text(f"{sql};"), soft_wrap=True)
        console.print()


def _table() -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="dim", padding=(0, 1, 0, 0))
    table.add_column("campaign", overflow="fold")
    table.add_column("gate", no_wrap=True)
    table.add_column("reason", no_wrap=True)
    table.add_column("people", justify="right", no_wrap=True)
    table.add_column("channels", no_wrap=True)
    return table


def _campaign(table: Table, tick: Tick, campaign: str) -> None:
    grouped: dict[tuple[str, str, str], list[Count]] = defaultdict(list)
    for count in tick.counts:
        if count.campaign == campaign:
            grouped[count.outcome, count.gate, count.reason].append(count)
    entered = tick.entered.get(campaign, 0)
    came = (Text("entered", style="dim"), number(entered)) if entered else ("", "")
    table.add_row(Text(campaign, style="bold"), "", *came)
    for (outcome, gate, reason), counts in sorted(grouped.items(), key=lambda item: _order(*item[0])):
        people = sum(count.people for count in counts)
        style = STYLES[outcome]
        figure = Text(number(people), style=style)
        table.add_row(Text(f"  {outcome}", style=style), Text(gate), Text(reason), figure, _channels(counts))
    table.add_section()


def _order(outcome: str, gate: str, reason: str) -> tuple[int, str, str]:
    return OUTCOMES.index(outcome), gate, reason


def _channels(counts: Iterable[Count]) -> Text:
    by_channel = sorted((count.channel, count.people) for count in counts if count.channel)
    return Text("\n".join(f"{name} {number(people)}" for name, people in by_channel), style="dim")


def _totals(table: Table, tick: Tick) -> None:
    table.add_row(Text("all campaigns", style="bold"), "", Text("decisions", style="dim"), number(tick.candidates))
    for outcome in OUTCOMES:
        if people := tick.total(outcome):
            style = STYLES[outcome]
            table.add_row(Text(f"  {outcome}", style=style), "", "", Text(number(people), style=style))


def _samples(console: Console, tick: Tick) -> None:
    if not tick.samples:
        return
    console.print(Text("People to look at (dbt-activate explain PERSON)", style="bold"))
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for (campaign, outcome, reason), people in sorted(tick.samples.items()):
        label = reason if outcome == "suppress" else f"{outcome}: {reason}"
        table.add_row(Text(f"  {campaign}"), Text(label, style=STYLES[outcome]), Text(", ".join(people)))
    console.print(table)
    console.print()


def _guards(console: Console, tick: Tick, planned: bool) -> None:
    # The counts are what is new: how many there are altogether, only the state can tell.
    when_to_ask = "after the run, dbt-activate status tells" if planned else "dbt-activate status tells"
    for campaign in sorted({count.campaign for count in tick.counts if count.gate == "guard"}):
        told = f"! {campaign}: more messages than its guard allows, so none of them goes out"
        console.print(Text(f"{told}; {when_to_ask} how to let them pass.", style="yellow"))


def _launched(console: Console, tick: Tick) -> None:
    if tick.launched:
        note(
            console,
            f"This tick launches {', '.join(sorted(tick.launched))}: what happened before it brings nobody in, "
            "unless the campaign says `enter.since`.",
        )


def _invalid(console: Console, tick: Tick) -> None:
    for model, rows in sorted(tick.invalid.items()):
        console.print(Text(f"! {model}: {plural(rows, 'row')} that nobody can be messaged by", style="yellow"))
    if tick.invalid:
        note(console, "They have no person, no id or no time, or the person has several profiles. dbt tests find them.")


def _next(tick: Tick, planned: bool) -> str:
    if planned:
        return "Nothing was written and nothing was sent. `dbt-activate run` does both."
    if not tick.committed:
        return "Nothing was new: this instant had been decided before."
    if tick.total("send"):
        return f"{plural(tick.total('send'), 'message')} queued in {tick.seconds:.1f} s."
    return f"Decided in {tick.seconds:.1f} s."
