"""Segments: who is in them now, and what entered and left since the last tick."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from activate.compile import rulebook
from activate.compile.draft import Stage, Statement
from activate.compile.sql import create, insert, literal, tree
from activate.compile.world import World

_CHANGES = """
SELECT m.segment, m.user_id, 'enter', :run_id, :now
FROM tick_members AS m LEFT JOIN tick_known AS k ON k.segment = m.segment AND k.user_id = m.user_id
WHERE k.user_id IS NULL AND m.is_entry
UNION ALL
SELECT k.segment, k.user_id, 'exit', :run_id, :now
FROM tick_known AS k LEFT JOIN tick_members AS m ON k.segment = m.segment AND k.user_id = m.user_id
WHERE m.user_id IS NULL
"""

_KNOWN = """
SELECT segment, user_id FROM state.memberships WHERE :of_interest
GROUP BY segment, user_id
HAVING SUM(CASE WHEN change = 'enter' THEN 1 ELSE -1 END) > 0
"""


def membership(world: World) -> Iterator[Stage]:
    """Yield the statements that snapshot the segments in use and record who entered and left."""
    asked = rulebook.segments(world)
    if not asked:
        return
    entries = rulebook.entry_segments(world)
    parts = [_members(world, segment, segment in entries) for segment in asked]
    query: exp.Query = parts[0]
    for part in parts[1:]:
        query = exp.union(query, part, distinct=False, copy=False)
    yield Statement("membership.members", "Who is in each segment now.", create("tick_members", query), "tick_members")
    if not entries:
        return
    known = tree(_KNOWN, of_interest=exp.column("segment").isin(*entries))
    yield Statement("membership.known", "Who was in each segment until now.", create("tick_known", known), "tick_known")
    columns = ("segment", "user_id", "change", "run_id", "changed_at")
    changes = insert("state.memberships", columns, tree(_CHANGES))
    yield Statement("membership.changes", "Record who entered and who left.", changes)


def _members(world: World, segment: str, is_entry: bool) -> exp.Select:
    model = world.model(segment)
    key = world.text(model, model.key or "")
    return (
        exp.select(literal(segment).as_("segment"), key.as_("user_id"), literal(is_entry).as_("is_entry"), copy=False)
        .from_(model.relation.table("t"), copy=False)
        .where(key.copy().is_(exp.null()).not_(), copy=False)
        .distinct(copy=False)
    )
