"""Open entries, the step that each comes to next, and when that step is due."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from activate.compile.draft import Stage, Statement
from activate.compile.sql import create, tree
from activate.compile.world import World

_DUPLICATES = """
SELECT p.user_id FROM model.profiles AS p WHERE NOT p.user_id IS NULL GROUP BY p.user_id HAVING COUNT(*) > 1
"""

# What has been decided of each entry that may be open. `decided_at` grows with the steps.
_PROGRESS = """
SELECT d.entry_id, MAX(d.step) AS step, MAX(d.decided_at) AS decided_at, MAX(CASE WHEN d.ends_entry THEN 1 ELSE 0 END) AS ended
FROM state.decisions AS d
WHERE d.decided_at >= :live_from AND d.step > 0 AND d.outcome <> 'defer'
GROUP BY d.entry_id
"""

# Runs of one instant are numbered (`name_run`: ...Z, ...Z-2, ...Z-10), so the longer id is the later one.
_LAST_DEFERRAL = """
SELECT l.entry_id, l.step, l.gate, l.reason, l.retry_at
FROM (
  SELECT d.entry_id, d.step, d.gate, d.reason, d.retry_at,
    ROW_NUMBER() OVER (
      PARTITION BY d.entry_id, d.step ORDER BY d.decided_at DESC, LENGTH(d.run_id) DESC, d.run_id DESC
    ) AS place
  FROM state.decisions AS d WHERE d.decided_at >= :live_from AND d.outcome = 'defer'
) AS l WHERE l.place = 1
"""

# One step of an entry is decided per tick: the anchor of a later step lies before `now`.
_OPEN = """
SELECT e.entry_id, e.user_id, e.campaign, e.entered_at, e.recorded_at, e.variant, e.control_group, s.step_id,
  COALESCE(f.decided_at, e.entered_at) AS anchor, f.decided_at
FROM state.entries AS e
LEFT JOIN tick_progress AS f ON f.entry_id = e.entry_id
JOIN tick_steps AS s
  ON s.campaign = e.campaign AND s.campaign_version = e.campaign_version AND s.step = COALESCE(f.step, 0) + 1
WHERE e.recorded_at >= :live_from AND COALESCE(f.ended, 0) = 0
"""

# The zone of the person, and the answers that depend on it, come by equi-joins from the clock tables.
_DUE = """
SELECT o.entry_id, o.user_id, o.step_id, o.variant, o.control_group, o.entered_at, o.recorded_at,
  s.step, z.zone AS own_zone
FROM (:open) AS o
JOIN tick_steps AS s ON s.step_id = o.step_id
LEFT JOIN (
  SELECT q.* FROM model.profiles AS q LEFT JOIN tick_duplicates AS r ON r.user_id = q.user_id WHERE r.user_id IS NULL
) AS p ON p.user_id = o.user_id
LEFT JOIN tick_zones AS z ON z.zone = p.time_zone
WHERE o.decided_at IS NULL OR o.decided_at < :now
"""

_LOCAL_WAIT = """
SELECT 1 FROM x LEFT JOIN tick_waits AS w
  ON w.wait_id = s.wait_id AND w.zone = COALESCE(z.zone, s.fallback_zone)
  AND o.anchor >= w.anchor_from AND o.anchor < w.anchor_until
"""


def due(world: World) -> Iterator[Stage]:
    """Yield the statements that say how far each open entry has come, and whose profile cannot be told."""
    yield Statement(
        "due.duplicates", "People with several profile rows.",
        create("tick_duplicates", tree(_DUPLICATES)), "tick_duplicates",
    )  # fmt: skip
    for name, doc, text in (
        ("progress", "How far each open entry has come.", _PROGRESS),
        ("deferrals", "What was last said of those put off.", _LAST_DEFERRAL),
    ):
        query = create(f"tick_{name}", tree(text, live_from=world.live_from))
        yield Statement(f"due.{name}", doc, query, f"tick_{name}")


def open_entries(world: World) -> exp.Select:
    """The entries that have not ended, with the step that each comes to next."""
    return tree(_OPEN, live_from=world.live_from)


def candidates(world: World) -> exp.Select:
    """The entries whose next step is due: `o` (entry), `s` (step), `p` (profile), `z` (the person's own zone)."""
    anchor, seconds = exp.column("anchor", table="o"), exp.column("wait_seconds", table="s")
    plain = world.dialect.plus_seconds(anchor, seconds)
    local = bool(world.local_waits)
    due_at = tree("COALESCE(w.due_at, :plain)", plain=plain) if local else plain
    query = tree(_DUE, open=open_entries(world))
    query = query.select(exp.alias_(due_at, "due_at"), exp.alias_(expires_at(world), "expires_at"), copy=False)
    if local:
        query.append("joins", tree(_LOCAL_WAIT).find(exp.Join))
        return query.where("o.anchor <= s.due_before OR NOT w.due_at IS NULL", copy=False)
    return query.where("o.anchor <= s.due_before", copy=False)


def expires_at(world: World) -> exp.Expr:
    """When the step of an open entry expires (aliases `o` and `s`)."""
    expiry = world.dialect.plus_seconds(exp.column("anchor", table="o"), exp.column("expires_seconds", table="s"))
    return tree("CASE WHEN s.until < :expiry THEN s.until ELSE :expiry END", expiry=expiry)
