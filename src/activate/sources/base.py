"""The source interface: `verify(request)` tells whether it is the provider's, `read(request)` what happened.

What a source reads is already without anything personal but the address, which is hashed before it leaves memory: no
text of a person, no URL and no mail header goes into an event.
"""

from __future__ import annotations

import abc
import datetime as dt
import hashlib
import hmac
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Literal, NamedTuple, get_args
from urllib.parse import parse_qsl

import orjson

from activate.errors import ActivateError
from activate.providers.options import Option
from activate.suppression import Reason

Name = Literal[
    "delivered", "deferred", "bounced", "dropped", "failed", "opened", "clicked", "complained", "unsubscribed",
    "resubscribed", "replied", "impression", "dismissed", "converted",
]  # fmt: skip
NAMES: tuple[str, ...] = get_args(Name)

_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,39}")
_OURS = re.compile(r"[0-9a-f]{32}")
_ID = re.compile(r"[\x21-\x7e]{1,200}")


class Captured(NamedTuple):
    """A request as it arrived: header names in lower case, `received_at` in naive UTC, `url` where it is known."""

    received_at: dt.datetime
    headers: Mapping[str, str]
    body: bytes
    url: str | None = None

    def __repr__(self) -> str:
        return f"Captured({self.received_at!r}, {len(self.body)} bytes)"


class Event(NamedTuple):
    """One event. `address` lives in memory only. `lost` is why the address is not to be used, where the name does not tell.

    `event_id` is the provider's, or empty for one that is made of the event; `occurred_at` None: when it was received.
    """

    name: Name
    event_id: str = ""
    occurred_at: dt.datetime | None = None
    channel: str | None = None
    message_id: str | None = None
    provider_message_id: str | None = None
    user_id: str | None = None
    address: str | None = None
    is_machine: bool = False
    bounce_kind: Literal["hard", "soft"] | None = None
    code: str | None = None
    lost: Reason | None = None

    def __repr__(self) -> str:
        return f"Event({self.name!r}, {self.event_id!r})"

    @property
    def suppression(self) -> tuple[Reason, str] | None:
        """What the event says of its address: a reason, and `suppressed` or `released`."""
        if self.lost:
            return self.lost, "suppressed"
        if self.name == "bounced" and self.bounce_kind == "hard":
            return "hard_bounce", "suppressed"
        return _TOLD.get(self.name)


_TOLD: dict[str, tuple[Reason, str]] = {
    "complained": ("complained", "suppressed"),
    "unsubscribed": ("opted_out", "suppressed"),
    "resubscribed": ("opted_out", "released"),
}


class Bad(NamedTuple):
    """A part of a request that cannot be used: why, as a short word, and the part as it was."""

    reason: str
    part: Any

    def __repr__(self) -> str:
        return f"Bad({self.reason!r})"


class Ignored(NamedTuple):
    """An event of a kind that nobody asks about, e.g. that a mail was taken by the provider."""

    kind: str


Read = Event | Bad | Ignored


class Refused(ActivateError):
    """The request is not the provider's, or not fresh; `code` says why as a short word."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(f"the request was refused: {code}")


class Unreachable(ActivateError):
    """What a request is verified with cannot be had now: it is neither taken nor refused, and has to be posted again."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(f"what the vendor signs with cannot be fetched ({code}); try again")


Fetch = Callable[[str], bytes]
"""From an address that was checked to the document there. Raises Unreachable."""


def _no_fetch(address: str) -> bytes:
    del address
    raise Unreachable("no_network")


TOLERANCE = Option(
    "tolerance",
    "How far the signature's time may lie from the time of receipt.",
    "duration",
    default=300,
    low=1,
    high=172_800,
)


class Source(abc.ABC):
    """One kind of provider's events, made from its section of `ingest:` in rules/activate.yml.

    Class attributes declare what it is (docs/ingest.md is made from them); `options` are the checked settings, with
    secrets resolved and defaults filled in. `fetch` gets what the vendor publishes to verify with: a source does no I/O of its own.
    """

    type: ClassVar[str]
    summary: ClassVar[str]
    example: ClassVar[Mapping[str, Any]] = {}
    declared: ClassVar[tuple[Option, ...]] = ()
    notes: ClassVar[str] = ""
    # What a request is answered with when its events are safe: content type and body.
    reply: ClassVar[tuple[str, bytes]] = ("application/json", b"{}")

    def __init__(self, name: str, options: Mapping[str, Any], fetch: Fetch = _no_fetch) -> None:
        self.name = name
        self.options = dict(options)
        self.fetch = fetch

    @abc.abstractmethod
    def verify(self, request: Captured) -> None:
        """Raise Refused unless the request was signed with our secret, for this body, not long before it was received.

        Raises Unreachable where what it is verified with has to be fetched, and cannot be.
        """

    @abc.abstractmethod
    def events(self, document: Any, request: Captured) -> Iterator[Read]:
        """What one event's document tells. Raises ValueError, KeyError or TypeError for one that is no such document."""

    def documents(self, request: Captured) -> Iterator[Any]:
        """The documents of the request's events: the body as JSON, or its members if it is a list."""
        document = orjson.loads(request.body)
        yield from document if isinstance(document, list) else (document,)

    def read(self, request: Captured) -> Iterator[Read]:
        """Everything in a request, in order. What cannot be read is Bad, and does not disturb the rest."""
        try:
            documents = list(self.documents(request))
        except (ValueError, RecursionError):
            yield Bad("not_readable", request.body.decode("utf-8", "replace"))
            return
        for document in documents:
            try:
                found = list(self.events(document, request))
            except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
                yield Bad("not_understood", document)
            else:
                yield from found


# -- small pieces -----------------------------------------------------------------------------------------------------


def instant(value: Any) -> dt.datetime:
    """A time as naive UTC: Unix seconds (also as text), or ISO 8601, which is UTC where it names no zone.

    Raises ValueError for anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("not a time")
    try:
        seconds = float(value)
    except ValueError:
        found = dt.datetime.fromisoformat(_six_digits(str(value)))
        return found if found.tzinfo is None else found.astimezone(dt.UTC).replace(tzinfo=None)
    return dt.datetime(1970, 1, 1) + dt.timedelta(microseconds=round(seconds * 1_000_000))


def _six_digits(text: str) -> str:
    """ISO 8601 with at most six digits of a second, which is what Python reads."""
    return re.sub(r"(\.\d{6})\d+", r"\1", text)


def code(value: Any) -> str | None:
    """A cause as it may be stored: a short word or number, or None."""
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return text if _CODE.fullmatch(text) else None


def ours(value: Any) -> str | None:
    """A message id of ours, or None for anything else."""
    return value if isinstance(value, str) and _OURS.fullmatch(value) else None


def outer_id(value: Any) -> str | None:
    """A provider's own id as it may be stored, without the angle brackets of a mail's, or None."""
    text = str(value).strip("<> ") if isinstance(value, str | int) else ""
    return text if _ID.fullmatch(text) else None


def text_of(value: Any) -> str | None:
    """A text of printable characters that is not empty, or None."""
    return value if isinstance(value, str) and 0 < len(value) <= 500 and value.isprintable() else None


def digest(*parts: str | bytes) -> str:
    """SHA-256 of the parts with their lengths, as hexadecimal digits."""
    found = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        found.update(b"%d:" % len(data) + data)
    return found.hexdigest()


def form(body: bytes) -> list[tuple[str, str]]:
    """The parameters of a form, in order. Raises ValueError for what is no form."""
    return parse_qsl(body.decode("utf-8"), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=500)


def same(left: str, right: str) -> bool:
    """Whether two texts are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(left.encode(), right.encode())


def fresh(signed_at: Any, request: Captured, tolerance: float) -> None:
    """Raise Refused unless the time of the signature (Unix seconds) is near the time of receipt."""
    try:
        away = abs((instant(signed_at) - request.received_at).total_seconds())
    except (ValueError, OverflowError):
        raise Refused("bad_timestamp") from None
    if away > tolerance:
        raise Refused("not_fresh")


def header(request: Captured, name: str) -> str:
    """A header's value. Raises Refused where it is missing."""
    value = request.headers.get(name)
    if not value:
        raise Refused("not_signed")
    return value
