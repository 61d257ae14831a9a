"""What every verb of the command line begins with: where the project is, when it is, and what is not loaded."""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pyarrow as pa

from activate import run
from activate.errors import SettingsError
from activate.project import Project
from activate.settings import Options, find_options
from activate.warehouses.base import Warehouse


def do_without_pandas() -> None:
    """Where pandas is installed, pyarrow loads it for its first array: half a second, of which nothing here has any use.

    Only a process of our own does without. pyarrow looks for it again when somebody asks for a DataFrame.
    """

    class Refusal:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "pandas":
                raise ImportError

    refusal = Refusal()
    sys.meta_path.insert(0, refusal)
    try:
        pa.array([""])
    finally:
        sys.meta_path.remove(refusal)


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
