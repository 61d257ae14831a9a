"""What is sent of each person: columns made uniform, cast and hashed, and one canonical hash of them all.

The canonical text of a value does not depend on the column's type: 5, 5.0 and '5' are the same, as are a date and its
midnight, so that a model's change of type sends nobody again. NULL differs from every text.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from activate.audience import Mapped
from activate.compile.casts import cast_value
from activate.compile.sql import case, literal
from activate.compile.world import finite
from activate.families import family
from activate.warehouses.dialect import Dialect

_HEX = "0123456789abcdef"
_BLANKS = " \t\r\n\u00a0"
_PHONE_MARKS = _BLANKS + "()-./"
_CAST_FAMILIES = {
    "text": "text", "integer": "integer", "decimal": "decimal", "boolean": "boolean", "date": "instant", "timestamp": "instant",
}  # fmt: skip


class Value:
    """One value on its way: the expression that is sent, its family of types (None: not known), and what is wrong.

    `fault` is a reason, or NULL, row by row; None where nothing can be wrong with the value.
    """

    def __init__(self, sent: exp.Expr, kind: str | None, is_date: bool = False, fault: exp.Expr | None = None) -> None:
        self.sent = sent
        self.kind = kind
        self.is_date = is_date
        self.fault = fault


def value(mapped: Mapped, column: exp.Expr | None, type_name: str, dialect: Dialect, name: str = "") -> Value:
    """The value that a mapping sends as the field `name`; `column` is its source, None for a constant."""
    if column is None:
        return _constant(mapped)
    kind = family(type_name)
    column = finite(column, type_name)
    if mapped.cast is not None and mapped.hash is None:
        if mapped.normalise is not None:
            column, type_name = uniform(dialect.text(column, type_name), mapped), "text"
        sent, is_odd = cast_value(column, type_name, mapped.cast, dialect)
        fault = None if is_odd is None else case([(is_odd, literal(f"bad_{mapped.cast}: {name}"))])
        return Value(sent, _CAST_FAMILIES[mapped.cast], mapped.cast == "date", fault)
    if mapped.normalise is None and mapped.hash is None:
        sent = dialect.instant(column, type_name) if kind == "instant" and type_name != "date" else column
        return Value(exp.cast(sent, "TEXT") if kind in ("json", "nested") else sent, kind, type_name == "date")
    text = uniform(dialect.text(column, type_name), mapped)
    if mapped.hash is not None:
        text = hashed(text, mapped.hash, dialect)
    return Value(text, "text")


def _constant(mapped: Mapped) -> Value:
    kinds = {bool: "boolean", int: "integer", float: "float", str: "text"}
    sent = literal(mapped.value)
    kind = kinds[type(mapped.value)]
    # A bare literal has no type of its own in PostgreSQL.
    return Value(exp.cast(sent, "TEXT") if kind == "text" else sent, kind)


def canonical(made: Value) -> exp.Expr:
    """The value as text that is the same whatever type the column has; NULL stays NULL."""
    text = exp.cast(made.sent.copy(), "TEXT")
    if made.kind == "boolean":
        return case([(made.sent.copy(), literal("true")), (exp.not_(made.sent.copy()), literal("false"))])
    if made.kind == "instant":
        return exp.cast(exp.cast(made.sent.copy(), "TIMESTAMP"), "TEXT")
    if made.kind in ("decimal", "float"):
        # 5.50 and 5.5 are one number; what has an exponent is left alone. (A point is never last. Asking for the zero costs
        # a tenth of trimming.)
        has_zero = _like(text, "%.%0")
        if made.kind == "float":
            has_zero = exp.and_(has_zero, exp.not_(_like(text, "%e%")))
        bare = _call("RTRIM", _call("RTRIM", text.copy(), literal("0")), literal("."))
        return case([(has_zero, bare)], text)
    return text


def row_hash(texts: Sequence[exp.Expr], dialect: Dialect) -> exp.Expr:
    """MD5 over the `canonical` texts, each with its length, so that no two rows give the same text."""
    if not texts:
        return literal("-")
    parts: list[exp.Expr] = []
    for text in texts:
        length = exp.cast(exp.func("LENGTH", text.copy()), "TEXT")
        known = _joined(literal("+"), length, literal(":"), text.copy(), by=dialect.joins_texts)
        parts.append(case([(text.copy().is_(exp.null()), literal("-"))], known))
    return exp.func("MD5", _joined(*parts, by=dialect.joins_texts))


# -- made uniform -----------------------------------------------------------------------------------------------------


def uniform(text: exp.Expr, mapped: Mapped) -> exp.Expr:
    """A text as its platform wants it before it is sent or hashed (docs/audiences.md names the sources)."""
    how = mapped.normalise
    if how is None:
        return text
    if how == "trim":
        return exp.Trim(this=text)
    if how == "lower":
        return exp.Lower(this=exp.Trim(this=text))
    if how in ("email", "email_gmail"):
        # Hardly an address has a blank, and looking for one takes a tenth of the time of leaving it out.
        has_blank = exp.or_(*(_like(text, f"%{blank}%") for blank in _BLANKS))
        bare = exp.Lower(this=case([(has_blank, _without(text, _BLANKS))], text.copy()))
        return _gmail(bare) if how == "email_gmail" else bare
    return _phone(text, mapped.country_code, how == "phone_digits")


def _gmail(address: exp.Expr) -> exp.Expr:
    """Gmail ignores dots before the @, and everything from a + on."""
    name, domain = _part(address, "@", 1), _part(address, "@", 2)
    bare = exp.func("REPLACE", _part(name, "+", 1), literal("."), literal(""))
    is_gmail = domain.isin("gmail.com", "googlemail.com")
    return case([(is_gmail, _joined(bare, literal("@"), domain.copy()))], address.copy())


def _phone(text: exp.Expr, country_code: str | None, digits_only: bool) -> exp.Expr:
    """`+` and digits (E.164), or the digits alone; what has neither + nor 00 needs a country code."""
    bare = _without(text, _PHONE_MARKS)
    pairs = [
        (_like(bare, "+%"), bare),
        (_like(bare, "00%"), _joined(literal("+"), _call("SUBSTR", bare.copy(), literal(3)))),
    ]
    if country_code is not None:
        code = literal(country_code)
        pairs.append((_like(bare, "0%"), _joined(code, _call("SUBSTR", bare.copy(), literal(2)))))
        pairs.append((exp.NEQ(this=bare.copy(), expression=literal("")), _joined(code.copy(), bare.copy())))
    # A hash that was made elsewhere is no number, and stays what it is.
    number = case([(is_hash(bare), bare.copy()), *pairs], bare.copy())
    return exp.func("REPLACE", number, literal("+"), literal("")) if digits_only else number


def is_hash(text: exp.Expr) -> exp.Expr:
    """Whether a text is a SHA-256 already: 64 hexadecimal digits.

    A CASE, because DuckDB works out both sides of an AND for every row where it is not itself the condition.
    """
    rest = _call("TRANSLATE", exp.Lower(this=text.copy()), literal(_HEX), literal(""))
    return case([(exp.func("LENGTH", text.copy()).eq(literal(64)), rest.eq(literal("")))], exp.false())


def hashed(text: exp.Expr, how: str, dialect: Dialect) -> exp.Expr:
    """The hash in lower-case hex of a text; one that is a SHA-256 already stays."""
    if how == "md5":
        return exp.func("MD5", text)
    return case([(is_hash(text), exp.Lower(this=text.copy()))], dialect.sha256(text.copy()))


def problem(mapped: Mapped, text: exp.Expr) -> exp.Expr:
    """What keeps an identifier (already uniform, not yet hashed) from being used: a reason, or NULL."""
    empty = exp.or_(text.copy().is_(exp.null()), text.copy().eq(literal("")))
    found = [(empty, literal("no_identifier"))]
    if mapped.normalise in ("email", "email_gmail"):
        fits = exp.and_(_like(text, "_%@_%.__%"), exp.not_(_like(text, "%@%@%")))
        found.append((exp.not_(exp.paren(exp.or_(fits, is_hash(text)))), literal("bad_email")))
    elif mapped.normalise in ("phone", "phone_digits"):
        digits = exp.func("REPLACE", text.copy(), literal("+"), literal(""))
        rest = _call("TRANSLATE", digits, literal("0123456789"), literal(""))
        length = exp.func("LENGTH", digits.copy())
        fits = exp.and_(rest.eq(literal("")), exp.Between(this=length, low=literal(7), high=literal(15)))
        if mapped.normalise == "phone":
            fits = exp.and_(fits, _like(text, "+%"))
        found.append((exp.not_(exp.paren(exp.or_(fits, is_hash(text)))), literal("bad_phone")))
    return case(found)


# -- small pieces -----------------------------------------------------------------------------------------------------


def _call(name: str, *arguments: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this=name, expressions=list(arguments))


def _joined(*parts: exp.Expr, by: str | None = None) -> exp.Expr:
    if by is not None:
        return _call(by, *parts)
    whole = parts[0]
    for part in parts[1:]:
        whole = exp.DPipe(this=whole, expression=part, safe=False)
    return exp.paren(whole) if len(parts) > 1 else whole


def _like(text: exp.Expr, pattern: str) -> exp.Expr:
    return exp.Like(this=text.copy(), expression=literal(pattern))


def _without(text: exp.Expr, marks: str) -> exp.Expr:
    return _call("TRANSLATE", text.copy(), literal(marks), literal(""))


def _part(text: exp.Expr, delimiter: str, number: int) -> exp.Expr:
    return exp.SplitPart(this=text.copy(), delimiter=literal(delimiter), part_index=literal(number))
