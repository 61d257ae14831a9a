"""The sandbox that message templates run in: no private attribute, no unbounded work, no null that prints as `None`."""

from __future__ import annotations

import datetime as dt
import functools
import re
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, ClassVar, Self
from zoneinfo import ZoneInfo

from jinja2 import StrictUndefined, Undefined, UndefinedError, nodes, pass_context, pass_eval_context
from jinja2.compiler import CodeGenerator, Frame
from jinja2.filters import FILTERS, make_attrgetter
from jinja2.nodes import EvalContext
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.tests import TESTS

ROWS = ("profile", "context")
ASK_FOR_NAMES = frozenset({"date"})
"""Filters that ask Jinja's context for nothing but names, which any mapping can answer."""
MAX_OUTPUT = 1_000_000
"""The most characters that one block, or any text made on the way, may have."""
_MAX_RANGE = 10_000
_MAX_BITS = 4_096
# Not the same twice, which a message that is rendered again for a retry must be; or of no use in a message.
_LEFT_OUT = ("random", "pprint", "xmlattr", "urlize")
# Methods of text that make long ones out of short ones; there are filters for the same, with a bound.
_LONG_METHODS = frozenset(
    {
        "center",
        "encode",
        "expandtabs",
        "format",
        "format_map",
        "join",
        "ljust",
        "replace",
        "rjust",
        "translate",
        "zfill",
    }
)
_DIRECTIVE = re.compile(r"%(-?[aAbBdHIjmMpSuUVwyYGzZ%])|%|[^%]+", re.DOTALL)
_PLAIN = CodeGenerator._FinalizeInfo(None, None)
_DIGITS = re.compile(r"\d{4,}")


class TemplateLimit(Exception):
    """A template asked for more work or text than a message can need. The message holds no data."""


class UnknownName(UndefinedError):
    """A template used a name that is not there, or a field that is null, without a default."""

    def __init__(self, place: str | None, name: object, is_null: bool) -> None:
        self.place = place
        self.name = name
        self.is_null = is_null
        super().__init__("a name is not known")

    def describe(self, words: frozenset[str]) -> str:
        """Say which name. One that is not written in the template (`words`) could be data and is left out."""
        if not (isinstance(self.name, str) and self.name in words):
            return "a value is null" if self.is_null else "a name is not known"
        path = f"{self.place}.{self.name}" if self.place else self.name
        if self.is_null:
            return f"{path} is null; give a default, e.g. {{{{ {path} | default('...') }}}}"
        return f"{path} is not known"


class Missing(StrictUndefined):
    """A name that is not there. Only `default` and `is defined` may touch it."""

    __slots__ = ()

    def __init__(self, hint: str | None = None, obj: Any = None, name: Any = None, exc: Any = None) -> None:
        failure = exc if exc and exc is not UndefinedError else functools.partial(UnknownName, _label(obj), name, False)
        super().__init__(hint, name=name, exc=_without_text(failure))


class Null(StrictUndefined):
    """A null. It is false and equals `none`, takes a `default`, and fails where it is printed or reckoned with."""

    __slots__ = ()

    def __init__(self, obj: Any = None, name: Any = None) -> None:
        super().__init__(name=name, exc=_without_text(functools.partial(UnknownName, _label(obj), name, True)))

    def __bool__(self) -> bool:  # type: ignore[override]  # Jinja types these as never returning
        return False

    def __eq__(self, other: object) -> bool:  # type: ignore[override]  # as above
        return other is None or isinstance(other, Null)

    def __ne__(self, other: object) -> bool:  # type: ignore[override]  # as above
        return not self == other

    def __hash__(self) -> int:  # type: ignore[override]  # as above
        return hash(None)


def _without_text(failure: Any) -> Any:
    # Jinja makes the error with its own message, which can quote a value used as a key.
    return lambda _: failure() if isinstance(failure, functools.partial) else failure("not allowed in a template")


def _label(obj: object) -> str | None:
    return obj.label if isinstance(obj, Row) or (isinstance(obj, type) and issubclass(obj, Row)) else None


class Row(dict[str, Any]):
    """A row that templates read: `row.column` is always the column, also where a dict has a method of that name."""

    __slots__ = ()
    label: ClassVar[str]

    def __missing__(self, name: Any) -> Missing:
        return Missing(obj=self, name=name)

    @classmethod
    def null(cls, name: str) -> Null:
        """What stands for a null in this column. Rows hold it in place of None: reading a field is a plain look-up."""
        return Null(cls, name)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """The row with these values; None becomes `null`."""
        row = cls(values)
        if None in row.values():
            row.update({name: cls.null(name) for name, value in values.items() if value is None})
        return row


class ProfileRow(Row):
    """The person's row in the profiles model."""

    __slots__ = ()
    label = "profile"


class ContextRow(Row):
    """The row that brought the person in."""

    __slots__ = ()
    label = "context"


def is_field(node: nodes.Node) -> bool:
    """Whether it reads `profile.x` or `context.x`."""
    return isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name) and node.node.name in ROWS


class _Generator(CodeGenerator):
    """Compiles `a ~ b` so that its length is checked (all other growth goes through operators and filters).

    Fields of rows, which is most of what templates print, become plain look-ups: see `Row`. Names that begin with an
    underscore have been refused before (`template_check`).
    """

    def visit_Getattr(self, node: nodes.Getattr, frame: Frame) -> None:
        if is_field(node):
            self.visit(node.node, frame)
            self.write(f"[{node.attr!r}]")
        else:
            super().visit_Getattr(node, frame)

    # The two hooks that Jinja's own native generator overrides: what is printed goes through `shown`, which fails
    # on None; a row's field is never None.
    def _output_child_pre(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        super()._output_child_pre(node, frame, _PLAIN if is_field(node) else finalize)

    def _output_child_post(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        super()._output_child_post(node, frame, _PLAIN if is_field(node) else finalize)

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:
        self.write("environment.checked(")
        super().visit_Concat(node, frame)
        self.write(")")


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's immutable sandbox, with strict nulls and with bounds on everything that can grow."""

    code_generator_class = _Generator
    intercepted_binops = frozenset({"*", "**", "%", "+"})

    def __init__(self, loader: Any, autoescape: bool) -> None:
        super().__init__(
            loader=loader, autoescape=autoescape, undefined=Missing, trim_blocks=True, lstrip_blocks=True,
            auto_reload=False, finalize=shown, cache_size=-1,
        )  # fmt: skip
        self.globals.pop("lipsum")
        self.globals["range"] = _range
        self.filters = {name: filter_ for name, filter_ in FILTERS.items() if name not in _LEFT_OUT}
        self.filters.update(
            money=_money, date=_date, center=_bounded("center"), indent=_bounded("indent"), format=_format,
            join=_join, replace=_replace, wordwrap=_bounded("wordwrap"),
        )  # fmt: skip
        self.tests = {**TESTS, "none": lambda value: value is None or isinstance(value, Null)}

    def getattr(self, obj: Any, attribute: str) -> Any:
        # Fields first: `profile.items` is the column `items`, whatever methods a dict may have.
        if isinstance(obj, Row):
            return obj[attribute]
        if isinstance(obj, dict) and attribute in obj:
            value = obj[attribute]
            return value if value is not None else Null(obj, attribute)
        if isinstance(obj, str) and attribute in _LONG_METHODS:
            raise TemplateLimit(f"the method {attribute!r} is not available; use a filter")
        return self._present(super().getattr(obj, attribute), obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, Row):
            return obj[argument]
        if isinstance(obj, str) and isinstance(argument, str):
            return self.getattr(obj, argument)
        return self._present(super().getitem(obj, argument), obj, argument)

    def _present(self, value: Any, obj: Any, name: Any) -> Any:
        return value if value is not None else Null(obj, name)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "*":
            for sequence, times in ((left, right), (right, left)):
                if isinstance(sequence, str | bytes | list | tuple) and isinstance(times, int):
                    _limit(len(sequence) * times)
        if operator in ("*", "**") and isinstance(left, int) and isinstance(right, int):
            grown = left.bit_length() * right if operator == "**" else left.bit_length() + right.bit_length()
            if grown > _MAX_BITS:
                raise TemplateLimit("a number grows too large")
        if operator == "%" and isinstance(left, str):
            return _format(left, right)
        return self.checked(super().call_binop(context, operator, left, right))

    def checked(self, value: Any) -> Any:
        """Pass a text or list on if it is not too long."""
        if isinstance(value, str | list | tuple):
            _limit(len(value))
        return value


def shown(value: Any) -> Any:
    """What is printed for a value: None becomes a null, which fails when it is printed."""
    return value if value is not None else Null()


def _limit(size: int) -> None:
    if size > MAX_OUTPUT:
        raise TemplateLimit(f"a text grows beyond {MAX_OUTPUT:,} characters")


def _range(*arguments: int) -> range:
    numbers = range(*arguments)
    if len(numbers) > _MAX_RANGE:
        raise TemplateLimit(f"a range may have {_MAX_RANGE:,} numbers at most")
    return numbers


def _bounded(name: str) -> Any:
    """A built-in filter whose width is bounded."""
    original = FILTERS[name]

    @functools.wraps(original)
    def bounded(*arguments: Any, **options: Any) -> Any:
        for value in (*arguments, *options.values()):
            if isinstance(value, int) and value > 1_000:
                raise TemplateLimit(f"the width of {name!r} may be 1,000 at most")
        return original(*arguments, **options)

    return bounded


def _format(text: Any, *values: Any, **named: Any) -> str:
    # A width of a billion in '%1000000000d' would be a billion characters.
    if _DIGITS.search(str(text)) or "*" in str(text):
        raise TemplateLimit("a width in a format may have three digits at most")
    if len(values) == 1 and isinstance(values[0], tuple | Mapping):
        values, named = (values[0], {}) if isinstance(values[0], tuple) else ((), dict(values[0]))
        return str(text) % (values or named)
    return str(text) % (named or values)


@pass_eval_context
def _join(context: EvalContext, values: Any, separator: str = "", attribute: str | int | None = None) -> str:
    if attribute is not None:
        values = map(make_attrgetter(context.environment, attribute), values)
    pieces = list(values)
    _limit(sum(len(str(piece)) for piece in pieces) + len(pieces) * len(str(separator)))
    joined: str = FILTERS["join"](context, pieces, separator)
    return joined


def _replace(text: Any, old: str, new: str, count: int | None = None) -> str:
    found = str(text).count(old) if old else len(str(text)) + 1
    _limit(len(str(text)) + found * len(str(new)))
    whole = text if isinstance(text, str) else str(text)  # Markup stays Markup
    return whole.replace(old, new, -1 if count is None else count)


def _money(value: Any, symbol: str = "$", places: int = 2) -> str:
    """`1234.5 | money` is `$1,234.50`; halves are rounded away from zero, as on a receipt."""
    if isinstance(value, Undefined):
        str(value)  # raises what it stands for
    if type(value) is float and places == 2 and 0 <= value < 1e12 and (written := _price(value)) is not None:
        return f"{symbol}{written}"
    amount = Decimal(str(value)) if isinstance(value, float) else Decimal(value)
    if not amount.is_finite() or isinstance(value, bool) or not 0 <= places <= 6:
        raise TemplateLimit("not an amount of money")
    rounded = amount.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)
    sign = "-" if rounded < 0 else ""
    return f"{sign}{symbol}{abs(rounded):,f}"


@functools.lru_cache(maxsize=4_096)
def _price(value: float) -> str | None:
    """The usual price, of which there are few: nothing to round, so no exact arithmetic is needed. None: not one."""
    return f"{value + 0.0:,.2f}" if round(value, 2) == value else None  # negative zero, which equals zero, becomes zero


@pass_context
def _date(context: Context | Mapping[str, Any], value: Any, form: str = "%d %B %Y", zone: str | None = None) -> str:
    """Write an instant as a local date or time, in the person's zone unless one is named. Dates stay as they are."""
    if isinstance(value, Undefined):
        str(value)  # raises what it stands for
    if isinstance(value, str):
        value = dt.date.fromisoformat(value) if len(value) == 10 else dt.datetime.fromisoformat(value)
    if isinstance(value, dt.datetime):
        if value.tzinfo is None:
            value = value.replace(tzinfo=dt.UTC)
        value = value.astimezone(ZoneInfo(zone or str(context.get("time_zone") or "UTC")))
    elif not isinstance(value, dt.date):
        raise TemplateLimit("not a date or a time")
    return "".join(_directive(value, match) for match in _DIRECTIVE.finditer(form[:100]))


def _directive(value: dt.date, match: re.Match[str]) -> str:
    code = match[1]
    if code is None:
        if match[0] == "%":
            raise TemplateLimit("a date format has a directive that is not known")
        return match[0]
    written = value.strftime("%" + code[-1])
    # `%-d` is not known to every platform's strftime.
    return written.lstrip("0") or "0" if code[0] == "-" else written
