"""A value in another type, row by row: where that cannot be done it is NULL, and never an error that stops the others.

What a text may say is the same on every warehouse: the warehouses' own readings differ (PostgreSQL takes 'today' for a
date, DuckDB '2.5' for an integer). A text is held against a pattern first; what fits the pattern can then only be too large.
"""

from __future__ import annotations

from sqlglot import exp

from activate.compile.sql import case, literal
from activate.compile.world import finite
from activate.families import NUMBERS, family
from activate.warehouses.dialect import Dialect

TYPES = {
    "text": "TEXT", "integer": "BIGINT", "decimal": "DECIMAL(38, 9)", "boolean": "BOOLEAN", "date": "DATE",
    "timestamp": "TIMESTAMP",
}  # fmt: skip
_BLANKS = " \t\r\n"
_LONGEST = 1000
_TRUE, _FALSE = ("true", "t", "yes", "y", "on", "1"), ("false", "f", "no", "n", "off", "0")
# Years are those from 1 to 9999; the days that a month does not have are left out here, as no warehouse but a few can try.
_FOURS = "(0[48]|[2468][048]|[13579][26])"
_DAY = (
    "([0-9]{4}-(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|[0-9]{4}-(0[469]|11)-(0[1-9]|[12][0-9]|30)|"
    f"[0-9]{{4}}-02-(0[1-9]|1[0-9]|2[0-8])|([0-9]{{2}}{_FOURS}|{_FOURS}00)-02-29)"
)
_CLOCK = r"[T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?"
_ZONE = "(Z|[+-](0[0-9]|1[0-5])(:?[0-5][0-9])?)"
_INTEGER = r"^[+-]?[0-9]+(\.0*)?$"
_DECIMAL = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"
_PLAIN = f"^{_DAY}({_CLOCK})?$"
_ZONED = f"^{_DAY}{_CLOCK}{_ZONE}$"


def cast_value(column: exp.Expr, type_name: str, target: str, dialect: Dialect) -> tuple[exp.Expr, exp.Expr | None]:
    """The column in the type `target` (a key of `TYPES`), and whether a row's value cannot be cast; None: it always can.

    A NULL is a NULL in every type. Fractions are rounded where a number becomes an integer; instants are told in UTC.
    """
    kind = family(type_name)
    if target == "text":
        return exp.cast(column, "TEXT"), None
    if kind == target == "boolean":
        return column, None
    if kind == "boolean" and target in NUMBERS:
        whole = case([(column.copy(), literal(1)), (exp.not_(column.copy()), literal(0))])
        return exp.cast(whole, TYPES[target]), None
    if kind == "instant" and target in ("date", "timestamp"):
        return exp.cast(dialect.instant(column, type_name), TYPES[target]), None
    if kind in NUMBERS and target == "boolean":
        return exp.NEQ(this=finite(column, type_name), expression=literal(0)), None
    if kind in NUMBERS and target in NUMBERS:
        source = finite(column, type_name)
        if kind == "float" and target == "decimal":
            # By its digits, as it is shown: as numbers, DuckDB makes 999999999999999.98 of 1e15, and PostgreSQL cuts at 15.
            made = dialect.try_number(exp.cast(source.copy(), "TEXT"), "text", TYPES[target])
        else:
            made = dialect.try_number(source.copy(), str(kind), TYPES[target])
    else:
        source = _written(dialect.text(column, type_name), kind)
        made = _read(source, target, dialect)
    return made, exp.and_(exp.not_(source.copy().is_(exp.null())), made.copy().is_(exp.null()))


def _written(text: exp.Expr, kind: str | None) -> exp.Expr:
    """A text without the blanks around it; a JSON string without its quotes, and JSON's null as NULL."""
    if kind == "json":
        return exp.func("NULLIF", exp.Trim(this=text, expression=literal(_BLANKS + '"')), literal("null"))
    return exp.Trim(this=text, expression=literal(_BLANKS))


def _read(text: exp.Expr, target: str, dialect: Dialect) -> exp.Expr:
    if target == "boolean":
        low = exp.Lower(this=text.copy())
        return case([(low.isin(*_TRUE), exp.true()), (low.copy().isin(*_FALSE), exp.false())])
    if target in NUMBERS:
        fits = exp.and_(
            exp.LTE(this=exp.func("LENGTH", text.copy()), expression=literal(_LONGEST)),
            _matches(text, _INTEGER if target == "integer" else _DECIMAL),
        )
        return case([(fits, dialect.try_number(text.copy(), "text", TYPES[target]))])
    zoned = exp.AtTimeZone(this=exp.TryCast(this=text.copy(), to=_type("TIMESTAMPTZ")), zone=literal("UTC"))
    plain = exp.TryCast(this=text.copy(), to=_type("TIMESTAMP"))
    is_year = exp.not_(exp.Like(this=text.copy(), expression=literal("0000%")))
    found = case(
        [(exp.and_(is_year, _matches(text, _PLAIN)), plain), (exp.and_(is_year.copy(), _matches(text, _ZONED)), zoned)]
    )
    return exp.cast(found, "DATE") if target == "date" else found


def _matches(text: exp.Expr, pattern: str) -> exp.Expr:
    return exp.RegexpLike(this=text.copy(), expression=literal(pattern))


def _type(name: str) -> exp.DataType:
    return exp.DataType.build(name)
