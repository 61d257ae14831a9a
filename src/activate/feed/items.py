"""What one person may see: the live rows of a feed's table, as a query and as JSON."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlglot import exp

from activate.project import Relation
from activate.warehouses.base import literal

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


def live(feed: Relation, engagements: Relation | None, now: dt.datetime) -> exp.Select:
    """Every item that is neither expired nor dismissed; no table of engagements means that nothing was dismissed."""
    query = exp.select("i.user_id", *(f"i.{name}" for name in _SHOWN)).from_(feed.table("i"))
    open_ended = exp.Is(this=exp.column("expires_at", "i"), expression=exp.null())
    query = query.where(exp.or_(open_ended, exp.GT(this=exp.column("expires_at", "i"), expression=literal(now))))
    if engagements is None:
        return query
    same = exp.EQ(this=exp.column("message_id", "e"), expression=exp.column("message_id", "i"))
    is_dismissal = exp.EQ(this=exp.column("name", "e"), expression=exp.Literal.string(DISMISSED))
    dismissal = exp.select("1").from_(engagements.table("e")).where(same, is_dismissal)
    return query.where(exp.Not(this=exp.Exists(this=dismissal)))


def query(wanted: Wanted, feed: Relation, engagements: Relation | None) -> tuple[exp.Select, list[str]]:
    """The query for one more item than is wanted, newest first, and the texts bound to its parameters."""
    bound: list[str] = []

    def bind(text: str) -> exp.Expr:
        bound.append(text)
        return exp.Parameter(this=exp.Literal.number(len(bound)))

    created, message_id = exp.column("created_at", "i"), exp.column("message_id", "i")
    found = live(feed, engagements, wanted.now)
    found = found.where(exp.EQ(this=exp.column("user_id", "i"), expression=bind(wanted.user_id)))
    if wanted.channels is not None:
        names = [bind(channel) for channel in sorted(wanted.channels)]
        found = found.where(exp.In(this=exp.column("channel", "i"), expressions=names) if names else exp.false())
    if wanted.since is not None:
        found = found.where(exp.GTE(this=created.copy(), expression=literal(wanted.since - OVERLAP)))
    if wanted.before is not None:
        instant = literal(wanted.before.created_at)
        earlier = exp.LT(this=created.copy(), expression=instant)
        beside = exp.and_(
            exp.EQ(this=created.copy(), expression=instant.copy()),
            exp.LT(this=message_id.copy(), expression=bind(wanted.before.message_id)),
        )
        found = found.where(exp.or_(earlier, beside))
    newest = [exp.Ordered(this=column, desc=True, nulls_first=False) for column in (created, message_id)]
    return found.order_by(*newest).limit(wanted.limit + 1), bound


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
