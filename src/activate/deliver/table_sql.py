"""The statements that bring a staged batch into a destination's table, as sqlglot trees: they differ by nothing but
the dialect they are printed in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import pyarrow as pa
from sqlglot import exp

from activate.destinations.base import MEMBER, USER_ID, TablePlace
from activate.warehouses.dialect import Dialect

STAGE = "activate_stage"
_KEY, _RANK = "_key", "_rank"
# A type name that can be written as it was read. Others (with quotes, or quoted values) are left to the warehouse's own
# conversion on assignment.
_PLAIN_TYPE = re.compile(r"[a-z][a-z0-9_. ]*(\(\d+(, *\d+)?\))?( [a-z ]+)?(\[\])?")


def removal(place: TablePlace, types: Mapping[str, str]) -> list[exp.Expr]:
    """Delete the staged members."""
    staged = exp.select(_cast(MEMBER, types[place.key])).from_(_stage())
    gone = exp.In(this=_column(place.key), query=exp.Subquery(this=staged))
    return [exp.Delete(this=place.relation.table(), where=exp.Where(this=_of_audience(place, gone)))]


def upserts(place: TablePlace, types: Mapping[str, str], fields: Sequence[str]) -> list[exp.Expr]:
    """Update the rows that are there, unless they are to be left alone, and insert those that are not.

    An update keeps the columns that are not among `fields`.
    """
    same = exp.EQ(this=_column(place.key, "d"), expression=_column(_KEY, "s"))
    there = _of_audience(place, same, "d")
    statements: list[exp.Expr] = []
    if fields and place.updates:
        update = exp.Update(
            this=place.relation.table("d"),
            expressions=[exp.EQ(this=_column(name), expression=_column(name, "s")) for name in fields],
            from_=exp.From(this=_source(place, types, fields)),
            where=exp.Where(this=there.copy()),
        )
        statements.append(update)
    columns = {place.key: _column(_KEY, "s"), **{name: _column(name, "s") for name in fields}}
    if place.audience_column:
        columns[place.audience_column] = _name(place)
    known = exp.Exists(this=exp.select("1").from_(place.relation.table("d")).where(there))
    rows = exp.select(*columns.values()).from_(_source(place, types, fields)).where(exp.Not(this=known))
    into = exp.Schema(this=place.relation.table(), expressions=[_identifier(name) for name in columns])
    return [*statements, exp.Insert(this=into, expression=rows)]


def creation(place: TablePlace, fields: Mapping[str, pa.DataType], dialect: Dialect) -> list[exp.Expr]:
    """Make the schema and the table: the key as text, and the fields with their types."""
    keys = [place.key] if place.audience_column is None else [place.audience_column, place.key]
    required = [exp.ColumnConstraint(kind=exp.NotNullColumnConstraint())]
    columns: list[exp.Expr] = [
        exp.ColumnDef(this=_identifier(name), kind=exp.DataType.build("TEXT"), constraints=required) for name in keys
    ]
    columns += [
        exp.ColumnDef(this=_identifier(name), kind=exp.DataType.build(_sql_type(kind, dialect), dialect="duckdb"))
        for name, kind in fields.items()
    ]
    if dialect.indexes_keys:
        columns.append(exp.PrimaryKey(expressions=[_identifier(name) for name in keys]))
    relation = place.relation
    schema = exp.Table(db=_identifier(relation.schema), catalog=_identifier(relation.database))
    table = exp.Schema(this=relation.table(), expressions=columns)
    return [exp.Create(this=schema, kind="SCHEMA", exists=True), exp.Create(this=table, kind="TABLE", exists=True)]


def dropping() -> exp.Expr:
    """Drop the staged rows, so that the connection keeps none of them."""
    return exp.Drop(tables=[_stage()], kind="TABLE")


def members(place: TablePlace) -> exp.Expr:
    """The keys that the table holds for the audience, as text."""
    told = exp.Not(this=exp.Is(this=_column(place.key), expression=exp.null()))
    key = exp.cast(_column(place.key), "TEXT")
    return exp.select(exp.alias_(key, MEMBER)).from_(place.relation.table()).where(_of_audience(place, told))


def _sql_type(kind: pa.DataType, dialect: Dialect) -> str:
    """The SQL type (in DuckDB's words) of a column with values of an Arrow type; text where there is none."""
    if isinstance(kind, pa.OpaqueType):
        return dialect.any_decimal if kind.type_name == "numeric" else "TEXT"
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision}, {kind.scale})" if kind.precision <= 38 else dialect.any_decimal
    if pa.types.is_dictionary(kind):
        return _sql_type(kind.value_type, dialect)
    if pa.types.is_timestamp(kind):
        return "TIMESTAMPTZ" if kind.tz else "TIMESTAMP"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"{_sql_type(kind.value_type, dialect)}[]"
    return next((name for name, fits in _TYPES.items() if fits(kind)), "TEXT")


_TYPES = {
    "JSON": lambda kind: isinstance(kind, pa.JsonType),
    "UUID": lambda kind: isinstance(kind, pa.UuidType),
    "DECIMAL(20, 0)": pa.types.is_uint64,
    "BIGINT": pa.types.is_integer,
    "DOUBLE": pa.types.is_floating,
    "BOOLEAN": pa.types.is_boolean,
    "DATE": pa.types.is_date,
    "TIME": pa.types.is_time,
    "INTERVAL": pa.types.is_interval,
    "BLOB": lambda kind: pa.types.is_binary(kind) or pa.types.is_large_binary(kind),
}  # fmt: skip


def _source(place: TablePlace, types: Mapping[str, str], fields: Sequence[str]) -> exp.Expr:
    """The staged rows in the types of the table, one for each key though people may share it."""
    key = _cast(MEMBER, types[place.key])
    rank = exp.Window(
        this=exp.RowNumber(),
        partition_by=[key.copy()],
        order=exp.Order(expressions=[exp.Ordered(this=_column(USER_ID))]),
    )
    ranked = exp.select(
        exp.alias_(key, _KEY, quoted=True),
        *(exp.alias_(_cast(name, types[name]), name, quoted=True) for name in fields),
        exp.alias_(rank, _RANK, quoted=True),
    ).from_(_stage())
    first = exp.select("*").from_(ranked.subquery("r")).where(exp.EQ(this=_column(_RANK), expression=exp.convert(1)))
    return first.subquery("s")


def _cast(name: str, type_name: str) -> exp.Expr:
    if not _PLAIN_TYPE.fullmatch(type_name):
        return _column(name)
    return exp.Cast(this=_column(name), to=exp.DataType(this=exp.DataType.Type.USERDEFINED, kind=type_name))


def _of_audience(place: TablePlace, condition: exp.Expr, alias: str | None = None) -> exp.Expr:
    if place.audience_column is None:
        return condition
    return exp.and_(exp.EQ(this=_column(place.audience_column, alias), expression=_name(place)), condition)


def _name(place: TablePlace) -> exp.Expr:
    return exp.Literal.string(place.audience)


def _stage() -> exp.Table:
    return exp.table_(STAGE, quoted=True)


def _column(name: str, table: str | None = None) -> exp.Expr:
    return exp.column(name, table=table and exp.to_identifier(table), quoted=True)


def _identifier(name: str | None) -> exp.Identifier | None:
    return None if name is None else exp.to_identifier(name, quoted=True)
