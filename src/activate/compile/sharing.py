"""Who shares an address with a candidate, for caps that count by address. Addresses are compared, and kept nowhere.

A share is known by one of its people and a channel. Nobody who has an address alone is in any.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from activate.address import uniform_of
from activate.compile.draft import Stage, Statement
from activate.compile.gates import passed
from activate.compile.sql import create, literal, tree
from activate.compile.world import World

_ADDRESSES = """
SELECT p.user_id, :channel AS channel, :address AS address
FROM model.profiles AS p LEFT JOIN tick_duplicates AS r ON r.user_id = p.user_id
WHERE r.user_id IS NULL
"""

_SHARING = """
SELECT a.user_id, a.channel, a.share
FROM (
  SELECT b.user_id, b.channel, MIN(b.user_id) OVER (PARTITION BY b.channel, b.address) AS share,
    COUNT(*) OVER (PARTITION BY b.channel, b.address) AS people
  FROM (:addresses) AS b
  JOIN (
    SELECT DISTINCT e.channel, e.address
    FROM (:addresses) AS e JOIN (:passed) AS g ON g.user_id = e.user_id AND g.channel = e.channel
  ) AS c ON c.channel = b.channel AND c.address = b.address
) AS a
WHERE a.people > 1
"""

# Whose calendar counts is a matter of who asks, so those who share are listed once for each zone of a candidate.
_SHARERS = """
SELECT w.user_id, w.channel, w.share, c.own_zone
FROM tick_sharing AS w
JOIN (
  SELECT DISTINCT x.share, x.channel, g.own_zone
  FROM (:passed) AS g JOIN tick_sharing AS x ON x.user_id = g.user_id AND x.channel = g.channel
) AS c ON c.share = w.share AND c.channel = w.channel
"""


def sharing(world: World) -> Iterator[Stage]:
    """Yield the statements that find who shares an address with a candidate; nothing without a cap by address."""
    if not world.shared_channels:
        return
    for name, doc, query in (
        ("sharing", "Who shares an address with a candidate.",
         tree(_SHARING, addresses=_addresses(world), passed=passed(world))),
        ("sharers", "The same by the candidates' zones.", tree(_SHARERS, passed=passed(world))),
    ):  # fmt: skip
        yield Statement(f"caps.{name}", doc, create(f"tick_{name}", query), f"tick_{name}", needs="candidates")


def _addresses(world: World) -> exp.Query:
    numbers = {name: number for number, name in enumerate(world.channels)}
    query: exp.Query | None = None
    for name in world.shared_channels:
        address = uniform_of(name, exp.column(f"address_{numbers[name]}", table="p"))
        part = tree(_ADDRESSES, channel=literal(name), address=address).where(f"p.has_{numbers[name]}", copy=False)
        query = part if query is None else exp.union(query, part, distinct=False, copy=False)
    assert query is not None  # there is at least one channel
    return query
