"""SQL as trees: constant texts parsed once, completed by replacing placeholders and table names with other trees.

In the texts `:name` stands for a constant or another tree, `state.x` for a state table, `model.x` for a user's model
brought into canonical columns, and `tick_x` for a temporary table. No SQL is ever made by formatting strings.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import cast

import sqlglot
from sqlglot import exp


@lru_cache(maxsize=512)
def _parsed(text: str) -> exp.Expr:
    found = sqlglot.parse_one(text, read="postgres")
    for node in found.walk():
        # Where a node stood in the text, and its comments, are of no use, and half of the time that copying takes.
        node._meta = node.comments = None
    return found


def tree(text: str, **parts: exp.Expr) -> exp.Select:
    """Return the tree of a constant SQL text with `:name` placeholders replaced by trees.

    A placeholder with no part stays: it is a constant of the tick. The declared type is the commonest, a SELECT; the
    texts of conditions and columns give other nodes, which are only ever put into a larger tree.
    """
    found = _parsed(text).copy()
    return cast("exp.Select", replace_placeholders(found, parts) if parts else found)


def replace_placeholders(root: exp.Expr, parts: Mapping[str, exp.Expr]) -> exp.Expr:
    """Replace `:name` placeholders by (copies of) trees, in place; return the root."""
    for node in list(root.find_all(exp.Placeholder)):
        part = parts.get(node.name)
        if part is not None:
            if node is root:
                return part.copy()
            node.replace(part.copy())
    return root


def replace_tables(root: exp.Expr, schema: str, models: Mapping[str, exp.Query]) -> exp.Expr:
    """Point `state.x` at the state schema and put each model's canonical query in place of `model.x`."""
    for node in list(root.find_all(exp.Table)):
        if node.db == "state":
            node.set("db", exp.to_identifier(schema, quoted=True))
        elif node.db == "model":
            alias = node.alias or node.name
            node.replace(
                exp.Subquery(this=models[node.name].copy(), alias=exp.TableAlias(this=exp.to_identifier(alias)))
            )
    return root


def literal(value: object) -> exp.Expr:
    """Return a Python value as a SQL literal; datetimes must be naive UTC."""
    if isinstance(value, dt.datetime):
        return exp.cast(exp.Literal.string(value.isoformat(sep=" ", timespec="microseconds")), "TIMESTAMP")
    if value is None:
        return exp.null()
    return exp.convert(value)


def create(name: str, query: exp.Expr) -> exp.Create:
    """Return CREATE TEMPORARY TABLE name AS query."""
    return exp.Create(
        this=exp.to_table(name),
        kind="TABLE",
        expression=query,
        properties=exp.Properties(expressions=[exp.TemporaryProperty()]),
    )


def insert(table: str, columns: Sequence[str], query: exp.Expr) -> exp.Insert:
    """Return INSERT INTO table (columns) query."""
    target = exp.Schema(this=exp.to_table(table), expressions=[exp.to_identifier(column) for column in columns])
    return exp.Insert(this=target, expression=query)


def case(pairs: Iterable[tuple[exp.Expr, exp.Expr]], default: exp.Expr | None = None) -> exp.Expr:
    """Return CASE WHEN … THEN … END, or the default alone when there are no pairs."""
    branches = [exp.If(this=condition, true=value) for condition, value in pairs]
    if not branches:
        return default if default is not None else exp.null()
    return exp.Case(ifs=branches, default=default)


def any_of(conditions: Iterable[exp.Expr]) -> exp.Expr:
    """Return the conditions joined by OR; FALSE for none."""
    found = list(conditions)
    return exp.paren(exp.or_(*found)) if found else exp.false()


def all_of(conditions: Iterable[exp.Expr]) -> exp.Expr:
    """Return the conditions joined by AND; TRUE for none."""
    found = list(conditions)
    return exp.and_(*found) if found else exp.true()
