"""What every warehouse can do for Activate."""

from __future__ import annotations

import abc
import contextlib
import datetime as dt
import re
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import pyarrow as pa
from sqlglot import exp

from activate.project import Relation
from activate.tables import Table
from activate.warehouses.dialect import Dialect


class Warehouse(Dialect, abc.ABC):
    """One connection. Not thread-safe: a second worker uses `clone()`.

    Statements are sqlglot trees, printed in `dialect`, or texts that the dialect has printed before. All sessions run in UTC. Errors are raised as WarehouseError, without any row's values.
    """

    name: ClassVar[str]
    one_process: ClassVar[bool] = False  # whether no other process can have the database open at the same time

    # -- connection -----------------------------------------------------------------------------------------------

    @abc.abstractmethod
    def close(self) -> None:
        """Close the connection; an open transaction is rolled back."""

    @abc.abstractmethod
    def clone(self) -> Warehouse:
        """Return a second connection to the same database."""

    @contextlib.contextmanager
    @abc.abstractmethod
    def transaction(self) -> Iterator[None]:
        """Commit at the end of the block, roll back if it raises. Not nested."""

    @contextlib.contextmanager
    @abc.abstractmethod
    def lock(self, name: str, wait_seconds: float) -> Iterator[None]:
        """Hold the project-wide lock `name`; it is released when the process dies, however it dies.

        Raises LeaseHeldError when it is not free within `wait_seconds`.
        """

    @contextlib.contextmanager
    def sparing(self, per_thread: int = 128) -> Iterator[None]:
        """For the block, keep what the warehouse holds in this process's memory small. Does nothing by default.

        `per_thread`: MiB, by default what DuckDB's guide to performance asks for (125 MB).
        Blocks may overlap, in several threads. A statement that needs more gets it.
        """
        del per_thread
        yield

    # -- statements -----------------------------------------------------------------------------------------------

    @abc.abstractmethod
    def execute(self, statement: exp.Expr | str) -> None:
        """Run a statement without a result."""

    @abc.abstractmethod
    def query(self, statement: exp.Expr | str, parameters: Sequence[str] = ()) -> pa.Table:
        """Run a query and return its whole (small) result. `parameters` are bound to `$1`, `$2` and so on."""

    @abc.abstractmethod
    def stream(self, statement: exp.Expr, batch_rows: int = 10_000) -> Iterator[pa.RecordBatch]:
        """Run a query and stream its result; on this connection nothing else runs until the stream ends."""

    @abc.abstractmethod
    def ingest(self, target: str | Relation, rows: pa.Table) -> None:
        """Append rows to a temporary table (by name) or to a relation; the columns are matched by name.

        Types must be those of the target: int64 for BIGINT, timestamp[us] for TIMESTAMP, string for TEXT (PostgreSQL's
        binary COPY converts nothing).
        """

    @abc.abstractmethod
    def load_temporary(self, name: str, rows: pa.Table) -> None:
        """Put rows into a new temporary table, whose types follow theirs, in place of one of this name.

        Types are plain ones: no structs, and no dictionaries or extensions of Arrow.
        """

    def require_schema_name(self, schema: str) -> None:
        """Raise SettingsError if state tables cannot live in a schema of this name. Any name will do by default."""

    # -- catalogue ------------------------------------------------------------------------------------------------

    @abc.abstractmethod
    def columns(self, relations: Sequence[Relation]) -> dict[Relation, dict[str, str]]:
        """Return column names and lower-case type names of the relations that exist."""

    def analyze(self, table: str) -> None:
        """Give the planner statistics of a temporary table, where it needs to be told. Does nothing by default."""

    def create_indexes(self, table: Table, schema: str) -> None:
        """Index a state table, where the warehouse has indexes. Does nothing by default."""

    # -- conveniences ---------------------------------------------------------------------------------------------

    def printed(self, statement: exp.Expr | str) -> str:
        """The statement's text."""
        return statement if isinstance(statement, str) else self.sql(statement)

    def rows(self, statement: exp.Expr | str) -> list[dict[str, Any]]:
        """Run a query and return its few rows, as dicts by column."""
        found: list[dict[str, Any]] = self.query(statement).to_pylist()
        return found

    def scalar(self, statement: exp.Expr | str) -> object:
        """Return the single value of a one-row query, or None for no row."""
        found = self.rows(statement)
        return next(iter(found[0].values())) if found else None


def literal(value: object) -> exp.Expr:
    """A Python value as a SQL literal; datetimes must be naive UTC."""
    if isinstance(value, dt.datetime):
        text = value.isoformat(sep=" ", timespec="microseconds")
        return exp.cast(exp.Literal.string(text), "TIMESTAMP")
    return exp.convert(value)


def hide_quoted(message: str) -> str:
    """A warehouse's message without what it quotes: in an error about data that is somebody's value."""
    return re.sub(r"""(["']).*\1""", "(a value)", message, flags=re.S)
