"""The instant that a DAG run is about: the same for every retry of every task in it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from activate.errors import SettingsError


def asked_for(now: str | dt.datetime | None) -> dt.datetime | None:
    """The instant that somebody wrote down (UTC unless it has an offset), as naive UTC; None for an empty text.

    Raises SettingsError when it is not a date or time.
    """
    from activate.words import parse_instant  # noqa: PLC0415  # not while the DAG file is parsed

    if isinstance(now, str):
        now = now.strip()
    try:
        return parse_instant(now) if now else None
    except ValueError as error:
        raise SettingsError(f"now: {error}") from None


def of_run(context: Mapping[str, Any]) -> dt.datetime:
    """The run's instant, naive UTC: the end of its data interval, else its logical date, else when it was due to start.

    A run that was triggered without a logical date has only the last. None of them moves when the run is cleared.
    """
    run = context["dag_run"]
    instant: dt.datetime = run.data_interval_end or run.logical_date or run.run_after
    # Airflow's own datetimes are of a subclass that prints itself in its own way.
    return dt.datetime.fromtimestamp(0, dt.UTC).replace(tzinfo=None) + (instant - dt.datetime.fromtimestamp(0, dt.UTC))
