"""How the project stands: the last runs, what is open and held back, what the outbox holds, how the providers do."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass

from sqlglot import exp

from activate.project import Project
from activate.report.audience_status import AudienceLine, audience_lines
from activate.report.state import Row, State, column, count
from activate.tables import DECISIONS, DELIVERIES, ENTRIES, MESSAGES, RUNS, SCANS
from activate.warehouses.base import Warehouse, literal
from activate.words import format_limit

_LAST_RUNS = 5
_RECENT = dt.timedelta(days=1)
# An unknown message stays unknown; after a week nobody can ask the provider about it any more.
_UNKNOWN_FOR = dt.timedelta(days=7)


@dataclass(frozen=True)
class RunLine:
    """One recorded run. `figures` are people by outcome for a tick, messages by status for a delivery."""

    run_id: str
    kind: str
    now: dt.datetime
    started_at: dt.datetime
    seconds: float
    entered: int
    figures: dict[str, int]


@dataclass(frozen=True)
class OpenLine:
    """One campaign's open entries: waiting for a step to fall due, or held back by a gate until `next_retry_at`.

    `guarded` counts the messages among those held back that the campaign's guard holds; `guard` is what the rules allow
    now (`10000`, `5%`), None for a campaign without a guard.
    """

    campaign: str
    waiting: int
    deferred: int
    next_retry_at: dt.datetime | None
    guarded: int = 0
    guard: int | str | None = None


@dataclass(frozen=True)
class OutboxLine:
    """Messages of one provider that are not finished, by where they stand; `oldest` is when the oldest was queued.

    `unknown` counts those that ended unknown in the last seven days.
    """

    provider: str
    queued: int
    claimed: int
    to_retry: int
    unknown: int
    oldest: dt.datetime | None


@dataclass(frozen=True)
class DeliveredLine:
    """Final outcomes of one provider over the last day before `now`."""

    provider: str
    figures: dict[str, int]


@dataclass(frozen=True)
class Status:
    """The whole answer of `status`. `late_seconds` is how long ago the last recorded tick's instant was."""

    now: dt.datetime
    last_tick: dt.datetime | None
    late_seconds: float | None
    runs: tuple[RunLine, ...]
    open: tuple[OpenLine, ...]
    outbox: tuple[OutboxLine, ...]
    delivered: tuple[DeliveredLine, ...]
    audiences: tuple[AudienceLine, ...] = ()


def status(warehouse: Warehouse, project: Project, now: dt.datetime) -> Status:
    """Ask the state tables how things stand at `now`. Raises WarehouseError."""
    state = State(warehouse, project.policy.state.schema_)
    if not state.exists():
        return Status(now, None, None, (), (), (), (), audience_lines(state, project))
    last = state.last_tick()
    last_tick = last["now"] if last else None
    late = (now - last_tick).total_seconds() if last_tick else None
    return Status(
        now, last_tick, late, _runs(state), _open(state, project), _outbox(state, now), _delivered(state, now),
        audience_lines(state, project),
    )  # fmt: skip


def _runs(state: State) -> tuple[RunLine, ...]:
    query = (
        exp.select(*(column(name) for name in RUNS.names))
        .from_(state.table(RUNS))
        .order_by(
            exp.Ordered(this=column("now"), desc=True, nulls_first=False),
            exp.Ordered(this=column("finished_at"), desc=True, nulls_first=False),
        )
        .limit(_LAST_RUNS)
    )
    rows = state.ask(query)
    delivered = _statuses(state, [row["run_id"] for row in rows if row["status"] == "delivered"])
    return tuple(_run(row, delivered.get(row["run_id"], {})) for row in rows)


def _run(row: Row, delivered: dict[str, int]) -> RunLine:
    counts = json.loads(row["counts"])
    figures = counts.get("outcomes", {}) if row["status"] == "synced" else delivered
    if row["status"] == "decided":
        figures = {}
        for _campaign, outcome, *_, people in counts.get("decisions", ()):
            figures[outcome] = figures.get(outcome, 0) + int(people)
    entered = counts.get("entered") if row["status"] == "decided" else None
    seconds = (row["finished_at"] - row["started_at"]).total_seconds()
    total = sum(entered.values()) if isinstance(entered, dict) else 0
    return RunLine(row["run_id"], row["status"], row["now"], row["started_at"], seconds, total, figures)


def _statuses(state: State, runs: list[str]) -> dict[str, dict[str, int]]:
    if not runs:
        return {}
    query = (
        exp.select(column("run_id"), column("status"), exp.alias_(count(), "n"))
        .from_(state.table(DELIVERIES))
        .where(exp.In(this=column("run_id"), expressions=[literal(run) for run in runs]))
        .where(exp.NEQ(this=column("status"), expression=literal("claimed")))
        .group_by(column("run_id"), column("status"))
        .order_by(column("status"))
    )
    found: dict[str, dict[str, int]] = {}
    for row in state.ask(query):
        found.setdefault(row["run_id"], {})[row["status"]] = row["n"]
    return found


def _open(state: State, project: Project) -> tuple[OpenLine, ...]:
    """Entries without a decision that ends them. Only those young enough to be open are looked at (scans.live_from)."""
    ended = (
        exp.select(exp.Literal.number(1))
        .from_(state.table(DECISIONS, "d"))
        .where(column("entry_id", "d").eq(column("entry_id", "e")), column("ends_entry", "d"))
    )
    last = (
        exp.select(*map(column, ("entry_id", "outcome", "gate", "retry_at")), exp.alias_(_newest_first(), "place"))
        .from_(state.table(DECISIONS))
        .where(exp.GTE(this=column("decided_at"), expression=exp.Subquery(this=_live_from(state))))
    )
    deferred = column("outcome", "l").eq(literal("defer"))
    # The control group waits with the others, and is no message.
    is_message = exp.not_(column("is_control", "e"))
    guarded = exp.and_(deferred.copy(), column("gate", "l").eq(literal("guard")), is_message)
    query = (
        exp.select(
            column("campaign", "e"),
            exp.alias_(count(), "everything"),
            exp.alias_(count(deferred), "deferred"),
            exp.alias_(count(guarded), "guarded"),
            exp.alias_(exp.Min(this=exp.Case().when(deferred.copy(), column("retry_at", "l"))), "next_retry_at"),
        )
        .from_(state.table(ENTRIES, "e"))
        .join(
            exp.Subquery(this=last, alias=exp.TableAlias(this=exp.to_identifier("l"))),
            on=exp.and_(column("entry_id", "l").eq(column("entry_id", "e")), column("place", "l").eq(literal(1))),
            join_type="left",
        )
        .where(exp.GTE(this=column("recorded_at", "e"), expression=exp.Subquery(this=_live_from(state))))
        .where(exp.not_(exp.Exists(this=ended)))
        .group_by(column("campaign", "e"))
        .order_by(column("campaign", "e"))
    )
    guards = {each.campaign: format_limit(each.guard.max_messages) for each in project.campaigns if each.guard}
    return tuple(
        OpenLine(
            row["campaign"], row["everything"] - row["deferred"], row["deferred"], row["next_retry_at"],
            row["guarded"], guards.get(row["campaign"]),
        )
        for row in state.ask(query)
    )  # fmt: skip


def _live_from(state: State) -> exp.Select:
    """The oldest instant that an open entry can carry, as the last tick noted it for the campaigns it looked at."""
    last = exp.select(exp.Max(this=column("decided_at"))).from_(state.table(SCANS))
    found = exp.select(exp.Min(this=column("live_from"))).from_(state.table(SCANS))
    return found.where(column("decided_at").eq(exp.Subquery(this=last)))


def _newest_first() -> exp.Expression:
    order = [exp.Ordered(this=column(name), desc=True, nulls_first=False) for name in ("decided_at", "step")]
    return exp.Window(this=exp.RowNumber(), partition_by=[column("entry_id")], order=exp.Order(expressions=order))


def _outbox(state: State, now: dt.datetime) -> tuple[OutboxLine, ...]:
    """Messages without a final row in `deliveries`, and those that ended unknown, by provider."""
    young = exp.GT(this=column("recorded_at"), expression=literal(now - _UNKNOWN_FOR))
    unknown = exp.and_(column("final"), column("status").eq(literal("unknown")), young)
    tries = (
        exp.select(
            column("message_id"),
            exp.alias_(count(column("status").eq(literal("claimed"))), "claims"),
            exp.alias_(count(exp.NEQ(this=column("status"), expression=literal("claimed"))), "answers"),
            exp.alias_(count(column("final")), "finals"),
            exp.alias_(count(unknown), "unknown"),
        )
        .from_(state.table(DELIVERIES))
        .group_by(column("message_id"))
    )
    claims, answers = column("claims", "t"), column("answers", "t")
    open_ = exp.EQ(this=exp.func("COALESCE", column("finals", "t"), literal(0)), expression=literal(0))
    query = (
        exp.select(
            column("provider", "m"),
            exp.alias_(count(exp.Is(this=claims, expression=exp.null())), "queued"),
            exp.alias_(count(exp.and_(open_, exp.GT(this=claims, expression=answers))), "claimed"),
            exp.alias_(
                count(exp.and_(open_.copy(), exp.LTE(this=claims.copy(), expression=answers.copy()))), "to_retry"
            ),
            exp.alias_(count(exp.GT(this=column("unknown", "t"), expression=literal(0))), "unknown"),
            exp.alias_(exp.Min(this=exp.Case().when(open_.copy(), column("queued_at", "m"))), "oldest"),
        )
        .from_(state.table(MESSAGES, "m"))
        .join(
            exp.Subquery(this=tries, alias=exp.TableAlias(this=exp.to_identifier("t"))),
            on=column("message_id", "t").eq(column("message_id", "m")),
            join_type="left",
        )
        .where(exp.or_(open_.copy(), exp.GT(this=column("unknown", "t"), expression=literal(0))))
        .group_by(column("provider", "m"))
        .order_by(column("provider", "m"))
    )
    return tuple(OutboxLine(**row) for row in state.ask(query))


def _delivered(state: State, now: dt.datetime) -> tuple[DeliveredLine, ...]:
    query = (
        exp.select(column("provider"), column("status"), exp.alias_(count(), "n"))
        .from_(state.table(DELIVERIES))
        .where(column("final"), exp.GT(this=column("recorded_at"), expression=literal(now - _RECENT)))
        .group_by(column("provider"), column("status"))
        .order_by(column("provider"), column("status"))
    )
    found: dict[str, dict[str, int]] = {}
    for row in state.ask(query):
        found.setdefault(row["provider"], {})[row["status"]] = row["n"]
    return tuple(DeliveredLine(provider, figures) for provider, figures in found.items())
