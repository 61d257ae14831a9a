"""The destination interface: `build(batch)` makes a request, `read(answer, batch)` tells what became of each row.

The sibling of `activate.providers.base` for audiences. A destination never sees a connection: it describes requests and
reads answers, and `activate.deliver` carries them. Rows stay in Arrow from the warehouse to the wire.
"""

from __future__ import annotations

import abc
import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, NamedTuple

import pyarrow as pa

from activate.audience import Mapped
from activate.project import Relation
from activate.providers.base import HttpAnswer, HttpRequest, Limits, Token
from activate.providers.options import COMMON, Option

Phase = Literal["remove", "upsert"]
RowStatus = Literal["accepted", "rejected", "failed", "unknown", "aborted"]

# Beside the mapped fields, every batch has these columns; a mapping cannot use their names.
MEMBER, USER_ID, CHANGE, ROW = "_member", "_user_id", "_change", "_row"


@dataclass(frozen=True)
class Changes:
    """Rows of one phase for one request: removals, or additions and updates.

    `rows` has the columns `_member` (what the destination knows the person by), `_user_id` and `_change`
    (`add`, `update`, `remove`), then either `_row` (the mapped fields as a JSON object, null in removals; for
    destinations whose `shape` is `json`) or one column per mapped field, with the warehouse's types.
    """

    audience: str
    run_id: str
    phase: Phase
    rows: pa.RecordBatch = field(repr=False)

    def __len__(self) -> int:
        return int(self.rows.num_rows)

    def slice(self, start: int, count: int) -> Changes:
        """Some of the rows, without copying."""
        return replace(self, rows=self.rows.slice(start, count))


class Refusal(NamedTuple):
    """What became of one row that differs from the rest of its batch. `error` holds no personal data."""

    status: RowStatus
    code: str
    error: str | None = None


@dataclass(frozen=True)
class Verdict:
    """What became of a batch: `status` of all rows, but for those (by position in the batch) in `but`.

    `failed` is definite (nothing was taken) and may be tried again; `rejected` is definite and final; `unknown` means
    that the destination may have taken it; with `halves`, the answer tells how many rows were refused and not which, so
    that the batch is posted again in halves (whose rows are never `failed`, since the first request may have had them). (`aborted`, which uses up no attempt, is the engine's own word for rows that a
    destination as a whole did not take.)
    """

    status: RowStatus = "accepted"
    code: str | None = None
    error: str | None = None
    but: Mapping[int, Refusal] = field(default_factory=dict)
    halves: bool = False


@dataclass(frozen=True)
class Pending:
    """More requests are needed for the batch: `request` is posted after `seconds`, and `reader` (else `read`) reads its answer.

    A question: the destination works on the batch as a job of its own, and `request` asks how it stands. None: the answer
    names no job; asked for one, it means to ask the same again. A `step`: `request` is the next part of the work, which
    may be posted twice without harm; its answer is read whatever its status, and Unusable stops the sync. `but` are rows of
    which is known already what becomes of them.

    A job that takes longer than `patience` seconds (the engine's own limit if None) leaves its rows as `otherwise` says.
    """

    request: HttpRequest | None
    seconds: float = 1.0
    step: bool = False
    reader: Callable[[HttpAnswer, Changes], Verdict | Pending] | None = field(default=None, repr=False)
    but: Mapping[int, Refusal] = field(default_factory=dict)
    patience: float | None = None
    otherwise: Verdict = Verdict("unknown", "job_takes_too_long")


@dataclass(frozen=True)
class TablePlace:
    """A table that holds an audience, one row for each value of its `key` column.

    `audience_column`, if any, tells its rows from those of other audiences. With `create`, a missing table is made.
    `target` is a target of the dbt profile; None is the project's own. Where `updates` is False, rows that are there are
    left as they are. `indexes` are made with the table.
    """

    target: str | None
    relation: Relation
    key: str
    audience: str
    audience_column: str | None = None
    create: bool = True
    updates: bool = True
    indexes: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class TableRequest:
    """Rows to put into (`upsert`) or take out of (`remove`) a table, all or nothing."""

    place: TablePlace
    changes: Changes = field(repr=False)


@dataclass(frozen=True)
class FilePlace:
    """Files that hold an audience: its changes, one file per sync (`with_changes`), or the whole of it.

    `pattern` is a local path or an address that fsspec knows, with `{run_id}` and `{date}` left open; `storage` are
    fsspec's options, which may be secrets.
    """

    pattern: str
    format: Literal["csv", "jsonl", "parquet"]
    key: str
    with_changes: bool
    storage: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class PartRequest:
    """Rows to append to the file `url` of a place, which is published as a whole when the sync is finished."""

    place: FilePlace
    url: str
    changes: Changes = field(repr=False)


@dataclass(frozen=True)
class MembersRequest:
    """Asks a table or files for the members that they hold now."""

    place: TablePlace | FilePlace


Request = HttpRequest | TableRequest | PartRequest
Question = HttpRequest | MembersRequest


class Page(NamedTuple):
    """Some of the members that a destination holds, and the request for more of them, if any.

    `detail` is asked before `more`: it tells by what names we know members that this page knows by the destination's.
    """

    members: Sequence[str]
    more: Question | None = None
    detail: Question | None = None


@dataclass(frozen=True)
class Abilities:
    """What a destination can do.

    `shape`: how it wants rows (see `Changes`). `whole`: nothing is acknowledged before the sync is finished.
    `replaces`: it is given the full set of members each time, so removals need not be told. `removes`: people can be
    taken out at all. `reads_back`: its members can be asked for. `needs_hash`: it takes hashed identifiers only.
    `compresses`: it takes bodies in gzip (before they are signed).
    """

    shape: Literal["json", "columns"] = "json"
    whole: bool = False
    replaces: bool = False
    removes: bool = True
    reads_back: bool = False
    needs_hash: bool = False
    compresses: bool = False


class Destination(abc.ABC):
    """A place that holds audiences, made from its section of `destinations:` in rules/activate.yml.

    Class attributes declare what it is (docs/destinations.md is made from them); `options` are the checked settings,
    with secrets resolved and defaults filled in. `example` is a section that works, with secrets as env_var. To hand a row over twice must leave one: destinations hold sets.
    """

    type: ClassVar[str]
    summary: ClassVar[str]
    transport: ClassVar[Literal["http", "table", "file"]] = "http"
    example: ClassVar[Mapping[str, Any]] = {}
    declared: ClassVar[tuple[Option, ...]] = ()
    defaults: ClassVar[Limits] = Limits()
    notes: ClassVar[str] = ""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        self.name = name
        self.options = dict(options)

    @classmethod
    def all_options(cls) -> tuple[Option, ...]:
        """The destination's own options, then those that every one has."""
        common = {"per_second": cls.defaults.per_second, "concurrency": cls.defaults.concurrency,
                  "timeout": cls.defaults.timeout_seconds}  # fmt: skip
        return cls.declared + tuple(replace(option, default=common.get(option.name)) for option in COMMON)

    @classmethod
    def conflicts(cls, options: Mapping[str, Any]) -> list[str]:
        """Return what is wrong with options taken together, though each may be right; they may be unresolved."""
        del options
        return []

    @classmethod
    def abilities_of(cls, options: Mapping[str, Any]) -> Abilities:
        """What a destination with these options (perhaps unresolved) can do."""
        del options
        return Abilities()

    @classmethod
    def holds_several(cls, options: Mapping[str, Any]) -> bool:
        """Whether several audiences may be kept there with these options (perhaps unresolved)."""
        del options
        return True

    @classmethod
    def audience_problems(
        cls, options: Mapping[str, Any], identify_by: Mapped, fields: Mapping[str, Mapped]
    ) -> list[str]:
        """Return why an audience cannot be kept there, each as a sentence: an identifier or a field that does not fit.

        Asked at lint; `options` may be unresolved. `fields` are the mapped values by the destination's name for them. That
        a hash is missing where `needs_hash` wants one is told already. A sentence about the identifier names `identify_by`.
        """
        del options, identify_by, fields
        return []

    @property
    def abilities(self) -> Abilities:
        """What this destination can do."""
        return self.abilities_of(self.options)

    @property
    def limits(self) -> Limits:
        """The limits that hold for this account; `batch` is in rows."""
        return Limits(
            batch=self.options.get("batch", self.defaults.batch),
            per_second=self.options["per_second"],
            concurrency=self.options["concurrency"],
            timeout_seconds=self.options["timeout"],
        )

    def batch_of(self, phase: Phase) -> int:
        """How many rows of a phase share a request, where the destination takes fewer of one kind."""
        del phase
        return self.limits.batch

    @property
    def account(self) -> str:
        """The account that `per_second` holds for; whoever names the same one shares its pace."""
        return str(self.options.get("account") or self.name)

    @abc.abstractmethod
    def build(self, changes: Changes, at: dt.datetime) -> Request:
        """Make one request of at most `batch_of(changes.phase)` rows. `at` is the sync's `now`."""

    def token_request(self, at: int) -> HttpRequest | None:
        """The request that exchanges a key for a bearer token; None where requests need no such token."""
        del at
        return None

    def read_token(self, answer: HttpAnswer) -> Token:
        """Read the answer to `token_request`. Raises Unusable when there is no token in it."""
        raise NotImplementedError(f"{self.type} needs no token")

    def authorize(self, request: HttpRequest, token: str) -> HttpRequest:
        """The request with the token."""
        return replace(request, headers={**request.headers, "Authorization": f"Bearer {token}"})

    def sign(self, request: HttpRequest, at: int) -> HttpRequest:
        """Return the request with what depends on when it is posted (`at`: Unix seconds). Asked before each try."""
        del at
        return request

    def read(self, answer: HttpAnswer | None, changes: Changes) -> Verdict | Pending:
        """Tell what became of the rows. `answer` is None where carrying without an error is the answer.

        Raises Unusable when the destination refuses us as a whole.
        """
        del answer, changes
        return Verdict()

    def asked_wait(self, answer: HttpAnswer, at: dt.datetime) -> float | None:
        """Seconds that an answer (of status 300 and above) asks us to wait, where it says so in its own way.

        None: as its Retry-After says, if it has one. `at` is this moment, naive UTC.
        """
        del answer, at
        return None

    def resume(self, pending: Pending, answer: HttpAnswer, changes: Changes) -> Verdict | Pending:
        """What comes next once `pending.request` was answered: more work, or the verdict of it all."""
        told = (pending.reader or self.read)(answer, changes)
        but = {**pending.but, **told.but}
        if isinstance(told, Pending) and told.request is None:
            return replace(pending, seconds=told.seconds, but=but)
        return replace(told, but=but)

    def splits(self, answer: HttpAnswer | None) -> bool:
        """Whether the whole batch was refused because of some of its rows, so that halves are worth a try."""
        return answer is not None and answer.status in (400, 413, 422)

    def ask_members(self, audience: str) -> Question | None:
        """The question for the members that the destination holds now; None where it cannot be asked."""
        del audience
        return None

    def read_members(self, answer: HttpAnswer) -> Page:
        """Read an answer to an HTTP question. Raises Unusable or ValueError when it cannot be read."""
        raise NotImplementedError(f"{self.type} is not asked over HTTP")
