"""Writes batches to a file in one of three formats, and reads the columns back that tell its members."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Protocol

import duckdb
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet
from sqlglot import exp

from activate.destinations.base import CHANGE, MEMBER, USER_ID, FilePlace
from activate.providers.base import Unusable

CHANGE_COLUMN = "change"
_ISO = "%Y-%m-%dT%H:%M:%S.%fZ"
_BLOCK = 4 * 1024 * 1024  # a CSV row must fit into a block


class Writer(Protocol):
    """Writes batches of rows to a stream, which stays open."""

    def write(self, rows: pa.RecordBatch) -> None:
        """Append a batch, perhaps an empty one."""

    def close(self) -> None:
        """Write what is left to be written."""


def open_writer(stream: IO[bytes], place: FilePlace) -> Writer:
    """The writer for a place's format."""
    return _WRITERS[place.format](stream, place)


def columns_of(schema: pa.Schema, place: FilePlace) -> dict[str, str]:
    """The file's columns in order, by their names in a batch. Raises Unusable when a field has another's name."""
    columns = {MEMBER: place.key, **({CHANGE: CHANGE_COLUMN} if place.with_changes else {})}
    fields = [name for name in schema.names if name not in (MEMBER, USER_ID, CHANGE)]
    taken = [name for name in fields if name in columns.values()]
    if taken:
        raise Unusable("column_taken", f"the field {taken[0]!r} has the name of a column that every file has")
    return {**columns, **{name: name for name in fields}}


class _Texts:
    """What both text formats need: DuckDB, to write values as text, a column at a time."""

    def __init__(self, stream: IO[bytes], place: FilePlace) -> None:
        self._stream = stream
        self._place = place
        self._duckdb = duckdb.connect()
        self._duckdb.execute("SET TimeZone = 'UTC'")

    def close(self) -> None:
        self._duckdb.close()

    def _select(self, rows: pa.RecordBatch, *columns: exp.Expr) -> pa.Table:
        self._duckdb.register("batch", pa.Table.from_batches([rows]))
        try:
            return self._duckdb.sql(exp.select(*columns).from_("batch").sql("duckdb")).to_arrow_table()
        finally:
            self._duckdb.unregister("batch")


class _Csv(_Texts):
    def __init__(self, stream: IO[bytes], place: FilePlace) -> None:
        super().__init__(stream, place)
        self._has_header = False

    def write(self, rows: pa.RecordBatch) -> None:
        columns = columns_of(rows.schema, self._place)
        shown = [
            exp.alias_(_shown(name, rows.schema.field(name).type, in_json=False), target, quoted=True)
            for name, target in columns.items()
        ]
        options = pa_csv.WriteOptions(include_header=not self._has_header)
        pa_csv.write_csv(self._select(rows, *shown), self._stream, options)
        self._has_header = True


class _JsonLines(_Texts):
    def write(self, rows: pa.RecordBatch) -> None:
        pairs: list[exp.Expr] = []
        for name, target in columns_of(rows.schema, self._place).items():
            pairs += [exp.Literal.string(target), _shown(name, rows.schema.field(name).type, in_json=True)]
        line = exp.cast(_call("json_object", *pairs), "TEXT")
        lines = self._select(rows, exp.alias_(line, "line")).column(0).to_pylist()
        self._stream.write("".join(f"{line}\n" for line in lines).encode())


class _Parquet:
    def __init__(self, stream: IO[bytes], place: FilePlace) -> None:
        self._stream = stream
        self._place = place
        self._writer: pa_parquet.ParquetWriter | None = None

    def write(self, rows: pa.RecordBatch) -> None:
        columns = columns_of(rows.schema, self._place)
        picked = [_undressed(rows.column(name)) for name in columns]
        table = pa.table(picked, names=list(columns.values()))
        if self._writer is None:
            self._writer = pa_parquet.ParquetWriter(self._stream, table.schema)
        if table.num_rows:
            self._writer.write_table(table.cast(self._writer.schema), row_group_size=table.num_rows)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


_WRITERS: Mapping[str, type[_Csv | _JsonLines | _Parquet]] = {"csv": _Csv, "jsonl": _JsonLines, "parquet": _Parquet}


def read_columns(file: Path, place: FilePlace) -> Iterator[pa.RecordBatch]:
    """Stream a file's key, and in a file of changes the change, as text.

    Raises pyarrow's and DuckDB's errors when the file cannot be read.
    """
    names = [place.key, *([CHANGE_COLUMN] if place.with_changes else [])]
    if place.format == "parquet":
        with pa_parquet.ParquetFile(file) as parquet:
            for batch in parquet.iter_batches(columns=names):
                yield batch.select(names).cast(pa.schema([(name, pa.string()) for name in names]))
    elif place.format == "csv":
        text = pa_csv.ConvertOptions(
            include_columns=names, column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
        )
        reading, parsing = (
            pa_csv.ReadOptions(block_size=_BLOCK, use_threads=False),
            pa_csv.ParseOptions(newlines_in_values=True),
        )
        yield from pa_csv.open_csv(file, reading, parsing, text)
    else:
        with duckdb.connect() as connection:
            # Columns that are not named are not parsed.
            query = "SELECT * FROM read_json($file, format = 'newline_delimited', columns = $columns)"
            given = {"file": _literally(file), "columns": dict.fromkeys(names, "VARCHAR")}
            reader: Any = connection.sql(query, params=given).to_arrow_reader(50_000)
            yield from reader


def _shown(name: str, kind: pa.DataType, in_json: bool) -> exp.Expr:
    """A column as it is to stand in a text; what JSON and CSV show alike by themselves stays as it is."""
    column: exp.Expr = exp.column(name, quoted=True)
    if pa.types.is_floating(kind):
        return exp.Case(ifs=[exp.If(this=_call("isfinite", column), true=column.copy())])
    if pa.types.is_timestamp(kind):
        return _call("strftime", exp.cast(column, "TIMESTAMP"), exp.Literal.string(_ISO))
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return _call("to_base64", column)
    if isinstance(kind, pa.OpaqueType) and kind.type_name == "numeric" and in_json:
        number = exp.TryCast(this=column.copy(), to=exp.DataType.build("DOUBLE"))
        return exp.Case(ifs=[exp.If(this=_call("isfinite", number), true=exp.cast(column, "JSON"))])
    if pa.types.is_nested(kind) and not in_json:
        return exp.cast(_call("to_json", column), "TEXT")
    if pa.types.is_dictionary(kind) or pa.types.is_interval(kind) or pa.types.is_null(kind):
        return exp.cast(column, "TEXT")
    return column


def _undressed(column: pa.Array) -> pa.Array:
    """A column without a type that only its own database knows."""
    return column.storage if isinstance(column.type, pa.OpaqueType) else column


def _call(name: str, *arguments: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this=name, expressions=list(arguments))


def _literally(file: Path) -> str:
    """A path in which DuckDB finds no pattern."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in str(file))
