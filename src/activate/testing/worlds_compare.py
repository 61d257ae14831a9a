"""The oracle's state beside the engine's tables, row by row, and how to print where they differ."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from activate.project import Relation
from activate.testing.oracle_state import State
from activate.testing.worlds_stage import read
from activate.warehouses.base import Warehouse

# What is compared: the columns whose values docs/rules.md fixes. The first are the row's key, the last its time.
COMPARED: dict[str, tuple[str, ...]] = {
    "memberships": ("segment", "user_id", "change", "changed_at"),
    "entries": (
        "entry_id", "campaign", "user_id", "occurrence_id", "entered_at", "variant", "is_control", "control_group",
        "match_key", "recorded_at",
    ),
    "decisions": (
        "entry_id", "step", "message_id", "campaign", "user_id", "channel", "outcome", "gate", "reason", "retry_at",
        "due_at", "rule", "evidence", "observed", "ends_entry", "decided_at",
    ),
    "messages": (
        "message_id", "entry_id", "campaign", "step", "variant", "user_id", "channel", "provider", "class", "tags",
        "expires_at", "send_by", "counts_toward_caps", "queued_at",
    ),
    "audits": ("entry_id", "message_id", "kind", "evidence", "recorded_at"),
}  # fmt: skip
_KEYS = {"memberships": 4, "entries": 1, "decisions": 2, "messages": 1, "audits": 4}

Tables = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Difference:
    """A row that one side has and the other has not, or has otherwise. None: that side has no such row.

    `again`: the engine has written a row once more than expected.
    """

    table: str
    expected: Mapping[str, Any] | None
    actual: Mapping[str, Any] | None
    again: bool = False

    @property
    def row(self) -> Mapping[str, Any]:
        """The row, whichever side has it."""
        return self.expected or self.actual or {}

    @property
    def user_id(self) -> str:
        """The person that the row is about; empty where the row names an entry only."""
        key: str = self.row.get("user_id", "")
        return key

    @property
    def at(self) -> dt.datetime:
        """The tick that wrote the row."""
        instant: dt.datetime = self.row[COMPARED[self.table][-1]]
        return instant

    def __str__(self) -> str:
        if self.expected and self.actual:
            names = [name for name in COMPARED[self.table] if self.expected[name] != self.actual[name]]
            lines = [f"    {name}: expected {self.expected[name]!s}, got {self.actual[name]!s}" for name in names]
            return "\n".join([f"  {self.table}, differs: {written(self.expected)}", *lines])
        what = "missing" if self.expected else "written once more" if self.again else "not expected"
        return f"  {self.table}, {what}: {written(self.row)}"


def written(row: Mapping[str, Any]) -> str:
    """A row on one line, without what is null."""
    return ", ".join(f"{name}={_short(value)}" for name, value in row.items() if value is not None)


def _short(value: object) -> str:
    text = value.isoformat() if isinstance(value, dt.datetime) else str(value)
    return text[:8] if len(text) == 32 and text.isalnum() else text


def expected_tables(states: Iterable[State]) -> Tables:
    """The oracle's state as rows of the state tables."""
    tables: Tables = {name: [] for name in COMPARED}
    for state in states:
        for name, rows in (
            ("memberships", state.memberships),
            ("entries", state.entries.values()),
            ("decisions", state.decisions),
            ("messages", state.messages),
            ("audits", state.audits),
        ):
            for row in rows:
                values = {**vars(row), "class": getattr(row, "class_", None)}
                tables[name].append({column: values[column] for column in COMPARED[name]})
    return tables


def actual_tables(warehouse: Warehouse, schema: str) -> Tables:
    """The engine's state tables."""
    tables = {name: read(warehouse, Relation(schema, name), columns) for name, columns in COMPARED.items()}
    for row in tables["messages"]:
        row["tags"] = tuple(json.loads(row["tags"]))
    return tables


def differences(expected: Tables, actual: Tables) -> list[Difference]:
    """Where the two differ, the earliest first: later ones often follow from it."""
    found: list[Difference] = []
    for name, columns in COMPARED.items():
        wanted, got = (Counter(tuple(row[c] for c in columns) for row in side[name]) for side in (expected, actual))
        missing, extra = list((wanted - got).elements()), list((got - wanted).elements())
        for row in missing:
            twin = next((other for other in extra if _key(name, other) == _key(name, row)), None)
            if twin:
                extra.remove(twin)
            found.append(Difference(name, dict(zip(columns, row, strict=True)), _named(columns, twin)))
        found += [Difference(name, None, _named(columns, row), again=row in wanted) for row in extra]
    return sorted(found, key=lambda each: (each.at, list(COMPARED).index(each.table), each.user_id))


def _key(name: str, row: Sequence[Any]) -> tuple[Any, ...]:
    return (*row[: _KEYS[name]], row[-1])


def _named(columns: Sequence[str], row: Sequence[Any] | None) -> dict[str, Any] | None:
    return None if row is None else dict(zip(columns, row, strict=True))
