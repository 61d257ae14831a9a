"""Prints what an ingestion did."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from activate.message import IngestReport
from activate.report.console import figure, make_table


def show_ingested(console: Console, report: IngestReport) -> None:
    """Print the figures; what was ignored, rejected or refused stands below the table, each with its reason."""
    columns = [
        ("from", "left"),
        ("events", "right"),
        ("known before", "right"),
        ("suppressions", "right"),
        ("took", "right"),
    ]
    table = make_table("What was ingested", columns)
    figures = [figure(report.events, "green"), figure(report.duplicates), figure(report.suppressions)]
    table.add_row(Text(report.source), *figures, Text(f"{report.seconds:,.1f} s"))
    console.print(table)
    for what, count in report.counts.items():
        style = "" if what.startswith("ignored") else "yellow"
        console.print(Text(f"{count:,} {what}", style=style))
    if report.rejected_to:
        console.print(Text(f"What could not be used is in {report.rejected_to}"))
