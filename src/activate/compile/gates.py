"""The gates from `active` to `window`, asked of every candidate at once; the first that does not pass decides."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from activate.address import hash_of
from activate.compile import rulebook
from activate.compile.draft import Fetch, Stage, Statement
from activate.compile.due import candidates, expires_at
from activate.compile.sql import all_of, case, create, literal, tree
from activate.compile.world import World
from activate.decision import Outcome, verdict
from activate.suppression import can_return, in_force, spares_transactional

_MISFITS = """
SELECT h.entry_id, h.verdict
FROM (
  SELECT e.entry_id, q.verdict, ROW_NUMBER() OVER (PARTITION BY e.entry_id ORDER BY q.place) AS place
  FROM state.entries AS e
  JOIN tick_requirements AS q ON q.campaign = e.campaign AND q.campaign_version = e.campaign_version AND NOT q.at_door
  LEFT JOIN tick_members AS m ON m.segment = q.segment AND m.user_id = e.user_id
  WHERE e.recorded_at >= :live_from AND q.must <> (NOT m.user_id IS NULL)
) AS h WHERE h.place = 1
"""

_COUNT = "SELECT COUNT(*) AS candidates FROM tick_gated AS g"

_SUPERSEDED = """
SELECT h.entry_id, h.kept_entry_id
FROM (
  SELECT g.entry_id,
    FIRST_VALUE(g.entry_id) OVER (
      PARTITION BY g.user_id, CASE WHEN s.held_scope = 'latest' THEN '*' ELSE s.campaign END
      ORDER BY g.entered_at DESC, g.entry_id DESC
    ) AS kept_entry_id
  FROM tick_gated AS g
  JOIN tick_steps AS s ON s.step_id = g.step_id AND NOT s.held_scope IS NULL
  JOIN tick_deferrals AS l ON l.entry_id = g.entry_id AND l.step = s.step AND l.gate = 'window'
  WHERE g.verdict IS NULL
) AS h WHERE h.entry_id <> h.kept_entry_id
"""


def gates(world: World) -> Iterator[Stage]:
    """Yield the statements that ask every candidate the gates before the caps."""
    if rulebook.segments(world):
        misfits = create("tick_misfits", tree(_MISFITS, live_from=world.live_from))
        yield Statement("gates.misfits", "Entries whose segments no longer hold.", misfits, "tick_misfits")
    if world.suppressed:
        suppressed = create("tick_suppressed", tree(in_force()))
        yield Statement(
            "gates.suppressed", "Addresses and persons that a channel is not used for.", suppressed, "tick_suppressed"
        )
    gated = create("tick_gated", _gated(world))
    yield Statement("gates.gated", "The candidates, and the first gate that does not pass.", gated, "tick_gated")
    yield Fetch("gates.count", "How many candidates there are.", tree(_COUNT), ("candidates",))
    if holds_back(world):
        superseded = create("tick_superseded", tree(_SUPERSEDED))
        yield Statement(
            "gates.superseded", "Messages held back by a window that gave way to a later one.", superseded,
            "tick_superseded", needs="candidates",
        )  # fmt: skip


def holds_back(world: World) -> bool:
    """Whether some window lets only the latest of several held messages go on."""
    return any(window.held != "all" for window in world.windows.values())


_MESSAGE_ID = "CASE WHEN q.verdict IS NULL THEN MD5(q.entry_id || '|' || CAST(q.step AS TEXT) || '|' || q.channel) END"


def _gated(world: World) -> exp.Select:
    query = candidates(world)
    query = query.join("tick_duplicates AS u", on="u.user_id = o.user_id", join_type="left", copy=False)
    branches = [("s.removed", _said("campaign_removed")), ("s.until <= :now", _said("campaign_ended"))]
    if rulebook.distinct_exceptions(world):
        query = query.select("x.event_id AS exit_event_id", copy=False)
        query = query.join("tick_exits AS x", on="x.entry_id = o.entry_id", join_type="left", copy=False)
        branches.append(("NOT x.entry_id IS NULL", _said("exception_event")))
    if rulebook.segments(world):
        query = query.join("tick_misfits AS m", on="m.entry_id = o.entry_id", join_type="left", copy=False)
        branches.append(("NOT m.entry_id IS NULL", "m.verdict"))
    branches += [("NOT u.user_id IS NULL", _said("duplicate_profile")), ("p.user_id IS NULL", _said("no_profile"))]
    found: list[tuple[exp.Expr, exp.Expr]] = [(tree(f"({when})"), tree(then)) for when, then in branches]
    found.append((exp.and_(exp.not_(_reaches(world, "ok")), _reaches(world, "has")), tree(_said("no_consent"))))
    found.append((exp.not_(_reaches(world, "ok")), tree(_said("unreachable"))))
    if world.suppressed:
        query = _with_suppressions(world, query)
        found.append((exp.not_(_reaches(world, "free")), tree(_said("address_suppressed"))))
    if world.windows:
        query = _with_windows(query)
        expiry = expires_at(world)
        found += [(tree(f"({when})", expires_at=expiry), tree(then)) for when, then in _window_branches()]
    default = tree(_said("expired_in_quiet_hours")) if world.windows else exp.null()
    verdict_found = exp.cast(case(found, default), "BIGINT")
    query = query.select(_channel(world).as_("channel"), exp.alias_(verdict_found, "verdict"), copy=False)
    return tree(f"SELECT q.*, {_MESSAGE_ID} AS message_id FROM (:query) AS q", query=query)


def _said(reason: str, outcome: Outcome = "suppress") -> str:
    return str(verdict(reason, outcome))


def _with_windows(query: exp.Select) -> exp.Select:
    query = query.select("w2.closes_at AS send_by", "w2.opens_at AS opens_at", copy=False)
    on = "w2.window_id = s.window_id AND w2.zone = COALESCE(s.window_zone, z.zone, s.fallback_zone)"
    return query.join("tick_windows AS w2", on=on, join_type="left", copy=False)


def _window_branches() -> Iterator[tuple[str, str]]:
    unknown = "s.suppress_unknown AND s.window_zone IS NULL AND z.zone IS NULL AND NOT s.window_id IS NULL"
    yield f"{unknown} AND COALESCE(p.time_zone, '') = ''", _said("zone_missing")
    yield unknown, _said("zone_invalid")
    yield "w2.is_open OR s.window_id IS NULL", "NULL"
    yield "s.drop_if_closed", _said("window_closed")
    yield "w2.opens_at < :expires_at", _said("window_closed", "defer")


def _pairs(world: World) -> Iterator[tuple[int, int, str]]:
    for place in range(rulebook.most_channels(world)):
        for number, name in enumerate(world.channels):
            yield place, number, name


def _reaches(world: World, what: str) -> exp.Expr:
    """Whether a channel of the step has an address (`has`), with consent (`ok`), that is not suppressed (`free`)."""
    found = [
        tree(f"s.channel_{place} = :name AND :holds", name=literal(name), holds=_holds(world, what, number, name))
        for place, number, name in _pairs(world)
    ]
    return case([(exp.paren(exp.or_(*found, copy=False)), exp.true())], exp.false())


def _channel(world: World) -> exp.Expr:
    """The first channel of the step that has an address and consent, and is not suppressed."""
    return case(
        (
            tree(
                f"s.channel_{place} = :name AND :holds", name=literal(name), holds=_holds(world, "free", number, name)
            ),
            literal(name),
        )
        for place, number, name in _pairs(world)
    )


def _holds(world: World, what: str, number: int, name: str) -> exp.Expr:
    if what != "free":
        return tree(f"p.{what}_{number}")
    kinds = [letter for letter, by_person in _SUBJECTS if (name, by_person) in world.suppressed]
    return all_of([tree(f"p.ok_{number}"), *(_is_free(world, f"{letter}{number}", number, name) for letter in kinds)])


_SUBJECTS = (("la", False), ("lu", True))


def _is_free(world: World, alias: str, number: int, name: str) -> exp.Expr:
    """Whether the suppression joined as `alias` is none, or does not hold for this candidate."""
    lost, refused = f"{alias}.lost_at IS NULL", f"{alias}.refused_at IS NULL"
    if can_return(world.channels[name]):
        lost = f"({lost} OR COALESCE(p.registered_{number} > {alias}.lost_at, FALSE))"
    if spares_transactional(name):
        refused = f"({refused} OR s.is_transactional)"
    return tree(f"({lost} AND {refused})")


def _with_suppressions(world: World, query: exp.Select) -> exp.Select:
    """Join the suppressions of each channel that has some, by address and by person."""
    for number, name in enumerate(world.channels):
        for letter, by_person in _SUBJECTS:
            if (name, by_person) in world.suppressed:
                alias = f"{letter}{number}"
                address = exp.column(f"address_{number}", table="p")
                mine = tree("o.user_id") if by_person else hash_of(name, address, world.dialect)
                column = "user_id" if by_person else "address_hash"
                on = tree(f"{alias}.channel = :name AND {alias}.{column} = :mine", name=literal(name), mine=mine)
                query = query.join(f"tick_suppressed AS {alias}", on=on, join_type="left", copy=False)
    return query


def passed(world: World) -> exp.Select:
    """The candidates that no gate before the caps has stopped (alias `g`)."""
    query = exp.select("g.*").from_("tick_gated AS g", copy=False)
    query = query.where("g.verdict IS NULL", tree("g.expires_at > :now"), copy=False)
    if holds_back(world):
        query = query.join("tick_superseded AS b", on="b.entry_id = g.entry_id", join_type="left", copy=False)
        query = query.where("b.entry_id IS NULL", copy=False)
    return query
