"""Prints what deliveries did, provider by provider."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from activate.message import ProviderReport
from activate.report.console import figure, make_table

_STATUSES = ("accepted", "rejected", "failed", "aborted", "expired", "unknown")
STYLES = {"accepted": "green", "unknown": "red", "failed": "yellow", "rejected": "yellow"}


def show_delivery(console: Console, reports: Sequence[ProviderReport]) -> None:
    """Print the outcomes by provider; a provider's trouble stands below the table, in full."""
    busy = [report for report in reports if report.counts or report.left or report.error]
    if not busy:
        console.print("Nothing was to be delivered.")
        return
    statuses = [name for name in _STATUSES if any(report.counts.get(name) for report in busy)]
    columns = [("provider", "left"), *((name, "right") for name in statuses), ("left", "right"), ("took", "right")]
    table = make_table("What was delivered", columns)
    for report in busy:
        told = [figure(report.counts.get(name), STYLES.get(name, "")) for name in statuses]
        table.add_row(Text(report.provider), *told, figure(report.left, "yellow"), Text(f"{report.seconds:,.1f} s"))
    console.print(table)
    console.print()
    for report in busy:
        if report.error:
            console.print(Text(f"! {report.provider}: {report.error}", style="yellow"))
        if report.stopped and report.left:
            console.print(Text(f"! {report.provider}: {report.stopped}; {report.left:,} messages wait", style="yellow"))
