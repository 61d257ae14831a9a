"""The few places where SQL differs between warehouses, beyond what sqlglot prints by itself.

A `Dialect` makes expression trees and prints them; it needs no connection, so plans can be printed for every warehouse.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from sqlglot import exp

from activate.tables import Column

_TEXT_TYPES = ("char", "text", "string", "varchar", "nvarchar", "bpchar")
_ZONED_TYPES = ("timestamp with time zone", "timestamptz", "timestamp_tz", "timestamp_ltz")


class Dialect:
    """How one warehouse writes what Activate needs."""

    dialect: ClassVar[str]
    # What can hold every value of a decimal number whose precision is not known.
    any_decimal: ClassVar[str] = "DECIMAL(38, 9)"
    # Whether a primary key is an index, and does not hinder updates in the transaction that made the row.
    indexes_keys: ClassVar[bool] = False
    # The pseudo-column that numbers the rows of a table nobody deletes from, so that nothing has to be numbered; None: there
    # is none that a range of rows is found by.
    row_number: ClassVar[str | None] = None
    # The function that joins many texts, none of them NULL, faster than `||`; None: there is none that is the same everywhere.
    joins_texts: ClassVar[str | None] = None

    def sql(self, statement: exp.Expr, pretty: bool = False) -> str:
        """Print a statement in this warehouse's dialect.

        Printing may rewrite the tree into the dialect's terms, in place: copying every tree would cost more than all
        the rest of a small tick's Python.
        """
        return statement.sql(dialect=self.dialect, pretty=pretty, copy=False)

    def json_object(self, pairs: Mapping[str, exp.Expr]) -> exp.Expr:
        """An expression of type TEXT: a JSON object with these members."""
        return exp.cast(self.json_value(pairs), "TEXT")

    def json_value(self, pairs: Mapping[str, exp.Expr]) -> exp.Expr:
        """A JSON object that may be a member of another."""
        return _call("json_object", *_flat(pairs))

    def sha256(self, text: exp.Expr) -> exp.Expr:
        """The SHA-256 of a text's UTF-8 bytes, as 64 lower-case hexadecimal digits."""
        return _call("sha2", text, exp.Literal.number(256))

    def json_text(self, document: exp.Expr, key: str) -> exp.Expr:
        """An expression of type TEXT: a top-level member of a JSON document (text or JSON), null if missing."""
        path = exp.JSONPath(expressions=[exp.JSONPathRoot(), exp.JSONPathKey(this=key)])
        return exp.JSONExtractScalar(this=document, expression=path)

    def plus_seconds(self, instant: exp.Expr, seconds: exp.Expr) -> exp.Expr:
        """An instant that many seconds later; `seconds` may be a column."""
        return exp.TimestampAdd(this=instant, expression=seconds, unit=exp.var("SECOND"))

    def storage(self, column: Column) -> list[exp.Expr]:
        """How a state table's column is to be stored, as constraints of its definition. Nothing by default."""
        del column
        return []

    def instant(self, column: exp.Expr, type_name: str) -> exp.Expr:
        """A user's time column as a TIMESTAMP in UTC: as it is, unless its type says otherwise."""
        if type_name.startswith(_ZONED_TYPES):
            return exp.AtTimeZone(this=column, zone=exp.Literal.string("UTC"))
        if type_name.startswith("timestamp") and type_name not in ("timestamp", "timestamp without time zone"):
            # DuckDB's TIMESTAMP_S, _MS and _NS: brought to the microseconds that state tables hold.
            return exp.cast(column, "TIMESTAMP")
        if type_name == "date":
            return exp.cast(column, "TIMESTAMP")
        return column

    def iso(self, instant: exp.Expr) -> exp.Expr:
        """A TIMESTAMP in UTC as text for other machines (ISO 8601, with Z); infinities, which it lacks, become null."""
        text = exp.cast(instant, "TEXT")
        written = exp.DPipe(
            this=exp.func("REPLACE", text, exp.Literal.string(" "), exp.Literal.string("T")),
            expression=exp.Literal.string("Z"), safe=False,
        )  # fmt: skip
        is_finite = exp.Like(this=text.copy(), expression=exp.Literal.string("%:%"))
        return exp.Case(ifs=[exp.If(this=is_finite, true=exp.paren(written))])

    def try_number(self, number: exp.Expr, kind: str, target: str) -> exp.Expr:
        """A number (of the family `kind`), or the text of one, as BIGINT or DECIMAL(38, 9); NULL if it is too large."""
        if kind == "text" and target == "BIGINT":  # 5.0 is an integer
            number = exp.TryCast(this=number, to=exp.DataType.build("DECIMAL(38, 9)"))
        return exp.TryCast(this=number, to=exp.DataType.build(target))

    def text(self, column: exp.Expr, type_name: str) -> exp.Expr:
        """A user's column as TEXT: as it is, unless its type says otherwise."""
        return column if type_name.startswith(_TEXT_TYPES) else exp.cast(column, "TEXT")


class DuckDBDialect(Dialect):
    dialect = "duckdb"
    row_number = "rowid"
    joins_texts = "concat"  # `||` makes a new text for each of its parts

    def storage(self, column: Column) -> list[exp.Expr]:
        # DuckDB looks for the best compression of every column as it is written. For ids there is hardly any to be
        # found, and the search takes ten times as long as the writing.
        return [exp.Var(this="USING COMPRESSION uncompressed")] if column.many else []

    def json_object(self, pairs: Mapping[str, exp.Expr]) -> exp.Expr:
        return exp.cast(super().json_value(pairs), "TEXT")

    def json_value(self, pairs: Mapping[str, exp.Expr]) -> exp.Expr:
        # An object within an object is written, read and written again, and a long decimal loses its last digits on the
        # way. A struct is written once; its names must not differ in case alone, which no audience's fields do.
        if not pairs:
            return super().json_value(pairs)
        members = [
            exp.PropertyEQ(this=exp.to_identifier(name, quoted=True), expression=value) for name, value in pairs.items()
        ]
        return exp.Struct(expressions=members)

    def sha256(self, text: exp.Expr) -> exp.Expr:
        return _call("sha256", text)

    def json_text(self, document: exp.Expr, key: str) -> exp.Expr:
        path = exp.Literal.string('$."' + key.replace('"', '\\"') + '"')
        return _call("json_extract_string", document, path)

    def plus_seconds(self, instant: exp.Expr, seconds: exp.Expr) -> exp.Expr:
        return exp.Add(this=instant, expression=_call("to_seconds", seconds))


class PostgresDialect(Dialect):
    dialect = "postgres"
    any_decimal = "DECIMAL"
    indexes_keys = True

    def json_value(self, pairs: Mapping[str, exp.Expr]) -> exp.Expr:
        # A PostgreSQL function takes at most 100 arguments, so wide rows are built in parts and joined.
        items = list(pairs.items())
        parts = [
            _call("jsonb_build_object", *_flat(dict(items[start : start + 40])))
            for start in range(0, max(1, len(items)), 40)
        ]
        whole = parts[0]
        for part in parts[1:]:
            whole = exp.DPipe(this=whole, expression=part)
        return exp.paren(whole)

    def sha256(self, text: exp.Expr) -> exp.Expr:
        read = _call("convert_to", text, exp.Literal.string("UTF8"))
        return _call("encode", _call("sha256", read), exp.Literal.string("hex"))

    def json_text(self, document: exp.Expr, key: str) -> exp.Expr:
        return _call("json_extract_path_text", exp.cast(document, "JSON"), exp.Literal.string(key))

    def plus_seconds(self, instant: exp.Expr, seconds: exp.Expr) -> exp.Expr:
        second = exp.Interval(this=exp.Literal.string("1"), unit=exp.var("SECOND"))
        return exp.Add(this=instant, expression=exp.Mul(this=exp.paren(seconds), expression=second))

    def try_number(self, number: exp.Expr, kind: str, target: str) -> exp.Expr:
        # PostgreSQL has no cast that gives way, so the number is held against the limits of the type first.
        if kind == "float" and target == "BIGINT":
            # The largest double below 2^63: as a double, the limit itself would be one too many.
            fits: exp.Expr = exp.Between(this=number, low=_number(-(2**63)), high=_number(2**63 - 1024))
        else:
            number = exp.cast(number, "DECIMAL")
            if target == "BIGINT":
                whole = exp.func("ROUND", number.copy())
                fits = exp.Between(this=whole, low=_number(-(2**63)), high=_number(2**63 - 1))
            else:
                cut = exp.func("ABS", exp.func("ROUND", number.copy(), _number(9)))
                fits = exp.LT(this=cut, expression=_number(10**29))
        # Not exp.cast, which takes a DECIMAL for a DECIMAL(38, 9).
        made = exp.Cast(this=number.copy(), to=exp.DataType.build(target))
        return exp.Case(ifs=[exp.If(this=fits, true=made)])


class RedshiftDialect(Dialect):
    dialect = "redshift"

    def json_object(self, pairs: Mapping[str, exp.Expr]) -> exp.Expr:
        return _call("JSON_SERIALIZE", self.json_value(pairs))

    def json_value(self, pairs: Mapping[str, exp.Expr]) -> exp.Expr:
        return _call("OBJECT", *_flat(pairs))

    def json_text(self, document: exp.Expr, key: str) -> exp.Expr:
        return _call("JSON_EXTRACT_PATH_TEXT", document, exp.Literal.string(key), exp.true())

    def plus_seconds(self, instant: exp.Expr, seconds: exp.Expr) -> exp.Expr:
        return _call("DATEADD", exp.var("second"), seconds, instant)


class SnowflakeDialect(Dialect):
    dialect = "snowflake"

    def json_object(self, pairs: Mapping[str, exp.Expr]) -> exp.Expr:
        return _call("TO_JSON", self.json_value(pairs))

    def json_value(self, pairs: Mapping[str, exp.Expr]) -> exp.Expr:
        return _call("OBJECT_CONSTRUCT_KEEP_NULL", *_flat(pairs))


class BigQueryDialect(Dialect):
    dialect = "bigquery"

    def json_object(self, pairs: Mapping[str, exp.Expr]) -> exp.Expr:
        return _call("TO_JSON_STRING", self.json_value(pairs))

    def json_value(self, pairs: Mapping[str, exp.Expr]) -> exp.Expr:
        return _call("JSON_OBJECT", *_flat(pairs))

    def sha256(self, text: exp.Expr) -> exp.Expr:
        return _call("TO_HEX", _call("SHA256", text))


class SparkDialect(Dialect):
    dialect = "spark"

    def json_object(self, pairs: Mapping[str, exp.Expr]) -> exp.Expr:
        return _call("TO_JSON", self.json_value(pairs))

    def json_value(self, pairs: Mapping[str, exp.Expr]) -> exp.Expr:
        return _call("NAMED_STRUCT", *_flat(pairs))


class DatabricksDialect(SparkDialect):
    dialect = "databricks"


class TrinoDialect(Dialect):
    dialect = "trino"

    def json_object(self, pairs: Mapping[str, exp.Expr]) -> exp.Expr:
        return _call("JSON_FORMAT", self.json_value(pairs))

    def sha256(self, text: exp.Expr) -> exp.Expr:
        return _call("LOWER", _call("TO_HEX", _call("SHA256", _call("TO_UTF8", text))))

    def json_value(self, pairs: Mapping[str, exp.Expr]) -> exp.Expr:
        keys = exp.Array(expressions=[exp.Literal.string(key) for key in pairs])
        values = exp.Array(expressions=[exp.cast(value, "JSON") for value in pairs.values()])
        return exp.cast(_call("MAP", keys, values), "JSON")


DIALECTS: dict[str, Dialect] = {
    made.dialect: made
    for made in (
        DuckDBDialect(), PostgresDialect(), SnowflakeDialect(), BigQueryDialect(),
        DatabricksDialect(), RedshiftDialect(), SparkDialect(), TrinoDialect(),
    )
}  # fmt: skip


def _number(value: int) -> exp.Expr:
    return exp.convert(value)


def _call(name: str, *arguments: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this=name, expressions=list(arguments))


def _flat(pairs: Mapping[str, exp.Expr]) -> list[exp.Expr]:
    flat: list[exp.Expr] = []
    for key, value in pairs.items():
        flat += [exp.Literal.string(key), value]
    return flat
