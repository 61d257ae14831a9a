"""Makes a failing batch as small as it can be, and prints it so that a person can follow it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from activate.campaign import Campaign
from activate.testing.worlds import Batch, Moment, World
from activate.testing.worlds_compare import Difference, written


def reduce(batch: Batch, fails: Callable[[Batch], bool], attempts: int = 300) -> Batch:
    """The smallest batch found that still fails, by leaving out one thing after the other, so many times at most."""
    for world in batch.worlds:
        if len(batch.worlds) > 1 and fails(alone := replace(batch, worlds=(world,))):
            batch = alone
            break
    index, progress = 0, False
    for _ in range(attempts):
        options = list(_smaller(batch))
        if index >= len(options):
            if not progress:
                break
            index, progress = 0, False
        elif options[index] != batch and fails(options[index]):
            batch, progress = options[index], True  # what came next has moved up to the same index
        else:
            index += 1
    return batch


def _smaller(batch: Batch) -> Iterator[Batch]:
    """Batches with one thing less, the largest things first."""
    if len(batch.worlds) > 1:
        yield from (replace(batch, worlds=batch.worlds[:i] + batch.worlds[i + 1 :]) for i in range(len(batch.worlds)))
    for index in reversed(range(len(batch.ticks))):
        worlds = tuple(replace(w, moments=w.moments[:index] + w.moments[index + 1 :]) for w in batch.worlds)
        if len(batch.ticks) > 1:
            leave = tuple(replace(a, tick=a.tick - (a.tick > index)) for a in batch.approvals if a.tick != index)
            ticks = batch.ticks[:index] + batch.ticks[index + 1 :]
            yield replace(batch, ticks=ticks, worlds=worlds, approvals=leave)
    if len(batch.worlds) == 1:
        yield from (replace(batch, worlds=(world,)) for world in _smaller_worlds(batch.worlds[0]))
    for name, plain in (("time_window", None), ("global_control", None), ("scan", type(batch.policy.scan)())):
        if getattr(batch.policy, name) != plain:
            yield replace(batch, policy=batch.policy.model_copy(update={name: plain}))
    caps = batch.policy.frequency_caps
    for index in range(len(caps)):
        fewer = batch.policy.model_copy(update={"frequency_caps": caps[:index] + caps[index + 1 :]})
        yield replace(batch, policy=fewer)
    for index in range(len(batch.approvals)):
        yield replace(batch, approvals=batch.approvals[:index] + batch.approvals[index + 1 :])
    if batch.instants_with_zone:
        yield replace(batch, instants_with_zone=False)


def _smaller_worlds(world: World) -> Iterator[World]:
    names = {campaign.campaign for moment in world.moments for campaign in moment.campaigns}
    for name in sorted(names):
        yield _each_moment(world, partial(_without_campaign, name=name))
    for moment in world.moments:
        yield _each_moment(world, partial(replace, campaigns=moment.campaigns))
    tables = [(table, row) for moment in world.moments for table, found in moment.tables.items() for row in found]
    for person in sorted({str(row.get("user_id")) for _, row in tables}):
        yield _each_moment(world, partial(_without_person, person=person))
    for table, text in sorted({(table, repr(row)) for table, row in tables}):
        yield _each_moment(world, partial(_without_row, table=table, text=text))
    if any(moment.fates != ((),) for moment in world.moments):
        yield _each_moment(world, partial(replace, fates=((),)))
    for moment in world.moments:
        if moment.suppressions:
            yield replace(
                world, moments=tuple(replace(m, suppressions=()) if m is moment else m for m in world.moments)
            )
    for name in sorted(names):
        yield from _simpler_campaigns(world, name)


def _each_moment(world: World, change: Callable[[Moment], Moment]) -> World:
    return replace(world, moments=tuple(change(moment) for moment in world.moments))


def _without_campaign(moment: Moment, name: str) -> Moment:
    return replace(moment, campaigns=tuple(each for each in moment.campaigns if each.campaign != name))


def _without_person(moment: Moment, person: str) -> Moment:
    tables = moment.tables.items()
    return replace(
        moment, tables={k: tuple(row for row in rows if str(row.get("user_id")) != person) for k, rows in tables}
    )


def _without_row(moment: Moment, table: str, text: str) -> Moment:
    rows = tuple(row for row in moment.tables[table] if repr(row) != text)
    return replace(moment, tables={**moment.tables, table: rows})


def _with_key(moment: Moment, name: str, key: str, value: object) -> Moment:
    campaigns = (c.model_copy(update={key: value}) if c.campaign == name else c for c in moment.campaigns)
    return replace(moment, campaigns=tuple(campaigns))


def _simpler_campaigns(world: World, name: str) -> Iterator[World]:
    """The world with one key of the campaign as if it had not been written, or with one step less."""
    versions = [c for moment in world.moments for c in moment.campaigns if c.campaign == name]
    for key, info in Campaign.model_fields.items():
        if not info.is_required() and any(getattr(version, key) != info.default for version in versions):
            yield _each_moment(world, partial(_with_key, name=name, key=key, value=info.default))
    steps = versions[0].steps
    for index in range(len(steps) if len(steps) > 1 else 0):
        fewer = steps[:index] + steps[index + 1 :]
        yield _each_moment(world, partial(_with_key, name=name, key="steps", value=fewer))


# -- printing -----------------------------------------------------------------------------------------------------


def describe(batch: Batch, found: Sequence[Difference]) -> str:
    """The batch and the differences as text: what each tick saw when it saw something new, then what went wrong."""
    policy = batch.policy.model_dump_json(by_alias=True, exclude_defaults=True, exclude={"events", "channels"})
    lines = [f"policy: {policy}", *(f"{leave}" for leave in batch.approvals)]
    for world in batch.worlds:
        lines += [f"world {world.name}: " + ", ".join(f"{m.name} ({m.kind})" for m in world.models.values())]
        seen: set[str] = set()
        for now, moment in zip(batch.ticks, world.moments, strict=True):
            lines.append(f"  tick {now.isoformat()}")
            lines += [f"    {line}" for line in _news(moment) if line not in seen]
            lines += [f"    no longer: {line}" for line in sorted(seen - set(_news(moment)))]
            seen = set(_news(moment))
    return "\n".join([*lines, f"{len(found)} differences:", *map(str, found[:12])])


def _news(moment: Moment) -> list[str]:
    lines = [f"campaign {_rules(campaign)}" for campaign in moment.campaigns]
    lines += [f"{table}: {written(row)}" for table, rows in moment.tables.items() for row in rows]
    lines += [f"told: {written(row)}" for row in moment.suppressions]
    return lines + ([f"fates: {moment.fates}"] if moment.fates != ((),) else [])


def _rules(campaign: Campaign) -> str:
    data = json.loads(campaign.canonical())
    return ", ".join(f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in data.items())
