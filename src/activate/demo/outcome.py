"""What the replay came to, read from the state tables and shown as a table per campaign."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlglot import exp

from activate.project import Project, Relation
from activate.warehouses.base import Warehouse

SHOWN_REASONS = 4
# The most telling stories first: a message that a cap, a closed window or an exception had a say in.
_TELLING = ("frequency_cap", "window_closed", "exception_event", "ready")


@dataclass
class CampaignOutcome:
    """One campaign's figures: people who entered, messages by what became of them, refusals by reason."""

    campaign: str
    entered: int = 0
    sent: int = 0
    accepted: int = 0
    deferred: int = 0
    withheld: int = 0
    suppressed: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class DemoResult:
    """What the demo did. `phases` are seconds by name; `example` is (person, campaign) worth an `explain`."""

    project_dir: Path
    start: dt.datetime
    end: dt.datetime
    people: int
    rows: int
    ticks: int
    every_hours: int
    campaigns: tuple[CampaignOutcome, ...]
    phases: dict[str, float]
    example: tuple[str, str] | None

    @property
    def sent(self) -> int:
        """Messages queued, over all campaigns."""
        return sum(outcome.sent for outcome in self.campaigns)


def read_outcome(warehouse: Warehouse, project: Project) -> tuple[CampaignOutcome, ...]:
    """Each campaign's figures, in the order of its name."""
    schema = project.policy.state.schema_
    found = {campaign.campaign: CampaignOutcome(campaign.campaign) for campaign in project.campaigns}
    for (campaign,), count in _counted(warehouse, Relation(schema, "entries"), "campaign"):
        found[campaign].entered = count
    decisions = Relation(schema, "decisions")
    for (campaign, outcome, reason), count in _counted(warehouse, decisions, "campaign", "outcome", "reason"):
        into = found[campaign]
        if outcome == "send":
            into.sent += count
        elif outcome == "defer":
            into.deferred += count
        elif outcome == "withhold":
            into.withheld += count
        else:
            into.suppressed[reason] += count
    for campaign, count in _accepted(warehouse, schema):
        found[campaign].accepted = count
    return tuple(found[name] for name in sorted(found))


def find_example(warehouse: Warehouse, project: Project) -> tuple[str, str] | None:
    """A person and a campaign whose story shows more than one rule."""
    decisions = Relation(project.policy.state.schema_, "decisions").table()
    for reason in _TELLING:
        query = (
            exp.select("user_id", "campaign")
            .from_(decisions)
            .where(exp.column("reason").eq(reason), exp.column("step").neq(0))
            .group_by("user_id", "campaign")
            .order_by(exp.Count(this=exp.Star()).desc(), "user_id", "campaign")
            .limit(1)
        )
        rows = warehouse.query(query).to_pylist()
        if rows:
            return str(rows[0]["user_id"]), str(rows[0]["campaign"])
    return None


def _counted(warehouse: Warehouse, relation: Relation, *columns: str) -> list[tuple[tuple[str, ...], int]]:
    """Rows by the values of text columns."""
    query = (
        exp.select(*columns, exp.alias_(exp.Count(this=exp.Star()), "found")).from_(relation.table()).group_by(*columns)
    )
    rows = warehouse.query(query).to_pylist()
    return [(tuple(row[column] for column in columns), row["found"]) for row in rows]


def _accepted(warehouse: Warehouse, schema: str) -> list[tuple[str, int]]:
    query = (
        exp.select("m.campaign", exp.alias_(exp.Count(this=exp.Star()), "found"))
        .from_(Relation(schema, "messages").table("m"))
        .join(Relation(schema, "deliveries").table("d"), on="d.message_id = m.message_id AND d.status = 'accepted'")
        .group_by("m.campaign")
    )
    return [(row["campaign"], row["found"]) for row in warehouse.query(query).to_pylist()]


def show(console: Console, result: DemoResult) -> None:
    """Print the table per campaign, the timings and what to try next."""
    last = result.end - dt.timedelta(days=1)
    often = "hour" if result.every_hours == 1 else f"{result.every_hours} hours"
    title = f"{result.ticks} ticks, one every {often}, from {result.start:%A %d %B} to {last:%A %d %B %Y}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("campaign", no_wrap=True, min_width=15)
    for name in ("entered", "sent", "deferred", "withheld"):
        table.add_column(name, justify="right", no_wrap=True, min_width=len(name))
    table.add_column("suppressed, by reason", no_wrap=True)
    for outcome in result.campaigns:
        figures = (outcome.entered, outcome.sent, outcome.deferred, outcome.withheld)
        table.add_row(outcome.campaign, *(f"{figure:,}" if figure else "-" for figure in figures), _reasons(outcome))
    console.print(table)
    for line in _lines(result):
        console.print(line, soft_wrap=True)


def _reasons(outcome: CampaignOutcome) -> str:
    lines = [f"{count:>4,} {reason}" for reason, count in outcome.suppressed.most_common(SHOWN_REASONS)]
    rest = outcome.suppressed.total() - sum(count for _, count in outcome.suppressed.most_common(SHOWN_REASONS))
    return "\n".join([*lines, f"{rest:>4,} other"] if rest else lines)


def _lines(result: DemoResult) -> list[Text]:
    accepted = sum(outcome.accepted for outcome in result.campaigns)
    phases = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in result.phases.items())
    lines = [
        f"{result.people:,} people, {result.rows:,} raw rows, {result.sent:,} messages, "
        f"{accepted:,} taken by the provider",
        f"{phases}: {sum(result.phases.values()):.0f} s in all",
        "",
        f"In {result.project_dir}, the messages are in outbox/, the models and the state in the warehouse. Try next:",
    ]
    commands = ["dbt-activate status"]
    if result.example:
        person, campaign = result.example
        commands.insert(0, f"dbt-activate explain {person} --campaign {campaign}")
    return [*(Text(line) for line in lines), *(Text(f"  {command}", style="bold") for command in commands)]
