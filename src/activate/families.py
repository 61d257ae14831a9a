"""Families of the warehouses' type names: enough to tell whether a column can serve as an id, a time or a text."""

from __future__ import annotations

# By the beginning of the name, in this order; names are in lower case, as `Warehouse.columns` gives them.
_FAMILIES: tuple[tuple[str, str], ...] = (
    ("timestamp", "instant"),
    ("datetime", "instant"),
    ("date", "instant"),
    ("time", "time of day"),
    ("interval", "interval"),
    ("char", "text"),
    ("varchar", "text"),
    ("nvarchar", "text"),
    ("bpchar", "text"),
    ("text", "text"),
    ("string", "text"),
    ("citext", "text"),
    ("name", "text"),
    ("enum", "text"),
    ("uuid", "text"),
    ("tinyint", "integer"),
    ("smallint", "integer"),
    ("integer", "integer"),
    ("int", "integer"),
    ("bigint", "integer"),
    ("hugeint", "integer"),
    ("utinyint", "integer"),
    ("usmallint", "integer"),
    ("uinteger", "integer"),
    ("ubigint", "integer"),
    ("uhugeint", "integer"),
    ("numeric", "decimal"),
    ("decimal", "decimal"),
    ("number", "decimal"),
    ("float", "float"),
    ("double", "float"),
    ("real", "float"),
    ("bool", "boolean"),
    ("json", "json"),
    ("variant", "json"),
    ("struct", "nested"),
    ("map", "nested"),
    ("union", "nested"),
    ("bytea", "binary"),
    ("blob", "binary"),
    ("bit", "binary"),
)


NUMBERS = ("integer", "decimal", "float")


def family(type_name: str) -> str | None:
    """The family of a type name, or None where it is not known (a domain or an enum of the user's own)."""
    if type_name.endswith("]"):
        return "nested"
    return next((found for beginning, found in _FAMILIES if type_name.startswith(beginning)), None)


def castable(type_name: str, target: str) -> bool:
    """Whether any value of a type can be cast to a field's `cast`: no number is a date, no instant a number."""
    kind = family(type_name)
    if target in ("date", "timestamp"):
        return kind not in (*NUMBERS, "boolean", "time of day", "interval")
    return target == "text" or kind not in ("instant", "time of day", "interval")
