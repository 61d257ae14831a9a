"""Stages as the compile steps write them, with trees for SQL; the pipeline prints them into a plan."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp


@dataclass(frozen=True)
class Statement:
    """See `activate.plan.Statement`."""

    name: str
    doc: str
    sql: exp.Expr
    creates: str | None = None
    needs: str | None = None


@dataclass(frozen=True)
class Fetch:
    """See `activate.plan.Fetch`."""

    name: str
    doc: str
    sql: exp.Expr
    binds: tuple[str, ...]
    needs: str | None = None


@dataclass(frozen=True)
class Rounds:
    """See `activate.plan.Rounds`."""

    name: str
    doc: str
    first: int
    last: str
    body: tuple[Statement, ...]
    needs: str | None = None
    left: exp.Expr | None = None


Stage = Statement | Fetch | Rounds
