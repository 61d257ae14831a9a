"""What one person may see: the live rows of a feed's table, as a query and as JSON."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from sqlglot import exp

from activate.project import Relation
from activate.warehouses.dialect import DIALECTS

ENGAGEMENTS = "engagements"
DISMISSED = "dismissed"
MOST = 100
# An item gets its time before its transaction is committed. What is asked for `since` an instant begins so much earlier,
# so that none is missed; the app knows an item that comes again by its id.
OVERLAP = dt.timedelta(minutes=1)
_SHOWN = ("message_id", "channel", "title", "body", "url", "image", "data", "created_at", "expires_at")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_ID = re.compile(r"[\x21-\x7e]{1,200}")


class Before(NamedTuple):
    """The last item of a page; the next page begins after it."""

    created_at: dt.datetime
    message_id: str

    @classmethod
    def read(cls, text: str) -> Before:
        """Read what `str` wrote; raises ValueError."""
        instant, mark, message_id = text.partition("~")
        if not mark or not _ID.fullmatch(message_id):
            raise ValueError("not a cursor")
        return cls(read_instant(instant), message_id)

    def __str__(self) -> str:
        return f"{write_instant(self.created_at)}~{self.message_id}"


@dataclass(frozen=True)
class Wanted:
    """What is asked for: the newest `limit` items of a person, on some channels (None: all), as things are at `now`.

    `since` leaves out what is more than a minute older, `before` what was on the pages so far. Instants are naive UTC.
    """

    user_id: str
    now: dt.datetime
    channels: Collection[str] | None = None
    limit: int = 20
    since: dt.datetime | None = None
    before: Before | None = None


def live(feed: Relation, engagements: Relation | None, now: exp.Expr) -> exp.Select:
    """Every item that is neither expired nor dismissed; no table of engagements means that nothing was dismissed."""
    query = exp.select("i.user_id", *(f"i.{name}" for name in _SHOWN)).from_(feed.table("i"))
    open_ended = exp.Is(this=exp.column("expires_at", "i"), expression=exp.null())
    query = query.where(exp.or_(open_ended, exp.GT(this=exp.column("expires_at", "i"), expression=now)))
    if engagements is None:
        return query
    same = exp.EQ(this=exp.column("message_id", "e"), expression=exp.column("message_id", "i"))
    is_dismissal = exp.EQ(this=exp.column("name", "e"), expression=exp.Literal.string(DISMISSED))
    dismissal = exp.select("1").from_(engagements.table("e")).where(same, is_dismissal)
    return query.where(exp.Not(this=exp.Exists(this=dismissal)))


def query(wanted: Wanted, feed: Relation, engagements: Relation | None, dialect: str) -> tuple[str, list[str]]:
    """The query for one more item than is wanted, newest first, and the texts bound to its parameters."""
    channels = sorted(wanted.channels) if wanted.channels is not None else None
    bound = [wanted.user_id, _bindable(wanted.now), *(channels or ())]
    if wanted.since is not None:
        bound.append(_bindable(wanted.since - OVERLAP))
    if wanted.before is not None:
        bound += [_bindable(wanted.before.created_at), wanted.before.message_id]
    shape = _Shape(
        feed, engagements, len(channels) if channels is not None else None, wanted.since is not None,
        wanted.before is not None, wanted.limit,
    )  # fmt: skip
    return _text(shape, dialect), bound


class _Shape(NamedTuple):
    """What makes one query's text differ from another's; everything else is bound."""

    feed: Relation
    engagements: Relation | None
    channels: int | None
    has_since: bool
    has_before: bool
    limit: int


@lru_cache(maxsize=500)
def _text(shape: _Shape, dialect: str) -> str:
    """The query as text. Making it takes longer than answering it, so it is kept."""
    numbers = itertools.count(1)

    def bound() -> exp.Expr:
        return exp.Parameter(this=exp.Literal.number(next(numbers)))

    def instant() -> exp.Expr:
        return exp.cast(bound(), "TIMESTAMP")

    created, message_id = exp.column("created_at", "i"), exp.column("message_id", "i")
    own = exp.EQ(this=exp.column("user_id", "i"), expression=bound())
    found = live(shape.feed, shape.engagements, instant()).where(own)
    if shape.channels is not None:
        names = [bound() for _ in range(shape.channels)]
        found = found.where(exp.In(this=exp.column("channel", "i"), expressions=names) if names else exp.false())
    if shape.has_since:
        found = found.where(exp.GTE(this=created.copy(), expression=instant()))
    if shape.has_before:
        last = instant()
        beside = exp.EQ(this=created.copy(), expression=last.copy())
        below = exp.LT(this=message_id.copy(), expression=bound())
        earlier = exp.LT(this=created.copy(), expression=last)
        found = found.where(exp.or_(earlier, exp.and_(beside, below)))
    newest = [exp.Ordered(this=column, desc=True, nulls_first=False) for column in (created, message_id)]
    return DIALECTS[dialect].sql(found.order_by(*newest).limit(shape.limit + 1))


def _bindable(instant: dt.datetime) -> str:
    return instant.isoformat(sep=" ", timespec="microseconds")


def page(rows: Sequence[Mapping[str, Any]], wanted: Wanted) -> dict[str, Any]:
    """The answer: `items`, `since` for the next question, and `before` for the next page (null on the last one)."""
    shown = rows[: wanted.limit]
    newest = shown[0]["created_at"] if shown and wanted.before is None else wanted.since
    more = Before(shown[-1]["created_at"], shown[-1]["message_id"]) if len(rows) > wanted.limit else None
    return {
        "items": [_item(row) for row in shown],
        "since": write_instant(newest) if newest is not None else None,
        "before": str(more) if more is not None else None,
    }


def _item(row: Mapping[str, Any]) -> dict[str, Any]:
    item = {name: row[name] for name in _SHOWN}
    item["data"] = _object(row["data"])
    return item | {
        name: write_instant(row[name]) if row[name] is not None else None for name in ("created_at", "expires_at")
    }


def _object(text: str | None) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}  # somebody has written into the table by hand
    return found if isinstance(found, dict) else {}


def write_instant(instant: dt.datetime) -> str:
    """`2026-03-02T12:00:00.000000Z`, always of one length."""
    return f"{instant:%Y-%m-%dT%H:%M:%S.%f}Z"


def read_instant(text: str) -> dt.datetime:
    """Read what `write_instant` wrote; raises ValueError."""
    if not _INSTANT.fullmatch(text):
        raise ValueError("not an instant")
    return dt.datetime.fromisoformat(text).replace(tzinfo=None)
