"""How everything printed looks: one console, a few styles used sparingly, tables that fit into 80 columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from activate.report.text import number

OUTCOMES = ("send", "defer", "suppress", "withhold")
STYLES = {"send": "green", "defer": "yellow", "suppress": "", "withhold": "cyan"}


def make_console(file: IO[str], width: int | None = None) -> Console:
    """A console on `file`: coloured on a terminal (unless NO_COLOR is set), plain elsewhere."""
    return Console(file=file, width=width, highlight=False, soft_wrap=False, emoji=False, markup=False)


def make_table(title: str, columns: Sequence[tuple[str, str]]) -> Table:
    """A table with a title; `columns` are names with `left` or `right`. Numbers never wrap, words may."""
    table = Table(
        title=Text(title, style="bold") if title else None,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        padding=(0, 2, 0, 0),
        header_style="dim",
    )
    for name, side in columns:
        if side == "right":
            table.add_column(name, justify="right", no_wrap=True)
        else:
            table.add_column(name, justify="left", overflow="fold")
    return table


def figure(value: int | None, style: str = "") -> Text:
    """A count for a right-aligned column; zero and nothing are a quiet dot."""
    return Text(number(value), style=style) if value else Text("·", style="dim")


def note(console: Console, text: str, style: str = "dim") -> None:
    """A line below a table."""
    console.print(Text(text, style=style))
