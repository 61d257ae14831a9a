"""Audits: what came to light only after a message was queued."""

from __future__ import annotations

from collections.abc import Iterator

from activate.compile import rulebook
from activate.compile.draft import Fetch, Stage, Statement
from activate.compile.exits import events, own_value
from activate.compile.sql import create, insert, tree
from activate.compile.world import World

_LATE = """
SELECT v.* FROM v WHERE v.loaded_at > :read_from AND v.loaded_at > v.happened_at
"""

_LATE_FROM = "SELECT COUNT(*) AS late_events, COALESCE(MIN(v.happened_at), :now) AS late_from FROM tick_late AS v"

# A message of a later tick belongs to an entry that was open then, so none is older than what the last tick before that
# noted as its oldest open one; a campaign that had no tick yet has no older entries. Without a bound, the cost would
# follow the entries that ended long ago.
_ENTRIES_FROM = """
SELECT CASE WHEN COUNT(*) > COUNT(f.live_from) THEN CAST('0001-01-01' AS TIMESTAMP)
  WHEN MIN(f.live_from) < :late_from THEN MIN(f.live_from) ELSE :late_from END AS entries_from
FROM (
  SELECT s.campaign, MAX(s.live_from) AS live_from FROM state.scans AS s
  WHERE s.decided_at < :late_from GROUP BY s.campaign
) AS f
"""

_AUDITS = """
SELECT DISTINCT c.entry_id, c.message_id, 'late_exception', v.event_id, :run_id, :now
FROM tick_late AS v
JOIN (
  SELECT e.entry_id, e.campaign, e.campaign_version, e.user_id, e.entered_at, e.occurrence_id, e.match_key, e.context,
    m.message_id, m.queued_at
  FROM state.messages AS m JOIN state.entries AS e ON e.entry_id = m.entry_id
  WHERE m.queued_at >= :late_from AND m.queued_at < :now AND e.recorded_at >= :entries_from
) AS c ON c.user_id = v.user_id
JOIN tick_exceptions AS x ON x.campaign = c.campaign AND x.campaign_version = c.campaign_version
  AND x.exception_id = v.exception_id
LEFT JOIN state.audits AS a ON a.entry_id = c.entry_id AND a.evidence = v.event_id AND a.message_id = c.message_id
WHERE v.happened_at >= c.entered_at AND v.happened_at <= c.queued_at AND v.loaded_at > c.queued_at
  AND v.event_id <> c.occurrence_id AND (NOT x.needs_match OR v.match_value = :own_value) AND a.entry_id IS NULL
"""

_COLUMNS = ("entry_id", "message_id", "kind", "evidence", "run_id", "recorded_at")


def audits(world: World) -> Iterator[Stage]:
    """Yield the statements that record exception events which were loaded after their message was queued."""
    asked = rulebook.late_exceptions(world)
    if not world.known or not asked:
        return
    beginning = tree("CAST('0001-01-01' AS TIMESTAMP)")
    last = world.time("last_now", lambda moment: moment.bookmarks.last_now or moment.now)
    late = tree(_LATE, read_from=last).with_("v", as_=events(world, beginning, asked), copy=False)
    yield Statement(
        "audits.late", "Exception events loaded since the last tick.", create("tick_late", late), "tick_late"
    )
    yield Fetch("audits.from", "The earliest of them.", tree(_LATE_FROM), ("late_events", "late_from"))
    yield Fetch(
        "audits.entries", "The oldest entry that may have had a message since.", tree(_ENTRIES_FROM), ("entries_from",),
        needs="late_events",
    )  # fmt: skip
    found = insert("state.audits", _COLUMNS, tree(_AUDITS, own_value=own_value(world, "c")))
    yield Statement("audits.found", "Record those that came too late.", found, needs="late_events")
