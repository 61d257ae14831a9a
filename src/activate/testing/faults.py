"""Scripted faults: a process that dies at an exact statement, as often as there are statements."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from activate.warehouses.base import Warehouse

# What a warehouse does that can be cut short. `transaction` begins and commits by statements of its own.
_CALLS = ("_run", "_fetch", "query", "ingest")


def kill_before(warehouse: Warehouse, number: int) -> Callable[[], int]:
    """Make this process kill itself (SIGKILL) just before the warehouse's `number`-th call, counted from 1.

    Returns a function that tells how many calls there were so far; with number 0 it only counts.
    """
    calls = depth = 0

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls, depth
            if depth == 0:  # a call made by another one is part of it
                calls += 1
                if calls == number:
                    os.kill(os.getpid(), signal.SIGKILL)
            depth += 1
            try:
                return call(*args, **kwargs)
            finally:
                depth -= 1

        return wrapper

    for name in _CALLS:
        if hasattr(warehouse, name):
            setattr(warehouse, name, counted(getattr(warehouse, name)))
    return lambda: calls
