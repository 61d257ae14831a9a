"""The door: lateness, audience, competing and repeated occurrences; then entries with their assignment."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from activate.compile import rulebook
from activate.compile.draft import Stage, Statement
from activate.compile.sql import case, create, insert, literal, tree
from activate.compile.world import World

_MISFITS = """
SELECT DISTINCT n.entry_id
FROM tick_new AS n
JOIN tick_requirements AS q ON q.campaign = n.campaign AND q.at_door
LEFT JOIN tick_members AS m ON m.segment = q.segment AND m.user_id = n.user_id
WHERE q.must <> (m.user_id IS NOT NULL)
"""

# Whether the window was open when it happened is asked in the zone that the person has now; where nobody knows it and
# the policy names none instead, that is said when a step is due.
_OUTSIDE = """
SELECT a.entry_id, a.zone
FROM (
  SELECT n.entry_id, n.entered_at, p.trigger_window, COALESCE(p.window_zone, z.zone, p.fallback_zone) AS zone
  FROM tick_new AS n
  JOIN tick_doors AS p ON p.campaign = n.campaign AND p.trigger_window IS NOT NULL
  LEFT JOIN (
    SELECT q.user_id, CASE WHEN COUNT(*) = 1 THEN MIN(q.time_zone) END AS time_zone
    FROM model.profiles AS q JOIN (SELECT DISTINCT r.user_id FROM tick_new AS r) AS u ON u.user_id = q.user_id
    GROUP BY q.user_id
  ) AS f ON f.user_id = n.user_id
  LEFT JOIN tick_zones AS z ON z.zone = f.time_zone
) AS a
LEFT JOIN tick_hours AS h ON h.window_id = a.trigger_window AND h.zone = a.zone
  AND h.opened_at <= a.entered_at AND h.closed_at > a.entered_at
WHERE a.zone IS NOT NULL AND h.window_id IS NULL
"""

# An entry waits while it has no decision other than `defer`.
_WAITING = """
SELECT e.entry_id, e.campaign, e.user_id, COALESCE(e.match_key, '') AS match_key
FROM state.entries AS e
JOIN tick_doors AS p ON p.campaign = e.campaign AND p.on_retrigger <> 'stack'
JOIN (SELECT DISTINCT n.campaign, n.user_id FROM tick_screened AS n WHERE n.reason IS NULL) AS u
  ON u.campaign = e.campaign AND u.user_id = e.user_id
LEFT JOIN (
  SELECT d.entry_id FROM state.decisions AS d
  WHERE d.decided_at >= :live_from AND d.step > 0 AND d.outcome <> 'defer' GROUP BY d.entry_id
) AS f ON f.entry_id = e.entry_id
WHERE e.recorded_at >= :live_from AND f.entry_id IS NULL
"""

_COMPETED = """
SELECT c.*, CASE
  WHEN c.reason IS NOT NULL THEN c.reason
  WHEN c.on_retrigger = 'ignore' AND (c.waiting_entry_id IS NOT NULL OR c.from_first > 1) THEN 'already_waiting'
  WHEN c.on_retrigger = 'restart' AND c.from_last > 1 THEN 'restarted' END AS verdict
FROM (
  SELECT n.*, p.on_retrigger, p.is_journey, p.re_enter, p.eligible_before, p.once_per_tick, w.waiting_entry_id,
    ROW_NUMBER() OVER (PARTITION BY n.campaign, n.user_id, COALESCE(n.match_key, ''), n.reason IS NULL
      ORDER BY n.entered_at, n.entry_id) AS from_first,
    ROW_NUMBER() OVER (PARTITION BY n.campaign, n.user_id, COALESCE(n.match_key, ''), n.reason IS NULL
      ORDER BY n.entered_at DESC, n.entry_id DESC) AS from_last
  FROM tick_screened AS n
  JOIN tick_doors AS p ON p.campaign = n.campaign
  LEFT JOIN (
    SELECT w.campaign, w.user_id, w.match_key, MIN(w.entry_id) AS waiting_entry_id FROM tick_waiting AS w
    GROUP BY w.campaign, w.user_id, w.match_key
  ) AS w ON w.campaign = n.campaign AND w.user_id = n.user_id AND w.match_key = COALESCE(n.match_key, '')
) AS c
"""

# What was the latest time that counts against re-entry: a send for one step, an entry for several.
_LAST = """
SELECT c.entry_id, MAX(h.happened_at) AS last_at
FROM tick_competed AS c
JOIN (
  SELECT m.campaign, m.user_id, m.queued_at AS happened_at, CAST(NULL AS TEXT) AS entry_id, FALSE AS of_entry
  FROM state.messages AS m
  LEFT JOIN (
    SELECT v.message_id FROM state.deliveries AS v
    WHERE v.final AND v.status IN ('rejected', 'failed', 'aborted', 'expired')
  ) AS r ON r.message_id = m.message_id
  WHERE r.message_id IS NULL
  UNION ALL
  SELECT d.campaign, d.user_id, d.decided_at, CAST(NULL AS TEXT), FALSE
  FROM state.decisions AS d WHERE d.outcome = 'withhold'
  UNION ALL
  SELECT e.campaign, e.user_id, e.recorded_at, e.entry_id, TRUE FROM state.entries AS e
) AS h ON h.campaign = c.campaign AND h.user_id = c.user_id AND h.of_entry = c.is_journey
LEFT JOIN tick_waiting AS w
  ON w.entry_id = h.entry_id AND c.on_retrigger = 'restart' AND w.match_key = COALESCE(c.match_key, '')
WHERE c.verdict IS NULL AND c.re_enter <> 'always' AND w.entry_id IS NULL
GROUP BY c.entry_id
"""

_DOOR = """
SELECT e.*, CASE
  WHEN e.eligibility IS NOT NULL THEN e.eligibility
  WHEN e.once_per_tick AND ROW_NUMBER() OVER (PARTITION BY e.campaign, e.user_id, e.eligibility IS NULL
    ORDER BY e.entered_at, e.entry_id) > 1 THEN 'not_re_eligible' END AS refusal
FROM (
  SELECT c.*, CASE
    WHEN c.verdict IS NOT NULL THEN c.verdict
    WHEN l.last_at IS NOT NULL AND (c.re_enter = 'never' OR l.last_at > c.eligible_before) THEN 'not_re_eligible'
    END AS eligibility
  FROM tick_competed AS c LEFT JOIN tick_last_time AS l ON l.entry_id = c.entry_id
) AS e
"""

_REFUSED = """
SELECT d.entry_id, d.campaign, 0, d.user_id, 'suppress',
  CASE d.refusal WHEN 'trigger_too_late' THEN 'entry' WHEN 'not_in_audience' THEN 'audience'
    WHEN 'triggered_outside_window' THEN 'window' ELSE 're_entry' END,
  d.refusal, :run_id, :now, TRUE, CAST(NULL AS TEXT)
FROM tick_door AS d WHERE d.refusal IS NOT NULL
"""

_ENTERED = """
SELECT d.entry_id, d.campaign, d.user_id, d.occurrence_id, d.entered_at, a.variant,
  MD5(p.control_salt || d.user_id) < p.control_cut OR MD5('global_control|' || d.user_id) < p.global_cut,
  d.context, :rules_version, :run_id, :now, p.campaign_version,
  CASE WHEN MD5('global_control|' || d.user_id) < p.global_cut THEN 'global'
    WHEN MD5(p.control_salt || d.user_id) < p.control_cut THEN 'campaign' END,
  d.match_key
FROM tick_door AS d
JOIN tick_doors AS p ON p.campaign = d.campaign
LEFT JOIN tick_arms AS a ON a.campaign = d.campaign
  AND MD5(p.variant_salt || d.user_id) >= a.from_hash AND MD5(p.variant_salt || d.user_id) < a.below_hash
WHERE d.refusal IS NULL
"""

_RESTARTED = """
SELECT w.entry_id, w.campaign, 1, w.user_id, 'suppress', 're_entry', 'restarted', :run_id, :now, TRUE, d.entry_id
FROM tick_door AS d
JOIN tick_waiting AS w
  ON w.campaign = d.campaign AND w.user_id = d.user_id AND w.match_key = COALESCE(d.match_key, '')
WHERE d.refusal IS NULL AND d.on_retrigger = 'restart'
"""

_DECISION = (
    "entry_id", "campaign", "step", "user_id", "outcome", "gate", "reason", "run_id", "decided_at", "ends_entry",
    "evidence",
)  # fmt: skip
_ENTRY = (
    "entry_id", "campaign", "user_id", "occurrence_id", "entered_at", "variant", "is_control", "context",
    "rules_version", "run_id", "recorded_at", "campaign_version", "control_group", "match_key",
)  # fmt: skip


def doors(world: World) -> Iterator[Stage]:
    """Yield the statements that let occurrences in or refuse them with a reason."""
    queries = []
    if rulebook.segments(world):
        queries.append(("door_misfits", "Occurrences of people outside the audience.", tree(_MISFITS)))
    if world.trigger_windows:
        queries.append(("door_outside", "Occurrences while the local window was closed.", tree(_OUTSIDE)))
    queries.append(("screened", "Too late, not in the audience, or at a wrong time of the day.", _screened(world)))
    for name, doc, text in (
        ("waiting", "Entries of the same people that still wait for their first step.", _WAITING),
        ("competed", "What a second trigger does during the wait.", _COMPETED),
        ("last_time", "When the same people were last sent to, or last entered.", _LAST),
        ("door", "Whether they may enter again.", _DOOR),
    ):
        queries.append((name, doc, tree(text, live_from=world.live_from)))
    for name, doc, query in queries:
        yield Statement(f"doors.{name}", doc, create(f"tick_{name}", query), f"tick_{name}", needs="occurrences")
    columns: tuple[str, ...] = _DECISION
    refused = tree(_REFUSED)
    if world.trigger_windows:
        columns = (*columns, "zone")
        refused = refused.select("o.zone", copy=False)
        on = "o.entry_id = d.entry_id AND d.refusal = 'triggered_outside_window'"
        refused = refused.join("tick_door_outside AS o", on=on, join_type="left", copy=False)
    for name, doc, made in (
        ("refused", "Record the refusals.", insert("state.decisions", columns, refused)),
        ("entered", "Record the entries.", insert("state.entries", _ENTRY, tree(_ENTERED))),
        ("restarted", "End the waits that start anew.", insert("state.decisions", _DECISION, tree(_RESTARTED))),
    ):
        yield Statement(f"doors.{name}", doc, made, needs="occurrences")


def _screened(world: World) -> exp.Select:
    """The occurrences, with the reason for which the ones before re-entry refuse them."""
    query = exp.select("n.*").from_("tick_new AS n", copy=False)
    found = [("n.is_late", "trigger_too_late")]
    if rulebook.segments(world):
        query = query.join("tick_door_misfits AS m", on="m.entry_id = n.entry_id", join_type="left", copy=False)
        found.append(("NOT m.entry_id IS NULL", "not_in_audience"))
    if world.trigger_windows:
        query = query.join("tick_door_outside AS o", on="o.entry_id = n.entry_id", join_type="left", copy=False)
        found.append(("NOT o.entry_id IS NULL", "triggered_outside_window"))
    return query.select(case((tree(when), literal(reason)) for when, reason in found).as_("reason"), copy=False)
