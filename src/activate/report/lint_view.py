"""Prints the mistakes in the rules, file by file."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from activate.errors import Mistake
from activate.report.text import plural

_STYLES = {"error": "red", "warning": "yellow"}


def show_mistakes(console: Console, mistakes: Sequence[Mistake]) -> None:
    """Print every mistake with its place, and the totals. `file:line` is kept in one piece, for editors to click on.

    A terminal gets the message below its place, over the whole width; a pipe or a log one line per mistake, to search.
    """
    for file, found in groupby(sorted(mistakes), key=lambda mistake: mistake.file):
        for mistake in found:
            if not console.is_terminal:
                console.print(Text(str(mistake)), soft_wrap=True)
                continue
            place = f"{file}:{mistake.line}" if mistake.line else file
            console.print(Text.assemble((place, "bold"), " ", (mistake.severity, _STYLES[mistake.severity])))
            console.print(Padding(Text(mistake.message), (0, 0, 0, 4)))
        console.print()
    errors = sum(mistake.severity == "error" for mistake in mistakes)
    if not mistakes:
        console.print(Text("The rules are in order.", style="green"))
    else:
        console.print(f"{plural(errors, 'error')}, {plural(len(mistakes) - errors, 'warning')}.")
