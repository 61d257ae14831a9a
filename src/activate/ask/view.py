"""What the terminal shows of an answered request."""

from __future__ import annotations

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from activate.ask.answer import Answer
from activate.ask.files import ModelFile
from activate.report.console import figure, make_table, note
from activate.report.text import plural, short

_DONE = {"new": "written   ", "replaced": "replaced  ", "unchanged": "unchanged ", "kept": "kept      "}
_PLANNED = {"new": "to write  ", "replaced": "to replace"}


def show_answer(console: Console, answer: Answer, *, dry_run: bool) -> None:
    """Print how many people fit, line by line, and what became of the files; with `dry_run` their texts as well."""
    if dry_run:
        for file in answer.files:
            note(console, f"{file.path}:")
            console.print(Text(file.text), soft_wrap=True)
    _show_counts(console, answer)
    for warning in answer.warnings:
        console.print(Text(str(warning), style="yellow"), soft_wrap=True)
    for file in answer.files:
        _show_file(console, file, dry_run)
    if not answer.has_unit_test:
        note(console, "No unit test: nobody who fits could be made up for one.")
    if not dry_run:
        note(console, f"Next: dbt build --select {answer.request}, then a pull request with these files.")


def _show_counts(console: Console, answer: Answer) -> None:
    has_steps = any(line.so_far is not None for line in answer.lines)
    columns = [("line", "left"), ("people", "right"), *([("so far", "right")] if has_steps else [])]
    table = make_table(f"{answer.request}: who fits at {short(answer.now)} UTC", columns)
    for line in answer.lines:
        number = f"{line.line}. " if line.line else ""
        words = Padding(Text(number + line.text, style="" if line.line else "dim"), (0, 0, 0, 2 * line.depth))
        people = Text("") if line.people is None else figure(line.people)
        so_far = Text("") if line.so_far is None else figure(line.so_far)
        table.add_row(words, people, *([so_far] if has_steps else []))
    console.print(table)
    console.print()
    console.print(Text(f"{plural(answer.people, 'person', 'people')} of {answer.everybody:,} fit.", style="bold"))
    if not answer.people:
        note(console, "Nobody fits. Where a line has nobody, look at how the value is written in the warehouse.")


def _show_file(console: Console, file: ModelFile, dry_run: bool) -> None:
    done = _PLANNED.get(file.status, _DONE[file.status]) if dry_run else _DONE[file.status]
    reason = f" ({file.reason}; --force overwrites it)" if file.reason else ""
    console.print(Text(f"{done} {file.path}{reason}"), soft_wrap=True)
