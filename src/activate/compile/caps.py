"""Frequency caps: exact and greedy by priority, in as many rounds as a person has candidates."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from activate.compile import rulebook
from activate.compile.draft import Fetch, Rounds, Stage, Statement
from activate.compile.gates import passed
from activate.compile.sharing import sharing
from activate.compile.sql import all_of, any_of, case, create, insert, literal, tree
from activate.compile.world import World
from activate.policy import FrequencyCap

# The people with a candidate that comes as far as the caps, each once.
_PEOPLE = """
SELECT g.user_id, COUNT(*) AS candidates, MAX(g.own_zone) AS own_zone FROM (:passed) AS g GROUP BY g.user_id
"""

# Most people have one candidate; only the others need an order.
_RANKED = """
SELECT g.entry_id, g.user_id, g.step_id, g.channel, g.control_group, ROW_NUMBER() OVER (
    PARTITION BY g.user_id
    ORDER BY CASE WHEN s.is_transactional THEN 0 ELSE 1 END, s.priority DESC, g.due_at, s.campaign_order, g.entry_id
  ) AS place,
  g.message_id
FROM (:passed) AS g
JOIN tick_steps AS s ON s.step_id = g.step_id
JOIN tick_people AS u ON u.user_id = g.user_id
WHERE u.candidates > 1
"""

# A candidate that shares an address competes with others' too, so all of them stand in one order.
_RANKED_TOGETHER = """
SELECT g.entry_id, g.user_id, g.step_id, g.channel, g.control_group, ROW_NUMBER() OVER (
    ORDER BY CASE WHEN s.is_transactional THEN 0 ELSE 1 END, s.priority DESC, g.due_at, s.campaign_order, g.entry_id
  ) AS place,
  g.message_id, g.own_zone, w.share
FROM (:passed) AS g
JOIN tick_steps AS s ON s.step_id = g.step_id
JOIN tick_people AS u ON u.user_id = g.user_id
LEFT JOIN tick_sharing AS w ON w.user_id = g.user_id AND w.channel = g.channel
WHERE u.candidates > 1 OR NOT w.share IS NULL
"""

_EMPTY_TURNS = "SELECT CAST(NULL AS TEXT) AS entry_id, CAST(NULL AS BIGINT) AS turn WHERE FALSE"

# In each round those are decided whom nobody that competes with them stands before.
_TURNS = """
SELECT q.entry_id, CAST(:round AS BIGINT)
FROM (
  SELECT r.entry_id, r.place, MIN(r.place) OVER (PARTITION BY r.user_id) AS first_of_person,
    MIN(r.place) OVER (PARTITION BY r.channel, COALESCE(r.share, r.user_id)) AS first_of_address
  FROM tick_ranked AS r LEFT JOIN tick_turns AS t ON t.entry_id = r.entry_id
  WHERE t.entry_id IS NULL
) AS q
WHERE q.place = q.first_of_person AND q.place = q.first_of_address
"""

_UNTURNED = """
SELECT COUNT(*) AS waiting FROM tick_ranked AS r LEFT JOIN tick_turns AS t ON t.entry_id = r.entry_id
WHERE t.entry_id IS NULL
"""

_MOST_TURNS = "SELECT COUNT(*) AS last_round FROM tick_ranked AS r"

# What those admitted in earlier rounds have taken, by person or by address.
_TAKEN = """
SELECT 1 FROM tick_ranked AS g
JOIN tick_turns AS t ON t.entry_id = g.entry_id AND t.turn < :round
JOIN tick_steps AS s ON s.step_id = g.step_id
LEFT JOIN tick_capped AS k ON k.entry_id = g.entry_id
WHERE k.entry_id IS NULL AND s.counts AND g.control_group IS NULL
"""

_MOST = "SELECT COALESCE(MAX(r.place), 1) AS last_round FROM tick_ranked AS r"

_RELEASED = """
SELECT v.message_id FROM state.deliveries AS v
WHERE v.final AND v.status IN ('rejected', 'failed', 'aborted', 'expired')
"""

_EMPTY_CAPPED = """
SELECT CAST(NULL AS TEXT) AS entry_id, CAST(NULL AS BIGINT) AS cap, CAST(NULL AS BIGINT) AS observed,
  CAST(NULL AS TEXT) AS evidence
WHERE FALSE
"""

# What those admitted in earlier rounds have taken, of the people with a candidate in this round.
_USED = """
SELECT g.user_id FROM tick_ranked AS g
JOIN (SELECT t.user_id FROM tick_ranked AS t WHERE t.place = :round) AS n ON n.user_id = g.user_id
JOIN tick_steps AS s ON s.step_id = g.step_id
LEFT JOIN tick_capped AS k ON k.entry_id = g.entry_id
WHERE g.place < :round AND k.entry_id IS NULL AND s.counts AND g.control_group IS NULL
GROUP BY g.user_id
"""

_EMPTY_RETRY = "SELECT CAST(NULL AS TEXT) AS entry_id, CAST(NULL AS TIMESTAMP) AS retry_at WHERE FALSE"

# Asked first: when there will be room is the tick's longest question, and mostly nobody waits.
_HELD = """
SELECT COUNT(*) AS waiting_for_room FROM tick_capped AS k
JOIN tick_gated AS g ON g.entry_id = k.entry_id
JOIN tick_steps AS s ON s.step_id = g.step_id AND s.wait_if_capped
"""

_CAPPED_COLUMNS = ("entry_id", "cap", "observed", "evidence")


def caps(world: World) -> Iterator[Stage]:
    """Yield the statements that find the candidates for whom a cap is full."""
    if not world.caps:
        return
    yield from sharing(world)
    together = bool(world.shared_channels)
    tables = [
        ("people", "The people that come as far as the caps.", tree(_PEOPLE, passed=passed(world))),
        ("ranked", "The order of people's several candidates.",
         tree(_RANKED_TOGETHER if together else _RANKED, passed=passed(world))),
        ("room", "What each cap counts already.", _history(world)),
        ("capped", "Room for the refused.", tree(_EMPTY_CAPPED)),
    ]  # fmt: skip
    if together:
        tables.append(("shared_room", "What caps by address count already.", _shared_history(world)))
        tables.append(("turns", "Room for who was decided when.", tree(_EMPTY_TURNS)))
    for name, doc, query in tables:
        yield Statement(f"caps.{name}", doc, create(f"tick_{name}", query), f"tick_{name}", needs="candidates")
    first = insert("tick_capped", _CAPPED_COLUMNS, _first(world))
    yield Statement("caps.first", "Each person's first candidate against the past.", first, needs="candidates")
    yield from _rounds_together(world) if together else _rounds(world)
    if can_wait(world):
        room = create("tick_retry", tree(_EMPTY_RETRY))
        yield Statement("caps.waiting", "Room for who waits.", room, "tick_retry", needs="candidates")
        yield Fetch("caps.held", "How many wait.", tree(_HELD), ("waiting_for_room",), "candidates")
        retry = insert("tick_retry", ("entry_id", "retry_at"), _retry(world))
        yield Statement("caps.retry", "When there will be room again.", retry, needs="waiting_for_room")


def _rounds(world: World) -> Iterator[Stage]:
    yield Fetch(
        "caps.rounds", "How many candidates one person has at most.", tree(_MOST), ("last_round",), "candidates"
    )
    later = insert("tick_capped", _CAPPED_COLUMNS, _next(world))
    body = Statement("caps.next", "Each person's next candidate against the past and the rounds before.", later)
    yield Rounds("caps.later", "Later candidates, round by round.", 2, "last_round", (body,), "candidates")


def _rounds_together(world: World) -> Iterator[Stage]:
    most = tree(_MOST_TURNS)
    yield Fetch("caps.rounds", "How many candidates compete with another.", most, ("last_round",), "candidates")
    turns = insert("tick_turns", ("entry_id", "turn"), tree(_TURNS))
    later = insert("tick_capped", _CAPPED_COLUMNS, _next_together(world))
    body = (
        Statement("caps.turns", "Whose turn it is.", turns),
        Statement("caps.next", "They, against the past and the rounds before.", later),
    )
    yield Rounds(
        "caps.later", "Candidates that compete, round by round.", 1, "last_round", body, "candidates", tree(_UNTURNED)
    )


def can_wait(world: World) -> bool:
    """Whether some campaign waits for room under a full cap."""
    return bool(world.caps) and any(version.definition.when_capped == "wait" for version in world.versions)


def _applies(cap: FrequencyCap, place: int) -> exp.Expr:
    """Whether a cap applies to a candidate (`g`) with its step (`s`)."""
    fits: exp.Expr = exp.column(f"cap_{place}", table="s")
    if cap.channel is not None:
        fits = exp.and_(fits, exp.column("channel", table="g").eq(literal(cap.channel)))
    return fits


def _counted(cap: FrequencyCap) -> list[exp.Expr]:
    """What makes a stored message (alias `m`) count under a cap, apart from its time."""
    found: list[exp.Expr] = []
    if cap.channel is not None:
        found.append(exp.column("channel", table="m").eq(literal(cap.channel)))
    if cap.campaign is not None:
        found.append(exp.column("campaign", table="m").eq(literal(cap.campaign)))
    if cap.class_ is not None:
        found.append(exp.column("class", table="m").eq(literal(cap.class_)))
    if cap.tag is not None:
        quoted = exp.StrPosition(this=exp.column("tags", table="m"), substr=literal(f'"{cap.tag}"'))
        found.append(exp.GT(this=quoted, expression=literal(0)))
    return found


def _since(world: World, cap: FrequencyCap) -> exp.Expr:
    """The time condition of a cap on a stored message (alias `m`, the person's zone as alias `z`)."""
    queued = exp.column("queued_at", table="m")
    seconds = cap.rolling_seconds
    if seconds is not None:
        return exp.GT(this=queued, expression=world.ago(seconds))
    return exp.GTE(this=queued, expression=exp.column(cap.per.removeprefix("calendar "), table="z"))


def _messages(world: World, people: str) -> exp.Select:
    """The messages that any cap can count (alias `m`) of some people (`u`), with their zone's calendar (`z`)."""
    released = exp.Subquery(this=tree(_RELEASED), alias=exp.TableAlias(this=exp.to_identifier("r")))
    query = exp.select().from_("state.messages AS m", copy=False)
    query = query.join(f"{people} AS u", on="u.user_id = m.user_id", copy=False)
    query = query.join(released, on="r.message_id = m.message_id", join_type="left", copy=False)
    query = query.where(
        tree("m.queued_at > :since", since=world.ago(rulebook.longest_cap(world))),
        "m.counts_toward_caps",
        "r.message_id IS NULL",
        copy=False,
    )
    if any(cap.rolling_seconds is None for cap in world.caps):
        zone = tree("z.zone = COALESCE(u.own_zone, :zone)", zone=literal(world.policy_zone))
        query = query.join("tick_zones AS z", on=zone, copy=False)
    return query


def _history(world: World) -> exp.Select:
    query = _messages(world, "tick_people").select("m.user_id", copy=False).group_by("m.user_id", copy=False)
    for place, cap in enumerate(world.caps):
        counted = all_of([*_counted(cap), _since(world, cap)])
        query = query.select(exp.Sum(this=case([(counted, literal(1))], literal(0))).as_(f"n_{place}"), copy=False)
    return query


def _shared_history(world: World) -> exp.Select:
    query = _messages(world, "tick_sharers").where("m.channel = u.channel", copy=False)
    for key in ("u.share", "u.channel", "u.own_zone"):
        query = query.select(key, copy=False).group_by(key, copy=False)
    for place, cap in enumerate(world.caps):
        if cap.by == "address":
            counted = all_of([*_counted(cap), _since(world, cap)])
            query = query.select(exp.Sum(this=case([(counted, literal(1))], literal(0))).as_(f"n_{place}"), copy=False)
    return query


Full = tuple[exp.Expr, int, str]


def _refused(full: list[Full]) -> exp.Select:
    """The refused candidates (`g`, with step `s` and history `h`): the first cap that is full, and its count."""
    return (
        exp.select("g.entry_id")
        .select(case((condition.copy(), literal(place)) for condition, place, _ in full), copy=False)
        .select(case((condition.copy(), tree(count)) for condition, _, count in full), copy=False)
        .where("NOT s.is_transactional", any_of(condition.copy() for condition, _, _ in full), copy=False)
    )


def _full(world: World, counts: list[str]) -> list[Full]:
    return [
        (exp.and_(_applies(cap, place), tree(f"{count} >= :limit", limit=literal(cap.limit))), place, count)
        for place, (cap, count) in enumerate(zip(world.caps, counts, strict=True))
    ]


def _first(world: World) -> exp.Select:
    full = _full(world, [f"COALESCE(h.n_{place}, 0)" for place in range(len(world.caps))])
    # Without a cap of 0, only people with some history can be at a limit.
    join = "left" if any(cap.limit == 0 for cap in world.caps) else "inner"
    return (
        _refused(full)
        .select(exp.cast(exp.null(), "TEXT"), copy=False)
        .from_(passed(world).subquery("g", copy=False), copy=False)
        .join("tick_steps AS s", on="s.step_id = g.step_id", copy=False)
        .join("tick_room AS h", on="h.user_id = g.user_id", join_type=join, copy=False)
        .join("tick_ranked AS r", on="r.entry_id = g.entry_id", join_type="left", copy=False)
        .where("r.place IS NULL" if world.shared_channels else "COALESCE(r.place, 1) = 1", copy=False)
    )


def _next(world: World) -> exp.Select:
    used = tree(_USED)
    for place, cap in enumerate(world.caps):
        takes = _applies(cap, place)
        taken = exp.Sum(this=case([(takes, literal(1))], literal(0)))
        winner = exp.Min(this=case([(takes.copy(), exp.column("message_id", table="g"))]))
        used = used.select(taken.as_(f"u_{place}"), winner.as_(f"e_{place}"), copy=False)
    full = _full(world, [f"COALESCE(h.n_{place}, 0) + COALESCE(u.u_{place}, 0)" for place in range(len(world.caps))])
    winners = ((condition.copy(), exp.column(f"e_{place}", table="u")) for condition, place, _ in full)
    return (
        _refused(full)
        .select(case(winners), copy=False)
        .from_("tick_ranked AS g", copy=False)
        .join("tick_steps AS s", on="s.step_id = g.step_id", copy=False)
        .join("tick_room AS h", on="h.user_id = g.user_id", join_type="left", copy=False)
        .join(used.subquery("u", copy=False), on="u.user_id = g.user_id", join_type="left", copy=False)
        .where("g.place = :round", copy=False)
    )


def _taken(world: World, keys: tuple[str, ...], by: tuple[str, ...]) -> exp.Subquery:
    """What earlier rounds have taken of each cap that counts in one of these ways, by these columns of `g`."""
    query = tree(_TAKEN).select(*keys, append=False, copy=False).group_by(*keys, copy=False)
    for place, cap in enumerate(world.caps):
        if cap.by in by:
            takes = _applies(cap, place)
            taken = exp.Sum(this=case([(takes, literal(1))], literal(0)))
            winner = exp.Min(this=case([(takes.copy(), exp.column("message_id", table="g"))]))
            query = query.select(taken.as_(f"u_{place}"), winner.as_(f"e_{place}"), copy=False)
    return query.subquery(copy=False)


def _next_together(world: World) -> exp.Select:
    """The refused among those whose turn it is; what is shared counts for who shares, their own for all others."""
    own, shared = "COALESCE(h.n_{0}, 0) + COALESCE(u.u_{0}, 0)", "COALESCE(y.n_{0}, 0) + COALESCE(v.u_{0}, 0)"
    counts, winner = [], []
    for place, cap in enumerate(world.caps):
        if cap.by == "address":
            counts.append(f"CASE WHEN g.share IS NULL THEN {own} ELSE {shared} END".format(place))
            winner.append(f"CASE WHEN g.share IS NULL THEN u.e_{place} ELSE v.e_{place} END")
        else:
            counts.append(own.format(place))
            winner.append(f"u.e_{place}")
    full = _full(world, counts)
    found = _taken(world, ("g.user_id",), ("person", "address")).as_("u")
    found_shared = _taken(world, ("g.share", "g.channel"), ("address",)).as_("v")
    same = "{0}.share = g.share AND {0}.channel = g.channel"
    zone = "COALESCE(y.own_zone, '') = COALESCE(g.own_zone, '')"
    return (
        _refused(full)
        .select(case((condition.copy(), tree(winner[place])) for condition, place, _ in full), copy=False)
        .from_("tick_ranked AS g", copy=False)
        .join("tick_turns AS o", on="o.entry_id = g.entry_id AND o.turn = :round", copy=False)
        .join("tick_steps AS s", on="s.step_id = g.step_id", copy=False)
        .join("tick_room AS h", on="h.user_id = g.user_id", join_type="left", copy=False)
        .join("tick_shared_room AS y", on=f"{same.format('y')} AND {zone}", join_type="left", copy=False)
        .join(found, on="u.user_id = g.user_id", join_type="left", copy=False)
        .join(found_shared, on=same.format("v"), join_type="left", copy=False)
    )


def _retry(world: World) -> exp.Select:
    """When the latest of the full caps has room again; no row's instant when one never has."""
    # Each in a query of its own, since each has common table expressions of its own.
    parts = [
        exp.select("*", copy=False).from_(_room_at(world, place, cap).subquery("p"), copy=False)
        for place, cap in enumerate(world.caps)
    ]
    query: exp.Query = parts[0]
    for part in parts[1:]:
        query = exp.union(query, part, distinct=False, copy=False)
    return (
        exp.select("a.entry_id", copy=False)
        .select(
            tree(
                "CASE WHEN MAX(CASE WHEN a.room_at IS NULL THEN 1 ELSE 0 END) = 0 THEN MAX(a.room_at) END AS retry_at"
            ),
            copy=False,
        )
        .from_(exp.Subquery(this=query, alias=exp.TableAlias(this=exp.to_identifier("a"))), copy=False)
        .group_by("a.entry_id", copy=False)
    )


_WAITING = """
SELECT g.entry_id, g.user_id, g.own_zone, COALESCE(r.place, 1) AS place, :applies AS applies
FROM tick_capped AS k
JOIN tick_gated AS g ON g.entry_id = k.entry_id
JOIN tick_steps AS s ON s.step_id = g.step_id AND s.wait_if_capped
LEFT JOIN tick_ranked AS r ON r.entry_id = g.entry_id
"""

# What the cap counts for a refused candidate: stored messages, and those admitted before it in this tick.
_ADMITTED = """
SELECT c.entry_id, CAST(:now AS TIMESTAMP) AS queued_at
FROM candidates AS c
JOIN tick_ranked AS g ON :rivals AND g.place < c.place
JOIN tick_steps AS s ON s.step_id = g.step_id
LEFT JOIN tick_capped AS k ON k.entry_id = g.entry_id
WHERE c.applies AND k.entry_id IS NULL AND s.counts AND g.control_group IS NULL AND :takes
"""

_RIVALS_BY_ADDRESS = "(g.share = c.share OR c.share IS NULL AND g.user_id = c.user_id)"

# Each refused candidate with everybody whose messages count for it.
_ASKING = """
SELECT COALESCE(w.user_id, c.user_id) AS user_id, c.own_zone, c.entry_id
FROM candidates AS c LEFT JOIN tick_sharing AS w ON w.share = c.share AND w.channel = :channel
WHERE c.applies
"""

_NTH = """
SELECT n.entry_id, :room_at AS room_at
FROM (
  SELECT q.entry_id, q.queued_at, ROW_NUMBER() OVER (PARTITION BY q.entry_id ORDER BY q.queued_at DESC) AS place
  FROM counted AS q
) AS n
JOIN candidates AS c ON c.entry_id = n.entry_id
WHERE n.place = :limit
"""


def _room_at(world: World, place: int, cap: FrequencyCap) -> exp.Select:
    candidates = tree(_WAITING, applies=_applies(cap, place))
    if world.shared_channels:
        candidates = candidates.select("r.share", copy=False)
    if cap.limit == 0:
        never = tree("SELECT c.entry_id, CAST(NULL AS TIMESTAMP) AS room_at FROM candidates AS c WHERE c.applies")
        return _with(never, candidates=candidates)
    stored = _messages(world, "people").where(*_counted(cap), _since(world, cap), copy=False)
    if cap.by == "address":
        people = tree(_ASKING, channel=literal(cap.channel))
        stored = stored.select("u.entry_id", "m.queued_at", copy=False)
        admitted = tree(_ADMITTED, rivals=tree(_RIVALS_BY_ADDRESS), takes=_applies(cap, place))
    else:
        people = tree("SELECT DISTINCT c.user_id, c.own_zone FROM candidates AS c")
        stored = stored.select("c.entry_id", "m.queued_at", copy=False)
        stored = stored.join("candidates AS c", on="c.user_id = m.user_id AND c.applies", copy=False)
        admitted = tree(_ADMITTED, rivals=tree("g.user_id = c.user_id"), takes=_applies(cap, place))
    counted = exp.union(stored, admitted, distinct=False, copy=False)
    if cap.rolling_seconds is not None:
        room = world.dialect.plus_seconds(exp.column("queued_at", table="n"), literal(cap.rolling_seconds))
        nth = tree(_NTH, room_at=room, limit=literal(cap.limit))
    else:
        room = exp.column(f"next_{cap.per.removeprefix('calendar ')}", table="z")
        nth = tree(_NTH, room_at=room, limit=literal(cap.limit))
        zone = tree("z.zone = COALESCE(c.own_zone, :zone)", zone=literal(world.policy_zone))
        nth = nth.join("tick_zones AS z", on=zone, copy=False)
    return _with(nth, candidates=candidates, people=people, counted=counted)


def _with(query: exp.Select, **parts: exp.Expr) -> exp.Select:
    for name, part in parts.items():
        query = query.with_(name, as_=part, copy=False)
    return query
