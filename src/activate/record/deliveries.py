"""The outbox of one provider: what is open, what was left in doubt, and what became of each message.

Everything is bounded by a watermark (the smallest `queued_at` that may still be open, kept in the counts of the
delivery's own run), so that the cost follows what is open and not what is past.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import enum
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import pyarrow as pa
import sqlglot
from sqlglot import exp

from activate.address import address_hash
from activate.campaign import Campaign
from activate.errors import WarehouseError
from activate.message import Interrupted, Kind, Lost, Page, Work
from activate.plan import Text
from activate.project import Project, Relation
from activate.providers.base import Outcome
from activate.record.rehearsal import own_variant, rehearsed_context, rehearsed_work
from activate.record.wave import CONTEXT, WORK, replace, wave_query
from activate.tables import Table
from activate.warehouses.base import Warehouse, literal

_BEGINNING = dt.datetime(1900, 1, 1)
_DELIVERED = "delivered"
PAGE = "deliver_page"
PAGE_SIZE = 50_000
_MEMORY = 64  # MiB a thread: pages are small, and nothing larger is asked for
_COUNTED = 100_000  # messages whose ids are held in memory to count what is open
_FIRST_PAGE = 10_000  # small, so that something is under way while the next is being made
_SCHEMA = pa.schema(
    [
        ("message_id", pa.string()), ("attempt", pa.int64()), ("status", pa.string()), ("provider", pa.string()),
        ("provider_message_id", pa.string()), ("error_code", pa.string()), ("error", pa.string()),
        ("run_id", pa.string()), ("recorded_at", pa.timestamp("us")), ("final", pa.bool_()),
    ]
)  # fmt: skip
_RUN = pa.schema(
    [
        ("run_id", pa.string()), ("now", pa.timestamp("us")), ("started_at", pa.timestamp("us")),
        ("finished_at", pa.timestamp("us")), ("status", pa.string()), ("rules_version", pa.string()),
        ("counts", pa.string()),
    ]
)  # fmt: skip

_SUPPRESSION = pa.schema(
    [
        ("channel", pa.string()), ("address_hash", pa.string()), ("reason", pa.string()), ("status", pa.string()),
        ("provider", pa.string()), ("message_id", pa.string()), ("occurred_at", pa.timestamp("us")),
        ("run_id", pa.string()), ("recorded_at", pa.timestamp("us")),
    ]
)  # fmt: skip

# A delivery's rows are written at or after `queued_at` (the sender sees to it), so `recorded_at` can be bounded by it.
_STATE = """
SELECT d.message_id, MAX(d.attempt) AS attempt, MAX(CASE WHEN d.final THEN 1 ELSE 0 END) AS closed,
  MAX(CASE WHEN d.status = 'claimed' THEN d.attempt END) AS claimed,
  MAX(CASE WHEN d.status <> 'claimed' THEN d.attempt ELSE 0 END) AS told,
  MAX(CASE WHEN d.status = 'claimed' THEN d.recorded_at END) AS claimed_at,
  MAX(CASE WHEN d.status = 'unknown' THEN 1 ELSE 0 END) AS doubted
FROM state.deliveries AS d WHERE d.recorded_at >= :since"""
_INTERRUPTED = f"""
WITH s AS ({_STATE} GROUP BY d.message_id)
SELECT m.message_id, m.class, s.claimed, s.claimed_at
FROM state.messages AS m JOIN s ON s.message_id = m.message_id
WHERE m.provider = :provider AND m.queued_at >= :since AND s.closed = 0 AND s.claimed > s.told
ORDER BY m.message_id
"""
_OPEN = """
SELECT COUNT(*) AS messages, MIN(m.queued_at) AS oldest FROM state.messages AS m
LEFT JOIN (
  SELECT m.message_id FROM state.deliveries AS m WHERE m.final AND m.recorded_at >= :since AND :within
) AS d ON d.message_id = m.message_id
WHERE m.provider = :provider AND m.queued_at >= :since AND m.queued_at <= :until AND :within AND d.message_id IS NULL
"""
# Messages are taken in pages, so that neither memory nor temporary tables grow with the outbox. Where a page ends follows
# from how many messages there are of each rank: to sort them all for each page would cost more than to send them.
_TURN = "CASE m.class WHEN 'transactional' THEN 0 ELSE 1 END"
_QUEUED = "m.provider = :provider AND m.queued_at >= :since AND m.queued_at <= :until"
_RANKS = f"""
SELECT {_TURN} AS turn, m.priority, m.queued_at, COUNT(*) AS messages FROM state.messages AS m WHERE {_QUEUED}
GROUP BY 1, 2, 3 ORDER BY 1, 2 DESC, 3
"""
_PAGE = f"""
SELECT m.message_id, m.entry_id, m.campaign, m.step, m.variant, m.user_id, m.channel, m.class, m.tags, m.expires_at,
  m.send_by, m.template, m.queued_at, m.priority, {_TURN} AS turn
FROM state.messages AS m WHERE {_QUEUED} AND :begun AND NOT :ended
"""
_AFTER = f"""
{_TURN} > :turn OR {_TURN} = :turn AND (m.priority < :priority OR m.priority = :priority
  AND (m.queued_at > :queued_at OR m.queued_at = :queued_at AND :ids))
"""
_WORK = f"""
WITH s AS ({_STATE} AND d.message_id IN (SELECT message_id FROM deliver_page) GROUP BY d.message_id)
SELECT ROW_NUMBER() OVER (ORDER BY m.turn, m.priority DESC, m.queued_at, m.message_id) AS place, m.message_id,
  m.entry_id, m.campaign, m.step, m.variant, m.user_id, m.channel, m.class, m.tags, m.expires_at, m.send_by, m.template,
  m.queued_at, COALESCE(s.attempt, 0) AS attempt, COALESCE(s.doubted, 0) AS doubted
FROM deliver_page AS m LEFT JOIN s ON s.message_id = m.message_id
WHERE COALESCE(s.closed, 0) = 0
"""
# The last tick before a message was queued left its entry open or had not seen it yet, so the entry is not older than
# what that tick noted as its oldest open one.
_ANY_SUPPRESSION = "SELECT 1 FROM state.suppressions LIMIT 1"
_LIVE_FROM = """
SELECT CASE WHEN COUNT(*) = COUNT(f.live_from) THEN MIN(f.live_from) END FROM (
  SELECT o.campaign, MAX(s.live_from) AS live_from
  FROM (SELECT campaign, MIN(queued_at) AS first FROM deliver_work GROUP BY campaign) AS o
  LEFT JOIN state.scans AS s ON s.campaign = o.campaign AND s.decided_at < o.first
  GROUP BY o.campaign
) AS f
"""
_CONTEXT = """
SELECT w.place, e.context FROM deliver_work AS w JOIN state.entries AS e ON e.entry_id = w.entry_id
WHERE e.recorded_at >= :since
"""


class _Asked(enum.Enum):
    """What a wave's query looks into, as the last arguments of `wave_query`: suppressions, several profiles of a person."""

    NOTHING = (False, False)
    PROFILES = (False, True)
    ALL = (True, True)


class _Bound(NamedTuple):
    """A place in the order of messages: behind all of a rank (`id` None), or before its ids from `id` on.

    A rank is (turn, priority, queued_at); None: before everything.
    """

    rank: tuple[int, int, dt.datetime] | None
    id: str | None = None


def _bounds(ranks: Sequence[tuple[int, int, dt.datetime, int]]) -> list[_Bound]:
    """Where pages begin and end, in order, of messages counted by rank; a large rank is cut by its ids, which are hashes."""
    bounds, held, room = [_Bound(None)], 0, min(_FIRST_PAGE, PAGE_SIZE)
    before = bounds[0]
    for turn, priority, queued_at, count in ranks:
        rank = (turn, priority, queued_at)
        if held and held + count > room:
            bounds.append(before)
            held, room = 0, PAGE_SIZE
        if count > room:
            first = room / count if room < PAGE_SIZE else 0.0
            parts = math.ceil(count * (1 - first) / PAGE_SIZE)
            shares = [first + (1 - first) * number / parts for number in range(parts)]
            bounds += [_Bound(rank, _hexadecimal(share)) for share in shares if share]
            held, room = count // parts, PAGE_SIZE
        else:
            held += count
        before = _Bound(rank)
    return [*bounds, before] if ranks else []


def _hexadecimal(share: float) -> str:
    return f"{int(share * 0x10000):04x}"


class Outbox:
    """The outbox of one provider, on connections of its own, used inside `lease`.

    `claim` and `record` may run in one thread while another reads waves: they have a connection to themselves. `listed` is
    noted in the run's counts (`ledger.Listing.note`).
    """

    def __init__(
        self, warehouse: Warehouse, project: Project, provider: str, run_id: str,
        listed: Mapping[str, object] | None = None,
    ) -> None:  # fmt: skip
        self._warehouse = warehouse
        self._writer = warehouse  # a connection of its own while the lease is held
        self._project = project
        self._provider = provider
        self._run_id = run_id
        self._listed = listed or {}
        self._schema = project.policy.state.schema_
        self._since = self._until = _BEGINNING
        self._bounds: list[_Bound] = []
        self._total = 0
        self._any_suppression = warehouse.sql(self._tree(_ANY_SUPPRESSION))
        self._rows = 0
        self._chosen: tuple[frozenset[str], bool] | None = None
        self._waves: dict[_Asked, Text] = {}

    @contextlib.contextmanager
    def lease(self, wait_seconds: float) -> Iterator[None]:
        """Be the only one that delivers for this provider; raises LeaseHeldError."""
        # The connection that claims holds the lease, so who has lost the lease can claim nothing more.
        self._writer = self._warehouse.clone()
        lease = f"deliver.{self._schema}.{self._provider}"
        with contextlib.closing(self._writer), self._writer.lock(lease, wait_seconds), self._warehouse.sparing(_MEMORY):
            self._since = self._watermark()
            try:
                yield
            finally:
                with contextlib.suppress(WarehouseError):  # a lost connection has dropped them already
                    self._drop()

    def interrupted(self) -> list[Interrupted]:
        """Claims without an outcome. While we hold the lease, nobody else can still be working on them."""
        rows = self._warehouse.query(self._tree(_INTERRUPTED))
        return [Interrupted(*values) for values in zip(*(column.to_pylist() for column in rows.columns), strict=True)]

    def collect(self) -> Work:
        """Tell how much is open; `page` then goes through exactly that, in order."""
        latest = self._warehouse.scalar(
            self._tree("SELECT MAX(queued_at) FROM state.messages WHERE provider = :provider AND queued_at >= :since")
        )
        assert latest is None or isinstance(latest, dt.datetime)
        self._until = latest or self._since
        ranks = self._warehouse.query(self._tree(_RANKS))
        self._bounds = _bounds(list(zip(*(column.to_pylist() for column in ranks.columns), strict=True)))
        self._total = sum(ranks.column("messages").to_pylist())
        return Work(self.left()[0], latest)

    def page(self) -> Page | None:
        """Put the next open messages into a temporary table and tell what they are; None when all have been seen."""
        while True:
            self._drop()
            if len(self._bounds) < 2:
                return None
            begin, end = self._bounds[:2]
            del self._bounds[0]
            self._create(PAGE, self._tree(_PAGE, begun=self._after(begin), ended=self._after(end)))
            self._create(WORK, self._tree(_WORK))
            rows = self._warehouse.scalar(self._tree("SELECT COUNT(*) FROM deliver_work"))
            assert isinstance(rows, int)
            if rows:
                self._rows = rows
                break
        kinds = self._warehouse.query(self._tree("SELECT DISTINCT template, channel, variant FROM deliver_work"))
        found = zip(*(kinds.column(name).to_pylist() for name in Kind._fields), strict=True)
        return Page(rows, tuple(Kind(*values) for values in found))

    def _after(self, bound: _Bound) -> exp.Expr:
        """The condition of messages behind a bound."""
        if bound.rank is None:
            return exp.true()
        turn, priority, queued_at = (literal(part) for part in bound.rank)
        ids = exp.false() if bound.id is None else exp.column("message_id", table="m") >= literal(bound.id)
        return exp.paren(self._tree(_AFTER, turn=turn, priority=priority, queued_at=queued_at, ids=ids))

    def choose(self, columns: frozenset[str], context: bool) -> None:
        """Say what templates use: columns of the profile, and whether the row that brought the person in."""
        if self._chosen != (columns, context):
            self._chosen = (columns, context)
            self._waves = {
                asked: wave_query(self._project, self._warehouse, sorted(columns), context, *asked.value)
                for asked in _Asked
            }
        if not context:
            return
        live_from = self._warehouse.scalar(self._tree(_LIVE_FROM))
        self._create(CONTEXT, self._tree(_CONTEXT, since=literal(live_from or _BEGINNING)))
        if live_from is not None and not self._is_complete():
            self._drop(CONTEXT)
            self._create(CONTEXT, self._tree(_CONTEXT, since=literal(_BEGINNING)))

    def own_variant(self, campaign: Campaign, user_id: str) -> str | None:
        """The variant of the person's latest entry, else the one that they would be given."""
        return own_variant(self._warehouse, self._project, campaign, user_id)

    def rehearse(
        self, campaign: Campaign, user_id: str, kind: Kind, step: int, columns: frozenset[str], at: dt.datetime
    ) -> pa.Table:
        """One message that is not queued, as a wave of one row. Writes nothing but temporary tables."""
        self._drop()
        self._create(WORK, rehearsed_work(campaign, user_id, step, kind, at))
        self._create(CONTEXT, rehearsed_context(self._warehouse, self._project, campaign, user_id))
        self._rows, self._chosen = 1, None
        self._waves = {_Asked.ALL: wave_query(self._project, self._warehouse, sorted(columns), context=True)}
        rows = self.wave(0, 1, at)
        self._drop()
        return rows

    def wave(self, after: int, size: int, at: dt.datetime) -> pa.Table:
        """The messages at places (after, after + size], with profile, address and verdict as of this moment."""
        if not self._waves:
            raise RuntimeError("choose() comes before wave()")
        values = {"after": after, "last": after + size, "at": at}
        constants = {name: self._warehouse.sql(literal(value)) for name, value in values.items()}
        # Asked for each wave: an event that comes in meanwhile counts.
        if len(self._waves) == 1 or self._warehouse.scalar(self._any_suppression) is not None:
            return self._warehouse.query(self._waves[_Asked.ALL].bind(constants))
        rows = self._warehouse.query(self._waves[_Asked.NOTHING].bind(constants))
        if rows.num_rows > min(size, self._rows - after):  # somebody has several profiles
            return self._warehouse.query(self._waves[_Asked.PROFILES].bind(constants))
        return rows

    def claim(self, attempts: Mapping[str, int], at: dt.datetime) -> None:
        """Write down that these messages (by id, with the attempt's number) are about to be handed over."""
        columns = {"message_id": list(attempts), "attempt": list(attempts.values())}
        self._append(columns, {"status": "claimed", "final": False}, at)

    def record(
        self,
        outcomes: Sequence[Outcome],
        attempts: Mapping[str, int],
        final: Sequence[bool],
        at: dt.datetime,
        lost: Sequence[Lost] = (),
    ) -> None:
        """Write outcomes down. `attempts` has each message's attempt; `final` goes with `outcomes`.

        What is `lost` is written with them, in one transaction.
        """
        if not outcomes:
            return
        if lost:
            with self._writer.transaction():
                self._suppress(lost, at)
                self._record(outcomes, attempts, final, at)
        else:
            self._record(outcomes, attempts, final, at)

    def _suppress(self, lost: Sequence[Lost], at: dt.datetime) -> None:
        hashes = [address_hash(one.channel, one.address) for one in lost]
        table = _rows(
            _SUPPRESSION,
            {
                "channel": [one.channel for one in lost],
                "address_hash": hashes,
                "reason": [one.reason for one in lost],
                "message_id": [one.message_id for one in lost],
            },
            {"status": "suppressed", "provider": self._provider, "occurred_at": at, "run_id": self._run_id,
             "recorded_at": at},
        )  # fmt: skip
        self._writer.ingest(Relation(self._schema, "suppressions"), table)

    def _record(
        self, outcomes: Sequence[Outcome], attempts: Mapping[str, int], final: Sequence[bool], at: dt.datetime
    ) -> None:
        told: dict[str, Any] = dict(zip(Outcome._fields, zip(*outcomes, strict=True), strict=True))
        told |= {"attempt": [attempts[message_id] for message_id in told["message_id"]], "final": final}
        self._append(told, {}, at)

    def _append(self, columns: Mapping[str, Any], constant: Mapping[str, Any], at: dt.datetime) -> None:
        """Append rows to `deliveries`, all or none; they are on disk when this returns."""
        if not columns["message_id"]:
            return
        same = {**constant, "provider": self._provider, "run_id": self._run_id, "recorded_at": at}
        self._writer.ingest(Relation(self._schema, "deliveries"), _rows(_SCHEMA, columns, same))

    def left(self) -> tuple[int, dt.datetime | None]:
        """How many of the collected messages are still open, and the oldest `queued_at` among them."""
        # Within our own memory, so many messages are counted by part of the ids' range at a time.
        parts = -(-self._total // _COUNTED) if self._warehouse.one_process else 1
        cuts = [None, *(_hexadecimal(number / parts) for number in range(1, parts)), None]
        found = []
        for low, high in pairwise(cuts):
            key = exp.column("message_id", table="m")
            within: list[exp.Expr] = [key >= literal(low)] if low else []
            within += [key < literal(high)] if high else []
            row = self._warehouse.query(self._tree(_OPEN, within=exp.and_(exp.true(), *within)))
            found.append((row.column(0)[0].as_py(), row.column(1)[0].as_py()))
        return sum(count for count, _ in found), min((oldest for _, oldest in found if oldest), default=None)

    def finish(self, counts: dict[str, Any], now: dt.datetime, started_at: dt.datetime, finished_at: dt.datetime,
               open_from: dt.datetime | None) -> None:  # fmt: skip
        """Write the run down, with the watermark that the next one begins at."""
        mark = {} if open_from is None else {"open_from": open_from.isoformat(sep=" ", timespec="microseconds")}
        text = json.dumps({"provider": self._provider, **counts, **mark, **self._listed}, sort_keys=True)
        values: list[Any] = [self._run_id, now, started_at, finished_at, _DELIVERED, self._project.version, text]
        row = pa.Table.from_arrays([pa.array([value], field.type) for value, field in zip(values, _RUN, strict=True)],
                                   schema=_RUN)  # fmt: skip
        self._warehouse.ingest(Relation(self._schema, "runs"), row)

    def close(self) -> None:
        """Close the connection."""
        self._warehouse.close()

    def _watermark(self) -> dt.datetime:
        text = self._warehouse.scalar(
            self._tree(
                "SELECT r.counts FROM state.runs AS r WHERE r.status = :status AND :mark IS NOT NULL "
                "AND :told = :provider ORDER BY r.now DESC, r.finished_at DESC LIMIT 1",
                status=literal(_DELIVERED),
                told=self._warehouse.json_text(exp.column("counts", table="r"), "provider"),
                mark=self._warehouse.json_text(exp.column("counts", table="r"), "open_from"),
            )
        )
        return dt.datetime.fromisoformat(json.loads(str(text))["open_from"]) if text else _BEGINNING

    def _is_complete(self) -> bool:
        missing = "SELECT COUNT(*) FROM deliver_work AS w LEFT JOIN deliver_context AS c ON c.place = w.place "
        return self._warehouse.scalar(self._tree(missing + "WHERE c.place IS NULL")) == 0

    def _tree(self, text: str, **parts: exp.Expr) -> exp.Expr:
        known = {
            "provider": literal(self._provider),
            "since": literal(self._since),
            "until": literal(self._until),
        }
        root = replace(sqlglot.parse_one(text, read="duckdb"), {**known, **parts})
        for table in root.find_all(exp.Table):
            if table.db == "state":
                table.set("db", exp.to_identifier(self._schema, quoted=True))
        return root

    def _create(self, name: str, query: exp.Expr) -> None:
        self._warehouse.execute(
            exp.Create(
                this=exp.to_table(name),
                kind="TABLE",
                expression=query,
                properties=exp.Properties(expressions=[exp.TemporaryProperty()]),
            )
        )
        self._warehouse.analyze(name)
        if name == PAGE:
            return
        # Waves ask for ranges of places; PostgreSQL's temporary tables are in the schema of this name.
        self._warehouse.create_indexes(Table(name, "", (), (("place",),)), "pg_temp")

    def _drop(self, *names: str) -> None:
        for name in names or (PAGE, WORK, CONTEXT):
            self._warehouse.execute(f"DROP TABLE IF EXISTS {name}")


def _rows(schema: pa.Schema, columns: Mapping[str, Any], same: Mapping[str, Any]) -> pa.Table:
    """Rows of a state table: `columns` by name (of which there is a message_id), `same` for values that all of them have."""
    count = len(columns["message_id"])
    arrays = [
        pa.array(columns[field.name], field.type)
        if field.name in columns
        else pa.repeat(pa.scalar(same.get(field.name), field.type), count)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)
