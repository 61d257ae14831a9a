"""Makes messages out of rows: one person's profile, context and template become content, or a reason why not."""

from __future__ import annotations

import datetime as dt
import gc
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from itertools import repeat
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from activate.localtime import known_zones
from activate.message import Kind
from activate.project import Project
from activate.providers.base import Outcome, Outgoing, Provider
from activate.template import (
    ContextRow,
    ProfileRow,
    Template,
    TemplateAbort,
    TemplateFailed,
    TemplateMistake,
    Templates,
)

_COLUMNS = ("message_id", "user_id", "campaign", "step", "variant", "channel", "class", "tags", "template", "time_zone",
            "address")  # fmt: skip
_EXPIRED = {"expired": None, "window_closed": "window_closed"}


@dataclass
class Rendered:
    """A wave after rendering: what goes out, and what does not.

    `attempts` has the number of each message's attempt; `doubted` are those that an earlier attempt left unknown.
    """

    outgoing: list[Outgoing] = field(default_factory=list)
    refused: list[Outcome] = field(default_factory=list)
    attempts: dict[str, int] = field(default_factory=dict)
    transactional: frozenset[str] = frozenset()
    doubted: frozenset[str] = frozenset()

    @classmethod
    def of(cls, rows: pa.Table) -> Rendered:
        """What the rows of a wave tell before they are rendered."""
        attempts = pc.add(rows.column("attempt"), 1).to_pylist()
        return cls(
            attempts=dict(zip(rows.column("message_id").to_pylist(), attempts, strict=True)),
            transactional=_where(rows, "class", "transactional"),
            doubted=_where(rows, "doubted", 1),
        )


class Renderer:
    """Renders the messages of one provider. `mistakes` are the templates that cannot be used; their messages wait."""

    def __init__(self, project: Project, provider: Provider) -> None:
        self._provider = provider
        self._templates = Templates(project.templates)
        self._model = project.models[project.policy.profiles.model]
        self._known: dict[Kind, Template] = {}
        window = project.policy.time_window
        # docs/rules.md, section 4: the person's zone if it is one, else the policy's for unknown zones, else UTC.
        self._zone = window.unknown_zone if window is not None and window.unknown_zone != "suppress" else "UTC"
        self._zones = known_zones()
        self._needs_context = False
        self._picky = bool(provider.capabilities.needs) or type(provider).refuses is not Provider.refuses
        self.mistakes: dict[str, TemplateMistake] = {}

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The templates that are ready."""
        return tuple(self._known)

    def prepare(self, kinds: Iterable[Kind]) -> tuple[frozenset[str], bool]:
        """Compile the templates; return the columns of the profile they use, and whether they use the context."""
        columns: set[str] = set()
        for kind in kinds:
            try:
                template = self._known[kind] = self._templates.get(*kind)
            except TemplateMistake as mistake:
                self.mistakes[mistake.file] = mistake
                continue
            info = template.info
            columns |= {name for space, name in info.fields if space == "profile" and name in self._model.columns}
            if "profile" in info.whole:
                columns |= set(self._model.columns)
            self._needs_context |= "context" in info.names
        return frozenset(columns), self._needs_context

    def file_of(self, kind: Kind) -> str:
        """The name of the template's file. Raises TemplateMistake if it cannot be used."""
        for mistake in self.mistakes.values():
            raise mistake
        return self._known[kind].info.name

    def render(self, rows: pa.Table, now: dt.datetime) -> Rendered:
        """Render a wave (as `Outbox.wave` returns it). One person's failure concerns that person only."""
        with _undisturbed():
            return self._render(rows, now)

    def _render(self, rows: pa.Table, now: dt.datetime) -> Rendered:
        done = Rendered.of(rows)
        names: dict[str, Any] = {"now": now}
        contexts = _contexts(rows.column("context")) if self._needs_context else repeat(None)
        values = zip(*(rows.column(name).to_pylist() for name in _COLUMNS), strict=True)
        new = tuple.__new__  # a third of what the class's own constructor takes
        known, picky, send, refuse = self._known, self._picky, done.outgoing.append, done.refused.append
        for row, profile, context, ttl, verdict in zip(
            values, _profiles(rows, self._model.columns), contexts, seconds_left(rows, now),
            rows.column("verdict").to_pylist(), strict=False,
        ):  # fmt: skip
            message_id, user_id, campaign, step, variant, channel, class_, tags, template_name, _, address = row
            if verdict is not None:
                refuse(_not_sent(message_id, verdict))
                continue
            template = known.get(Kind(template_name, channel, variant))
            if template is None:
                continue  # the template is broken: the message stays open until it is mended, or expires
            names["profile"], names["context"] = profile, context
            if template.needs_names:
                self._name(names, template, row)
            try:
                content = template.render(names)
            except TemplateAbort as abort:
                refuse(Outcome(message_id, "aborted", None, "template_abort", abort.reason))
                continue
            except TemplateFailed as failure:
                refuse(Outcome(message_id, "aborted", None, "render_error", str(failure)))
                continue
            message = new(Outgoing, (
                message_id, user_id, campaign, step, variant, channel, address, content, class_, tags_of(tags), ttl
            ))  # fmt: skip
            if picky and (code := self._provider.refuses(message)):
                refuse(Outcome(message_id, "rejected", None, code))
            else:
                send(message)
        return done

    def _name(self, names: dict[str, Any], template: Template, row: tuple[Any, ...]) -> None:
        """Fill in what a template may use beside profile and context."""
        message_id, user_id, campaign, step, variant, channel, *_, zone, _ = row
        names |= {
            "user_id": user_id, "campaign": campaign, "step": step, "variant": variant, "message_id": message_id,
            "time_zone": zone if zone in self._zones else self._zone,
        }  # fmt: skip
        if "unsubscribe_url" in template.info.names:
            names |= self._provider.extras(user_id, channel)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep the garbage collector out: a wave is many small objects that live on, which it would walk over and over."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _not_sent(message_id: str, verdict: str) -> Outcome:
    if verdict in _EXPIRED:
        return Outcome(message_id, "expired", None, _EXPIRED[verdict])
    return Outcome(message_id, "aborted", None, verdict)


def _where(rows: pa.Table, column: str, value: object) -> frozenset[str]:
    """The ids of the messages whose column has this value."""
    chosen = rows.column("message_id").filter(pc.equal(rows.column(column), value))
    return frozenset(chosen.to_pylist())


def seconds_left(rows: pa.Table, now: dt.datetime) -> list[int]:
    """Whole seconds until each message expires."""
    left = pc.subtract(rows.column("expires_at"), pa.scalar(now, pa.timestamp("us")))
    seconds: list[int] = pc.divide(pc.cast(left, pa.int64()), 1_000_000).to_pylist()
    return seconds


def _contexts(column: pa.ChunkedArray) -> list[ContextRow]:
    """The rows that brought the people in. The documents of a wave are parsed in one go, which is much faster."""
    texts = [text or "null" for text in column.to_pylist()]
    whole = f"[{','.join(texts)}]"
    try:
        documents = json.loads(whole)
    except ValueError:
        documents = []
    if len(documents) != len(texts):  # a document that is none by itself: it must not shift the others
        documents = [_parse(text) for text in texts]
    if set(map(type, documents)) == {dict} and "null" not in whole:
        return list(map(ContextRow, documents))
    return [ContextRow.of(document if isinstance(document, dict) else {}) for document in documents]


def _profiles(rows: pa.Table, kinds: Mapping[str, str]) -> list[ProfileRow]:
    """The profile of each row, with the columns that were asked for."""
    prefix = "profile."
    names = [name[len(prefix) :] for name in rows.column_names if name.startswith(prefix)]
    columns = [_values(rows.column(prefix + name), kinds[name].lower()) for name in names]
    columns = [_without_none(name, values) for name, values in zip(names, columns, strict=True)]
    if not names:
        return [ProfileRow()] * rows.num_rows
    return [ProfileRow(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def _values(column: pa.ChunkedArray, kind: str) -> list[Any]:
    values: list[Any] = column.to_pylist()
    if kind.startswith(("decimal", "numeric")):
        return [None if value is None else _decimal(value) for value in values]
    if kind.startswith("json"):
        return [None if value is None else _parse(value) for value in values]
    return values


def _without_none(name: str, values: list[Any]) -> list[Any]:
    if None not in values:
        return values
    null = ProfileRow.null(name)
    return [null if value is None else value for value in values]


def _decimal(value: Any) -> Any:
    try:
        return Decimal(value)
    except InvalidOperation:
        return value


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


@lru_cache(maxsize=1024)
def tags_of(text: str) -> tuple[str, ...]:
    """The tags that a row names."""
    return tuple(json.loads(text)) if text else ()
