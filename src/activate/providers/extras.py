"""Packages that only some providers need, and that are installed with an extra of this one."""

from __future__ import annotations

from importlib.util import find_spec

from activate.errors import SettingsError


def require(extra: str, *packages: str) -> None:
    """Raise SettingsError, with the command that installs them, unless the packages are there.

    Asked when a provider is made: found out when its messages are claimed, it would leave them in doubt.
    """
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        what = "package" if len(missing) == 1 else "packages"
        raise SettingsError(
            f"a provider needs the {what} {' and '.join(missing)}; run: pip install 'dbt-activate[{extra}]'"
        )
