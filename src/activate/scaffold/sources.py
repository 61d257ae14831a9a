"""The dbt source of Activate's state, made from `activate.tables`, so that it cannot fall behind the tables."""

from __future__ import annotations

import json

from activate.tables import META, TABLES

_HEAD = """\
# Generated from activate.tables (`python -m activate.scaffold.sources > models/sources/activate.yml`): do not edit.
# Models may be built on these tables; names and meanings are stable (docs/state-tables.md).
sources:
  - name: activate
    schema: {schema}
    description: What Activate knows, decided and sent. Append-only; all times are UTC.
    tables:
"""


def state_source(schema: str = "activate") -> str:
    """Return the yml that declares the state tables as the dbt source `activate` in `schema`."""
    lines = [_HEAD.format(schema=schema)]
    for table in TABLES:
        lines.append(f"      - name: {table.name}\n        description: {json.dumps(table.doc)}\n")
        if table is META:
            # It says which version Activate has made, so only Activate may make it.
            lines.append("        config: {meta: {create_missing: false}}\n")
        lines.append("        columns:\n")
        for column in table.columns:
            required = "" if column.nullable else ", config: {meta: {required: true}}"
            doc = json.dumps(column.doc, ensure_ascii=False)
            kind = column.type.lower()
            lines.append(f"          - {{name: {column.name}, data_type: {kind}, description: {doc}{required}}}\n")
    return "".join(lines)


if __name__ == "__main__":
    print(state_source(), end="")
