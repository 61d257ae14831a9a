"""Outcomes: one decision for each candidate whose outcome is new, one message for each decision to send."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from activate.compile import rulebook
from activate.compile.caps import can_wait
from activate.compile.draft import Stage, Statement
from activate.compile.gates import holds_back, passed
from activate.compile.guard import is_guarded
from activate.compile.sql import all_of, case, insert, tree
from activate.compile.world import World
from activate.decision import verdict

_DECISION = (
    "entry_id", "message_id", "campaign", "step", "user_id", "channel", "outcome", "gate", "reason", "retry_at",
    "run_id", "decided_at", "due_at", "rule", "evidence", "observed", "zone", "ends_entry",
)  # fmt: skip

# A postponement that says nothing new is not said again. Only a guard knows no time at which to try again.
_DECISIONS = """
SELECT v.entry_id, CASE WHEN r.outcome = 'send' THEN v.message_id END, s.campaign, s.step, v.user_id,
  CASE WHEN r.gate NOT IN ('active', 'exception', 'audience', 'consent') THEN v.channel END,
  r.outcome, r.gate, r.reason, v.retry_at, :run_id, :now, v.due_at, v.rule, v.evidence, v.observed,
  CASE WHEN s.window_id IS NULL THEN v.own_zone ELSE COALESCE(s.window_zone, v.own_zone, s.fallback_zone) END,
  CASE WHEN r.outcome = 'defer' THEN FALSE WHEN r.outcome = 'suppress' THEN r.ends_always OR s.ends_if_suppressed
    ELSE s.is_last END
FROM (:verdicts) AS v
JOIN tick_steps AS s ON s.step_id = v.step_id
JOIN tick_verdicts AS r ON r.verdict = v.verdict
LEFT JOIN tick_deferrals AS l ON l.entry_id = v.entry_id AND l.step = s.step AND l.gate = r.gate AND l.reason = r.reason
  AND :same_retry
WHERE l.entry_id IS NULL
"""

_HELD = "NOT h.step_id IS NULL"

_SAME_RETRY = "l.retry_at = v.retry_at"
_SAME_RETRY_IF_ANY = "(l.retry_at = v.retry_at OR l.retry_at IS NULL AND v.retry_at IS NULL)"

_MESSAGE = (
    "message_id", "entry_id", "campaign", "step", "variant", "user_id", "channel", "provider", "class", "tags",
    "expires_at", "run_id", "queued_at", "send_by", "counts_toward_caps", "template", "priority",
)  # fmt: skip

_MESSAGES = """
SELECT g.message_id, g.entry_id, s.campaign, s.step, g.variant, g.user_id, g.channel, :provider, s.class, s.tags,
  g.expires_at, :run_id, :now, :send_by, s.counts, s.template, s.priority
FROM (:passed) AS g
JOIN tick_steps AS s ON s.step_id = g.step_id
WHERE g.control_group IS NULL
"""


def outcomes(world: World) -> Iterator[Stage]:
    """Yield the statements that record the decisions and queue the messages."""
    same_retry = tree(_SAME_RETRY_IF_ANY if is_guarded(world) else _SAME_RETRY)
    new = tree(_DECISIONS, verdicts=_verdicts(world), same_retry=same_retry)
    decisions = insert("state.decisions", _DECISION, new)
    yield Statement("outcomes.decisions", "Record the decisions that are new.", decisions, needs="candidates")
    messages = tree(
        _MESSAGES,
        passed=passed(world),
        provider=world.provider(exp.column("channel", table="g")),
        send_by=tree("g.send_by") if world.windows else exp.cast(exp.null(), "TIMESTAMP"),
    )
    if world.caps:
        messages = messages.join("tick_capped AS k", on="k.entry_id = g.entry_id", join_type="left", copy=False)
        messages = messages.where("k.entry_id IS NULL", copy=False)
    if is_guarded(world):
        messages = messages.join("tick_held AS h", on="h.step_id = g.step_id", join_type="left", copy=False)
        messages = messages.where("h.step_id IS NULL", copy=False)
    queued = insert("state.messages", _MESSAGE, messages)
    yield Statement("outcomes.messages", "Queue the messages.", queued, needs="candidates")


def _verdicts(world: World) -> exp.Select:
    """Every candidate with the final verdict, its evidence and its time of retry."""
    query = exp.select(
        "g.entry_id", "g.message_id", "g.user_id", "g.step_id", "g.channel", "g.due_at", "g.own_zone",
    ).from_("tick_gated AS g", copy=False)  # fmt: skip
    found = [("NOT g.verdict IS NULL", "g.verdict")]
    evidence: list[tuple[str, str]] = []
    retry: list[tuple[str, str]] = []
    rule = observed = "NULL"
    if rulebook.distinct_exceptions(world):
        evidence.append((f"g.verdict = {verdict('exception_event')}", "g.exit_event_id"))
    if world.windows:
        retry.append((f"g.verdict = {verdict('window_closed', 'defer')}", "g.opens_at"))
    if holds_back(world):
        query = query.join("tick_superseded AS b", on="b.entry_id = g.entry_id", join_type="left", copy=False)
        found.append(("NOT b.entry_id IS NULL", str(verdict("superseded"))))
        evidence.append(("NOT b.entry_id IS NULL", "b.kept_entry_id"))
    found.append(("g.expires_at <= :now", str(verdict("expired"))))
    if world.caps:
        query = query.join("tick_capped AS k", on="k.entry_id = g.entry_id", join_type="left", copy=False)
        if can_wait(world):
            query = query.join("tick_retry AS y", on="y.entry_id = g.entry_id", join_type="left", copy=False)
            retry.append(("y.retry_at < g.expires_at", "y.retry_at"))
            found.append(("y.retry_at < g.expires_at", str(verdict("frequency_cap", "defer"))))
        found.append(("NOT k.entry_id IS NULL", str(verdict("frequency_cap"))))
        evidence.append(("NOT k.entry_id IS NULL", "k.evidence"))
        rule, observed = "'frequency_caps[' || CAST(k.cap AS TEXT) || ']'", "k.observed"
    if is_guarded(world):
        # Joined only to those that came as far as the guard; the control group waits with the others.
        reached = ["h.step_id = g.step_id", "g.verdict IS NULL", "g.expires_at > :now"]
        reached += ["b.entry_id IS NULL"] * holds_back(world) + ["k.entry_id IS NULL"] * bool(world.caps)
        query = query.join("tick_held AS h", on=all_of(map(tree, reached)), join_type="left", copy=False)
        found.append((_HELD, str(verdict("guard_messages", "defer"))))
        evidence.append((_HELD, "CAST(h.max_messages AS TEXT)"))
        rule = f"CASE WHEN {_HELD} THEN 'guard.max_messages' ELSE {rule} END"
        observed = f"CASE WHEN {_HELD} THEN h.messages ELSE {observed} END"
    found.append(("g.control_group = 'global'", str(verdict("global_control_group", "withhold"))))
    found.append(("g.control_group = 'campaign'", str(verdict("control_group", "withhold"))))
    return query.select(
        exp.alias_(_case(found, str(verdict("ready", "send"))), "verdict"),
        exp.alias_(exp.cast(_case(evidence), "TEXT"), "evidence"),
        exp.alias_(exp.cast(_case(retry), "TIMESTAMP"), "retry_at"),
        exp.alias_(exp.cast(tree(rule), "TEXT"), "rule"),
        exp.alias_(exp.cast(tree(observed), "BIGINT"), "observed"),
        copy=False,
    )


def _case(branches: list[tuple[str, str]], default: str = "NULL") -> exp.Expr:
    return case([(tree(when), tree(then)) for when, then in branches], tree(default))
