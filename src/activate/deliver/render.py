"""Makes messages out of rows: one person's profile, context and template become content, or a reason why not."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any
from zoneinfo import available_timezones

import pyarrow as pa

from activate.message import Attempt, Kind
from activate.project import Project
from activate.providers.base import Outgoing, Provider
from activate.template import (
    ContextRow,
    ProfileRow,
    Template,
    TemplateAbort,
    TemplateFailed,
    TemplateMistake,
    Templates,
)

_COLUMNS = ("place", "message_id", "campaign", "step", "variant", "user_id", "channel", "class", "tags", "template",
            "attempt", "expires_at", "time_zone", "context", "address", "verdict")  # fmt: skip
_EXPIRED = {"expired": None, "window_closed": "window_closed"}


@dataclass
class Rendered:
    """A wave after rendering: what goes out, with each message's attempt, and what does not."""

    outgoing: list[Outgoing] = field(default_factory=list)
    attempts: dict[str, int] = field(default_factory=dict)
    refused: list[Attempt] = field(default_factory=list)
    rows: int = 0


class Renderer:
    """Renders the messages of one provider. `mistakes` are the templates that cannot be used; their messages wait."""

    def __init__(self, project: Project, provider: Provider) -> None:
        self._project = project
        self._provider = provider
        self._templates = Templates(project.templates)
        self._zone = _zone_reader(project)
        self._model = project.models[project.policy.profiles.model]
        self._known: dict[Kind, Template] = {}
        self._check = type(provider).refuses is not Provider.refuses or bool(provider.capabilities.needs)
        self.mistakes: dict[str, str] = {}

    def prepare(self, kinds: Iterable[Kind]) -> tuple[frozenset[str], bool]:
        """Compile the templates; return the columns of the profile they use, and whether they use the context."""
        columns: set[str] = set()
        context = False
        for kind in kinds:
            try:
                template = self._known[kind] = self._templates.get(*kind)
            except TemplateMistake as mistake:
                self.mistakes[mistake.file] = str(mistake)
                continue
            info = template.info
            columns |= {name for space, name in info.fields if space == "profile" and name in self._model.columns}
            if "profile" in info.whole:
                columns |= set(self._model.columns)
            context = context or "context" in info.names
        return frozenset(columns), context

    def render(self, rows: pa.Table, now: dt.datetime) -> Rendered:
        """Render a wave (as `Outbox.wave` returns it). One person's failure concerns that person only."""
        done = Rendered(rows=rows.num_rows)
        profiles = _profiles(rows, self._model.columns)
        values = {name: rows.column(name).to_pylist() for name in _COLUMNS}
        names: dict[str, Any] = {"now": now}
        for index, (verdict, message_id, attempt) in enumerate(
            zip(values["verdict"], values["message_id"], values["attempt"], strict=True)
        ):
            if verdict is not None:
                done.refused.append(_not_sent(message_id, attempt + 1, verdict))
                continue
            row = {name: column[index] for name, column in values.items()}
            template = self._known.get(Kind(row["template"], row["channel"], row["variant"]))
            if template is None:
                continue  # the template is broken: the message stays open until it is mended, or expires
            self._name(names, template, row, profiles[index])
            try:
                content = template.render(names)
            except TemplateAbort as abort:
                done.refused.append(Attempt(message_id, attempt + 1, "aborted", None, "template_abort", abort.reason))
                continue
            except TemplateFailed as failure:
                done.refused.append(Attempt(message_id, attempt + 1, "aborted", None, "render_error", str(failure)))
                continue
            message = _outgoing(row, content, now)
            if self._check and (code := self._provider.refuses(message)):
                done.refused.append(Attempt(message_id, attempt + 1, "rejected", None, code))
                continue
            done.outgoing.append(message)
            done.attempts[message_id] = attempt + 1
        return done

    def _name(self, names: dict[str, Any], template: Template, row: Mapping[str, Any], profile: ProfileRow) -> None:
        """Fill in what the template may use."""
        used = template.info.names
        names["profile"] = profile
        names["context"] = ContextRow(_document(row["context"])) if "context" in used else None
        for name in ("user_id", "campaign", "step", "variant", "message_id"):
            names[name] = row[name]
        names["time_zone"] = self._zone(row["time_zone"])
        if "unsubscribe_url" in used:
            names.pop("unsubscribe_url", None)
            names.update(self._provider.extras(row["user_id"], row["channel"]))


def _outgoing(row: Mapping[str, Any], content: dict[str, str], now: dt.datetime) -> Outgoing:
    return Outgoing(
        row["message_id"], row["user_id"], row["campaign"], row["step"], row["variant"], row["channel"],
        row["address"], content, row["class"], _tags(row["tags"]), int((row["expires_at"] - now).total_seconds()),
    )  # fmt: skip


def _not_sent(message_id: str, attempt: int, verdict: str) -> Attempt:
    if verdict in _EXPIRED:
        return Attempt(message_id, attempt, "expired", None, _EXPIRED[verdict])
    return Attempt(message_id, attempt, "aborted", None, verdict)


def _profiles(rows: pa.Table, kinds: Mapping[str, str]) -> list[ProfileRow]:
    """The profile of each row, with the columns that were asked for."""
    prefix = "profile."
    names = [name[len(prefix) :] for name in rows.column_names if name.startswith(prefix)]
    columns = [_values(rows.column(prefix + name), kinds[name].lower()) for name in names]
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


def _document(text: str | None) -> dict[str, Any]:
    found = _parse(text) if text else {}
    return found if isinstance(found, dict) else {}


@lru_cache(maxsize=1024)
def _tags(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text)) if text else ()


def _zone_reader(project: Project) -> Callable[[str | None], str]:
    """The person's zone if it is one, else the policy's for unknown zones, else UTC (docs/rules.md, section 4)."""
    window = project.policy.time_window
    unknown = window.unknown_zone if window is not None and window.unknown_zone != "suppress" else "UTC"
    known = available_timezones()

    def zone(name: str | None) -> str:
        return name if name in known else unknown  # type: ignore[return-value]  # None is in no set of names

    return zone
