"""Made-up people answer messages as their ids decide, and only messages that were handed over."""

from __future__ import annotations

import datetime as dt
import hashlib

import pyarrow as pa
import pytest
import sqlglot

from activate.demo.answers import SHARES, answer
from activate.demo.generate import generate
from activate.demo.load import make_room
from activate.project import Project, Relation
from activate.record.migrate import migrate
from activate.tables import DELIVERIES, MESSAGES, Table
from activate.warehouses.base import Warehouse

NOW = dt.datetime(2026, 10, 31, 9)
COUNT = 4000


def rows(table: Table, **columns: object) -> pa.Table:
    """`COUNT` rows with these columns; what else may not be null gets a filler of its type."""
    fillers: dict[str, object] = {"TEXT": "-", "BIGINT": 1, "BOOLEAN": True, "TIMESTAMP": NOW}
    types = {"TEXT": pa.string(), "BIGINT": pa.int64(), "BOOLEAN": pa.bool_(), "TIMESTAMP": pa.timestamp("us")}
    made = {}
    for column in table.columns:
        value = columns.get(column.name, fillers[column.type])
        values = value if isinstance(value, list) else [value] * COUNT
        made[column.name] = pa.array(values, types[column.type])
    return pa.table(made)


@pytest.fixture
def sent(warehouse: Warehouse) -> Warehouse:
    """Messages by the four channels in turn; every fifth was not taken, and one half was queued an hour earlier."""
    make_room(warehouse, generate(1, 1), "analytics", "activate")
    with warehouse.transaction():
        migrate(warehouse, "activate", NOW)
    ids = [hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest() for number in range(COUNT)]
    users = [f"u{number}" for number in range(COUNT)]
    times = [NOW if number % 8 < 4 else NOW - dt.timedelta(hours=1) for number in range(COUNT)]
    channels = [list(SHARES)[number % 4] for number in range(COUNT)]
    statuses = ["rejected" if number % 5 == 0 else "accepted" for number in range(COUNT)]
    warehouse.ingest(Relation("activate", "messages"),
                     rows(MESSAGES, message_id=ids, user_id=users, channel=channels, queued_at=times))  # fmt: skip
    warehouse.ingest(Relation("activate", "deliveries"), rows(DELIVERIES, message_id=ids, status=statuses))
    warehouse.execute(sqlglot.parse_one("CREATE SCHEMA analytics"))
    warehouse.execute(
        sqlglot.parse_one(
            "CREATE TABLE analytics.profiles AS SELECT user_id, user_id || '@example.com' AS email, "
            "user_id || '-phone' AS phone, user_id || '-token' AS push_token FROM activate.messages"
        )
    )
    return warehouse


def ask(warehouse: Warehouse, sql: str) -> list[tuple[object, ...]]:
    found = warehouse.query(sqlglot.parse_one(sql, read="duckdb"))
    return list(zip(*(column.to_pylist() for column in found.columns), strict=True))


def test_messages_taken_in_this_tick_are_answered(sent: Warehouse, project: Project) -> None:
    answer(sent, project, NOW)
    wrong = ask(
        sent,
        "SELECT count(*) FROM raw.engagement AS e JOIN activate.messages AS m ON m.message_id = e.message_id "
        "JOIN activate.deliveries AS d ON d.message_id = m.message_id "
        f"WHERE d.status <> 'accepted' OR m.queued_at <> CAST('{NOW}' AS TIMESTAMP) OR e.user_id <> m.user_id "
        "OR e.loaded_at <= m.queued_at OR e.occurred_at < m.queued_at OR e.loaded_at < e.occurred_at",
    )
    assert wrong == [(0,)]
    # Each was delivered or has bounced, and nothing that bounced was opened.
    [(ended, twice)] = ask(
        sent,
        "SELECT count(*), count(*) - count(DISTINCT message_id) FROM raw.engagement "
        "WHERE kind IN ('delivered', 'bounced')",
    )
    assert (ended, twice) == (COUNT * 4 // 5 // 2, 0)
    assert ask(
        sent,
        "SELECT count(*) FROM raw.engagement AS a JOIN raw.engagement AS b ON a.message_id = b.message_id "
        "WHERE a.kind = 'bounced' AND b.kind <> 'bounced'",
    ) == [(0,)]


def test_whoever_clicks_has_opened_and_shares_are_as_said(sent: Warehouse, project: Project) -> None:
    answer(sent, project, NOW)
    unopened = ask(
        sent,
        "SELECT count(*) FROM raw.engagement AS c WHERE c.kind = 'clicked' AND c.channel <> 'sms' AND NOT EXISTS "
        "(SELECT 1 FROM raw.engagement AS o WHERE o.message_id = c.message_id AND o.kind = 'opened')",
    )
    assert unopened == [(0,)]
    found = dict(
        ask(sent, "SELECT channel || ' ' || kind, count(*) FROM raw.engagement GROUP BY channel || ' ' || kind")
    )
    each = COUNT * 4 // 5 // 2 // 4
    assert abs(int(str(found["email opened"])) / each - SHARES["email"]["opened"]) < 0.08
    assert abs(int(str(found["in_app opened"])) / each - SHARES["in_app"]["opened"]) < 0.08
    assert "sms opened" not in found
    assert "in_app bounced" not in found


def test_answers_carry_the_address_of_their_channel(sent: Warehouse, project: Project) -> None:
    answer(sent, project, NOW)
    found = set(ask(sent, "SELECT DISTINCT channel, replace(address, user_id, '') FROM raw.engagement"))
    assert found == {("email", "@example.com"), ("sms", "-phone"), ("push", "-token"), ("in_app", None)}
