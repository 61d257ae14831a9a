"""Candidates: live entries whose next step's wait is over, with the person's reachability and zone."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from activate.compile import rulebook
from activate.compile.sql import case, create, literal, tree
from activate.compile.world import World
from activate.plan import Fetch, Stage, Statement

_DUPLICATES = """
SELECT p.user_id FROM model.profiles AS p WHERE NOT p.user_id IS NULL GROUP BY p.user_id HAVING COUNT(*) > 1
"""

# The zone of the person, and the answers that depend on it, come by equi-joins from the clock tables.
_DUE = """
SELECT o.entry_id, o.campaign, o.campaign_version, o.user_id, o.occurrence_id, o.entered_at, o.variant, o.control_group,
  o.match_key, s.step, s.is_last, s.removed, s.ends_if_suppressed, s.campaign_order, s.priority, s.class,
  s.is_transactional, s.counts, s.tags, s.until, s.window_id, s.window_zone, s.suppress_unknown, s.drop_if_closed,
  s.held_scope, s.wait_if_capped, s.template,
  :due_at AS due_at,
  :expires_at AS expires_at,
  CASE WHEN NOT u.user_id IS NULL THEN 'duplicate_profile' WHEN p.user_id IS NULL THEN 'no_profile' END AS profile_problem,
  CASE WHEN NOT z.zone IS NULL THEN NULL WHEN p.time_zone IS NULL OR p.time_zone = '' THEN 'zone_missing'
    ELSE 'zone_invalid' END AS zone_problem,
  COALESCE(z.zone, s.fallback_zone) AS zone,
  z.zone AS own_zone
FROM (
  SELECT e.*, COALESCE(f.step, 0) + 1 AS next_step, COALESCE(f.decided_at, e.entered_at) AS anchor
  FROM state.entries AS e
  LEFT JOIN (
    SELECT d.entry_id, MAX(d.step) AS step, MAX(d.decided_at) AS decided_at,
      MAX(CASE WHEN d.ends_entry THEN 1 ELSE 0 END) AS ended
    FROM state.decisions AS d
    WHERE d.decided_at >= :live_from AND d.step > 0 AND d.outcome <> 'defer'
    GROUP BY d.entry_id
  ) AS f ON f.entry_id = e.entry_id
  WHERE e.recorded_at >= :live_from AND COALESCE(f.ended, 0) = 0 AND (f.decided_at IS NULL OR f.decided_at < :now)
) AS o
JOIN tick_steps AS s
  ON s.campaign = o.campaign AND s.campaign_version = o.campaign_version AND s.step = o.next_step
LEFT JOIN model.profiles AS p ON p.user_id = o.user_id
LEFT JOIN tick_duplicates AS u ON u.user_id = o.user_id
LEFT JOIN tick_zones AS z ON z.zone = p.time_zone
"""

_LOCAL_WAIT = """
SELECT 1 FROM x LEFT JOIN tick_waits AS w
  ON w.wait_id = s.wait_id AND w.zone = COALESCE(z.zone, s.fallback_zone)
  AND o.anchor >= w.anchor_from AND o.anchor < w.anchor_until
"""

_LAST_DEFERRAL = """
SELECT l.entry_id, l.step, l.gate, l.reason, l.retry_at
FROM (
  SELECT d.entry_id, d.step, d.gate, d.reason, d.retry_at,
    ROW_NUMBER() OVER (PARTITION BY d.entry_id, d.step ORDER BY d.decided_at DESC) AS place
  FROM state.decisions AS d WHERE d.decided_at >= :live_from AND d.outcome = 'defer'
) AS l WHERE l.place = 1
"""

_ENTERED_FROM = "SELECT MIN(d.entered_at) AS entered_from FROM tick_due AS d"


def due(world: World) -> Iterator[Stage]:
    """Yield the statements that find the candidates."""
    live_from = literal(world.live_from)
    yield Statement(
        "due.duplicates", "People with several profile rows.",
        create("tick_duplicates", tree(_DUPLICATES)), "tick_duplicates",
    )  # fmt: skip
    yield Statement(
        "due.candidates", "Entries whose next step is due.", create("tick_due", _candidates(world)), "tick_due"
    )
    deferral = tree(_LAST_DEFERRAL, live_from=live_from)
    yield Statement(
        "due.deferrals", "What was last said of those put off.", create("tick_deferrals", deferral), "tick_deferrals"
    )
    yield Fetch("due.entered_from", "How far back exception events matter.", tree(_ENTERED_FROM), ("entered_from",))


def _candidates(world: World) -> exp.Select:
    anchor, seconds = exp.column("anchor", table="o"), exp.column("wait_seconds", table="s")
    plain = world.dialect.plus_seconds(anchor, seconds)
    expiry = world.dialect.plus_seconds(anchor, exp.column("expires_seconds", table="s"))
    local = bool(world.local_waits)
    due_at = tree("COALESCE(w.due_at, :plain)", plain=plain) if local else plain
    expires = tree("CASE WHEN s.until < :expiry THEN s.until ELSE :expiry END", expiry=expiry)
    query = tree(_DUE, due_at=due_at, expires_at=expires, live_from=literal(world.live_from))
    assert isinstance(query, exp.Select)  # noqa: S101  # the text above is one SELECT
    if local:
        join = tree(_LOCAL_WAIT).find(exp.Join)
        query.append("joins", join)
        query = query.where("o.anchor <= s.due_before OR NOT w.due_at IS NULL", copy=False)
    else:
        query = query.where("o.anchor <= s.due_before", copy=False)
    for number in range(len(world.channels)):
        query = query.select(
            tree(f"COALESCE(p.has_{number}, FALSE) AS has_{number}"),
            tree(f"COALESCE(p.ok_{number}, FALSE) AS ok_{number}"),
            copy=False,
        )
    if rulebook.secondary_matches(world):
        query = query.select("o.context", copy=False)
    for place in range(len(world.caps)):
        query = query.select(f"s.cap_{place}", copy=False)
    return query.select(_channel(world).as_("channel"), _any_address(world).as_("any_address"), copy=False)


def _channel(world: World) -> exp.Expression:
    """The first channel of the step that has an address and consent."""
    return case(
        (tree(f"s.channel_{place} = :name AND p.ok_{number}", name=literal(name)), literal(name))
        for place in range(rulebook.most_channels(world))
        for number, name in enumerate(world.channels)
    )


def _any_address(world: World) -> exp.Expression:
    """Whether any channel of the step has an address."""
    return case(
        [
            (tree(f"s.channel_{place} = :name AND p.has_{number}", name=literal(name)), exp.true())
            for place in range(rulebook.most_channels(world))
            for number, name in enumerate(world.channels)
        ],
        exp.false(),
    )
