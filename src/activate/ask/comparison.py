"""A comparison as a tree: null or false where it does not hold, and never null below a `not`."""

from __future__ import annotations

from sqlglot import exp

from activate.ask.known import Field
from activate.ask.place import Place, constant
from activate.request import Comparison, Did, Value
from activate.words import parse_instant

# What can be read as a number without fear of an overflow: JSON has no other numbers, text may hold anything.
NUMBER = "^[-+]?[0-9]{1,200}([.][0-9]{1,200})?([eE][-+]?[0-9]{1,2})?$"

_SIZES: dict[str, type[exp.Binary]] = {
    "exactly": exp.EQ, "at_least": exp.GTE, "at_most": exp.LTE, "more_than": exp.GT, "less_than": exp.LT,
}  # fmt: skip


def compared(place: Place, found: Field, value: exp.Expr, comparison: Comparison) -> exp.Expr:
    """The condition on one value; every part of the comparison must hold."""
    parts: list[exp.Expr] = []
    if comparison.missing is not None:
        is_null = exp.Is(this=value.copy(), expression=exp.null())
        parts.append(is_null if comparison.missing else exp.Not(this=is_null))
    if comparison.is_ is not None:
        parts.append(_one_of(place, found, value, (comparison.is_,)))
    if comparison.in_:
        parts.append(_one_of(place, found, value, comparison.in_))
    for key in comparison.SIZES:
        size = getattr(comparison, key)
        if size is not None:
            parts.append(_SIZES[key](this=_sized(found, value), expression=_literal(found, size)))
    if comparison.within is not None:
        parts.append(exp.GT(this=value.copy(), expression=place.ago(comparison.within)))
        parts.append(exp.LTE(this=value.copy(), expression=place.now()))
    if comparison.not_ is not None:
        parts.append(never_null_not(compared(place, found, value, comparison.not_)))
    return exp.and_(*parts)


def counted(did: Did, times: exp.Expr, total: exp.Expr | None) -> exp.Expr:
    """The condition on how often an event happened (never null), or on what a property adds up to (null if nothing)."""
    what = times if total is None else total
    sizes: list[exp.Expr] = [
        _SIZES[key](this=what.copy(), expression=exp.Literal.number(amount.number))
        for key, amount in did.amounts.items()
    ]
    allows_none = total is None and not {"exactly", "at_least", "more_than"} & set(did.amounts)
    if allows_none:  # `did` means at least once, whatever the upper limit
        sizes.insert(0, exp.GTE(this=times.copy(), expression=exp.Literal.number(1)))
    return exp.and_(*sizes)


def never_null_not(condition: exp.Expr) -> exp.Expr:
    """The exact opposite: true where the condition is false or null."""
    return exp.Not(this=exp.Coalesce(this=exp.paren(condition) if isinstance(condition, exp.Connector) else condition,
                                     expressions=[exp.false()]))  # fmt: skip


def as_number(text: exp.Expr) -> exp.Expr:
    """A text as a number; null if it is none."""
    is_number = exp.RegexpLike(this=text.copy(), expression=exp.Literal.string(NUMBER))
    return exp.Case(ifs=[exp.If(this=is_number, true=exp.cast(text.copy(), "DOUBLE"))])


def _one_of(place: Place, found: Field, value: exp.Expr, wanted: tuple[Value, ...]) -> exp.Expr:
    if not found.is_document:
        plain = place.dialect.text(value.copy(), found.type_name) if found.family in ("text", None) else value.copy()
        return _equal(plain, [_literal(found, one) for one in wanted])
    # JSON knows what is text and what a number, the column's text does not: a number is compared as a number.
    numbers = [one for one in wanted if not isinstance(one, (bool, str))]
    texts = [str(one).lower() if isinstance(one, bool) else one for one in wanted if isinstance(one, (bool, str))]
    parts = []
    if texts:
        parts.append(_equal(value.copy(), [exp.Literal.string(text) for text in texts]))
    if numbers:
        parts.append(_equal(as_number(value), [exp.Literal.number(number) for number in numbers]))
    return exp.or_(*parts)


def _equal(value: exp.Expr, wanted: list[exp.Expr]) -> exp.Expr:
    if len(wanted) == 1:
        return exp.EQ(this=value, expression=wanted[0])
    return exp.In(this=value, expressions=wanted)


def _sized(found: Field, value: exp.Expr) -> exp.Expr:
    return as_number(value) if found.is_document else value.copy()


def _literal(found: Field, value: Value) -> exp.Expr:
    if found.family == "instant":
        return constant(parse_instant(value))
    if isinstance(value, (bool, str)):
        return exp.convert(value)
    return exp.Literal.number(value)
