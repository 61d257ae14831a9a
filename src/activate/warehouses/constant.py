"""Questions whose text never changes: parsed once, asked with the tables and constants of the day."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import sqlglot
from sqlglot import exp

from activate.project import Relation
from activate.warehouses.base import Warehouse


def ask(warehouse: Warehouse, text: str, **parts: exp.Expr | Relation) -> list[dict[str, Any]]:
    """Run a constant query over the tables and `:name` constants that `parts` name; return rows as dicts."""
    query = _parsed(text).copy()
    for node in list(query.find_all(exp.Table, exp.Placeholder)):
        part = parts.get(node.name)
        if isinstance(part, Relation):
            node.replace(part.table(node.alias or node.name))
        elif part is not None:
            node.replace(part.copy())
    return warehouse.rows(query)


@lru_cache(maxsize=64)
def _parsed(text: str) -> exp.Expr:
    return sqlglot.parse_one(text, read="duckdb")
