"""Hypothesis strategies for batches of worlds.

Hypothesis draws a seed and a plain random source makes the batch from it: a batch takes some ten thousand draws, more than
one example of hypothesis may take. What hypothesis cannot shrink then, `worlds_reduce` does.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from random import Random

from hypothesis import strategies as st

from activate.policy import Policy
from activate.testing.oracle_state import Row
from activate.testing.worlds import FATES, Batch, Moment, World, model
from activate.testing.worlds_people import Key, make_events, make_triggers, profiles_by_tick, segment_by_tick
from activate.testing.worlds_random import chance, one_of, pick
from activate.testing.worlds_rules import campaigns_by_tick, draft_campaign, make_policy

# Instants around which clocks change in some zone, a week, a month or a day ends, or nothing happens at all.
TURNS = tuple(
    dt.datetime.fromisoformat(text)
    for text in (
        "2026-03-08T07:00", "2026-11-01T06:00", "2026-03-29T01:00", "2026-10-25T01:00", "2026-04-04T15:00",
        "2026-10-03T15:30", "2026-04-23T22:00", "2026-10-29T21:00", "2026-09-06T04:00", "2026-04-05T03:00",
        "2026-05-31T22:00", "2026-06-14T23:00", "2026-07-15T12:00",
    )
)  # fmt: skip
GAPS = (1, 1800, 3600, 7200, *[43_200] * 4, 21_600, 36_000, 82_800, 86_400, 86_400, 90_000, 172_800, 604_800)
SPANS = (0, 1800, 3600, 86_400)


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
    return (*inside * 6, *beside, *grid, *ticks[:-1] * 6, *ticks)


def make_world(rng: Random, number: int, policy: Policy, ticks: tuple[dt.datetime, ...], integer_keys: bool) -> World:
    """One world under a policy, over these ticks. Its campaigns are `wN_a`, `wN_b`, `wN_c`."""
    name = f"w{number}"
    size = pick(rng, 1, 1, 2, 3)
    people: list[Key] = [number * 100 + index if integer_keys else f"{name}_p{index}" for index in range(size)]
    instants = interesting_instants(ticks, policy)
    cart, segment = f"{name}_cart", f"{name}_segment"
    triggers = make_triggers(rng, name, people, instants)
    models = {cart: model(cart, "trigger", loaded=not chance(rng, 5))}
    tables: dict[str, Sequence[tuple[Row, ...]]] = {
        cart: [tuple(triggers)] * len(ticks),
        "events": [tuple(make_events(rng, name, triggers, people, instants))] * len(ticks),
        "profiles": profiles_by_tick(rng, people, len(ticks)),
    }
    if chance(rng, 2):
        models[segment] = model(segment, "segment")
        tables[segment] = segment_by_tick(rng, people, len(ticks))
    segments = [segment] if segment in models else []
    drafts = [
        draft_campaign(rng, f"{name}_{letter}", one_of(rng, (cart, cart, *models)), segments, instants)
        for letter in pick(rng, "a", "ab", "ab", "abc")
    ]
    rules = campaigns_by_tick(rng, drafts, len(ticks), segments, instants)
    fates = tuple(one_of(rng, FATES) for _ in range(3))
    moments = [
        Moment(campaigns, {table: rows[tick] for table, rows in tables.items()}, fates)
        for tick, campaigns in enumerate(rules)
    ]
    return World(name, models, tuple(moments))


def make_batch(seed: int, size: int) -> Batch:
    """The batch of `size` worlds that belongs to the seed."""
    rng = Random(seed)
    ticks = make_ticks(rng)
    policy = make_policy(rng, [f"w{number}_a" for number in range(min(size, 5))])
    integer_keys = chance(rng, 4)
    worlds = tuple(make_world(rng, number, policy, ticks, integer_keys) for number in range(size))
    return Batch(policy, ticks, worlds, integer_keys, instants_with_zone=chance(rng, 4))


def seeds() -> st.SearchStrategy[int]:
    """Seeds of batches. A failing example prints its seed; `make_batch(seed, size)` makes the batch again."""
    return st.integers(0, 2**64 - 1)
