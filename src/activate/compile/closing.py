"""The end of a tick: how far each campaign has read, and since when it may have open entries."""

from __future__ import annotations

from collections.abc import Iterator

from activate.compile.draft import Stage, Statement
from activate.compile.due import open_entries
from activate.compile.sql import insert, tree
from activate.compile.world import World

# What was open before this tick is open still, unless it was a candidate that has ended. A lower bound is enough:
# of the candidates, those whose step was the last one and that nothing can have put off are left out.
_SCANS = """
SELECT c.campaign, :now, COALESCE(MIN(o.recorded_at), :now), :run_id
FROM (SELECT DISTINCT s.campaign FROM tick_steps AS s) AS c
LEFT JOIN (
  SELECT e.campaign, MIN(e.recorded_at) AS recorded_at
  FROM (:open) AS e
  LEFT JOIN tick_gated AS g ON g.entry_id = e.entry_id
  WHERE g.entry_id IS NULL
  GROUP BY e.campaign
  UNION ALL
  SELECT s.campaign, MIN(g.recorded_at) AS recorded_at
  FROM tick_gated AS g
  JOIN tick_steps AS s ON s.step_id = g.step_id
  WHERE NOT s.is_last OR g.reason = 'window_closed' OR s.wait_if_capped
  GROUP BY s.campaign
) AS o ON o.campaign = c.campaign
GROUP BY c.campaign
"""


def closing(world: World) -> Iterator[Stage]:
    """Yield the statement that records every campaign's bookmark."""
    scans = tree(_SCANS, open=open_entries(world))
    columns = ("campaign", "scanned_to", "live_from", "run_id")
    yield Statement("closing.scans", "Remember how far each campaign has read.", insert("state.scans", columns, scans))
