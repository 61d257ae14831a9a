"""Prints the mistakes in the rules, file by file."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rich.console import Console
from rich.table import Table
from rich.text import Text

from activate.errors import Mistake
from activate.report.text import plural

_STYLES = {"error": "red", "warning": "yellow"}


def show_mistakes(console: Console, mistakes: Sequence[Mistake]) -> None:
    """Print every mistake with its place, and the totals. `file:line` is kept in one piece, for editors to click on."""
    for file, found in groupby(sorted(mistakes), key=lambda mistake: mistake.file):
        console.print(Text(file, style="bold"))
        table = Table.grid(padding=(0, 1))
        for column in ("place", "severity"):
            table.add_column(column, no_wrap=True)
        table.add_column("message", overflow="fold")
        for mistake in found:
            place = f"  {file}:{mistake.line}" if mistake.line else "  "
            table.add_row(place, Text(mistake.severity, style=_STYLES[mistake.severity]), Text(mistake.message))
        console.print(table)
        console.print()
    errors = sum(mistake.severity == "error" for mistake in mistakes)
    if not mistakes:
        console.print(Text("The rules are in order.", style="green"))
    else:
        console.print(f"{plural(errors, 'error')}, {plural(len(mistakes) - errors, 'warning')}.")
