"""Holds plain data against a pydantic model and tells of each mistake the line, what is allowed and what is nearest."""

from __future__ import annotations

import copy
import re
import types
from collections.abc import Iterable, Mapping, Set
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from activate.errors import Mistake, nearest
from activate.load.parse import Document, Path_

M = TypeVar("M", bound=BaseModel)
_QUOTED = re.compile(r"'([^']*)'")
_NAME = "lower-case letters, digits and _, starting with a letter, at most 63 characters"

_MAPPINGS = (dict, Mapping)
_NO_MAPPING = ("model_type", "model_attributes_type")
_SENTENCES: Mapping[str, str] = {
    "string_pattern_mismatch": "{shown} is not a name; allowed: " + _NAME,
    "string_type": "{shown} is not text; put it in quotes if it is meant as text",
    "bool_type": "{shown} is neither true nor false",
    "bool_parsing": "{shown} is neither true nor false",
    "int_type": "{shown} is not a whole number",
    "int_parsing": "{shown} is not a whole number",
    "int_from_float": "{shown} is not a whole number",
    "greater_than_equal": "{shown} is too small; the least is {ge}",
    "less_than_equal": "{shown} is too large; the most is {le}",
    "tuple_type": "{shown} is not a list; write it as [a, b] or as lines that begin with `- `",
    "dict_type": "{shown} is not a mapping of keys to values",
    "model_type": "{shown} is not a mapping of keys to values",
    "model_attributes_type": "{shown} is not a mapping of keys to values",
}


def validate(model: type[M], document: Document) -> tuple[M | None, list[Mistake]]:
    """Make a model of a document, or list all that keeps it from being one."""
    try:
        return model.model_validate(document.data, context={"written": True}), []
    except ValidationError as error:
        return None, explain(model, error, document)


def validate_rest(model: type[M], document: Document) -> tuple[M | None, list[Mistake]]:
    """As `validate`, but what is wrong is left out where the model can do without it: what the rest has to do with
    other files can then be checked in the same go. With mistakes, the model is for checking only."""
    made, mistakes = validate(model, document)
    data: Any = document.data
    while made is None and data is not None:
        try:
            made = model.model_validate(data, context={"written": True})
        except ValidationError as error:
            data = _without(model, data, error)
    return made, mistakes


def _without(model: type[BaseModel], data: Any, error: ValidationError) -> Any:
    """The data without the unknown keys and the optional fields that an error names; None if that is not enough."""
    left = copy.deepcopy(data)
    for detail in error.errors():
        path = _path(detail["loc"], data)
        if detail["type"] == "too_short" and _descend(data, path):
            continue  # its entries have mistakes of their own
        drop = path if detail["type"] == "extra_forbidden" else _optional(model, path)
        if not drop:
            return None
        if drop[:-1] == _path(drop[:-1], left):
            _descend(left, drop[:-1]).pop(drop[-1], None)
    return left if left != data else None


def _optional(model: type[BaseModel], path: Path_) -> Path_:
    """The longest beginning of a path that is a field with a default, but for mappings of names that others refer to."""
    current: type[BaseModel] | None = model
    found: Path_ = ()
    for place, part in enumerate(path):
        fields = {field.alias or name: field for name, field in current.model_fields.items()} if current else {}
        if part in fields:
            field = fields[str(part)]
            current = _model_in(field.annotation)
            if not field.is_required() and get_origin(field.annotation) not in _MAPPINGS:
                found = path[: place + 1]
    return found


def explain(model: type[BaseModel], error: ValidationError, document: Document, at: Path_ = ()) -> list[Mistake]:
    """The errors of a model as mistakes; `at` is where in the document the model's data begins."""
    found: dict[tuple[Path_, str], Mistake] = {}
    base = _descend(document.data, at)
    details = error.errors()
    words = {_path(detail["loc"], base) for detail in details if detail["type"] == "literal_error"}
    mappings = {_path(detail["loc"], base) for detail in details if detail["type"] in _NO_MAPPING}
    for detail in details:
        path = _path(detail["loc"], base)
        if _is_beside_the_point(detail, path, _descend(base, path), words):
            continue
        message = _message(model, detail, also_mapping=path in mappings)
        part: Literal["key", "value"] = "key" if detail["type"] == "extra_forbidden" else "value"
        found.setdefault((path, message), document.mistake((*at, *path), message, part=part))
    return list(found.values())


def _is_beside_the_point(detail: Any, path: Path_, value: Any, words: Set[Path_]) -> bool:
    """Where a value may be a word or a mapping, what pydantic says of the form that was not written; and its echoes."""
    if detail["type"] == "literal_error" and isinstance(value, dict):
        return True
    if detail["type"] in _NO_MAPPING and path in words:
        return True
    return detail["type"] == "too_short" and bool(value)  # its entries have mistakes of their own


def _path(location: Iterable[str | int], data: Any) -> Path_:
    """The part of a location that is in the data: pydantic also names union branches and what is missing."""
    path: list[str | int] = []
    for part in location:
        keys = data if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()
        if part in keys:
            data = data[part]
            path.append(part)
    return tuple(path)


def _descend(data: Any, path: Path_) -> Any:
    for part in path:
        data = data[part]
    return data


def _message(model: type[BaseModel], detail: Any, also_mapping: bool) -> str:
    kind, location = detail["type"], detail["loc"]
    if kind == "missing":
        return f"`{location[-1]}` is missing"
    if kind == "extra_forbidden":
        allowed = allowed_keys(model, location[:-1])
        return f"unknown key {str(location[-1])!r}; allowed: {', '.join(allowed)}{nearest(str(location[-1]), allowed)}"
    shown = _shown(detail.get("input"))
    if kind == "literal_error":
        allowed = tuple(_QUOTED.findall(detail["ctx"]["expected"]))
        listed = ", ".join(allowed) + (", or a mapping" if also_mapping else "")
        return f"{shown} is not allowed here; allowed: {listed}{nearest(str(detail['input']), allowed)}"
    if kind == "too_short":
        return f"`{location[-1]}` needs at least one entry"
    if kind == "value_error":
        return str(detail["ctx"]["error"])
    sentence = _SENTENCES.get(kind)
    return sentence.format(shown=shown, **detail.get("ctx", {})) if sentence else str(detail["msg"])


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, (dict, list)):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def allowed_keys(model: type[BaseModel], location: Iterable[str | int]) -> tuple[str, ...]:
    """The keys, as people write them, of the model that a location leads to."""
    current: type[BaseModel] | None = model
    annotation: Any = None
    for part in location:
        fields = {field.alias or name: field for name, field in current.model_fields.items()} if current else {}
        if part in fields:
            annotation = fields[str(part)].annotation
            current = _model_in(annotation)
    return tuple(field.alias or name for name, field in current.model_fields.items()) if current else ()


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The first pydantic model in an annotation such as `tuple[Step, ...]` or `TimeWindow | None`."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, BaseModel) else None
    if get_origin(annotation) is not None:
        for argument in get_args(annotation):
            found = _model_in(argument)
            if found is not None:
                return found
    return None
