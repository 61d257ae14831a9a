"""How the made-up people answer messages: opens, clicks, bounces, unsubscribes, decided by the message's id alone."""

from __future__ import annotations

import datetime as dt

import sqlglot
from sqlglot import exp

from activate.demo.load import RAW
from activate.project import Project, Relation
from activate.warehouses.base import Warehouse, literal

# The shares of a channel's messages that bounce, are opened, clicked and answered by an unsubscribe. Opens, clicks and
# unsubscribes ask one and the same roll, so whoever clicks has opened.
SHARES = {
    "email": {"bounced": 0.006, "opened": 0.36, "clicked": 0.09, "unsubscribed": 0.004},
    "push": {"bounced": 0.004, "opened": 0.15, "clicked": 0.06, "unsubscribed": 0.0},
    "sms": {"bounced": 0.005, "opened": 0.0, "clicked": 0.05, "unsubscribed": 0.008},
    "in_app": {"bounced": 0.0, "opened": 0.5, "clicked": 0.12, "unsubscribed": 0.0},
}
# A digit of the roll, squared, makes most answers come within the hour and some in the evening.
_MINUTES = {"delivered": (0, 0), "bounced": (0, 0), "opened": (3, 4), "clicked": (4, 4), "unsubscribed": (5, 4)}

_ANSWERS = """
INSERT INTO engagement (
    engagement_id, message_id, user_id, channel, address, kind, bounce_type, is_machine, occurred_at, loaded_at
)
SELECT
    'r-' || substring(md5(rolled.message_id || kinds.kind), 1, 20), rolled.message_id, rolled.user_id, rolled.channel,
    CASE rolled.channel
        WHEN 'email' THEN people.email WHEN 'sms' THEN people.phone WHEN 'push' THEN people.push_token
    END,
    kinds.kind, CASE WHEN kinds.kind = 'bounced' THEN 'hard' END, FALSE,
    rolled.queued_at + (kinds.minutes + kinds.slope * rolled.digit * rolled.digit) * INTERVAL '1 minute',
    rolled.queued_at + (kinds.minutes + kinds.slope * rolled.digit * rolled.digit + 1) * INTERVAL '1 minute'
FROM (
    SELECT
        sent.message_id, sent.user_id, sent.channel, sent.queued_at,
        substring(md5(sent.message_id || '|arrives'), 1, 8) AS arrives,
        substring(md5(sent.message_id || '|answers'), 1, 8) AS answers,
        strpos('0123456789abcdef', substring(md5(sent.message_id || '|when'), 1, 1)) - 1 AS digit
    FROM messages AS sent
    WHERE sent.queued_at = :now
        AND sent.message_id IN (SELECT handed.message_id FROM deliveries AS handed WHERE handed.status = 'accepted')
) AS rolled
INNER JOIN kinds ON kinds.channel = rolled.channel
    AND rolled.arrives >= kinds.arrives_from AND rolled.arrives < kinds.arrives_below
    AND rolled.answers < kinds.answers_below
INNER JOIN people ON people.user_id = rolled.user_id
"""


def answer(warehouse: Warehouse, project: Project, now: dt.datetime) -> None:
    """Write to raw.engagement how the messages queued at `now` and taken by a provider are answered, each once."""
    schema = project.policy.state.schema_
    statement: exp.Expression = sqlglot.parse_one(_ANSWERS, read="duckdb")  # type: ignore[assignment]  # sqlglot widens it
    for table in list(statement.find_all(exp.Table)):
        relation = {
            "engagement": Relation(RAW, "engagement"),
            "messages": Relation(schema, "messages"),
            "deliveries": Relation(schema, "deliveries"),
            "people": project.models[project.policy.profiles.model].relation,
        }.get(table.name)
        if table.name == "kinds":
            table.replace(_kinds())
        elif relation is not None:
            # The target of an INSERT carries no alias; the tables of a FROM keep theirs.
            table.replace(relation.table(None if table.name == "engagement" else table.alias or table.name))
    for placeholder in list(statement.find_all(exp.Placeholder)):
        placeholder.replace(literal(now))
    warehouse.execute(statement)


def _kinds() -> exp.Expression:
    """The shares as a small table: a kind of report happens where both rolls lie in its ranges."""
    rows = []
    for channel, shares in SHARES.items():
        bounces = _cut(shares["bounced"])
        rows.append((channel, "delivered", bounces, "g", "g", *_MINUTES["delivered"]))
        rows.append((channel, "bounced", "0", bounces, "g", *_MINUTES["bounced"]))
        for kind in ("opened", "clicked", "unsubscribed"):
            rows.append((channel, kind, bounces, "g", _cut(shares[kind]), *_MINUTES[kind]))
    columns = ("channel", "kind", "arrives_from", "arrives_below", "answers_below", "minutes", "slope")
    return exp.values(rows, alias="kinds", columns=columns)


def _cut(share: float) -> str:
    """The first eight hex digits of a share; `g` comes after every digit."""
    return f"{int(share * 16**8):08x}"
