"""The end of a tick: how far each campaign has read, and since when it may have open entries."""

from __future__ import annotations

from collections.abc import Iterator

from activate.compile.draft import Stage, Statement
from activate.compile.due import open_entries
from activate.compile.guard import is_guarded
from activate.compile.sql import insert, literal, tree
from activate.compile.world import World
from activate.decision import verdict

# What was open before this tick is open still, unless it was a candidate that has ended. A lower bound is enough:
# of the candidates, those whose step was the last one and that nothing can have put off are left out.
_SCANS = """
SELECT c.campaign, CASE WHEN p.campaign IS NULL THEN k.scanned_to ELSE :now END, :now,
  COALESCE(MIN(o.recorded_at), :now), :run_id
FROM (SELECT DISTINCT s.campaign FROM tick_steps AS s) AS c
LEFT JOIN tick_doors AS p ON p.campaign = c.campaign
LEFT JOIN (
  SELECT a.campaign, MAX(a.scanned_to) AS scanned_to FROM state.scans AS a GROUP BY a.campaign
) AS k ON k.campaign = c.campaign
LEFT JOIN (
  SELECT e.campaign, MIN(e.recorded_at) AS recorded_at FROM (:waiting) AS e GROUP BY e.campaign
  UNION ALL
  SELECT s.campaign, MIN(g.recorded_at) AS recorded_at
  FROM tick_gated AS g
  JOIN tick_steps AS s ON s.step_id = g.step_id
  WHERE NOT s.is_last OR g.verdict = :put_off OR :may_wait
  GROUP BY s.campaign
) AS o ON o.campaign = c.campaign
GROUP BY c.campaign, p.campaign, k.scanned_to
"""

_MAY_WAIT = "s.wait_if_capped"
_MAY_WAIT_FOR_A_GUARD = "s.wait_if_capped OR s.campaign IN (SELECT q.campaign FROM tick_guards AS q)"

_WAITING = """
SELECT o.campaign, o.recorded_at FROM (:open) AS o JOIN tick_steps AS s ON s.step_id = o.step_id
WHERE o.anchor > s.due_before OR o.decided_at >= :now
"""

# A wait that ends at a local time is over by the person's zone, so here the candidates themselves have to be asked.
_WAITING_LOCALLY = """
SELECT o.campaign, o.recorded_at FROM (:open) AS o LEFT JOIN tick_gated AS g ON g.entry_id = o.entry_id
WHERE g.entry_id IS NULL
"""


def closing(world: World) -> Iterator[Stage]:
    """Yield the statement that records every campaign's bookmark."""
    waiting = tree(_WAITING_LOCALLY if world.local_waits else _WAITING, open=open_entries(world))
    may_wait = tree(_MAY_WAIT_FOR_A_GUARD if is_guarded(world) else _MAY_WAIT)
    scans = tree(_SCANS, waiting=waiting, put_off=literal(verdict("window_closed", "defer")), may_wait=may_wait)
    columns = ("campaign", "scanned_to", "decided_at", "live_from", "run_id")
    yield Statement("closing.scans", "Remember how far each campaign has read.", insert("state.scans", columns, scans))
