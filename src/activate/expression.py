"""What people may write in a `where:`: one boolean expression about one row, and nothing else.

The text is parsed into a tree and the tree is held against a list of what is allowed; what is not on the list is
refused by name. The text itself never reaches a warehouse: the tree is printed again, with every column quoted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError, TokenError

from activate.errors import nearest

MAX_LENGTH = 4000

# Functions by the names that people write. All of them look at their arguments only, and answer for one row.
FUNCTIONS: Mapping[str, type[exp.Expr]] = {
    "abs": exp.Abs,
    "ceil": exp.Ceil,
    "coalesce": exp.Coalesce,
    "concat": exp.Concat,
    "contains": exp.Contains,
    "date_trunc": exp.TimestampTrunc,
    "ends_with": exp.EndsWith,
    "extract": exp.Extract,
    "floor": exp.Floor,
    "greatest": exp.Greatest,
    "json_extract_path_text": exp.JSONExtractScalar,
    "least": exp.Least,
    "left": exp.Left,
    "length": exp.Length,
    "lower": exp.Lower,
    "nullif": exp.Nullif,
    "replace": exp.Replace,
    "right": exp.Right,
    "round": exp.Round,
    "split_part": exp.SplitPart,
    "starts_with": exp.StartsWith,
    "strpos": exp.StrPosition,
    "substring": exp.Substring,
    "trim": exp.Trim,
    "upper": exp.Upper,
}

_PREDICATES = (
    exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ, exp.Is, exp.In, exp.Between,
    exp.Like, exp.ILike, exp.RegexpLike, exp.RegexpILike, exp.SimilarTo, exp.Escape,
    exp.StartsWith, exp.EndsWith, exp.Contains,
)  # fmt: skip
_LOGIC = (exp.And, exp.Or, exp.Not)
_ALLOWED: frozenset[type[exp.Expr]] = frozenset(
    (
        *FUNCTIONS.values(), *_PREDICATES, *_LOGIC,
        exp.Paren, exp.Column, exp.Identifier, exp.Literal, exp.Boolean, exp.Null,
        exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.Neg, exp.DPipe,
        exp.Case, exp.If, exp.Cast, exp.TryCast, exp.DataType, exp.DataTypeParam, exp.Interval, exp.DateTrunc,
        exp.JSONExtract, exp.JSONPath, exp.JSONPathRoot, exp.JSONPathKey, exp.JSONPathSubscript,
    )
)  # fmt: skip

_STATEMENTS = (exp.Query, exp.Subquery, exp.Exists, exp.DDL, exp.DML, exp.Command, exp.CTE, exp.Any, exp.All)
_CLOCKS = (
    exp.CurrentDate, exp.CurrentDatetime, exp.CurrentTime, exp.CurrentTimestamp, exp.Localtime, exp.Localtimestamp,
)  # fmt: skip
_CLOCK_NAMES = (
    "now", "today", "getdate", "sysdate", "clock_timestamp", "statement_timestamp", "transaction_timestamp",
    "timeofday", "age", "get_current_time", "get_current_timestamp", "current_localtime", "current_localtimestamp",
)  # fmt: skip
_CLOCK_WORDS = re.compile(r"^\s*(now|today|tomorrow|yesterday)\b", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_TEMPORAL = ("timestamp", "date", "time")
_Type = exp.DataType.Type
_TYPES = (
    _Type.BOOLEAN, _Type.TINYINT, _Type.SMALLINT, _Type.INT, _Type.BIGINT, _Type.INT128,
    _Type.FLOAT, _Type.DOUBLE, _Type.DECIMAL,
    _Type.TEXT, _Type.VARCHAR, _Type.CHAR, _Type.NCHAR, _Type.NVARCHAR, _Type.BPCHAR,
    _Type.DATE, _Type.TIME, _Type.TIMESTAMP, _Type.TIMESTAMPTZ, _Type.TIMESTAMPNTZ, _Type.DATETIME,
    _Type.JSON, _Type.JSONB, _Type.UUID,
)  # fmt: skip
_UNIT_HOLDERS = (exp.Extract, exp.Interval, exp.TimestampTrunc, exp.DateTrunc)
_ODD_TEXTS = (exp.RawString, exp.ByteString, exp.HexString, exp.BitString, exp.National, exp.UnicodeString)


def parse_where(text: str, *, columns: Mapping[str, str] | None, dialect: str) -> exp.Expression:
    """Read a `where:` as a tree in parentheses, with its columns quoted and spelled as in the warehouse.

    `columns` maps the model's columns to their type names (in lower case, '' where unknown); None skips the question
    whether columns exist and leaves them unquoted, which is enough for checking but not for running. Raises ValueError
    that says what is not allowed.
    """
    tree = _parse(text, dialect)
    for node in tree.walk():
        _refuse(node, dialect)
    if columns is not None:
        tree = tree.transform(lambda node: _settle(node, columns) if isinstance(node, exp.Column) else node)
    _refuse_clock_words(tree, columns or {}, dialect)
    _demand_boolean(tree, columns or {})
    return tree if isinstance(tree, exp.Paren) else exp.Paren(this=tree)


def columns_of(tree: exp.Expression) -> Iterator[str]:
    """The names of the columns in an expression, in the order of reading, each as often as it appears."""
    return (column.name for column in tree.find_all(exp.Column, bfs=False))


def _parse(text: str, dialect: str) -> exp.Expression:
    if not isinstance(text, str) or not text.strip():
        raise ValueError("the expression is empty; write a condition on the row, e.g. cart_value > 100")
    if len(text) > MAX_LENGTH:
        raise ValueError(f"the expression has {len(text)} characters; at most {MAX_LENGTH} are allowed")
    if _CONTROL.search(text):
        raise ValueError("the expression contains a control character")
    try:
        tokens = sqlglot.tokenize(text, read=dialect)
        if any(token.comments for token in tokens) or not tokens:
            raise ValueError("comments (-- and /* */) are not allowed in an expression; use a YAML comment")
        if any(token.token_type.name == "SEMICOLON" for token in tokens):
            raise ValueError("';' is not allowed; write exactly one expression")
        tree: exp.Expression = sqlglot.parse_one(text, into=exp.Condition, dialect=dialect)  # type: ignore[assignment]  # sqlglot narrows too far
    except SqlglotError as error:
        raise ValueError(f"cannot be read as one SQL expression: {_reason(error)}") from None
    except RecursionError:
        raise ValueError("the expression is nested too deeply") from None
    except (
        TypeError,
        AttributeError,
    ):  # sqlglot's compiled parser (sqlglotc) fails like this where the plain one complains
        raise ValueError("cannot be read as one SQL expression") from None
    if any(node.comments for node in tree.walk()):
        raise ValueError("comments (-- and /* */) are not allowed in an expression; use a YAML comment")
    return tree


def _reason(error: SqlglotError) -> str:
    """Why a text cannot be read, in the reader's words where sqlglot speaks in its own."""
    if isinstance(error, TokenError):
        return "a quotation mark is not closed"
    for detail in getattr(error, "errors", ()):
        description, place = str(detail.get("description")).rstrip("."), repr(detail.get("highlight") or "the end")
        if description.startswith("Required keyword"):
            return f"something is missing near {place}"
        if description.startswith("Invalid expression"):
            return f"{place} is not expected here"
        return f"{description} near {place}"
    return str(error).splitlines()[0]


def _refuse(node: exp.Expr, dialect: str) -> None:
    """Raise ValueError if a node is not on the list of what is allowed."""
    kind = type(node)
    if isinstance(node, exp.Column) and (node.table or not isinstance(node.this, exp.Identifier)):
        name = node.name if isinstance(node.this, exp.Identifier) else "column"
        raise ValueError(f"write the column as `{name}`, without a table: an expression sees one row of one model")
    if isinstance(node, exp.DataType) and (node.this not in _TYPES or node.args.get("kind")):
        raise ValueError(f"a cast to {node.sql(dialect)} is not allowed")
    if isinstance(node, exp.In) and not node.expressions and not node.args.get("query"):
        raise ValueError("IN needs a list of values in parentheses")
    if kind in _ALLOWED or (kind is exp.Var and isinstance(node.parent, _UNIT_HOLDERS)):
        return
    raise ValueError(_complaint(node, dialect))


def _complaint(node: exp.Expr, dialect: str) -> str:
    shown = node.sql(dialect)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    for kinds, words in _COMPLAINTS:
        if isinstance(node, kinds):
            return words.format(shown)
    if isinstance(node, exp.Func) and not isinstance(node, exp.Binary):
        name = (str(node.this) if isinstance(node, exp.Anonymous) else node.sql_name()).lower()
        if isinstance(node, _CLOCKS) or name in _CLOCK_NAMES:
            return f"{name}() reads the clock, which rules may not; put an age column into the dbt model"
        return f"the function {name}() is not allowed; allowed: {', '.join(FUNCTIONS)}{nearest(name, FUNCTIONS)}"
    return f"{shown!r} is not allowed in an expression"


_COMPLAINTS: tuple[tuple[tuple[type[exp.Expr], ...], str], ...] = (
    (_STATEMENTS, "a sub-statement is not allowed ({}); put the question into the dbt model and use its column"),
    ((exp.Placeholder, exp.Parameter, exp.SessionParameter), "a parameter is not allowed ({})"),
    ((exp.Window,), "a window function is not allowed ({}); compute it in the dbt model"),
    ((exp.AggFunc,), "an aggregate is not allowed ({}); compute it in the dbt model"),
    (_ODD_TEXTS, "write text in plain single quotes ({})"),
)


def _settle(column: exp.Column, columns: Mapping[str, str]) -> exp.Column:
    written = column.name
    found = [name for name in columns if name == written] or [
        name for name in columns if name.lower() == written.lower()
    ]
    if not found:
        names = ", ".join(columns) or "none"
        raise ValueError(f"no column {written!r}; the model's columns: {names}{nearest(written, columns)}")
    if len(found) > 1:
        raise ValueError(
            f"{written!r} could be any of {', '.join(found)}; write it in double quotes, as the model does"
        )
    return exp.column(found[0], quoted=True)


def _refuse_clock_words(tree: exp.Expression, columns: Mapping[str, str], dialect: str) -> None:
    """PostgreSQL reads the clock for the text 'now' or 'today' wherever it takes it as a time."""
    for literal in tree.find_all(exp.Literal):
        if not literal.is_string or not _CLOCK_WORDS.match(literal.name):
            continue
        place = literal.find_ancestor(*_PREDICATES) or tree
        if any(_is_temporal(node, columns, dialect) for node in place.walk()):
            raise ValueError(f"{literal.name!r} as a time reads the clock, which rules may not")


def _is_temporal(node: exp.Expr, columns: Mapping[str, str], dialect: str) -> bool:
    if isinstance(node, exp.Column):
        return columns.get(node.name, "").startswith(_TEMPORAL)
    if isinstance(node, exp.DataType):
        return node.sql(dialect).lower().startswith(_TEMPORAL)
    return isinstance(node, (exp.Interval, exp.Extract, exp.TimestampTrunc, exp.DateTrunc))


def _demand_boolean(node: exp.Expr, columns: Mapping[str, str]) -> None:
    """Raise ValueError unless the node is true or false (or null) for every row."""
    if isinstance(node, (exp.Paren, *_LOGIC)):
        for part in (node.this, node.args.get("expression")):
            if part is not None:
                _demand_boolean(part, columns)
        return
    if isinstance(node, exp.If):
        for part in (node.args["true"], node.args.get("false") or exp.null()):
            _demand_boolean(part, columns)
        return
    if isinstance(node, exp.Case):
        branches = [branch.args["true"] for branch in node.args["ifs"]] + [node.args.get("default") or exp.null()]
        for branch in branches:
            _demand_boolean(branch, columns)
        return
    if isinstance(node, exp.Coalesce):
        for part in (node.this, *node.expressions):
            _demand_boolean(part, columns)
        return
    is_boolean = (
        isinstance(node, (*_PREDICATES, exp.Boolean, exp.Null))
        or (isinstance(node, exp.Column) and columns.get(node.name, "") in ("", "bool", "boolean"))
        or (isinstance(node, exp.Cast) and node.to.this == exp.DataType.Type.BOOLEAN)
    )
    if not is_boolean:
        raise ValueError(f"{node.sql()} is not true or false; write a comparison, e.g. cart_value > 100")
