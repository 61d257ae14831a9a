"""Exception events: what cancels an entry at or after its occurrence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlglot import exp

from activate.campaign import ExceptionEvent
from activate.compile import rulebook
from activate.compile.draft import Fetch, Stage, Statement
from activate.compile.sql import case, create, literal, tree
from activate.compile.world import World

_ENTERED_FROM = """
SELECT COALESCE(MIN(e.entered_at), :now) AS entered_from FROM state.entries AS e WHERE e.recorded_at >= :live_from
"""

# The earliest matching event decides; the trigger's own row does not cancel itself. Asked of all open entries, due or
# not, so that the candidates need not be gathered first.
_EXITS = """
SELECT h.entry_id, h.event_id
FROM (
  SELECT e.entry_id, v.event_id, ROW_NUMBER() OVER (PARTITION BY e.entry_id ORDER BY v.happened_at, v.event_id) AS place
  FROM tick_events AS v
  JOIN state.entries AS e ON e.user_id = v.user_id
  JOIN tick_exceptions AS x
    ON x.exception_id = v.exception_id AND x.campaign = e.campaign AND x.campaign_version = e.campaign_version
  WHERE e.recorded_at >= :live_from AND v.happened_at >= e.entered_at AND v.event_id <> e.occurrence_id
    AND (NOT x.needs_match OR v.match_value = :own_value)
) AS h WHERE h.place = 1
"""


def exits(world: World) -> Iterator[Stage]:
    """Yield the statements that find, for each open entry, the exception event that ends it."""
    if not rulebook.distinct_exceptions(world):
        return
    bound = tree(_ENTERED_FROM, live_from=world.live_from)
    yield Fetch("exits.from", "How far back exception events matter.", bound, ("entered_from",))
    asked = range(len(rulebook.distinct_exceptions(world)))
    found = create("tick_events", events(world, exp.Placeholder(this="entered_from"), asked))
    yield Statement("exits.events", "Exception events that could matter.", found, "tick_events")
    query = tree(_EXITS, own_value=own_value(world, "e"), live_from=world.live_from)
    yield Statement("exits.exits", "Entries with an exception event.", create("tick_exits", query), "tick_exits")


def events(world: World, since: exp.Expr, asked: Sequence[int]) -> exp.Query:
    """The events that happened since an instant and are visible now, of the exceptions with these ids (at least one)."""
    distinct = rulebook.distinct_exceptions(world)
    parts = [_events(world, number, distinct[number], since) for number in asked]
    query: exp.Query = parts[0]
    for part in parts[1:]:
        query = exp.union(query, part, distinct=False, copy=False)
    return query


def _events(world: World, number: int, exception: ExceptionEvent, since: exp.Expr) -> exp.Select:
    policy = world.project.policy.events
    model = world.model(policy.model)
    time = world.instant(model, policy.time)
    loaded = world.instant(model, policy.loaded or policy.time)
    match = world.property_text(model, exception.match) if exception.match else exp.null()
    return (
        exp.select(
            literal(number).as_("exception_id"),
            world.text(model, policy.key).as_("user_id"),
            world.text(model, policy.id).as_("event_id"),
            time.copy().as_("happened_at"),
            loaded.copy().as_("loaded_at"),
            exp.cast(match, "TEXT").as_("match_value"),
            copy=False,
        )
        .from_(model.relation.table("t"), copy=False)
        .where(
            world.text(model, policy.name).eq(literal(exception.event)),
            exp.GTE(this=time.copy(), expression=since.copy()),
            exp.LTE(this=time.copy(), expression=world.now),
            exp.LTE(this=loaded.copy(), expression=world.now),
            *([world.where(model, exception.where)] if exception.where else []),
            copy=False,
        )
    )


def own_value(world: World, alias: str) -> exp.Expr:
    """The entry's value of the exception's match property."""
    own = exp.column("match_key", table=alias)
    context = exp.column("context", table=alias)
    return case(
        (
            (exp.column("secondary", table="x").eq(literal(name)), world.dialect.json_text(context.copy(), name))
            for name in rulebook.secondary_matches(world)
        ),
        own,
    )
