"""Prints the figures of the replays below the test results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One column for each replay. The figures travel as properties of a test, so that they survive parallel workers."""
    replays: dict[str, dict[str, Any]] = {}
    held: dict[str, int] = {}
    for report in terminalreporter.stats.get("passed", ()):
        if "::test_claim_holds[" in report.nodeid:
            replay = report.nodeid.rsplit("::", 1)[0]
            held[replay] = held.get(replay, 0) + 1
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            for name, value in getattr(report, "user_properties", ()):
                if name == "real_input":
                    found = json.loads(value)
                    claims = held.get(report.nodeid.rsplit("::", 1)[0], 0)
                    replays[found["replay"]] = {**found["figures"], "claims that held": claims}
    if not replays:
        return
    terminalreporter.write_sep("=", "real input")
    for line in markdown(replays):
        terminalreporter.write_line(line)


def markdown(replays: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The lines of a table with a column for each replay, as docs/real-input.md shows it."""
    rows = list(dict.fromkeys(row for figures in replays.values() for row in figures))
    cells = [["", *replays], *([row, *(_cell(figures.get(row)) for figures in replays.values())] for row in rows)]
    widths = [max(len(line[place]) for line in cells) for place in range(len(replays) + 1)]
    lines = [
        f"| {line[0]:<{widths[0]}} | "
        + " | ".join(f"{cell:>{width}}" for cell, width in zip(line[1:], widths[1:], strict=True))
        + " |"
        for line in cells
    ]
    rule = "|" + "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]) + "|"
    return [lines[0], rule, *lines[1:]]


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int | float) else str(value)
