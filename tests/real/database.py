"""A plain connection to the warehouse under test, by other drivers than the engine's where there are any."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import adbc_driver_postgresql.dbapi as adbc
import duckdb
import psycopg2


class Database:
    """SQL as text, statement by statement. `target` is a DuckDB file or a postgresql:// URI."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.is_postgres = target.startswith("postgresql://")
        if self.is_postgres:
            self._connection: Any = psycopg2.connect(target, options="-c TimeZone=UTC -c jit=off")
            self._connection.autocommit = True
        else:
            self._connection = duckdb.connect(target)
            self._connection.execute("SET TimeZone = 'UTC'")

    def close(self) -> None:
        self._connection.close()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Run one query and return its rows."""
        if not self.is_postgres:
            return self._connection.execute(sql).fetchall()
        with self._connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()

    def run(self, script: str) -> int:
        """Run the statements of a script and return how many rows the last one changed."""
        changed = 0
        for statement in statements(script):
            if self.is_postgres:
                with self._connection.cursor() as cursor:
                    cursor.execute(statement)
                    changed = cursor.rowcount
            else:
                answer = self._connection.execute(statement).fetchone()
                changed = answer[0] if answer and isinstance(answer[0], int) else 0
        return changed

    def load(self, schema: str, table: str, select: str) -> int:
        """Make a table of what DuckDB reads, and return its number of rows."""
        if not self.is_postgres:
            self.run(f"CREATE TABLE {schema}.{table} AS {select}")
        else:
            rows = duckdb.sql(select).to_arrow_reader(100_000)
            with adbc.connect(self.target, autocommit=True) as connection, connection.cursor() as cursor:
                cursor.adbc_ingest(table, rows, mode="create", db_schema_name=schema)
            self.run(f"ANALYZE {schema}.{table}")
        return int(self.rows(f"SELECT count(*) FROM {schema}.{table}")[0][0])

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Undo at the end of the block whatever was changed inside."""
        self.run("BEGIN")
        try:
            yield
        finally:
            self.run("ROLLBACK")

    def dbt_profile(self, schema: str) -> dict[str, Any]:
        """The target for dbt's profiles.yml."""
        if not self.is_postgres:
            return {"type": "duckdb", "path": self.target, "schema": schema, "threads": 1}
        uri = urlsplit(self.target)
        return {
            "type": "postgres", "host": uri.hostname, "port": uri.port, "user": uri.username,
            "password": uri.password or "none", "dbname": uri.path.lstrip("/"), "schema": schema, "threads": 2,
        }  # fmt: skip


def statements(script: str) -> list[str]:
    """Split a script at its semicolons; there are none in the texts and comments of these files but at line ends."""
    return [part.strip() for part in re.split(r";[ \t]*$", script, flags=re.MULTILINE) if _says_something(part)]


def _says_something(part: str) -> bool:
    return any(line.strip() and not line.lstrip().startswith("--") for line in part.splitlines())


def run_file(database: Database, path: Path) -> None:
    """Run a file's statements."""
    database.run(path.read_text())
