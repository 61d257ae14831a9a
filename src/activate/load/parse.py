"""YAML with line numbers: a file becomes plain data, and for every key and value the line it stands on.

The tree is built from libyaml's events, not by PyYAML's constructors: no tag can make an object, keys stay text (`on`
is not `True`), times of day stay text (`21:00` is not 1260), duplicate keys are seen, and depth and size have a limit,
so that a file of aliases to aliases does no harm.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from activate.errors import Mistake

Path_ = tuple[str | int, ...]
MAX_BYTES = 1_000_000
MAX_NODES = 50_000
MAX_DEPTH = 30

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)$")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?$|[-+]?[0-9]+[eE][-+]?[0-9]+$")
_PLAIN = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_PLAIN_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_TAGS = tuple(f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "map", "seq"))
_TEXT_TAG = "tag:yaml.org,2002:str"


@dataclass(frozen=True)
class Document:
    """One file as plain data (dict, list, str, int, float, bool, None) with the lines of its keys and values.

    A path is the keys and indexes that lead to a value, e.g. `("steps", 0, "wait")`. Lines count from 1.
    """

    file: str
    data: Any = None
    key_lines: dict[Path_, int] = field(default_factory=dict)
    value_lines: dict[Path_, int] = field(default_factory=dict)

    def line(self, path: Path_, part: Literal["key", "value"] = "value") -> int:
        """The line of a key or a value; of the nearest thing around it where it is not in the file."""
        lines = self.key_lines if part == "key" else self.value_lines
        for length in range(len(path), 0, -1):
            found = lines.get(path[:length]) or self.value_lines.get(path[:length])
            if found:
                return found
        return 1 if self.value_lines else 0

    def mistake(
        self, path: Path_, message: str, *, severity: str = "error", part: Literal["key", "value"] = "value"
    ) -> Mistake:
        """A mistake at a path of this file."""
        return Mistake(self.file, self.line(path, part), message, severity)


class _BrokenError(Exception):
    """The file cannot be read further."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def read_yaml(path: Path, name: str) -> tuple[Document | None, list[Mistake]]:
    """Read a file whose top level is a mapping; `name` is what mistakes call it. None where it cannot be used."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        return None, [Mistake(name, 0, f"cannot be read: {error.strerror or type(error).__name__}")]
    if len(raw) > MAX_BYTES:
        return None, [Mistake(name, 0, f"has {len(raw):,} bytes; a rules file has at most {MAX_BYTES:,}")]
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        return None, [Mistake(name, line, "is not UTF-8; save the file in that encoding")]
    return parse_yaml(text, name)


def parse_yaml(text: str, name: str) -> tuple[Document | None, list[Mistake]]:
    """Parse text whose top level is a mapping. None where it cannot be used."""
    builder = _Builder(name)
    try:
        document = builder.build(text)
    except _BrokenError as error:
        return None, [*builder.mistakes, Mistake(name, error.line, str(error))]
    except yaml.YAMLError as error:
        return None, [*builder.mistakes, _broken(error, text, name)]
    if document.data is None and not builder.mistakes:
        return None, [Mistake(name, 0, "is empty")]
    if not isinstance(document.data, dict):
        kind = "a list" if isinstance(document.data, list) else "a single value"
        return None, [*builder.mistakes, Mistake(name, 1, f"the file must be a mapping of keys to values, not {kind}")]
    return document, builder.mistakes


def _broken(error: yaml.YAMLError, text: str, name: str) -> Mistake:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        lines = text.splitlines()
        shown = lines[line - 1] if line <= len(lines) else ""
        if "\t" in shown[: len(shown) - len(shown.lstrip())]:
            return Mistake(name, line, "the line is indented with a tab; YAML wants spaces")
        context = f" ({error.context})" if error.context else ""
        return Mistake(name, line, f"the YAML is broken: {error.problem}{context}")
    position = getattr(error, "position", 0) or 0
    return Mistake(name, text[:position].count("\n") + 1, "the YAML is broken: it contains a control character")


class _Builder:
    """Builds a document from events; `mistakes` are those that do not stop the reading."""

    def __init__(self, name: str) -> None:
        self.document = Document(name)
        self.mistakes: list[Mistake] = []
        self._anchors: dict[str, Any] = {}
        self._nodes = 0

    def build(self, text: str) -> Document:
        events = iter(yaml.parse(text, _LOADER))
        data: Any = None
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _BrokenError(_line(event), "a second document (`---`) is not allowed here")
            elif isinstance(event, yaml.NodeEvent):
                data = self._value(event, events, (), 0)
        return Document(self.document.file, data, self.document.key_lines, self.document.value_lines)

    def _value(self, event: Any, events: Iterator[yaml.Event], path: Path_, depth: int) -> Any:
        line = _line(event)
        self.document.value_lines.setdefault(path, line)
        self._count(line, depth)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, line)
        if isinstance(event, yaml.ScalarEvent):
            value: Any = self._scalar(event, path)
        elif isinstance(event, yaml.MappingStartEvent):
            self._refuse_tag(event, path)
            value = self._mapping(events, path, depth)
        else:
            self._refuse_tag(event, path)
            value = self._sequence(events, path, depth)
        if event.anchor:
            self._anchors[event.anchor] = value
        return value

    def _count(self, line: int, depth: int, nodes: int = 1) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise _BrokenError(line, f"has more than {MAX_NODES:,} values (aliases counted as what they stand for)")
        if depth > MAX_DEPTH:
            raise _BrokenError(line, f"is nested more than {MAX_DEPTH} levels deep")

    def _alias(self, event: yaml.AliasEvent, line: int) -> Any:
        if event.anchor not in self._anchors:
            raise _BrokenError(line, f"the alias *{event.anchor} has no anchor &{event.anchor} before it")
        value = self._anchors[event.anchor]
        self._count(line, 0, _size(value, MAX_NODES))
        return value

    def _mapping(self, events: Iterator[yaml.Event], path: Path_, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            line = _line(event)
            if not isinstance(event, yaml.ScalarEvent):
                raise _BrokenError(line, "a key must be a word, not a list, a mapping or an alias")
            key = event.value
            inner = (*path, key)
            if key in found:
                first = self.document.key_lines[inner]
                self.mistakes.append(Mistake(self.document.file, line, f"the key {key!r} is already on line {first}"))
                inner = (*path, f"{key} (again on line {line})")
            self.document.key_lines[inner] = line
            value = self._value(next(events), events, inner, depth + 1)
            found.setdefault(key, value)
        return found

    def _sequence(self, events: Iterator[yaml.Event], path: Path_, depth: int) -> list[Any]:
        found: list[Any] = []
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            found.append(self._value(event, events, (*path, len(found)), depth + 1))
        return found

    def _scalar(self, event: yaml.ScalarEvent, path: Path_) -> Any:
        text: str = event.value
        if event.tag == _TEXT_TAG or (event.tag in (None, "!") and not event.implicit[0]):
            return text
        self._refuse_tag(event, path)
        if text in _PLAIN:
            return _PLAIN[text]
        if text in _PLAIN_BOOL:
            return _PLAIN_BOOL[text]
        if _INT.match(text) and len(text) <= 40:
            return int(text)
        return float(text) if _FLOAT.match(text) else text

    def _refuse_tag(self, event: Any, path: Path_) -> None:
        if event.tag not in (None, "!", *_TAGS):
            self.mistakes.append(self.document.mistake(path, f"the tag {event.tag!r} is not allowed; write plain YAML"))


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _size(value: Any, limit: int) -> int:
    """How many values a value holds, counted up to `limit`."""
    count, stack = 0, [value]
    while stack and count <= limit:
        item = stack.pop()
        count += 1
        if isinstance(item, dict):
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
    return count
