"""Hypothesis strategies for batches of worlds.

Hypothesis draws a seed and a plain random source makes the batch from it: a batch takes some ten thousand draws, more
than one example of hypothesis may take. What hypothesis cannot shrink then, `worlds_reduce` does.

The engine's time goes by campaigns, not by people, so the worlds of one town share its rules.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from hypothesis import strategies as st

from activate.campaign import Campaign
from activate.policy import Policy
from activate.project import Model
from activate.testing.oracle_state import Row
from activate.testing.worlds import FATES, Batch, Leave, Moment, World, model
from activate.testing.worlds_people import (
    Key,
    make_events,
    make_triggers,
    profiles_by_tick,
    segment_by_tick,
    suppressions_by_tick,
)
from activate.testing.worlds_random import chance, one_of, pick
from activate.testing.worlds_rules import Instants, campaigns_by_tick, draft_campaign, make_policy, patient

# Instants around which clocks change in some zone, a week, a month or a day ends, or nothing happens at all.
TURNS = tuple(
    dt.datetime.fromisoformat(text)
    for text in (
        "2026-03-08T07:00", "2026-11-01T06:00", "2026-03-29T01:00", "2026-10-25T01:00", "2026-04-04T15:00",
        "2026-10-03T15:30", "2026-04-23T22:00", "2026-10-29T21:00", "2026-09-06T04:00", "2026-04-05T03:00",
        "2026-05-31T22:00", "2026-06-14T23:00", "2026-07-15T12:00",
    )
)  # fmt: skip
GAPS = (0, 1, 1800, 3600, 7200, *[43_200] * 4, 21_600, 36_000, 82_800, 86_400, 86_400, 90_000, 172_800, 604_800)
SPANS = (0, 1800, 3600, 86_400)
TOWNS = 12
WORLDS_PER_TOWN = 20


def make_ticks(rng: Random) -> tuple[dt.datetime, ...]:
    """Four or five ticks, on half hours, around an instant at which clocks change."""
    ticks = [one_of(rng, TURNS) + dt.timedelta(minutes=30) * rng.randint(-60, 4)]
    for _ in range(rng.randint(3, 4)):
        ticks.append(ticks[-1] + dt.timedelta(seconds=one_of(rng, GAPS)))
    return tuple(ticks)


def interesting_instants(ticks: Sequence[dt.datetime], policy: Policy) -> tuple[dt.datetime, ...]:
    """Instants at, and just beside, every threshold that a tick can have; most of them after the launch."""
    scan = policy.scan
    spans = sorted({*SPANS, scan.overlap, scan.max_lateness, scan.settle})
    grid = [tick - dt.timedelta(seconds=span) for tick in ticks for span in spans]
    inside = [instant for instant in grid if instant >= ticks[0]]
    beside = [instant + dt.timedelta(seconds=second) for instant in inside for second in (-1, 1)]
    return (*inside * 6, *beside, *grid, *tuple(ticks[:-1]) * 6, *ticks)


@dataclass(frozen=True)
class Town:
    """The rules and models that some worlds share: `tN_a`, `tN_b`, `tN_c` over `tN_cart` and perhaps `tN_segment`."""

    models: dict[str, Model]
    rules: list[tuple[Campaign, ...]]


def make_town(rng: Random, number: int, ticks: Sequence[dt.datetime], instants: Instants) -> Town:
    """One town's models, and its campaigns at each tick."""
    cart, segment = f"t{number}_cart", f"t{number}_segment"
    models = {cart: model(cart, "trigger", loaded=not chance(rng, 5))}
    if chance(rng, 2):
        models[segment] = model(segment, "segment")
    segments = [name for name in models if name == segment]
    drafts = [
        draft_campaign(rng, f"t{number}_{letter}", one_of(rng, (cart, cart, *models)), segments, instants)
        for letter in pick(rng, "a", "ab", "ab", "abc")
    ]
    if chance(rng, 6):
        drafts = [patient(rng, draft) for draft in drafts]
    return Town(models, campaigns_by_tick(rng, drafts, len(ticks), segments, instants))


def make_world(rng: Random, number: int, town: Town, instants: Instants, integer_keys: bool) -> World:
    """One world: people `wN_p0`, `wN_p1`, ... (or N * 100, ...) and what they do in a town."""
    name, ticks = f"w{number}", len(town.rules)
    size = pick(rng, 1, 1, 2, 3)
    people: list[Key] = [number * 100 + index if integer_keys else f"{name}_p{index}" for index in range(size)]
    triggers = make_triggers(rng, name, people, instants)
    tables: dict[str, Sequence[tuple[Row, ...]]] = {
        "events": [tuple(make_events(rng, name, triggers, people, instants))] * ticks,
        "profiles": profiles_by_tick(rng, name, people, ticks, instants),
    }
    told = suppressions_by_tick(rng, tables["profiles"], people, instants)
    for each in town.models.values():
        tables[each.name] = [tuple(triggers)] * ticks if each.kind == "trigger" else segment_by_tick(rng, people, ticks)
    fates = tuple(one_of(rng, FATES) for _ in range(3))
    moments = [
        Moment(campaigns, {table: rows[tick] for table, rows in tables.items()}, fates, told[tick])
        for tick, campaigns in enumerate(town.rules)
    ]
    return World(name, town.models, tuple(moments))


def make_approvals(rng: Random, campaigns: Sequence[str], ticks: Sequence[dt.datetime]) -> Iterator[Leave]:
    """Approvals, of no use where the campaign has no guard; a campaign's have different ceilings."""
    for campaign in campaigns:
        for ceiling in rng.sample(range(2, 16), pick(rng, 1, 2, 3)):
            tick = rng.randrange(len(ticks))
            yield Leave(
                tick,
                campaign,
                ceiling,
                one_of(rng, ticks[tick:]) if chance(rng, 3) else ticks[-1] + dt.timedelta(days=1),
            )


def make_batch(seed: int, towns: int = TOWNS, worlds_per_town: int = WORLDS_PER_TOWN) -> Batch:
    """The batch that belongs to the seed."""
    rng = Random(seed)  # noqa: S311 - no secret depends on it
    ticks = make_ticks(rng)
    policy = make_policy(rng, [f"t{number}_a" for number in range(towns)])
    instants = interesting_instants(ticks, policy)
    integer_keys, instants_with_zone = chance(rng, 4), chance(rng, 4)
    worlds: list[World] = []
    for number in range(towns):
        town = make_town(rng, number, ticks, instants)
        for _ in range(worlds_per_town):
            worlds.append(make_world(rng, len(worlds), town, instants, integer_keys))
    leave = tuple(make_approvals(rng, [f"t{number}_{letter}" for number in range(towns) for letter in "ab"], ticks))
    return Batch(policy, ticks, tuple(worlds), integer_keys, instants_with_zone, leave)


def seeds() -> st.SearchStrategy[int]:
    """Seeds of batches. A failing example prints its seed; `make_batch(seed)` makes the batch again."""
    return st.integers(0, 2**64 - 1)
