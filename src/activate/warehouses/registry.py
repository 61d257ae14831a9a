"""Which warehouses there are, and how dbt's connection settings open one.

A warehouse's client is imported only when it is used, so that a small install stays small.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from sqlglot import exp

from activate.errors import SettingsError, nearest
from activate.settings import Target
from activate.warehouses.base import Warehouse

_LIBPQ = ("sslmode", "sslcert", "sslkey", "sslrootcert", "keepalives_idle")


def connect(target: Target, wait_seconds: float = 30.0) -> Warehouse:
    """Open the warehouse of a dbt target, waiting up to `wait_seconds` where one process at a time is let in.

    Raises SettingsError when the adapter is not supported, its driver is not installed, a setting is missing or the
    warehouse cannot be reached, and LeaseHeldError when another process holds a DuckDB file all the while.
    """
    if target.type not in _OPEN:
        raise SettingsError(
            f"target {target.name!r}: Activate does not work on {target.type!r} yet; supported: "
            f"{', '.join(_OPEN)}{nearest(target.type, _OPEN)}"
        )
    try:
        return _OPEN[target.type](target, wait_seconds)
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"target {target.name!r} is on {target.type}, whose driver ({error.name}) is not installed; "
            f"run: pip install 'dbt-activate[{target.type}]'"
        ) from None


def _open_duckdb(target: Target, wait_seconds: float) -> Warehouse:
    from activate.warehouses.duckdb import DuckDB  # noqa: PLC0415  # only where it is used

    settings = target.settings
    if settings.get("remote"):
        raise SettingsError(f"target {target.name!r}: `remote` is not supported; name the DuckDB file with `path`")
    config = {**(settings.get("config_options") or {}), **(settings.get("settings") or {})}
    if settings.get("motherduck_token"):
        config["motherduck_token"] = settings["motherduck_token"]
    warehouse = DuckDB.open(
        duckdb_file(target),
        wait_seconds,
        {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in config.items()},
        [_attachment(target, entry) for entry in settings.get("attach") or ()],
    )
    for extension in settings.get("extensions") or ():
        name = extension["name"] if isinstance(extension, dict) else str(extension)
        warehouse.execute(exp.Command(this="LOAD", expression=exp.Literal.string(name)))
    return warehouse


def duckdb_file(target: Target) -> str:
    """The file of a DuckDB target, `:memory:`, or a URL."""
    return _file(str(target.settings.get("path") or ":memory:"), target.directory)


def _attachment(target: Target, entry: Any) -> tuple[str, str, bool]:
    allowed = ("path", "alias", "read_only")
    unknown = [key for key in entry if key not in allowed] if isinstance(entry, dict) else ["(not a mapping)"]
    if unknown or not entry.get("path"):
        raise SettingsError(
            f"target {target.name!r}: `attach` takes DuckDB files with {', '.join(allowed)}; "
            + (f"{unknown[0]!r} is not supported" if unknown else "`path` is missing")
        )
    path = str(entry["path"])
    return (
        _file(path, target.directory),
        str(entry.get("alias") or Path(path).name.lstrip(".").split(".")[0]),
        bool(entry.get("read_only", False)),
    )


def _file(path: str, directory: Path) -> str:
    # dbt changes into the project's directory before dbt-duckdb opens `path`; a URL (md:, s3:) is taken as it is.
    if path == ":memory:" or len(urlsplit(path).scheme) > 1:
        return path
    return str(directory / Path(path).expanduser())


def _open_postgres(target: Target, _wait_seconds: float) -> Warehouse:
    from activate.warehouses.postgres import Postgres  # noqa: PLC0415  # only where it is used

    return Postgres.open(_postgres_uri(target))


def _postgres_uri(target: Target) -> str:
    settings = target.settings
    host, user, database = _need(target, "host"), _need(target, "user"), _need(target, "dbname", "database")
    password = settings.get("password") or settings.get("pass")  # none: libpq looks into ~/.pgpass
    parameters = {key: str(settings[key]) for key in _LIBPQ if settings.get(key)}
    parameters["connect_timeout"] = str(settings.get("connect_timeout") or 10)
    parameters["application_name"] = str(settings.get("application_name") or "dbt-activate")
    session = {"search_path": settings.get("search_path"), "role": settings.get("role")}
    flags = [f"-c {key}={_escaped(str(value))}" for key, value in session.items() if value]
    if flags:
        parameters["options"] = " ".join(flags)
    account = quote(user, safe="") + (f":{quote(str(password), safe='')}" if password else "")
    place = f"{_uri_host(host)}:{int(settings.get('port') or 5432)}"
    return f"postgresql://{account}@{place}/{quote(database, safe='')}?{urlencode(parameters, quote_via=quote)}"


def _uri_host(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else quote(host, safe="")


def _escaped(value: str) -> str:
    # In libpq's `options`, a backslash keeps a space (or a backslash) from ending the value.
    return value.replace("\\", "\\\\").replace(" ", "\\ ")


def _need(target: Target, *names: str) -> str:
    for name in names:
        if target.settings.get(name) not in (None, ""):
            return str(target.settings[name])
    raise SettingsError(f"target {target.name!r} in profiles.yml: `{names[0]}` is missing")


_OPEN: Mapping[str, Callable[[Target, float], Warehouse]] = {"duckdb": _open_duckdb, "postgres": _open_postgres}
