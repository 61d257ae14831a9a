"""DuckDB: the embedded default."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import duckdb
import pyarrow as pa
from sqlglot import exp

from activate.errors import Cause, LeaseHeldError, SettingsError, WarehouseError
from activate.project import Relation
from activate.warehouses.base import Warehouse, hide_quoted
from activate.warehouses.dialect import DuckDBDialect
from activate.warehouses.sparing import Sparing

Answer = TypeVar("Answer")

_HELD = "Could not set lock on file"


class DuckDB(DuckDBDialect, Warehouse):
    """A DuckDB file (or `:memory:`). One process at a time can hold the file, so connecting waits for it."""

    name: ClassVar[str] = "duckdb"
    one_process: ClassVar[bool] = True

    def __init__(self, connection: duckdb.DuckDBPyConnection, path: str, sparing: Sparing) -> None:
        self._connection = connection
        self._path = path
        self._sparing = sparing
        self._in_transaction = False
        # A fetched stream in UTC needs no session zone, but comparisons of TIMESTAMPTZ with TIMESTAMP do.
        self._connection.execute("SET TimeZone = 'UTC'")
        self._connection.execute("SET preserve_insertion_order = false")

    @classmethod
    def open(
        cls,
        path: str,
        wait_seconds: float = 30.0,
        settings: Mapping[str, str] | None = None,
        attach: Sequence[tuple[str, str, bool]] = (),
    ) -> DuckDB:
        """Open the file, waiting up to `wait_seconds` while another process holds it.

        `settings` are DuckDB settings; `attach` lists (path, alias, read only).
        """
        deadline = time.monotonic() + wait_seconds
        while True:
            try:
                connection = duckdb.connect(path, config=dict(settings or {}))
                break
            except duckdb.IOException as error:
                if _HELD not in str(error):
                    raise SettingsError(f"cannot open the DuckDB file {path!r}: {_first_line(error)}") from None
                if time.monotonic() >= deadline:
                    raise LeaseHeldError(
                        f"another process holds the DuckDB file {path!r} (waited {wait_seconds:g} s); "
                        "DuckDB lets one process in at a time: try again when it has ended"
                    ) from None
                time.sleep(min(0.2, max(0.0, deadline - time.monotonic())))
            except duckdb.Error as error:
                raise SettingsError(f"cannot open the DuckDB file {path!r}: {_first_line(error)}") from None
        if "checkpoint_threshold" not in (settings or {}):
            # Syncs and deliveries commit often: by default DuckDB would write its file anew every 16 MB of them. What is not in
            # the file yet is held in memory. (Set, not configured: two connections of one process to a file must have the
            # same configuration.)
            connection.execute("SET GLOBAL checkpoint_threshold = '32MB'")
        warehouse = cls(connection, path, Sparing(path, is_set="memory_limit" in (settings or {})))
        for target, alias, read_only in attach:
            options = " (READ_ONLY)" if read_only else ""
            quoted = exp.to_identifier(alias, quoted=True).sql("duckdb")
            connection.execute(f"ATTACH {exp.Literal.string(target).sql('duckdb')} AS {quoted}{options}")
        return warehouse

    def close(self) -> None:
        self._connection.close()

    def clone(self) -> DuckDB:
        return DuckDB(self._connection.cursor(), self._path, self._sparing)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        self._run("BEGIN")
        self._in_transaction = True
        try:
            yield
            self._run("COMMIT")
        except BaseException:
            with contextlib.suppress(duckdb.Error):  # a failed COMMIT has already rolled back
                self._connection.execute("ROLLBACK")
            raise
        finally:
            self._in_transaction = False

    @contextlib.contextmanager
    def sparing(self, per_thread: int = 128) -> Iterator[None]:
        with self._sparing.hold(self._connection, per_thread):
            yield

    @contextlib.contextmanager
    def lock(self, name: str, wait_seconds: float) -> Iterator[None]:
        # The kernel drops a flock when its process dies, so no lease ever has to expire.
        if self._path == ":memory:":
            yield
            return
        target = Path(f"{self._path}.{name.replace('/', '_')}.lock")
        deadline = time.monotonic() + wait_seconds
        with target.open("w") as handle:
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= deadline:
                        raise LeaseHeldError(
                            f"another run holds the lease {name!r} of this project (waited {wait_seconds:g} s); "
                            "try again when it has ended"
                        ) from None
                    time.sleep(min(0.2, max(0.0, deadline - time.monotonic())))
            yield

    def require_schema_name(self, schema: str) -> None:
        # DuckDB names a catalogue after its file, and then cannot tell "activate"."entries" from a table of that
        # catalogue's main schema.
        catalogues = self._run("SELECT database_name FROM duckdb_databases()").fetchall()
        if any(name.lower() == schema.lower() for (name,) in catalogues):
            raise SettingsError(
                f"the DuckDB file {self._path!r} makes a catalogue of the same name as the state schema {schema!r}, which "
                "DuckDB cannot tell apart; rename the file, or set state.schema in rules/activate.yml"
            )

    def execute(self, statement: exp.Expr | str) -> None:
        self._run(self.printed(statement))

    def query(self, statement: exp.Expr | str, parameters: Sequence[str] = ()) -> pa.Table:
        sql = self.printed(statement)
        # A relation streams its result; a DB-API result would be materialised first and copied after.
        return self._with_memory(lambda: self._connection.sql(sql, params=list(parameters) or None).to_arrow_table())

    def rows(self, statement: exp.Expr | str) -> list[dict[str, Any]]:
        # Half of the time that Arrow takes for a few rows: a relation is bound twice.
        def fetch() -> list[dict[str, Any]]:
            result = self._connection.execute(sql)
            names = [column[0] for column in result.description or ()]
            return [dict(zip(names, values, strict=True)) for values in result.fetchall()]

        sql = self.printed(statement)
        return self._with_memory(fetch)

    def stream(self, statement: exp.Expr, batch_rows: int = 10_000) -> Iterator[pa.RecordBatch]:
        with _errors():
            reader = self._connection.sql(self.sql(statement)).to_arrow_reader(batch_rows)
        while True:
            try:
                with _errors():
                    batch = reader.read_next_batch()
            except StopIteration:
                return
            yield batch

    def ingest(self, target: str | Relation, rows: pa.Table) -> None:
        table = exp.table_(target, quoted=True) if isinstance(target, str) else target.table()
        columns = ", ".join(exp.to_identifier(name, quoted=True).sql("duckdb") for name in rows.column_names)
        self._connection.register("activate_ingest", rows)
        try:
            self._run(f"INSERT INTO {table.sql('duckdb')} ({columns}) SELECT {columns} FROM activate_ingest")
        finally:
            self._connection.unregister("activate_ingest")

    def load_temporary(self, name: str, rows: pa.Table) -> None:
        self._connection.register("activate_ingest", rows)
        try:
            self._run(
                f"CREATE OR REPLACE TEMP TABLE {exp.table_(name, quoted=True).sql('duckdb')} AS FROM activate_ingest"
            )
        finally:
            self._connection.unregister("activate_ingest")

    def columns(self, relations: Sequence[Relation]) -> dict[Relation, dict[str, str]]:
        found: dict[Relation, dict[str, str]] = {}
        for relation in relations:
            rows = self._run(
                "SELECT column_name, lower(data_type) FROM duckdb_columns() WHERE schema_name = ? AND table_name = ? "
                "AND (database_name = ? OR (? IS NULL AND database_name = current_database())) ORDER BY column_index",
                [relation.schema, relation.name, relation.database, relation.database],
            ).fetchall()
            if rows:
                found[relation] = dict(rows)
        return found

    def _run(self, sql: str, parameters: Sequence[object] | None = None) -> duckdb.DuckDBPyConnection:
        return self._with_memory(lambda: self._connection.execute(sql, parameters))

    def _with_memory(self, run: Callable[[], Answer]) -> Answer:
        """Run a statement, again without the limit of `sparing` if it does not do with that."""
        with _errors():
            try:
                return run()
            except duckdb.OutOfMemoryException:
                # Without a transaction the statement has done nothing; within one, all of it is to be done again.
                if not self._sparing.lift(self._connection) or self._in_transaction:
                    raise
                return run()


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except (duckdb.Error, pa.ArrowException, RuntimeError, OSError) as error:
        cause: Cause = next((cause for cause, kinds in _CAUSES.items() if isinstance(error, kinds)), "statement")
        code = type(error).__name__.removesuffix("Exception").lower()
        raise WarehouseError(f"duckdb: {_first_line(error)}", cause, f"duckdb_{code}") from None


# Errors about the data itself, whose messages quote a value.
_ABOUT_DATA = (
    duckdb.ConversionException, duckdb.OutOfRangeException, duckdb.ConstraintException, duckdb.InvalidInputException,
)  # fmt: skip
_CAUSES: Mapping[Cause, tuple[type[Exception], ...]] = {
    "data": _ABOUT_DATA,
    "conflict": (duckdb.TransactionException, duckdb.InterruptException, duckdb.OutOfMemoryException),
    "connection": (duckdb.ConnectionException, duckdb.IOException, duckdb.FatalException, OSError),
}


def _first_line(error: Exception) -> str:
    line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return hide_quoted(line) if isinstance(error, _ABOUT_DATA) else line
