"""Guards: a campaign that would send more messages in this tick than its guard allows sends none of them."""

from __future__ import annotations

from collections.abc import Iterator

from activate.compile.draft import Stage, Statement
from activate.compile.gates import passed
from activate.compile.rulebook import table
from activate.compile.sql import create, insert, tree
from activate.compile.world import Moment, World
from activate.plan import Load

# All steps and all versions of a campaign count together: the guard is the campaign's, and the file's as it is now.
_MESSAGES = """
SELECT q.campaign, q.max_messages, q.approval_id, q.ceiling, COUNT(*) AS messages
FROM (:passed) AS g
JOIN tick_steps AS s ON s.step_id = g.step_id
JOIN tick_guards AS q ON q.campaign = s.campaign
WHERE g.control_group IS NULL
GROUP BY q.campaign, q.max_messages, q.approval_id, q.ceiling
HAVING COUNT(*) > q.max_messages
"""

_HELD = """
SELECT s.step_id, t.max_messages, t.messages
FROM tick_guarded AS t
JOIN tick_steps AS s ON s.campaign = t.campaign
WHERE t.ceiling IS NULL OR t.messages > t.ceiling
"""

_APPROVAL = ("approval_id", "subject", "name", "kind", "ceiling", "expires_at", "status", "run_id", "recorded_at")

_USED = """
SELECT a.approval_id, a.subject, a.name, a.kind, a.ceiling, a.expires_at, 'used', :run_id, :now
FROM tick_guarded AS t
JOIN state.approvals AS a ON a.approval_id = t.approval_id AND a.status = 'granted'
WHERE t.messages <= t.ceiling
"""


def guard(world: World) -> Iterator[Stage]:
    """Yield the statements that find the steps whose campaign is held back, and use the approvals that let one pass."""
    if not is_guarded(world):
        return
    messages = tree(_MESSAGES, passed=passed(world))
    if world.caps:
        messages = messages.join("tick_capped AS k", on="k.entry_id = g.entry_id", join_type="left", copy=False)
        messages = messages.where("k.entry_id IS NULL", copy=False)
    yield Statement(
        "guard.messages", "The campaigns that would send more messages than their guard allows.",
        create("tick_guarded", messages), "tick_guarded", needs="candidates",
    )  # fmt: skip
    yield Statement(
        "guard.held", "The steps of those that no approval lets pass.", create("tick_held", tree(_HELD)), "tick_held",
        needs="candidates",
    )  # fmt: skip
    used = insert("state.approvals", _APPROVAL, tree(_USED))
    yield Statement("guard.used", "An approval lets messages pass once.", used, needs="candidates")


def is_guarded(world: World) -> bool:
    """Whether some campaign has a guard."""
    return any(campaign.guard is not None for campaign in world.campaigns)


def limits(world: World, moment: Moment) -> Load:
    """One row per campaign with a guard: the most messages of this tick, and the open approval if there is one."""
    columns = {"campaign": "TEXT", "max_messages": "BIGINT", "approval_id": "TEXT", "ceiling": "BIGINT"}
    rows: list[dict[str, object]] = []
    for campaign in world.campaigns:
        if campaign.guard is not None:
            approval_id, ceiling = moment.bookmarks.approvals.get(campaign.campaign, (None, None))
            rows.append(
                {
                    "campaign": campaign.campaign,
                    "max_messages": campaign.guard.limit(moment.bookmarks.people),
                    "approval_id": approval_id,
                    "ceiling": ceiling,
                }
            )
    return Load("rules.guards", "The guards and the approvals to pass them.", "tick_guards", table(columns, rows))
