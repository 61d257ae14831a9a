"""Where a query runs: in a dbt model, whose words are Jinja, or in the warehouse right now. The query is the same."""

from __future__ import annotations

import abc
import datetime as dt
import re
from collections.abc import Set

from sqlglot import exp

from activate.load.exposures import reference
from activate.project import Model, Project
from activate.warehouses.dialect import Dialect

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UNITS = (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))


def constant(instant: dt.datetime) -> exp.Expr:
    """A naive UTC instant as a TIMESTAMP."""
    return exp.cast(exp.Literal.string(instant.isoformat(sep=" ")), "TIMESTAMP")


class Place(abc.ABC):
    """What differs between the places."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect

    @abc.abstractmethod
    def table(self, model: Model, alias: str) -> exp.Table:
        """A model as a table."""

    @abc.abstractmethod
    def now(self) -> exp.Expr:
        """The instant that the query is about, a TIMESTAMP in UTC."""

    @abc.abstractmethod
    def ago(self, seconds: int) -> exp.Expr:
        """The instant so long before `now`."""

    def document_text(self, document: exp.Column, key: str) -> exp.Expr:
        """A key of a JSON column, as text; null if it is missing."""
        return self.dialect.json_text(document, key)


class Warehouse(Place):
    """The models' own relations, and instants as constants."""

    def __init__(self, dialect: Dialect, now: dt.datetime) -> None:
        super().__init__(dialect)
        self._now = now

    def table(self, model: Model, alias: str) -> exp.Table:
        return model.relation.table(alias)

    def now(self) -> exp.Expr:
        return constant(self._now)

    def ago(self, seconds: int) -> exp.Expr:
        return constant(self._now - dt.timedelta(seconds=seconds))


class DbtModel(Place):
    """`ref()`, `activate_now()` and dbt's date arithmetic, as stand-ins that `jinja` says the meaning of.

    `macros` are the names of the project's own macros: `json_text` is used where the project has it.
    """

    def __init__(self, dialect: Dialect, project: Project, macros: Set[str]) -> None:
        super().__init__(dialect)
        self.jinja: dict[str, str] = {}
        self._project = project
        self._macros = macros

    def table(self, model: Model, alias: str) -> exp.Table:
        return exp.Table(
            this=exp.to_identifier(self._stand_in(reference(self._project, model))),
            alias=exp.TableAlias(this=exp.to_identifier(alias)),
        )

    def now(self) -> exp.Expr:
        return exp.column(self._stand_in("activate_now()"))

    def ago(self, seconds: int) -> exp.Expr:
        unit, size = next((unit, size) for unit, size in _UNITS if seconds % size == 0)
        return exp.column(self._stand_in(f"dbt.dateadd('{unit}', -{seconds // size}, activate_now())"))

    def document_text(self, document: exp.Column, key: str) -> exp.Expr:
        is_plain = _PLAIN_KEY.fullmatch(key) and not document.this.quoted
        if "json_text" not in self._macros or not is_plain:
            return super().document_text(document, key)
        return exp.column(self._stand_in(f"json_text('{document.name}', '{key}')"))

    def _stand_in(self, words: str) -> str:
        for name, known in self.jinja.items():
            if known == words:
                return name
        # As long as what it stands for, so that lines are broken where they have to be.
        name = f"activate_jinja_{len(self.jinja)}".ljust(len(words) + 6, "_")
        self.jinja[name] = words
        return name
