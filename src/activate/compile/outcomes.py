"""Outcomes: one decision for each candidate whose outcome is new, one message for each decision to send."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from activate.compile import rulebook
from activate.compile.caps import can_wait
from activate.compile.gates import holds_back
from activate.compile.sql import case, insert, literal, tree
from activate.compile.world import World
from activate.decision import REASONS
from activate.plan import Stage, Statement

_DECISION = (
    "entry_id", "message_id", "campaign", "step", "user_id", "channel", "outcome", "gate", "reason", "retry_at",
    "run_id", "decided_at", "due_at", "rule", "evidence", "observed", "zone", "ends_entry",
)  # fmt: skip

_DECISIONS = """
SELECT o.entry_id, CASE WHEN o.outcome = 'send' THEN :message_id END, o.campaign, o.step, o.user_id,
  CASE WHEN o.decided_by NOT IN ('active', 'exception', 'audience', 'consent') THEN o.channel END,
  o.outcome, o.decided_by, o.verdict, o.retry_at, :run_id, :now, o.due_at, o.rule, o.evidence, o.observed,
  CASE WHEN NOT o.window_id IS NULL THEN COALESCE(o.window_zone, o.zone) ELSE o.own_zone END,
  CASE o.outcome WHEN 'defer' THEN FALSE WHEN 'suppress' THEN o.ends_always OR o.ends_if_suppressed ELSE o.is_last END
FROM o
LEFT JOIN tick_deferrals AS l ON l.entry_id = o.entry_id AND l.step = o.step AND o.outcome = 'defer'
  AND l.gate = o.decided_by AND l.reason = o.verdict AND l.retry_at = o.retry_at
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
    parts = {"message_id": tree(_MESSAGE_ID)}
    decisions = tree(_DECISIONS, **parts)
    yield Statement(
        "outcomes.decisions", "Record the decisions that are new.",
        insert("state.decisions", _DECISION, _from_outcomes(decisions, world)),
    )  # fmt: skip
    messages = tree(_MESSAGES, provider=world.provider(exp.column("channel", table="o")), **parts)
    yield Statement(
        "outcomes.messages", "Queue the messages.",
        insert("state.messages", _MESSAGE, _from_outcomes(messages, world)),
    )  # fmt: skip


def _from_outcomes(query: exp.Expression, world: World) -> exp.Expression:
    assert isinstance(query, exp.Select)  # noqa: S101  # both texts above are one SELECT
    return query.with_("o", as_=_outcomes(world), copy=False)


def _outcomes(world: World) -> exp.Select:
    """Every candidate with its outcome, gate, reason and what goes with them."""
    reason = tree(
        "COALESCE(v.stopped_by, CASE v.control_group WHEN 'global' THEN 'global_control_group' "
        "WHEN 'campaign' THEN 'control_group' ELSE 'ready' END)"
    )
    inner = exp.select("v.*", reason.as_("verdict"), copy=False).from_(
        exp.Subquery(this=_verdicts(world), alias=_alias("v")), copy=False
    )
    gate = case((tree("r.verdict = :name", name=literal(name)), literal(word.gate)) for name, word in REASONS.items())
    always = [name for name, word in REASONS.items() if word.ends_entry]
    outcome = tree(
        "CASE WHEN r.verdict = 'ready' THEN 'send' WHEN r.verdict IN ('control_group', 'global_control_group') THEN 'withhold' "
        "WHEN NOT r.retry_at IS NULL THEN 'defer' ELSE 'suppress' END"
    )
    return (
        exp.select("r.*", copy=False)
        .select(
            outcome.as_("outcome"),
            gate.as_("decided_by"),
            exp.column("verdict", table="r").isin(*always).as_("ends_always"),
            copy=False,
        )
        .from_(exp.Subquery(this=inner, alias=_alias("r")), copy=False)
    )


def _verdicts(world: World) -> exp.Select:
    """Every candidate with what stopped it, if anything did."""
    query = exp.select("g.*", copy=False).from_("tick_gated AS g", copy=False)
    stopped = [(tree("NOT g.reason IS NULL"), tree("g.reason"))]
    evidence = []
    retry = []
    if rulebook.distinct_exceptions(world):
        evidence.append((tree("g.reason = 'exception_event'"), tree("g.exit_event_id")))
    if world.windows:
        retry.append((tree("g.reason = 'window_closed' AND NOT g.drop_if_closed"), tree("g.opens_at")))
    else:
        query = query.select(exp.cast(exp.null(), "TIMESTAMP").as_("send_by"), copy=False)
    if holds_back(world):
        query = query.join("tick_superseded AS s", on="s.entry_id = g.entry_id", join_type="left", copy=False)
        stopped.append((tree("NOT s.entry_id IS NULL"), literal("superseded")))
        evidence.append((tree("NOT s.entry_id IS NULL"), tree("s.kept_entry_id")))
    stopped.append((tree("g.expires_at <= :now", now=literal(world.now)), literal("expired")))
    rule: exp.Expression = exp.cast(exp.null(), "TEXT")
    observed: exp.Expression = exp.cast(exp.null(), "BIGINT")
    if world.caps:
        query = query.join("tick_capped AS k", on="k.entry_id = g.entry_id", join_type="left", copy=False)
        stopped.append((tree("NOT k.entry_id IS NULL"), literal("frequency_cap")))
        evidence.append((tree("NOT k.entry_id IS NULL"), tree("k.evidence")))
        rule, observed = _cap_name(world), tree("k.observed")
    if can_wait(world):
        query = query.join("tick_retry AS y", on="y.entry_id = g.entry_id", join_type="left", copy=False)
        retry.append((tree("y.retry_at < g.expires_at"), tree("y.retry_at")))
    return query.select(
        case(stopped).as_("stopped_by"),
        case(evidence, exp.cast(exp.null(), "TEXT")).as_("evidence"),
        case(retry, exp.cast(exp.null(), "TIMESTAMP")).as_("retry_at"),
        rule.as_("rule"),
        observed.as_("observed"),
        copy=False,
    )


def _cap_name(world: World) -> exp.Expression:
    return case((tree(f"k.cap = {place}"), literal(f"frequency_caps[{place}]")) for place in range(len(world.caps)))


def _alias(name: str) -> exp.TableAlias:
    return exp.TableAlias(this=exp.to_identifier(name))
