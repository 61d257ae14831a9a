"""Outcomes: one decision for each candidate whose outcome is new, one message for each decision to send."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from activate.compile import rulebook
from activate.compile.caps import can_wait
from activate.compile.draft import Stage, Statement
from activate.compile.gates import holds_back
from activate.compile.sql import case, insert, literal, tree
from activate.compile.world import World
from activate.decision import REASONS

_DECISION = (
    "entry_id", "message_id", "campaign", "step", "user_id", "channel", "outcome", "gate", "reason", "retry_at",
    "run_id", "decided_at", "due_at", "rule", "evidence", "observed", "zone", "ends_entry",
)  # fmt: skip

# A postponement that says nothing new is not said again.
_DECISIONS = """
SELECT o.entry_id, CASE WHEN o.outcome = 'send' THEN :message_id END, o.campaign, o.step, o.user_id,
  CASE WHEN o.gate NOT IN ('active', 'exception', 'audience', 'consent') THEN o.channel END,
  o.outcome, o.gate, o.reason, o.retry_at, :run_id, :now, o.due_at, o.rule, o.evidence, o.observed,
  CASE WHEN NOT o.window_id IS NULL THEN COALESCE(o.window_zone, o.zone) ELSE o.own_zone END,
  CASE o.outcome WHEN 'defer' THEN FALSE WHEN 'suppress' THEN o.ends_always OR o.ends_if_suppressed ELSE o.is_last END
FROM o
LEFT JOIN tick_deferrals AS l ON l.entry_id = o.entry_id AND l.step = o.step AND o.outcome = 'defer'
  AND l.gate = o.gate AND l.reason = o.reason AND l.retry_at = o.retry_at
WHERE l.entry_id IS NULL
"""

_MESSAGE = (
    "message_id", "entry_id", "campaign", "step", "variant", "user_id", "channel", "provider", "class", "tags",
    "expires_at", "run_id", "queued_at", "send_by", "counts_toward_caps", "template", "priority",
)  # fmt: skip

_MESSAGES = """
SELECT :message_id, o.entry_id, o.campaign, o.step, o.variant, o.user_id, o.channel, :provider, o.class, o.tags,
  o.expires_at, :run_id, :now, o.send_by, o.counts, o.template, o.priority
FROM o WHERE o.outcome = 'send'
"""

_MESSAGE_ID = "MD5(o.entry_id || '|' || CAST(o.step AS TEXT) || '|' || o.channel)"


def outcomes(world: World) -> Iterator[Stage]:
    """Yield the statements that record the decisions and queue the messages."""
    message_id = tree(_MESSAGE_ID)
    decisions = tree(_DECISIONS, message_id=message_id).with_("o", as_=_outcomes(world), copy=False)
    yield Statement(
        "outcomes.decisions", "Record the decisions that are new.",
        insert("state.decisions", _DECISION, decisions), needs="candidates",
    )  # fmt: skip
    provider = world.provider(exp.column("channel", table="o"))
    messages = tree(_MESSAGES, provider=provider, message_id=message_id).with_("o", as_=_outcomes(world), copy=False)
    yield Statement(
        "outcomes.messages", "Queue the messages.",
        insert("state.messages", _MESSAGE, messages), needs="candidates",
    )  # fmt: skip


def _outcomes(world: World) -> exp.Select:
    """Every candidate with its outcome, gate, reason and what goes with them."""
    query = exp.select(
        "v.entry_id", "v.user_id", "v.channel", "v.due_at", "v.expires_at", "v.zone", "v.own_zone", "v.variant",
        "v.send_by", "v.retry_at", "v.rule", "v.evidence", "v.observed", "v.reason",
        "s.campaign", "s.step", "s.is_last", "s.ends_if_suppressed", "s.window_id", "s.window_zone", "s.class", "s.tags",
        "s.counts", "s.template", "s.priority",
    )  # fmt: skip
    outcome = tree(
        "CASE WHEN v.reason = 'ready' THEN 'send' WHEN v.reason IN ('control_group', 'global_control_group') "
        "THEN 'withhold' WHEN NOT v.retry_at IS NULL THEN 'defer' ELSE 'suppress' END"
    )
    reason = exp.column("reason", table="v")
    gate = case((reason.copy().eq(literal(name)), literal(word.gate)) for name, word in REASONS.items())
    always = reason.copy().isin(*(name for name, word in REASONS.items() if word.ends_entry))
    query = query.select(outcome.as_("outcome"), exp.alias_(gate, "gate"), always.as_("ends_always"), copy=False)
    query = query.from_(_verdicts(world).subquery("v", copy=False), copy=False)
    return query.join("tick_steps AS s", on="s.step_id = v.step_id", copy=False)


def _verdicts(world: World) -> exp.Select:
    """Every candidate with the final reason, its evidence and its time of retry."""
    query = exp.select(
        "g.entry_id", "g.user_id", "g.step_id", "g.channel", "g.due_at", "g.expires_at", "g.zone", "g.own_zone", "g.variant",
    ).from_("tick_gated AS g", copy=False)  # fmt: skip
    stopped = [("NOT g.reason IS NULL", "g.reason")]
    evidence: list[tuple[str, str]] = []
    retry: list[tuple[str, str]] = []
    send_by = rule = observed = "NULL"
    if rulebook.distinct_exceptions(world):
        evidence.append(("g.reason = 'exception_event'", "g.exit_event_id"))
    if world.windows:
        query = query.join("tick_steps AS t", on="t.step_id = g.step_id", copy=False)
        retry.append(("g.reason = 'window_closed' AND NOT t.drop_if_closed", "g.opens_at"))
        send_by = "g.send_by"
    if holds_back(world):
        query = query.join("tick_superseded AS b", on="b.entry_id = g.entry_id", join_type="left", copy=False)
        stopped.append(("NOT b.entry_id IS NULL", "'superseded'"))
        evidence.append(("NOT b.entry_id IS NULL", "b.kept_entry_id"))
    stopped.append(("g.expires_at <= :now", "'expired'"))
    if world.caps:
        query = query.join("tick_capped AS k", on="k.entry_id = g.entry_id", join_type="left", copy=False)
        stopped.append(("NOT k.entry_id IS NULL", "'frequency_cap'"))
        evidence.append(("NOT k.entry_id IS NULL", "k.evidence"))
        rule, observed = "'frequency_caps[' || CAST(k.cap AS TEXT) || ']'", "k.observed"
    if can_wait(world):
        query = query.join("tick_retry AS y", on="y.entry_id = g.entry_id", join_type="left", copy=False)
        retry.append(("y.retry_at < g.expires_at", "y.retry_at"))
    stopped += [
        ("g.control_group = 'global'", "'global_control_group'"),
        ("g.control_group = 'campaign'", "'control_group'"),
    ]
    return query.select(
        exp.alias_(_case(stopped, "'ready'"), "reason"),
        exp.alias_(exp.cast(_case(evidence), "TEXT"), "evidence"),
        exp.alias_(exp.cast(_case(retry), "TIMESTAMP"), "retry_at"),
        exp.alias_(exp.cast(tree(send_by), "TIMESTAMP"), "send_by"),
        exp.alias_(exp.cast(tree(rule), "TEXT"), "rule"),
        exp.alias_(exp.cast(tree(observed), "BIGINT"), "observed"),
        copy=False,
    )


def _case(branches: list[tuple[str, str]], default: str = "NULL") -> exp.Expression:
    return case([(tree(when), tree(then)) for when, then in branches], tree(default))
