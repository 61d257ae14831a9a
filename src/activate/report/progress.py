"""Progress on stderr: a bar on a terminal, a line every few seconds elsewhere, nothing with --quiet."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

_EVERY_SECONDS = 5.0


class Reporter:
    """Is told how far things are; this one keeps silent. Safe to be told by several threads."""

    def step(self, done: int, total: int, name: str) -> None:
        """Statement `done` of `total`, called `name`, begins."""

    def provider(self, name: str, done: int, total: int) -> None:
        """`done` of a provider's `total` messages have been dealt with."""

    def audience(self, name: str, done: int, total: int) -> None:
        """`done` of an audience's `total` changes have been dealt with."""


class _Rates:
    """How fast tasks go, counted from when each was first told of."""

    def __init__(self) -> None:
        self._began: dict[str, tuple[float, int]] = {}

    def told(self, task: str, done: int, total: int, now: float) -> str:
        """The rate and, until the end, the time left, e.g. `1,200/s, 40 s left`; nothing while there is no telling."""
        began, before = self._began.setdefault(task, (now, done))
        if now - began < 1 or done <= before:
            return ""
        rate = (done - before) / (now - began)
        text = f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s"
        return text if done >= total else f"{text}, {_spoken((total - done) / rate)} left"


def _spoken(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_400 else f"{seconds / 3600:.1f} h"


class _Lines(Reporter):
    """Writes a plain line, but not more than one every few seconds for each task."""

    def __init__(self, stream: TextIO, monotonic: Callable[[], float] | None = None) -> None:
        self._stream = stream
        self._monotonic = monotonic or time.monotonic
        self._rates = _Rates()
        self._last: dict[str, float] = {}
        self._lock = threading.Lock()

    def step(self, done: int, total: int, name: str) -> None:
        self._line("deciding", done, total, name)

    def provider(self, name: str, done: int, total: int) -> None:
        self._line(f"delivering by {name}", done, total, "")

    def audience(self, name: str, done: int, total: int) -> None:
        self._line(f"syncing {name}", done, total, "")

    def _line(self, task: str, done: int, total: int, name: str) -> None:
        with self._lock:
            now = self._monotonic()
            rate = "" if name else self._rates.told(task, done, total, now)
            if done < total and now - self._last.setdefault(task, now) < _EVERY_SECONDS:
                return
            self._last[task] = now
            told = f" ({name or rate})" if rate or (name and done < total) else ""
            print(f"{task}: {done:,} of {total:,}{told}", file=self._stream, flush=True)


class _Bars(Reporter):
    """Moves bars on a terminal."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._rates = _Rates()
        self._tasks: dict[str, TaskID] = {}
        self._lock = threading.Lock()

    def step(self, done: int, total: int, name: str) -> None:
        self._move("deciding", done, total, "" if done == total else name)

    def provider(self, name: str, done: int, total: int) -> None:
        self._move(f"delivering by {name}", done, total, "")

    def audience(self, name: str, done: int, total: int) -> None:
        self._move(f"syncing {name}", done, total, "")

    def _move(self, task: str, done: int, total: int, name: str) -> None:
        with self._lock:
            if task not in self._tasks:
                self._tasks[task] = self._bars.add_task(task, total=total, name="")
            said = name or ("" if task == "deciding" else self._rates.told(task, done, total, time.monotonic()))
            self._bars.update(self._tasks[task], completed=done, total=total, name=said)


@contextmanager
def progress(quiet: bool = False, stream: TextIO | None = None) -> Iterator[Reporter]:
    """Give out a reporter that fits the stream (default: stderr)."""
    stream = stream or sys.stderr
    if quiet:
        yield Reporter()
    elif not stream.isatty():
        yield _Lines(stream)
    else:
        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[name]}"),
        )  # fmt: skip
        with Progress(*columns, console=Console(file=stream), transient=True) as bars:
            yield _Bars(bars)
