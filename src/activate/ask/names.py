"""Names of columns: readable ones for what a request counts, and quotes for those that need them."""

from __future__ import annotations

import re
from collections.abc import Set

from sqlglot import exp

from activate.ask.phrases import period
from activate.request import Did, Happening

LONGEST = 60  # PostgreSQL cuts a name off at 63

# What PostgreSQL or DuckDB reserve (PostgreSQL 17, appendix C; DuckDB's duckdb_keywords()).
_WORDS = """
all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation
column concurrently constraint create cross current_catalog current_date current_role current_schema current_time
current_timestamp current_user default deferrable desc describe distinct do else end except false fetch for foreign
freeze from full glob grant group having ilike in initially inner intersect into is isnull join lambda lateral
leading left like limit localtime localtimestamp map natural not notnull null offset on only or order outer overlaps
pivot pivot_longer pivot_wider placing positional primary qualify references returning right select semi
session_user show similar some struct summarize symmetric system_user table tablesample then to trailing true
try_cast union unique unpivot user using values variadic verbose when where window with generated anti asof at
exclude replace
"""
RESERVED = frozenset(_WORDS.split())


def identifier(name: str) -> exp.Identifier:
    """A name as it has to be written: bare where every warehouse reads it as it is, else in quotes."""
    is_plain = re.fullmatch(r"[a-z_][a-z0-9_]*", name) is not None and name not in RESERVED
    return exp.to_identifier(name, quoted=not is_plain)


def column(name: str, table: str | None = None) -> exp.Column:
    """A column of a table (or CTE) of ours."""
    return exp.Column(this=identifier(name), table=exp.to_identifier(table) if table else None)


def named(value: exp.Expr, name: str) -> exp.Expr:
    """`value as name`, or just the column where that is its name already."""
    if isinstance(value, exp.Column) and value.name == name:
        return value
    return exp.Alias(this=value, alias=identifier(name))


def count_name(happening: Happening, taken: Set[str]) -> str:
    """`purchase_times_in_90_days`, or `purchase_revenue_in_30_days` for a sum."""
    total = happening.sum if isinstance(happening, Did) else None
    name = f"{happening.event} {total or 'times'}"
    if happening.within is not None:
        name += f" in {period(happening.within)}"
    elif happening.since is not None:
        name += f" since {happening.since:%Y-%m-%d}"
    return unused(slug(name), taken)


def slug(text: str) -> str:
    """A text as a plain name: lower case, digits and `_`."""
    found = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:LONGEST].rstrip("_")
    return found if found[:1].isalpha() else f"x_{found}".rstrip("_")


def unused(name: str, taken: Set[str]) -> str:
    """The name, with a number behind it if it is taken."""
    number, found = 1, name
    while found in taken or found in RESERVED:
        number += 1
        found = f"{name[: LONGEST - 4]}_{number}"
    return found
