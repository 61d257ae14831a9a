"""Every destination type by name: the one place to add a destination to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from activate.destinations.base import Destination
from activate.destinations.file import AudienceFile
from activate.destinations.table import Table
from activate.destinations.webhook import AudienceWebhook
from activate.errors import SettingsError, nearest
from activate.providers.options import check_options, read_options

DESTINATIONS: Mapping[str, type[Destination]] = {kind.type: kind for kind in (Table, AudienceFile, AudienceWebhook)}


def check(section: Mapping[str, Any], resolved: bool = False) -> list[str]:
    """Return what is wrong with one section of `destinations:`, each as a sentence; empty if nothing is.

    With `resolved` false (lint), values that are still `{{ env_var(...) }}` are only looked for, not looked into.
    """
    options = dict(section)
    kind = options.pop("type", None)
    if not isinstance(kind, str) or kind not in DESTINATIONS:
        missing = "'type' is missing" if kind is None else f"there is no destination type {kind!r}"
        return [f"{missing}; allowed: {', '.join(DESTINATIONS)}{nearest(str(kind), DESTINATIONS)}"]
    destination = DESTINATIONS[kind]
    return check_options(destination.all_options(), options, resolved) + destination.conflicts(options)


def create(name: str, section: Mapping[str, Any], directory: Path | None = None) -> Destination:
    """Make the destination `name` from its section, with secrets resolved; files are found from `directory`.

    Raises SettingsError with everything that is wrong.
    """
    problems = check(section, resolved=True)
    if problems:
        raise SettingsError("\n".join(f"rules/activate.yml: destinations.{name}: {problem}" for problem in problems))
    kind = DESTINATIONS[section["type"]]
    options = read_options(kind.all_options(), {key: value for key, value in section.items() if key != "type"})
    if directory is not None and kind.transport == "file" and "://" not in options["path"]:
        options["path"] = str(directory / options["path"])
    return kind(name, options)
