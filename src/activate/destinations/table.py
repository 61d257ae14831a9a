"""Keeps an audience in a SQL table: of the project's own warehouse, or of any target in its dbt profile."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from activate.destinations.base import Abilities, Changes, Destination, MembersRequest, TablePlace, TableRequest
from activate.project import Relation
from activate.providers.base import Limits
from activate.providers.options import Option

_PART = r'"(?:[^"]|"")+"|[^".\s]+'
_NAME = re.compile(rf"(?:{_PART})(?:\.(?:{_PART})){{1,2}}")


def _check_table(table: str) -> str | None:
    unknown = [name for name in re.findall(r"\{([^}]*)\}", table) if name != "audience"]
    if unknown:
        return f"{{{unknown[0]}}} is not known; only {{audience}} can be filled in"
    if not _NAME.fullmatch(table):
        return (
            'write schema.name or database.schema.name; a name with dots or spaces goes in double quotes: crm."my list"'
        )
    return None


def _check_column(name: str) -> str | None:
    return "a name that begins with _ is Activate's own" if name.startswith("_") else None


def _relation(table: str, audience: str) -> Relation:
    parts = [
        part[1:-1].replace('""', '"') if part.startswith('"') else part
        for part in re.findall(_PART, table.replace("{audience}", audience))
    ]
    return Relation(parts[-2], parts[-1], parts[0] if len(parts) == 3 else None)


class Table(Destination):
    """One row per member, found by its key column; the mapped fields are columns."""

    type = "table"
    transport = "table"
    summary = "Keeps an audience in a SQL table: in the project's own warehouse, or in any target of its dbt profile."
    example: ClassVar[Mapping[str, Any]] = {"table": "crm.{audience}"}
    declared = (
        Option("table", "`schema.name` or `database.schema.name`; `{audience}` becomes the audience's name. Written as "
               "it is in the warehouse: capitals count, and a name with dots or spaces goes in double quotes.",
               required=True, check=_check_table),
        Option("target", "A target of the project's profile in profiles.yml; the project's own if left out."),
        Option("key", "The column that holds what the person is known by.", default="user_id", check=_check_column),
        Option("audience_column", "A column for the audience's name, so that several audiences can share the table.",
               check=_check_column),
        Option("create", "Whether to make the schema and the table where they are missing.", "flag", default=True),
        Option("batch", "Rows per transaction.", "whole", default=50_000, low=1, high=1_000_000),
    )  # fmt: skip
    defaults: ClassVar[Limits] = Limits(batch=50_000)
    notes = """\
A batch is one transaction: loaded in bulk, then set-based statements. Rows that are there are updated, new ones are
inserted, and those of people who left are deleted; handed over again, a batch changes nothing. Columns that the mapping
does not name keep what they hold, so a table of your own may have more of them.

A table that Activate makes has the key as text, `audience_column` if there is one, and one column per field with the
type it has in the segment. In a table of your own, values are cast to the types of its columns; a field without a column is
refused before anything is written. A value that cannot be cast, or that a constraint forbids, is `rejected` for its row
alone: the batch is halved until it is found.

| what happens | outcome |
|---|---|
| the transaction is committed | accepted |
| a value cannot be cast, or a constraint forbids it | rejected, for that row |
| the connection is lost before the commit, a deadlock, a time limit | failed: tried again |
| the connection is lost during the commit | unknown: handed over again, which leaves one row |
| a right, the schema, the table or a column is missing | the sync stops and says so |

With `audience_column`, only rows of the audience itself are looked at; without it, the table belongs to one audience. People
in it whom Activate never sent are counted when the members are read back, and left alone. `timeout` does not apply."""

    @classmethod
    def conflicts(cls, options: Mapping[str, Any]) -> list[str]:
        column, key = options.get("audience_column"), options.get("key") or "user_id"
        return ["'audience_column' and 'key' name the same column"] if column and column == key else []

    @classmethod
    def abilities_of(cls, options: Mapping[str, Any]) -> Abilities:
        del options
        return Abilities(shape="columns", reads_back=True)

    @classmethod
    def holds_several(cls, options: Mapping[str, Any]) -> bool:
        return bool(options.get("audience_column")) or "{audience}" in str(options.get("table"))

    def build(self, changes: Changes, at: dt.datetime) -> TableRequest:
        del at
        return TableRequest(self._place(changes.audience), changes)

    def ask_members(self, audience: str) -> MembersRequest:
        return MembersRequest(self._place(audience))

    def _place(self, audience: str) -> TablePlace:
        options = self.options
        return TablePlace(
            options["target"], _relation(options["table"], audience), options["key"], audience,
            options["audience_column"], options["create"],
        )  # fmt: skip
