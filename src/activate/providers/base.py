"""The provider interface: `build(batch)` makes a request, `read(answer, batch)` tells each message's outcome."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

Status = Literal["accepted", "rejected", "failed", "unknown", "aborted", "expired"]


@dataclass(frozen=True)
class Outgoing:
    """One rendered message on its way out. `content` maps a template's block names to text.

    It lives in memory only: neither `address` nor `content` is ever stored, logged or put into an error.
    """

    message_id: str
    user_id: str
    campaign: str
    step: int
    variant: str | None
    channel: str
    address: str = field(repr=False)
    content: Mapping[str, str] = field(repr=False)
    message_class: str = "marketing"
    tags: tuple[str, ...] = ()
    ttl_seconds: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of one message in one attempt.

    `failed` is definite (it was not taken) and may be retried; `rejected` is definite and final; `unknown` means that
    the provider may have taken it. `error` holds no address and no content.
    """

    message_id: str
    status: Status
    provider_message_id: str | None = None
    error_code: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class HttpRequest:
    """An HTTP request to make. `secret_headers` names the headers whose values are secrets."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class HttpAnswer:
    """An HTTP response as read: status, headers with lower-case names, body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class MailRequest:
    """A mail to hand to an SMTP server, one recipient each. `mime` is the whole message."""

    sender: str
    recipient: str = field(repr=False)
    mime: bytes = field(repr=False)


@dataclass(frozen=True)
class FileRequest:
    """Lines to append to a file, all or nothing."""

    path: str
    lines: bytes = field(repr=False)


Request = HttpRequest | MailRequest | FileRequest


@dataclass(frozen=True)
class Limits:
    """A provider's published limits. `per_second` counts requests."""

    batch: int = 1
    per_second: float | None = None
    concurrency: int = 1
    timeout_seconds: float = 10.0


@dataclass(frozen=True)
class Capabilities:
    """What a provider can do. `idempotent`: the same message id is taken once, however often it is posted."""

    channels: tuple[str, ...] | None = None
    idempotent: bool = False


class Provider(abc.ABC):
    """A channel provider, made from its section of `providers:` in rules/activate.yml.

    Class attributes declare what it is; `options` are the checked settings, with secrets already resolved.
    """

    type: ClassVar[str]
    summary: ClassVar[str]
    required: ClassVar[Mapping[str, str]] = {}
    optional: ClassVar[Mapping[str, str]] = {}
    secrets: ClassVar[tuple[str, ...]] = ()
    capabilities: ClassVar[Capabilities] = Capabilities()

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        self.name = name
        self.options = dict(options)

    @property
    @abc.abstractmethod
    def limits(self) -> Limits:
        """The limits that hold for this account."""

    @abc.abstractmethod
    def build(self, batch: Sequence[Outgoing]) -> Request:
        """Make one request of at most `limits.batch` messages; the same batch makes the same request."""

    @abc.abstractmethod
    def read(self, answer: HttpAnswer | None, batch: Sequence[Outgoing]) -> list[Outcome]:
        """Tell one outcome per message of the batch, in any order. `answer` is None for mail and files taken."""
