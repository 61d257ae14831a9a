"""The gates from `active` to `window`, asked of every candidate at once; the first that does not pass decides."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from activate.compile import rulebook
from activate.compile.sql import case, create, literal, tree
from activate.compile.world import World
from activate.plan import Stage, Statement

_MISFITS = """
SELECT h.entry_id, h.reason
FROM (
  SELECT c.entry_id, q.reason, ROW_NUMBER() OVER (PARTITION BY c.entry_id ORDER BY q.place) AS place
  FROM tick_due AS c
  JOIN tick_requirements AS q ON q.campaign = c.campaign AND q.campaign_version = c.campaign_version AND NOT q.at_door
  LEFT JOIN tick_members AS m ON m.segment = q.segment AND m.user_id = c.user_id
  WHERE q.must <> (NOT m.user_id IS NULL)
) AS h WHERE h.place = 1
"""

_SUPERSEDED = """
SELECT h.entry_id, h.kept_entry_id
FROM (
  SELECT g.entry_id,
    FIRST_VALUE(g.entry_id) OVER (
      PARTITION BY g.user_id, CASE WHEN g.held_scope = 'latest' THEN '*' ELSE g.campaign END
      ORDER BY g.entered_at DESC, g.entry_id DESC
    ) AS kept_entry_id
  FROM tick_gated AS g
  JOIN tick_deferrals AS l ON l.entry_id = g.entry_id AND l.step = g.step AND l.gate = 'window'
  WHERE g.reason IS NULL AND NOT g.held_scope IS NULL
) AS h WHERE h.entry_id <> h.kept_entry_id
"""


def gates(world: World) -> Iterator[Stage]:
    """Yield the statements that ask every candidate the gates before the caps."""
    if rulebook.segments(world):
        yield Statement(
            "gates.misfits", "Candidates whose segments no longer hold.",
            create("tick_misfits", tree(_MISFITS)), "tick_misfits",
        )  # fmt: skip
    yield Statement(
        "gates.gated", "The first gate that does not pass.", create("tick_gated", _gated(world)), "tick_gated"
    )
    if holds_back(world):
        yield Statement(
            "gates.superseded", "Messages held back by a window that gave way to a later one.",
            create("tick_superseded", tree(_SUPERSEDED)), "tick_superseded",
        )  # fmt: skip


def holds_back(world: World) -> bool:
    """Whether some window lets only the latest of several held messages go on."""
    return any(window.held != "all" for window in world.windows.values())


def _gated(world: World) -> exp.Select:
    query = exp.select("c.*", copy=False).from_("tick_due AS c", copy=False)
    branches = [("c.removed", "'campaign_removed'"), ("c.until <= :now", "'campaign_ended'")]
    if rulebook.distinct_exceptions(world):
        query = query.select("x.event_id AS exit_event_id", copy=False)
        query = query.join("tick_exits AS x", on="x.entry_id = c.entry_id", join_type="left", copy=False)
        branches.append(("NOT x.entry_id IS NULL", "'exception_event'"))
    if rulebook.segments(world):
        query = query.join("tick_misfits AS m", on="m.entry_id = c.entry_id", join_type="left", copy=False)
        branches.append(("NOT m.entry_id IS NULL", "m.reason"))
    branches += [
        ("NOT c.profile_problem IS NULL", "c.profile_problem"),
        ("c.channel IS NULL AND c.any_address", "'no_consent'"),
        ("c.channel IS NULL", "'unreachable'"),
    ]
    if world.windows:
        query = query.select("w.closes_at AS send_by", "w.opens_at AS opens_at", copy=False)
        on = "w.window_id = c.window_id AND w.zone = COALESCE(c.window_zone, c.zone)"
        query = query.join("tick_windows AS w", on=on, join_type="left", copy=False)
        branches += [
            ("c.suppress_unknown AND c.window_zone IS NULL AND NOT c.zone_problem IS NULL", "c.zone_problem"),
            ("w.is_open OR c.window_id IS NULL", "NULL"),
            ("c.drop_if_closed OR w.opens_at < c.expires_at", "'window_closed'"),
        ]
    default = literal("expired_in_quiet_hours") if world.windows else exp.null()
    reason = case(((tree(f"({when})", now=literal(world.now)), tree(then)) for when, then in branches), default)
    return query.select(exp.cast(reason, "TEXT").as_("reason"), copy=False)


def passed(world: World) -> exp.Select:
    """The candidates that no gate before the caps has stopped (alias `g`)."""
    query = exp.select("g.*", copy=False).from_("tick_gated AS g", copy=False).where("g.reason IS NULL", copy=False)
    query = query.where(tree("g.expires_at > :now", now=literal(world.now)), copy=False)
    if holds_back(world):
        query = query.join("tick_superseded AS s", on="s.entry_id = g.entry_id", join_type="left", copy=False)
        query = query.where("s.entry_id IS NULL", copy=False)
    return query
