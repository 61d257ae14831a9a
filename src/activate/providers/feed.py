"""Puts messages into a table that apps pull them from: in-app messages and content cards without a vendor."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pyarrow as pa

from activate.project import Relation
from activate.providers.base import Capabilities, Limits, Outgoing, Provider, RowsRequest
from activate.providers.options import Option

TABLE = "activate_feed.items"
PARTS = ("title", "body", "url", "image", "data")
CARD_BYTES = 2_048
OTHER_BYTES = 32_768
_TABLE_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}\.[a-z_][a-z0-9_]{0,46}")
# What runs in the app that opens it, or is the content itself.
_ACTIVE_SCHEMES = ("javascript", "vbscript", "data", "blob", "file")
_TIME = pa.timestamp("us")


def relation(options: Mapping[str, Any]) -> Relation:
    """The table of a feed with these (checked) options."""
    schema, _, name = str(options.get("table") or TABLE).partition(".")
    return Relation(schema, name)


def _check_table(table: str) -> str | None:
    if _TABLE_NAME.fullmatch(table):
        return None
    return "write schema.name in small letters, digits and underscores, e.g. activate_feed.items"


class Feed(Provider):
    """One row per message; who may see it, and until when, is asked when the feed is read."""

    type = "feed"
    transport = "table"
    summary = "Keeps in-app messages and content cards in a table of your warehouse, for apps to pull."
    example: ClassVar[Mapping[str, Any]] = {"table": TABLE}
    declared = (
        Option("table", "`schema.name` of the table, in the project's own warehouse; made where it is missing.",
               default=TABLE, check=_check_table),
        Option("batch", "Messages per transaction.", "whole", default=5_000, low=1, high=50_000),
    )  # fmt: skip
    defaults: ClassVar[Limits] = Limits(batch=5_000)
    capabilities: ClassVar[Capabilities] = Capabilities(idempotent=True)
    notes = f"""\
The channels are those that an app pulls: `in_app`, `card`, or a name of your own. `dbt-activate serve` answers the apps;
[feed.md](feed.md) is the way from here to a card on a screen. As a channel's `address`, name the person's key.

Template blocks: `title`, `body`, `url`, `image`, and `data` (a JSON object for the app). A template without blocks is the
`body`. One of `title`, `body` and `image` must say something.

A batch is one transaction. Handed over again, a message is there once, as it was the first time. The column `expires_at` is
the instant from which the message would not have been sent any more (the step's `expires`): from then on it is not served.

| what happens | outcome |
|---|---|
| the transaction is committed | accepted |
| a value that the warehouse cannot hold | rejected, for that message: the batch is halved until it is found |
| the connection is lost before the commit, a deadlock, a time limit | failed: tried again |
| the connection is lost during the commit | unknown: handed over again, which leaves one row |
| a right or a column is missing | this provider stops for this run, no message is lost |

| error code | meaning |
|---|---|
| `empty` | neither title nor body nor image |
| `too_long` | a `card` has more than {CARD_BYTES:,} bytes of UTF-8 in its parts (Braze's limit for content cards), anything else more than {OTHER_BYTES:,} (our own) |
| `bad_url` | `url` or `image` is no address, or one that runs code in the app (`javascript:`, `data:` and the like); `image` is https, http or relative |
| `bad_data` | `data` is not a JSON object |

The table holds what people read, so it is not one of the state tables, which never do: guard it as you guard addresses, and
delete from it what has expired, when you like."""

    @classmethod
    def conflicts(cls, options: Mapping[str, Any]) -> list[str]:
        many = options.get("concurrency") not in (None, 1, "1")
        return ["'concurrency' is 1 for a feed, so that items appear in the order of their times"] if many else []

    def build(self, batch: Sequence[Outgoing], at: dt.datetime) -> RowsRequest:
        columns: dict[str, pa.Array] = {
            "message_id": _texts([message.message_id for message in batch]),
            "user_id": _texts([message.user_id for message in batch]),
            "channel": _texts([message.channel for message in batch]),
            "campaign": _texts([message.campaign for message in batch]),
            "step": pa.array([message.step for message in batch], pa.int64()),
            "variant": _texts([message.variant for message in batch]),
        }
        columns |= {part: _texts([message.content.get(part) or None for message in batch]) for part in PARTS}
        columns["tags"] = _texts([json.dumps(list(message.tags), ensure_ascii=False) for message in batch])
        columns["created_at"] = pa.array([at] * len(batch), _TIME)
        columns["expires_at"] = pa.array([_end(message, at) for message in batch], _TIME)
        rows = pa.RecordBatch.from_pydict(columns)
        return RowsRequest(relation(self.options), "message_id", rows, (("user_id",),))

    def refuses(self, message: Outgoing) -> str | None:
        return next((code for code, _ in _faults(message.channel, message.content)), None)

    @classmethod
    def misfits(cls, options: Mapping[str, Any], channel: str, content: Mapping[str, str], kind: str) -> list[str]:
        del options, kind
        unknown = [name for name in content if name not in PARTS]
        told = [f"the block {name!r} is not shown by a feed, which has: {', '.join(PARTS)}" for name in unknown]
        if not any(part in content for part in ("title", "body", "image")):
            told.append("a feed's message needs a block 'title', 'body' or 'image'")
        # What a block holds besides its fixed text is not known here, so that only length can be told.
        return told + [text for code, text in _faults(channel, content) if code == "too_long"]


def _faults(channel: str, content: Mapping[str, str]) -> list[tuple[str, str]]:
    """What makes a message unfit: error codes, and what they mean as a sentence."""
    found: list[tuple[str, str]] = []
    if not any(content.get(part) for part in ("title", "body", "image")):
        found.append(("empty", "neither title nor body nor image says anything"))
    size, most = sum(len((content.get(part) or "").encode()) for part in PARTS), _most(channel)
    if size > most:
        found.append(
            ("too_long", f"the channel {channel!r} holds {most:,} bytes, and the fixed text alone has {size:,}")
        )
    if not (_is_link(content.get("url")) and _is_image(content.get("image"))):
        found.append(("bad_url", "url or image is not an address that an app may open"))
    if not _is_object(content.get("data")):
        found.append(("bad_data", "data is not a JSON object"))
    return found


def _most(channel: str) -> int:
    return CARD_BYTES if channel == "card" else OTHER_BYTES


def _scheme(url: str) -> str | None:
    """The scheme as a browser reads it, empty for a relative address; None for what is no address."""
    # Browsers skip spaces and control characters where they look for a scheme, so none is let through.
    if any(character <= " " or character == "\x7f" for character in url):
        return None
    try:
        return urlsplit(url).scheme.lower()
    except ValueError:
        return None


def _is_link(url: str | None) -> bool:
    return not url or _scheme(url) not in (None, *_ACTIVE_SCHEMES)


def _is_image(url: str | None) -> bool:
    return not url or _scheme(url) in ("https", "http", "")


def _is_object(data: str | None) -> bool:
    if not data:
        return True
    try:
        return isinstance(json.loads(data, parse_constant=_no_json), dict)
    except (ValueError, RecursionError):
        return False


def _no_json(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def _end(message: Outgoing, at: dt.datetime) -> dt.datetime | None:
    return None if message.ttl_seconds is None else at + dt.timedelta(seconds=message.ttl_seconds)


def _texts(values: Sequence[str | None]) -> pa.Array:
    return pa.array(values, pa.string())
