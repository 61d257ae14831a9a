"""The end of a tick: how far each campaign has read, and which of its entries are still open."""

from __future__ import annotations

from collections.abc import Iterator

from activate.compile.sql import insert, literal, tree
from activate.compile.world import World
from activate.plan import Stage, Statement

# An entry is open when it has not ended and its version still has a step for it.
_SCANS = """
SELECT c.campaign, :now, COALESCE(MIN(o.recorded_at), :now), :run_id
FROM (SELECT DISTINCT s.campaign FROM tick_steps AS s) AS c
LEFT JOIN (
  SELECT e.campaign, e.recorded_at
  FROM state.entries AS e
  LEFT JOIN (
    SELECT d.entry_id, MAX(d.step) AS step, MAX(CASE WHEN d.ends_entry THEN 1 ELSE 0 END) AS ended
    FROM state.decisions AS d
    WHERE d.decided_at >= :live_from AND d.step > 0 AND d.outcome <> 'defer'
    GROUP BY d.entry_id
  ) AS f ON f.entry_id = e.entry_id
  JOIN tick_steps AS s ON s.campaign = e.campaign AND s.campaign_version = e.campaign_version
    AND s.step = COALESCE(f.step, 0) + 1
  WHERE e.recorded_at >= :live_from AND COALESCE(f.ended, 0) = 0
) AS o ON o.campaign = c.campaign
GROUP BY c.campaign
"""


def closing(world: World) -> Iterator[Stage]:
    """Yield the statement that records every campaign's bookmark."""
    scans = tree(_SCANS, live_from=literal(world.live_from))
    columns = ("campaign", "scanned_to", "live_from", "run_id")
    yield Statement("closing.scans", "Remember how far each campaign has read.", insert("state.scans", columns, scans))
