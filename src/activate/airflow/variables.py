"""dbt's `--vars`, as an operator takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from activate.errors import SettingsError


def read_variables(variables: str | Mapping[str, Any] | None) -> dict[str, Any]:
    """A mapping, or JSON or YAML text of one, or nothing. Raises SettingsError for anything else."""
    if isinstance(variables, str):
        import yaml  # noqa: PLC0415  # not while the DAG file is parsed

        try:
            variables = yaml.safe_load(variables)
        except yaml.YAMLError:
            variables = "not YAML"
    if variables is not None and not isinstance(variables, Mapping):
        raise SettingsError("vars: write a mapping of names to values, e.g. {lapsed_after_days: 21}")
    return dict(variables or {})
