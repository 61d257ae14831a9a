"""Generated people and what they do: profiles that change, triggers, exception events, segments."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from random import Random
from typing import Any

from activate.address import address_hash
from activate.testing.oracle_state import Row
from activate.testing.worlds_random import chance, one_of, pick

ZONES = (
    "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kolkata", "Pacific/Apia",
    "Asia/Tokyo", "Africa/Cairo", "Atlantic/Azores", "America/St_Johns", "America/Santiago", "UTC",
)  # fmt: skip
NO_ZONES = (None, "(GMT-08:00) Pacific", "Mars/Olympus", "Europe/Berlin ")

Key = str | int
Instants = Sequence[dt.datetime]


def _profile(rng: Random, user_id: Key, world: str, instants: Instants) -> dict[str, Any]:
    rich = not chance(rng, 6)
    # An address is sometimes shared, and written in more than one way; it is never shared with another world.
    mail = pick(rng, f"{user_id}@{world}", f"{user_id}@{world}", f"Shared@{world}", f"shared@{world.upper()} ")
    number = pick(rng, f"+1 (5) {world[1:]}", f"+15{world[1:]}", f"0015-{world[1:]}")
    token = pick(rng, f"{world} a", f"{world} a", f"{world} A")
    return {
        "user_id": user_id,
        "time_zone": one_of(rng, ZONES) if not chance(rng, 6) else one_of(rng, NO_ZONES),
        "push_token": token if rich else pick(rng, token, "", None),
        "push_consent": True if rich else pick(rng, True, False, None),
        "email": mail if rich else pick(rng, mail, None),
        "email_consent": "opted_in" if rich else pick(rng, "subscribed", "unsubscribed", None, "Opted_In"),
        "phone": number if rich else pick(rng, number, None),
        "push_at": one_of(rng, instants) if chance(rng, 2) else None,
    }


def profiles_by_tick(
    rng: Random, world: str, people: Sequence[Key], ticks: int, instants: Instants
) -> list[tuple[Row, ...]]:
    """The profiles at each tick: now and then somebody moves, changes their mind, disappears or appears twice."""
    rows: dict[Key, list[Row]] = {user_id: [_profile(rng, user_id, world, instants)] for user_id in people}
    found: list[tuple[Row, ...]] = []
    for _ in range(ticks):
        found.append(tuple(row for person in rows.values() for row in person))
        if chance(rng, 3):
            user_id = one_of(rng, people)
            new: Row = _profile(rng, user_id, world, instants)
            rows[user_id] = pick(rng, *[[new]] * 10, [], [new, new])
    return found


def suppressions_by_tick(
    rng: Random, profiles: Sequence[tuple[Row, ...]], people: Sequence[Key], instants: Instants
) -> list[tuple[Row, ...]]:
    """What was told just before each tick about addresses (and people) that are not to be used, or may be again."""
    found: list[tuple[Row, ...]] = []
    columns = {"push": "push_token", "email": "email", "sms": "phone"}
    busy = chance(rng, 2)
    for rows in profiles:
        told: list[Row] = []
        for _ in range(pick(rng, 0, 0, 1, 2) if busy else 0):
            channel = one_of(rng, tuple(columns))
            addresses = [row[columns[channel]] for row in rows if row[columns[channel]]]
            by_person = not addresses or chance(rng, 4)
            told.append(
                {
                    "channel": channel,
                    "address_hash": None if by_person else address_hash(channel, one_of(rng, addresses)),
                    "user_id": str(one_of(rng, people)) if by_person else None,
                    "reason": pick(rng, "unregistered", "hard_bounce", "opted_out", "opted_out", "complained"),
                    "status": pick(rng, "suppressed", "suppressed", "released"),
                    "provider": "somebody",
                    "occurred_at": one_of(rng, instants),
                    "run_id": "ingestion",
                    "recorded_at": instants[0],
                }
            )
        found.append(tuple(told))
    return found


def _values(rng: Random) -> dict[str, Any]:
    return {
        "cart_id": pick(rng, "c1", "c1", "c2", None),
        "item_id": pick(rng, 1, 2, None),
        "cart_value": pick(rng, 50, 100, 101, 200, None),
        "kind": pick(rng, "a", "b", "c", None),
        "coupon": pick(rng, "x", "y", None),
    }


def _loaded(rng: Random, at: dt.datetime, instants: Instants) -> dt.datetime | None:
    if chance(rng, 40):
        return None  # never loaded, as far as anybody can tell
    return at if not chance(rng, 4) else max(at, one_of(rng, instants))


def make_triggers(rng: Random, world: str, people: Sequence[Key], instants: Instants) -> list[dict[str, Any]]:
    """Rows of a trigger model: some loaded late, some twice, perhaps with another time, some without a key or an id."""
    rows: list[dict[str, Any]] = []
    for number in range(rng.randint(4, 12)):
        at = one_of(rng, instants)
        row = {
            "event_id": f"{world}_{number}" if not chance(rng, 25) else None,
            "user_id": one_of(rng, people) if not chance(rng, 25) else None,
            "occurred_at": at,
            "loaded_at": _loaded(rng, at, instants),
            **_values(rng),
        }
        if rows and chance(rng, 6):
            row = _twin(rng, row, one_of(rng, rows))
        rows.append(_as_before(row, rows))
    return rows


def _as_before(row: dict[str, Any], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The row; but the same thing at the same time is the same thing: of two versions, which one would count?"""
    key = ("event_id", "user_id", "occurred_at")
    same = next((each for each in rows if all(each[name] == row[name] for name in key)), row)
    return {**same, "loaded_at": row["loaded_at"]}


def _twin(rng: Random, row: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """A second row with the id of `other`: another person's, the same thing at another time, or loaded again."""
    if chance(rng, 3):
        return {**row, "event_id": other["event_id"]}
    if chance(rng, 3):
        return {**other, "loaded_at": row["loaded_at"] and max(other["occurred_at"], row["loaded_at"])}
    return {**row, "event_id": other["event_id"], "user_id": other["user_id"]}


def _event(rng: Random, row: dict[str, Any], name: str) -> Row:
    values = _values(rng) if chance(rng, 3) else row
    coupon = values["coupon"]
    return {
        **{key: row[key] for key in ("event_id", "user_id", "occurred_at", "loaded_at")},
        "event_name": name,
        **{key: values[key] for key in ("cart_id", "item_id", "cart_value", "kind")},
        "properties": None if coupon is None and chance(rng, 2) else {"coupon": coupon},
    }


def make_events(
    rng: Random, world: str, triggers: Sequence[dict[str, Any]], people: Sequence[Key], instants: Instants
) -> list[Row]:
    """Exception events: at or beside a trigger's instant, at a threshold, told late, or the trigger's own row again."""
    rows: list[Row] = []
    for number in range(rng.randint(0, 4)):
        name = pick(rng, "purchase", "purchase", "cancel", "visit")
        base = one_of(rng, triggers)
        if base["event_id"] is not None and chance(rng, 4):
            rows.append(_event(rng, base, name))
            continue
        beside = base["occurred_at"] + dt.timedelta(microseconds=pick(rng, -1000, 0, 0, 1))
        at = beside if chance(rng, 2) else one_of(rng, instants)
        owner = base["user_id"] if chance(rng, 2) else one_of(rng, people)
        row = {**base, "event_id": f"{world}_e{number}", "user_id": owner, "occurred_at": at}
        rows.append(_event(rng, {**row, "loaded_at": _loaded(rng, at, instants)}, name))
    for number, base in enumerate(triggers):
        if base["event_id"] is not None and chance(rng, 2):  # right after the trigger, but told at the end
            late = {"event_id": f"{world}_late{number}", "loaded_at": instants[-1]}
            rows.append(_event(rng, {**base, **late}, "purchase"))
    return rows


def segment_by_tick(rng: Random, people: Sequence[Key], ticks: int) -> list[tuple[Row, ...]]:
    """A segment's rows at each tick: people come and go; sometimes a row has no key, or is there twice."""
    rows = {user_id: {"user_id": user_id, **_values(rng)} for user_id in people}
    members = {user_id: chance(rng, 3) for user_id in people}
    found = []
    for _ in range(ticks):
        inside: list[Row] = [rows[user_id] for user_id in people if members[user_id]]
        if chance(rng, 10):
            inside.append({"user_id": None, **_values(rng)})
        if inside and chance(rng, 10):
            inside.append(inside[0])
        found.append(tuple(inside))
        for user_id in people:
            if chance(rng, 3):
                members[user_id] = not members[user_id]
    return found
