"""Occurrences: rows of triggers and changes of segments that a campaign has not looked at yet."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from sqlglot import exp

from activate.campaign import Campaign
from activate.compile.draft import Fetch, Stage, Statement
from activate.compile.sql import any_of, create, insert, literal, tree
from activate.compile.world import Moment, World
from activate.project import Model

COLUMNS = (
    "campaign", "user_id", "occurrence_id", "entered_at", "visible_at", "is_late", "match_key", "context",
)  # fmt: skip

_EMPTY = """
SELECT CAST(NULL AS TEXT) AS campaign, CAST(NULL AS TEXT) AS user_id, CAST(NULL AS TEXT) AS occurrence_id,
  CAST(NULL AS TIMESTAMP) AS entered_at, CAST(NULL AS TIMESTAMP) AS visible_at, CAST(NULL AS BOOLEAN) AS is_late,
  CAST(NULL AS TEXT) AS match_key, CAST(NULL AS TEXT) AS context
WHERE FALSE
"""

# A refusal was recorded at or after the occurrence's own time; of a row that comes again with a later time than it had,
# it holds for as long as the policy says.
_RAW = """
SELECT COUNT(*) AS occurrences,
  CASE WHEN MIN(r.entered_at) < :remembered THEN MIN(r.entered_at) ELSE :remembered END AS seen_from
FROM tick_raw AS r
"""

# Rows of one id and person are one occurrence. What has an entry, of whatever age, is not looked at again: a second one
# would have the same id, and so would its messages. Nor is what was refused, as far as that is remembered.
_NEW = """
SELECT r.campaign, r.user_id, r.occurrence_id, r.entered_at, r.is_late, r.match_key, r.context, r.entry_id
FROM (
  SELECT o.*, ROW_NUMBER() OVER (PARTITION BY o.entry_id ORDER BY o.entered_at, o.visible_at, o.context) AS place
  FROM (SELECT a.*, MD5(a.campaign || '|' || a.user_id || '|' || a.occurrence_id) AS entry_id FROM tick_raw AS a) AS o
) AS r
LEFT JOIN state.entries AS e ON e.entry_id = r.entry_id
LEFT JOIN (
  SELECT d.entry_id FROM state.decisions AS d WHERE d.decided_at >= :seen_from AND d.step = 0 GROUP BY d.entry_id
) AS s ON s.entry_id = r.entry_id
WHERE r.place = 1 AND e.entry_id IS NULL AND s.entry_id IS NULL
"""


def arrivals(world: World) -> Iterator[Stage]:
    """Yield one statement per campaign that gathers its occurrences, and one that keeps those not seen before."""
    yield Statement("arrivals.empty", "Room for the occurrences.", create("tick_raw", tree(_EMPTY)), "tick_raw")
    for campaign in world.campaigns:
        query = _trigger(world, campaign) if campaign.enter.trigger else _segment(world, campaign)
        yield Statement(
            f"arrivals.{campaign.campaign}",
            f"Occurrences for {campaign.campaign}: {campaign.enter.model}.",
            insert("tick_raw", COLUMNS, query),
        )
    yield from _unusable(world)
    raw = tree(_RAW, remembered=world.ago(world.project.policy.scan.remember))
    yield Fetch("arrivals.found", "How many there are.", raw, ("occurrences", "seen_from"))
    new = create("tick_new", tree(_NEW))
    yield Statement("arrivals.new", "Occurrences not seen before.", new, "tick_new", needs="occurrences")


def _unusable(world: World) -> Iterator[Stage]:
    """Count the rows that can be nobody's occurrence: without a person, an id or a time."""
    used: dict[str, list[Campaign]] = {}
    for campaign in world.campaigns:
        used.setdefault(campaign.enter.model, []).append(campaign)
    parts = [_unusable_in(world, world.model(name), campaigns) for name, campaigns in used.items()]
    query: exp.Query = parts[0] if parts else tree("SELECT CAST(NULL AS TEXT) AS model, 0 AS unusable WHERE FALSE")
    for part in parts[1:]:
        query = exp.union(query, part, distinct=False, copy=False)
    yield Statement(
        "arrivals.unusable", "Rows that no person can have.", create("tick_unusable", query), "tick_unusable"
    )


def _unusable_in(world: World, model: Model, campaigns: list[Campaign]) -> exp.Select:
    names = [name for name in (model.key, model.id, model.time) if name]
    missing = any_of(world.text(model, name).is_(exp.null()) for name in names)
    query = exp.select(literal(model.name).as_("model"), "COUNT(*) AS unusable", copy=False).from_(
        model.relation.table("t"), copy=False
    )
    query = query.where(missing, copy=False)
    if model.time is None:
        return query
    loaded = world.instant(model, model.loaded or model.time)
    names = [campaign.campaign for campaign in campaigns]
    if world.known.issuperset(names):
        since = world.time(f"read_{model.name}", lambda moment: min(moment.bookmark(name).scanned_to for name in names))
        query = query.where(exp.GT(this=loaded.copy(), expression=since), copy=False)
    return query.where(exp.LTE(this=loaded.copy(), expression=world.now), copy=False)


def _trigger(world: World, campaign: Campaign) -> exp.Select:
    model = world.model(campaign.enter.model)
    key, identity = world.text(model, model.key or ""), world.text(model, model.id or "")
    time = world.instant(model, model.time or "")
    loaded = world.instant(model, model.loaded) if model.loaded else time
    match = world.property_text(model, campaign.match_property) if campaign.match_property else exp.null()
    visible = exp.case().when(exp.GT(this=loaded.copy(), expression=time.copy()), loaded.copy()).else_(time.copy())
    return (
        exp.select(
            literal(campaign.campaign), key, identity, time, visible, _late(world, campaign, time, loaded),
            exp.cast(match, "TEXT"), world.row_json(model), copy=False
        )
        .from_(model.relation.table("t"), copy=False)
        .where(
            *(column.copy().is_(exp.null()).not_() for column in (key, identity)),
            *_life(world, campaign, time),
            exp.LTE(this=time.copy(), expression=world.now),
            exp.LTE(this=loaded.copy(), expression=world.now),
            *_scanned(world, campaign, time, loaded),
            *([world.where(model, campaign.enter.where)] if campaign.enter.where else []), copy=False
        )
    )  # fmt: skip


def _life(world: World, campaign: Campaign, time: exp.Expr) -> Iterator[exp.Expr]:
    def first(moment: Moment) -> dt.datetime:
        launch = campaign.enter.since or moment.bookmark(campaign.campaign).launched_at
        return max(launch, campaign.active.from_) if campaign.active.from_ is not None else launch

    yield exp.GTE(this=time.copy(), expression=world.time(f"first_{campaign.campaign}", first))
    if campaign.active.until is not None:
        yield exp.LT(this=time.copy(), expression=literal(campaign.active.until))


def _scanned(world: World, campaign: Campaign, time: exp.Expr, loaded: exp.Expr) -> Iterator[exp.Expr]:
    if campaign.campaign not in world.known:
        return
    overlap = dt.timedelta(seconds=world.project.policy.scan.overlap)
    bound = world.time(
        f"unread_{campaign.campaign}", lambda moment: moment.bookmark(campaign.campaign).scanned_to - overlap
    )
    # A row dated in the future becomes visible by its time, any other by its load.
    if loaded == time:
        yield exp.GT(this=time.copy(), expression=bound)
    else:
        yield exp.paren(
            exp.or_(exp.GT(this=loaded.copy(), expression=bound), exp.GT(this=time.copy(), expression=bound.copy()))
        )


def _late(world: World, campaign: Campaign, time: exp.Expr, loaded: exp.Expr) -> exp.Expr:
    lateness = campaign.enter.max_lateness
    lateness = world.project.policy.scan.max_lateness if lateness is None else lateness
    late: exp.Expr = exp.LT(this=time.copy(), expression=world.ago(lateness))
    if campaign.enter.since is not None:
        late = exp.and_(late, exp.GT(this=loaded.copy(), expression=_launch(world, campaign)))
    return late


_SEGMENT = """
SELECT :campaign, m.user_id,
  MD5(m.segment || '|' || m.user_id || '|' || m.change || '|' || :written), m.changed_at, m.changed_at, FALSE,
  CAST(:match AS TEXT), :context
FROM state.memberships AS m
WHERE m.segment = :segment AND m.change = :change
"""


def _segment(world: World, campaign: Campaign) -> exp.Select:
    model = world.model(campaign.enter.model)
    entering = campaign.enter.on == "enter"
    match = world.property_text(model, campaign.match_property) if campaign.match_property and entering else exp.null()
    query = tree(
        _SEGMENT,
        campaign=literal(campaign.campaign),
        segment=literal(model.name),
        change=literal(campaign.enter.on),
        written=_written(exp.column("changed_at", table="m")),
        match=match,
        context=world.row_json(model) if entering else literal("{}"),
    )
    assert isinstance(query, exp.Select)  # the text above is one SELECT
    if entering:
        key = world.text(model, model.key or "")
        query = query.join(
            model.relation.table("t"), on=exp.EQ(this=key, expression=exp.column("user_id", table="m")), copy=False
        )
        if campaign.enter.where:
            query = query.where(world.where(model, campaign.enter.where), copy=False)
    return query.where(*_changes(world, campaign, exp.column("changed_at", table="m")), copy=False)


def _changes(world: World, campaign: Campaign, changed: exp.Expr) -> Iterator[exp.Expr]:
    if campaign.enter.since is not None:
        yield exp.GTE(this=changed.copy(), expression=literal(campaign.enter.since))
    else:
        # People found in the segment at the launch were there before it.
        yield exp.GT(this=changed.copy(), expression=_launch(world, campaign))
    if campaign.active.from_ is not None:
        yield exp.GTE(this=changed.copy(), expression=literal(campaign.active.from_))
    if campaign.active.until is not None:
        yield exp.LT(this=changed.copy(), expression=literal(campaign.active.until))
    if campaign.campaign in world.known:
        read = world.time(f"changed_{campaign.campaign}", lambda moment: moment.bookmark(campaign.campaign).scanned_to)
        yield exp.GT(this=changed.copy(), expression=read)


def _launch(world: World, campaign: Campaign) -> exp.Expr:
    return world.time(f"launch_{campaign.campaign}", lambda moment: moment.bookmark(campaign.campaign).launched_at)


def _written(instant: exp.Expr) -> exp.Expr:
    """An instant as YYYY-MM-DDTHH:MM:SS.ffffffZ, the same on every warehouse."""
    # In two parts, since PostgreSQL reads the TH of DDTHH24 as an ordinal's ending.
    day = exp.TimeToStr(this=instant.copy(), format=literal("%Y-%m-%d"))
    time = exp.TimeToStr(this=instant.copy(), format=literal("%H:%M:%S.%f"))
    parts = [day, literal("T"), time, literal("Z")]
    whole: exp.Expr = parts[0]
    for part in parts[1:]:
        whole = exp.DPipe(this=whole, expression=part)
    return whole
