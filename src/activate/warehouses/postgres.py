"""PostgreSQL, through ADBC."""

from __future__ import annotations

import contextlib
import hashlib
import re
import time
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import adbc_driver_postgresql.dbapi as adbc
import pyarrow as pa
from adbc_driver_manager import AdbcStatusCode
from sqlglot import exp

from activate.errors import Cause, LeaseHeldError, WarehouseError
from activate.project import Relation
from activate.tables import Table
from activate.warehouses.base import Warehouse, hide_quoted
from activate.warehouses.dialect import PostgresDialect

_ABOUT_DATA = ("22", "23")  # SQLSTATE classes: data exception, integrity constraint violation


class Postgres(PostgresDialect, Warehouse):
    """One ADBC connection. Statements run in autocommit unless inside `transaction()`."""

    name: ClassVar[str] = "postgres"

    def __init__(self, connection: Any, uri: str) -> None:
        self._connection = connection
        self._uri = uri
        self._temporary: set[str] = set()
        self._run("SET TIME ZONE 'UTC'")
        # A tick is a handful of large statements: compiling them costs more than it saves.
        self._run("SET jit = off")
        self._run("SET client_min_messages = warning")

    @classmethod
    def open(cls, uri: str) -> Postgres:
        """Connect to `uri` (postgresql://user:password@host:port/database)."""
        try:
            connection = adbc.connect(uri, autocommit=True)
        except Exception as error:  # the driver raises its own hierarchy as well as OSError
            raise WarehouseError(f"cannot reach PostgreSQL at {_host(uri)}: {_clean(error)}") from None
        return cls(connection, uri)

    def close(self) -> None:
        self._connection.close()

    def clone(self) -> Postgres:
        return Postgres.open(self._uri)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        self._run("BEGIN")
        try:
            yield
        except BaseException:
            self._temporary.clear()
            with contextlib.suppress(WarehouseError):  # the server may be gone: it rolls back by itself
                self._run("ROLLBACK")
            raise
        self._run("COMMIT")

    @contextlib.contextmanager
    def lock(self, name: str, wait_seconds: float) -> Iterator[None]:
        # A session's advisory lock is released by the server when the session ends, however it ends.
        key = int.from_bytes(hashlib.md5(name.encode(), usedforsecurity=False).digest()[:8], "big", signed=True)
        deadline = time.monotonic() + wait_seconds
        while not self._fetch(f"SELECT pg_try_advisory_lock({key})").column(0)[0].as_py():
            if time.monotonic() >= deadline:
                raise LeaseHeldError(
                    f"another run holds the lease {name!r} of this project (waited {wait_seconds:g} s); "
                    "try again when it has ended"
                )
            time.sleep(min(0.2, max(0.0, deadline - time.monotonic())))
        try:
            yield
        finally:
            with contextlib.suppress(WarehouseError):
                self._fetch(f"SELECT pg_advisory_unlock({key})")

    def execute(self, statement: exp.Expr | str) -> None:
        self._run(self.printed(statement))

    def query(self, statement: exp.Expr | str, parameters: Sequence[str] = ()) -> pa.Table:
        return self._fetch(self.printed(statement), parameters)

    def stream(self, statement: exp.Expr, batch_rows: int = 10_000) -> Iterator[pa.RecordBatch]:
        with _errors():
            cursor = self._connection.cursor()
        with cursor:
            with _errors():
                cursor.execute(self.sql(statement))
                reader = cursor.fetch_record_batch()
            while True:
                try:
                    with _errors():
                        batch = reader.read_next_batch()
                except StopIteration:
                    return
                for start in range(0, batch.num_rows, batch_rows):
                    yield batch.slice(start, batch_rows)

    def ingest(self, target: str | Relation, rows: pa.Table) -> None:
        if rows.num_rows == 0:
            return  # COPY of nothing would still need every column's type to be known
        with _errors(), self._connection.cursor() as cursor:
            if isinstance(target, str):
                cursor.adbc_ingest(target, rows, mode="append", temporary=True)
            else:
                cursor.adbc_ingest(target.name, rows, mode="append", db_schema_name=target.schema)

    def load_temporary(self, name: str, rows: pa.Table) -> None:
        quoted = exp.to_identifier(name, quoted=True).sql("postgres")
        self._run(f"DROP TABLE IF EXISTS pg_temp.{quoted}")
        with _errors(), self._connection.cursor() as cursor:
            cursor.adbc_ingest(name, rows, mode="create", temporary=True)

    def columns(self, relations: Sequence[Relation]) -> dict[Relation, dict[str, str]]:
        found: dict[Relation, dict[str, str]] = {}
        for relation in relations:
            schema, name = exp.Literal.string(relation.schema), exp.Literal.string(relation.name)
            rows = self._fetch(
                "SELECT a.attname::text AS name, lower(format_type(a.atttypid, NULL)) AS type FROM pg_attribute a "
                "JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
                f"WHERE n.nspname = {schema.sql('postgres')} AND c.relname = {name.sql('postgres')} "
                "AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
            )
            if rows.num_rows:
                found[relation] = dict(zip(rows.column(0).to_pylist(), rows.column(1).to_pylist(), strict=True))
        return found

    def analyze(self, table: str) -> None:
        self._run(f"ANALYZE {exp.to_identifier(table, quoted=True).sql('postgres')}")

    def create_indexes(self, table: Table, schema: str) -> None:
        for columns in table.indexes:
            name = f"{table.name}_{'_'.join(columns)}"
            self._run(
                f"CREATE INDEX IF NOT EXISTS {name} ON {exp.table_(table.name, db=schema, quoted=True).sql('postgres')} "
                f"({', '.join(columns)})"
            )

    def _run(self, sql: str) -> None:
        with _errors(), self._connection.cursor() as cursor:
            cursor.execute(sql)

    def _fetch(self, sql: str, parameters: Sequence[str] = ()) -> pa.Table:
        with _errors(), self._connection.cursor() as cursor:
            cursor.execute(sql, list(parameters) or None)
            return cursor.fetch_arrow_table()


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except (StopIteration, WarehouseError):
        raise
    except Exception as error:
        raise WarehouseError(f"postgres: {_clean(error)}", *_cause(error)) from None


def _cause(error: Exception) -> tuple[Cause, str]:
    """What is to blame, by SQLSTATE; a connection that is gone has none."""
    state = str(getattr(error, "sqlstate", None) or "")
    if not state:
        lost = getattr(error, "status_code", None) == AdbcStatusCode.IO
        return ("connection", "connection_lost") if lost else ("statement", "driver_error")
    code = f"sqlstate_{state}"
    if state.startswith((*_ABOUT_DATA, "44", "P0001")):  # also a view's check option, and a trigger's own exception
        return "data", code
    if state.startswith(("08", "57P")):
        return "connection", code
    # Serialisation failures and deadlocks, resources of the moment, a lock or a time limit.
    return ("conflict" if state.startswith(("40", "53", "55P03", "57014")) else "statement"), code


def _clean(error: Exception) -> str:
    # PostgreSQL puts a row's values into DETAIL lines; the first line has none, but for errors about the data itself
    # (SQLSTATE classes 22 and 23), where they are quoted.
    text = str(error).strip()
    match = re.search(r"ERROR:\s*(.+)", text)
    line = (match[1] if match else text.splitlines()[0] if text else type(error).__name__).strip()
    about_data = str(getattr(error, "sqlstate", None) or "").startswith(_ABOUT_DATA)
    return hide_quoted(line) if about_data else line


def _host(uri: str) -> str:
    return uri.rsplit("@", 1)[-1].split("?", 1)[0]
