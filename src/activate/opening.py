"""What every verb of the command line begins with: where the project is, and when it is."""

from __future__ import annotations

import argparse
import datetime as dt
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from activate import run
from activate.errors import SettingsError, UsageError
from activate.project import Project
from activate.settings import Options, find_options
from activate.warehouses.base import Warehouse


def options(args: argparse.Namespace) -> Options:
    """The options of a command line, completed as dbt completes them. Raises SettingsError."""
    variables: Any = {}
    if args.vars:
        import yaml  # noqa: PLC0415  # only with --vars

        try:
            variables = yaml.safe_load(args.vars)
        except yaml.YAMLError:
            variables = None
        if not isinstance(variables, dict):
            raise SettingsError("--vars must be a YAML mapping, e.g. '{schema: marketing}'")
    return find_options(args.project_dir, args.profiles_dir, args.target, args.profile, variables=variables)


@contextmanager
def opened(args: argparse.Namespace) -> Iterator[tuple[Project, Warehouse]]:
    """The project and its warehouse, closed at the end."""
    project, warehouse = run.open_project(options(args), wait_seconds=args.wait)
    with closing(warehouse):
        yield project, warehouse


def instant(args: argparse.Namespace) -> dt.datetime:
    """The instant to decide about: the only place where a command reads the clock for it."""
    now: dt.datetime = getattr(args, "now", None) or run.wall_clock().replace(microsecond=0)
    return now


def not_ahead(now: dt.datetime) -> dt.datetime:
    """The instant, for a verb that records something: after one of next year, nothing before it could be decided any more.

    Raises UsageError for an instant more than a day ahead of the clock.
    """
    if now > run.wall_clock() + dt.timedelta(days=1):
        raise UsageError(
            f"now = {now:%Y-%m-%d %H:%M:%S} is not here yet, and nothing that comes before it could be decided any more; "
            "`dbt-activate plan --now` looks ahead"
        )
    return now
