"""Figures of a change set that lies in the warehouse as temporary tables: how many people have each verdict, and who."""

from __future__ import annotations

from typing import Any

import sqlglot
from sqlglot import exp

from activate.project import Model
from activate.warehouses.base import Warehouse, literal

WORK = "audience_work"


class WorkFigures:
    """Counts over `audience_work` (see `activate.compile.audience.ChangeSet`) on the connection that made it."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def count(self, table: str) -> int:
        """How many rows a temporary table has."""
        found = self._warehouse.scalar(exp.select("COUNT(*)").from_(exp.to_table(table)))
        return int(str(found))

    def has_doubles(self, rows: int, held: exp.Query) -> bool:
        """Whether two of so many compared rows have one identifier, by the counts of `audience_changed`.

        Of rows and members that met, there are as many of either unless one met twice; those that met nobody are few.
        """
        sides = {row["side"]: int(row["n"]) for row in self._rows(
            "SELECT d.side, COUNT(*) AS n FROM audience_changed AS d GROUP BY d.side"
        )}  # fmt: skip
        members = int(str(self._warehouse.scalar(exp.select("COUNT(*)").from_(held.subquery("h")))))
        if rows - sides.get("new", 0) != members - sides.get("gone", 0):
            return True
        twice = self._rows(
            "SELECT d.member FROM audience_changed AS d WHERE d.side = 'new' AND NOT d.member IS NULL "
            "GROUP BY d.member HAVING COUNT(*) > 1 LIMIT 1"
        )
        return bool(twice)

    def verdicts(self) -> dict[tuple[str, str | None], int]:
        """How many rows of the change set have each verdict and reason."""
        query = exp.select("verdict", "reason", "COUNT(*) AS people").from_(WORK).group_by("verdict", "reason")
        rows = self._warehouse.rows(query)
        return {(row["verdict"], row["reason"]): int(row["people"]) for row in rows}

    def held(self, query: exp.Query) -> int:
        """How many members the destination holds, or may hold."""
        whole = exp.select("COUNT(*)").from_(query.subquery("h")).where("h.is_present")
        return int(str(self._warehouse.scalar(whole)))

    def source_rows(self, model: Model) -> int:
        """How many rows the segment's model has."""
        return int(str(self._warehouse.scalar(exp.select("COUNT(*)").from_(model.relation.table()))))

    def refused_wanted(self) -> int:
        """How many dead letters are about people who are wanted."""
        query = (
            exp.select("COUNT(*)").from_(WORK).where("verdict = 'refused' AND reason IS NULL AND NOT row_hash IS NULL")
        )
        return int(str(self._warehouse.scalar(query)))

    def left_out_before(self) -> dict[str, int]:
        """How many people of the segment were there, or are dead letters, and are now left out, by reason."""
        query = exp.select("reason", "COUNT(*) AS people").from_(WORK)
        query = query.where("verdict IN ('remove', 'refused') AND NOT reason IS NULL AND NOT row_hash IS NULL")
        rows = self._warehouse.rows(query.group_by("reason"))
        return {row["reason"]: int(row["people"]) for row in rows}

    def samples(self, count: int) -> dict[str, list[str]]:
        """The first people's keys by verdict (`invalid: reason` for invalid rows), `count` of each."""
        if not count:
            return {}
        rows = self._rows(
            "SELECT n.verdict, n.reason, n.user_id FROM (SELECT w.verdict, w.reason, w.user_id, ROW_NUMBER() OVER "
            "(PARTITION BY w.verdict, w.reason ORDER BY w.user_id) AS place FROM audience_work AS w "
            "WHERE NOT w.user_id IS NULL AND w.verdict <> 'unchanged') AS n WHERE n.place <= :count ORDER BY n.verdict, n.reason, n.place",
            literal(count),
        )
        found: dict[str, list[str]] = {}
        for row in rows:
            label = (
                f"{row['verdict']}: {row['reason']}" if row["verdict"] in ("invalid", "left_out") else row["verdict"]
            )
            found.setdefault(label, []).append(row["user_id"])
        return found

    def _rows(self, text: str, count: exp.Expr | None = None) -> list[dict[str, Any]]:
        query = sqlglot.parse_one(text, read="duckdb")
        for node in list(query.find_all(exp.Placeholder)):
            node.replace(count)
        found: list[dict[str, Any]] = self._warehouse.rows(query)
        return found
