"""The provider interface: `build(batch)` makes a request, `read(answer, batch)` tells each message's outcome."""

from __future__ import annotations

import abc
import datetime as dt
import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import pyarrow as pa

from activate.errors import ActivateError
from activate.project import Relation
from activate.providers.options import COMMON, Option

Status = Literal["accepted", "rejected", "failed", "unknown", "aborted", "expired"]
Lost = Literal["unregistered", "hard_bounce", "opted_out"]

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.\-]{0,39}")
_ID = re.compile(r"[\x21-\x7e]{1,200}")
# The mailbox or its domain does not exist, has moved, takes no mail, or is closed (RFC 3463, 3.2 and 3.3; RFC 7505).
_NO_MAILBOX = frozenset({"5.1.1", "5.1.2", "5.1.6", "5.1.10", "5.2.1"})
# A proxy in front of the peer gave up waiting for it (504, Cloudflare's 520 to 524) or lost it (502): the peer itself
# may have taken the request.
_IN_DOUBT = frozenset({502, 504, 520, 521, 522, 523, 524})


class Outgoing(NamedTuple):
    """One rendered message on its way out. `content` maps a template's block names to text.

    It lives in memory only: neither `address` nor `content` is ever stored, logged or put into an error.
    """

    message_id: str
    user_id: str
    campaign: str
    step: int
    variant: str | None
    channel: str
    address: str
    content: Mapping[str, str]
    message_class: str = "marketing"
    tags: tuple[str, ...] = ()
    ttl_seconds: int | None = None

    def __repr__(self) -> str:
        return f"Outgoing({self.message_id!r}, {self.campaign!r}, {self.channel!r})"


class Outcome(NamedTuple):
    """What became of one message in one attempt.

    `failed` is definite (it was not taken) and may be retried; `rejected` is definite and final; `unknown` means that
    the provider may have taken it. `error` holds no address and no content. `lost` says that the address is not to be
    used again: a push token that no app has any more (`unregistered`), a mailbox that does not exist (`hard_bounce`), a STOP
    (`opted_out`).
    """

    message_id: str
    status: Status
    provider_message_id: str | None = None
    error_code: str | None = None
    error: str | None = None
    lost: Lost | None = None


class Token(NamedTuple):
    """A bearer token that was exchanged for a key, and how many seconds it holds."""

    value: str
    seconds: float

    def __repr__(self) -> str:
        return f"Token(seconds={self.seconds!r})"


class Advice(str):
    """A sentence of `misfits` about something that can be sent all the same: lint tells it as a warning."""

    __slots__ = ()


class Unusable(ActivateError):
    """The provider as a whole refuses us (credentials, address of the endpoint): no message is to blame."""

    def __init__(self, code: str, text: str) -> None:
        self.code = code
        super().__init__(text)


@dataclass(frozen=True)
class HttpRequest:
    """An HTTP request to make. Header values may be secrets; the url may hold one, or a device's address."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class HttpAnswer:
    """An HTTP response as read: status, headers with lower-case names, body (its first megabyte)."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class MailServer:
    """How to reach an SMTP server. `security` is `starttls`, `tls` (from the first byte on) or `none`."""

    host: str
    port: int
    security: str = "starttls"
    username: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class MailRequest:
    """A mail to hand to an SMTP server, one recipient each. `mime` is the whole message, with CRLF line ends."""

    server: MailServer
    sender: str
    recipient: str = field(repr=False)
    mime: bytes = field(repr=False)


@dataclass(frozen=True)
class MailAnswer:
    """The SMTP server's last reply: its code, and the enhanced code (`5.1.1`) if it gave one. Its text is not kept."""

    code: int
    enhanced: str | None = None


@dataclass(frozen=True)
class FileRequest:
    """Lines to append to a file, all or nothing."""

    path: Path
    lines: bytes = field(repr=False)


@dataclass(frozen=True)
class RowsRequest:
    """Rows to put into a table of the project's own warehouse, all or nothing; a missing table is made.

    `key` is a column of `rows`: a row whose key is there already is left as it is, so that handed over again it is there
    once. `indexes` are made with the table, where the warehouse has indexes.
    """

    relation: Relation
    key: str
    rows: pa.RecordBatch = field(repr=False)
    indexes: tuple[tuple[str, ...], ...] = ()


Request = HttpRequest | MailRequest | FileRequest | RowsRequest
Answer = HttpAnswer | MailAnswer | None


@dataclass(frozen=True)
class Limits:
    """What holds for this account: messages per request, requests per second and at once, seconds to wait."""

    batch: int = 1
    per_second: float | None = None
    concurrency: int = 1
    timeout_seconds: float = 10.0


@dataclass(frozen=True)
class Capabilities:
    """What a provider can do. `idempotent`: the same message id is taken once, however often it is handed over.

    `channels` are those it can carry (None: any); `needs` are the template blocks that it cannot do without.
    `compresses`: it takes bodies in gzip (before they are signed).
    """

    channels: tuple[str, ...] | None = None
    idempotent: bool = False
    needs: tuple[str, ...] = ()
    compresses: bool = False


class Provider(abc.ABC):
    """A channel provider, made from its section of `providers:` in rules/activate.yml.

    Class attributes declare what it is (docs/providers.md is made from them); `options` are the checked settings, with
    secrets already resolved and defaults filled in. `example` is a section that works, with secrets as env_var.
    """

    type: ClassVar[str]
    summary: ClassVar[str]
    transport: ClassVar[Literal["http", "http2", "mail", "file", "table"]] = "http"
    example: ClassVar[Mapping[str, Any]] = {}
    declared: ClassVar[tuple[Option, ...]] = ()
    defaults: ClassVar[Limits] = Limits()
    capabilities: ClassVar[Capabilities] = Capabilities()
    notes: ClassVar[str] = ""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        self.name = name
        self.options = dict(options)

    @classmethod
    def all_options(cls) -> tuple[Option, ...]:
        """The provider's own options, then those that every provider has."""
        common = {"per_second": cls.defaults.per_second, "concurrency": cls.defaults.concurrency,
                  "timeout": cls.defaults.timeout_seconds}  # fmt: skip
        shared = tuple(replace(option, default=common.get(option.name)) for option in COMMON)
        return cls.declared + shared

    @classmethod
    def conflicts(cls, options: Mapping[str, Any]) -> list[str]:
        """Return what is wrong with options taken together, though each may be right; they may be unresolved."""
        del options
        return []

    @property
    def limits(self) -> Limits:
        """The limits that hold for this account."""
        return Limits(
            batch=self.options.get("batch", self.defaults.batch),
            per_second=self.options["per_second"],
            concurrency=self.options["concurrency"],
            timeout_seconds=self.options["timeout"],
        )

    @property
    def account(self) -> str:
        """The account that `per_second` holds for; whoever names the same one shares its pace."""
        return str(self.options.get("account") or self.name)

    @property
    def idempotent(self) -> bool:
        """Whether a message may be handed over again under the same id without being doubled."""
        return self.capabilities.idempotent

    @property
    def compresses(self) -> bool:
        """Whether bodies may be sent in gzip."""
        return self.capabilities.compresses

    def refuses(self, message: Outgoing) -> str | None:
        """Return an error code for a message that this provider can never carry, else None."""
        return next((f"no_{block}" for block in self.capabilities.needs if not message.content.get(block)), None)

    @classmethod
    def misfits(cls, options: Mapping[str, Any], channel: str, content: Mapping[str, str], kind: str) -> list[str]:
        """Return what a template's fixed text already makes impossible on this channel, each as a sentence.

        Asked at lint: `content` are the template's blocks with nothing filled in, `kind` is the campaign's class
        (`marketing` or `transactional`), `options` may be unresolved. What depends on the person, `refuses` tells.
        A sentence that names a block (`subject`) is told at that block's line; `Advice` is only a warning.
        """
        del options, channel, content, kind
        return []

    def together(self, message: Outgoing) -> Hashable:
        """Messages may share a request only if this is equal, e.g. their content where a request has one for all."""
        del message
        return None

    def extras(self, user_id: str, channel: str) -> Mapping[str, str]:
        """Names that templates may use because of this provider, e.g. `unsubscribe_url`."""
        del user_id, channel
        return {}

    def looked_up_in(self, at: dt.datetime) -> Path | None:
        """The file that holds what was handed over at this instant; None where nothing can be looked up."""
        del at
        return None

    @abc.abstractmethod
    def build(self, batch: Sequence[Outgoing], at: dt.datetime) -> Request:
        """Make one request of at most `limits.batch` messages; the same batch and instant make the same request."""

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

    def read(self, answer: Answer, batch: Sequence[Outgoing]) -> list[Outcome]:
        """Tell one outcome per message of the batch, in any order. `answer` is None for files and tables.

        Raises Unusable when the provider refuses us as a whole.
        """
        if isinstance(answer, HttpAnswer):
            return self.read_http(answer, batch)
        if isinstance(answer, MailAnswer):
            return self.read_mail(answer, batch)
        return taken(batch)

    def read_http(self, answer: HttpAnswer, batch: Sequence[Outgoing]) -> list[Outcome]:
        """The usual meaning of HTTP statuses, for the whole batch."""
        status, code = answer.status, f"http_{answer.status}"
        if 200 <= status < 300:
            return taken(batch)
        if 300 <= status < 400 or status in (401, 402, 403, 404, 405, 407, 410):
            raise Unusable(code, f"the endpoint answered {status}; check the provider's url and credentials")
        if status in _IN_DOUBT:
            outcome: Status = "unknown"
        elif status in (408, 421, 425, 429) or status >= 500:
            outcome = "failed"
        else:
            outcome = "rejected"
        return [Outcome(message.message_id, outcome, None, code) for message in batch]

    def read_mail(self, answer: MailAnswer, batch: Sequence[Outgoing]) -> list[Outcome]:
        """The usual meaning of SMTP replies: 2xx taken, 4xx to be tried again, 5xx refused for good."""
        status: Status = "accepted" if answer.code < 300 else "failed" if answer.code < 500 else "rejected"
        code = None if status == "accepted" else f"smtp_{answer.code}"
        lost: Lost | None = "hard_bounce" if status == "rejected" and answer.enhanced in _NO_MAILBOX else None
        return [Outcome(message.message_id, status, None, code, answer.enhanced, lost) for message in batch]

    def asked_wait(self, answer: HttpAnswer, at: dt.datetime) -> float | None:
        """Seconds that an answer (of status 300 and above) asks us to wait, where it says so in its own way.

        None: as its Retry-After says, if it has one. `at` is this moment, naive UTC.
        """
        del answer, at
        return None

    def splits(self, answer: Answer) -> bool:
        """Whether the whole batch was refused because of some of its messages, so that halves are worth a try."""
        return isinstance(answer, HttpAnswer) and answer.status in (400, 413, 422)


def taken(batch: Sequence[Outgoing]) -> list[Outcome]:
    """Every message of the batch was accepted."""
    new = tuple.__new__  # a third of what the class's own constructor takes, for what is made once per message
    return [new(Outcome, (message.message_id, "accepted", None, None, None, None)) for message in batch]


def safe_code(value: object, message: Outgoing) -> str:
    """A peer's error code as it may be stored: a short word that does not quote the address."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 100_000:
        return str(value)
    if isinstance(value, str) and _CODE.fullmatch(value) and not _quotes(value, message):
        return value
    return "provider_error"


def safe_id(value: object, message: Outgoing) -> str | None:
    """A peer's own message id as it may be stored, or None."""
    if isinstance(value, str | int) and _ID.fullmatch(str(value)) and not _quotes(str(value), message):
        return str(value)
    return None


def _quotes(value: str, message: Outgoing) -> bool:
    low, address = value.lower(), message.address.lower()
    parts = [part for part in re.split(r"[^a-z0-9]+", address) if len(part) >= 4]
    return low in address or any(part in low for part in (address, *parts))
