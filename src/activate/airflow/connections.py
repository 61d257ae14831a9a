"""Takes what rules and profiles ask for with `env_var()` from Airflow connections, when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import mask_secret

from activate.errors import SettingsError, nearest

_FIELDS = ("host", "login", "password", "port", "schema")
# Masking these would blot out every "localhost" and "5432" in the logs, and they are no secrets.
_PUBLIC = ("host", "login", "port", "schema")


class ConnectionSecrets(Mapping[str, str]):
    """Variables by name, e.g. `{"PGPASSWORD": "warehouse.password"}`: a connection's id, a dot, and a field of it.

    A field is host, login, password, port, schema, or a key of the connection's extra. A connection is looked up when
    one of its variables is asked for, so a task needs only those that it uses. Passwords and what comes from the extra
    are masked in logs.

    Raises SettingsError for a source that is not of that form, and on lookup for a missing connection or field.
    """

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._sources = {name: _split(name, source) for name, source in sources.items()}
        self._found: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        if name not in self._found:
            self._found[name] = _look_up(name, *self._sources[name])
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def __len__(self) -> int:
        return len(self._sources)

    def __repr__(self) -> str:
        return f"ConnectionSecrets({', '.join(self._sources)})"


def _split(name: str, source: str) -> tuple[str, str]:
    connection, dot, field = str(source).rpartition(".")
    if not (connection and dot and field):
        raise SettingsError(
            f"secrets: {name}: {source!r} is not a connection's id, a dot and a field, e.g. 'mail.password'"
        )
    return connection, field


def _look_up(name: str, connection_id: str, field: str) -> str:
    try:
        connection = Connection.get(connection_id)
    except AirflowNotFoundException:
        raise SettingsError(
            f"secrets: {name} comes from the connection {connection_id!r}, which does not exist"
        ) from None
    extra = connection.extra_dejson or {}
    known = {key: getattr(connection, key) for key in _FIELDS} | extra
    value = known.get(field)
    if value is None or value == "":
        held = [key for key, content in known.items() if content not in (None, "")]
        raise SettingsError(
            f"secrets: {name}: the connection {connection_id!r} has no {field!r}; it has: "
            f"{', '.join(held) or 'nothing'}{nearest(field, held)}"
        )
    if field not in _PUBLIC:
        # Without the variable's name: given one that does not look like a secret's, Airflow would mask nothing.
        mask_secret(str(value))
    return str(value)
