"""Prints the figures of the replays below the test results."""

from __future__ import annotations

import json
from typing import Any


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One column for each replay. The figures travel as properties of a test, so that they survive parallel workers."""
    replays: dict[str, dict[str, Any]] = {}
    held: dict[str, int] = {}
    for report in terminalreporter.stats.get("passed", ()):
        if "::test_claim_holds[" in report.nodeid:
            held[report.nodeid.split("::")[0]] = held.get(report.nodeid.split("::")[0], 0) + 1
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            for name, value in getattr(report, "user_properties", ()):
                if name == "real_input":
                    found = json.loads(value)
                    claims = held.get(report.nodeid.split("::")[0], 0)
                    replays[found["replay"]] = {**found["figures"], "claims that held": claims}
    if not replays:
        return
    rows = list(dict.fromkeys(row for figures in replays.values() for row in figures))
    terminalreporter.write_sep("=", "real input")
    width = max(map(len, rows))
    columns = {name: max(len(name), 16) for name in replays}
    terminalreporter.write_line(" " * width + "".join(f"  {name:>{columns[name]}}" for name in replays))
    for row in rows:
        cells = (_cell(figures.get(row)).rjust(columns[name]) for name, figures in replays.items())
        terminalreporter.write_line(f"{row:<{width}}  " + "  ".join(cells))


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int | float) else str(value)
