"""Generated rules: policies, and campaigns with every key that a campaign can have."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from random import Random
from typing import Any

from activate.campaign import Campaign
from activate.policy import FrequencyCap, Policy, TimeWindow
from activate.testing.worlds import FILTERS
from activate.testing.worlds_random import chance, one_of, pick
from activate.words import parse_wait

WAITS = (
    *["0 seconds"] * 6, "30 minutes", "1 hour", "1 day", "in 1 day at 06:00", "in 1 day at 02:30", "in 2 days at 00:00",
    "next sunday at 02:30", "next monday at 09:00",
)  # fmt: skip
HOURS = (
    *[("09:00", "21:00")] * 5, *[("22:00", "08:00")] * 3, ("08:00", "22:00"), ("02:15", "02:45"), ("01:30", "03:00"),
    ("23:30", "01:30"), ("00:00", "06:00"), ("12:00", "11:30"),
)  # fmt: skip
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
PERIODS = ("1 hour", "6 hours", "1 day", "1 day", "7 days", "calendar day", "calendar week", "calendar month")
MATCHES = (None, None, "cart_id", "cart_id", "item_id", "coupon")
STEP_CHANNELS = (("push",), ("email",), ("sms",), ("push", "email"), ("email", "push", "sms"))

Instants = Sequence[dt.datetime]


def make_window(rng: Random) -> TimeWindow:
    """A time window, long or short, over midnight or in a gap of the clocks."""
    opens, closes = one_of(rng, HOURS)
    weekdays = pick(rng, *[WEEKDAYS] * 7, WEEKDAYS[5:], WEEKDAYS[:5], WEEKDAYS[6:])
    return TimeWindow.model_validate(
        {
            "open": opens,
            "close": closes,
            "weekdays": weekdays,
            "zone": pick(rng, "recipient", "recipient", "recipient", "Europe/Berlin"),
            "unknown_zone": pick(rng, "suppress", "Asia/Tokyo", "America/New_York"),
            "when_closed": pick(rng, "wait", "wait", "wait", "drop"),
            "triggered_outside": pick(rng, "allow", "allow", "allow", "drop"),
            "held": pick(rng, "latest_per_campaign", "latest", "all"),
        }
    )


def make_cap(rng: Random, campaigns: Sequence[str]) -> FrequencyCap:
    """A frequency cap, most without filters; limit 0 is a block."""
    filters: dict[str, str] = {}
    if chance(rng, 3):
        filters["channel"] = pick(rng, "push", "email", "sms")
        filters["by"] = pick(rng, "person", "address")
    if chance(rng, 4):
        filters["tag"] = pick(rng, "promotion", "news")
    if chance(rng, 8):
        filters["campaign"] = one_of(rng, campaigns)
    if chance(rng, 5):
        filters["class"] = pick(rng, "marketing", "transactional")
    limit = pick(rng, 1, 1, 2, 3, 0) if filters else pick(rng, 1, 1, 2, 3)
    return FrequencyCap.model_validate({"limit": limit, "per": one_of(rng, PERIODS), **filters})


def make_policy(rng: Random, campaigns: Sequence[str]) -> Policy:
    """A policy over the worlds' profiles and events. Some of `campaigns` are named by its caps."""
    return Policy.model_validate(
        {
            "profiles": {"model": "profiles", "key": "user_id", "time_zone": None if chance(rng, 15) else "time_zone"},
            "events": {
                "model": "events",
                "id": "event_id",
                "key": "user_id",
                "name": "event_name",
                "time": "occurred_at",
                "loaded": None if chance(rng, 6) else "loaded_at",
                "properties": "properties",
            },
            "channels": {
                "push": {
                    "address": "push_token",
                    "consent": "push_consent",
                    "provider": "pushes",
                    "registered": "push_at" if chance(rng, 2) else None,
                },
                "email": {"address": "email", "consent": "email_consent", "provider": "mails"},
                "sms": {"address": "phone", "provider": "texts"},
            },
            "time_window": None if chance(rng, 3) else make_window(rng),
            "frequency_caps": [make_cap(rng, campaigns) for _ in range(pick(rng, 0, 1, 1, 2, 2, 3))],
            "global_control": pick(rng, 0.2, None, 0.0, None, 0.2),
            "scan": {
                "overlap": pick(rng, 0, 3600, 86_400),
                "max_lateness": pick(rng, 3600, 86_400, 604_800, 604_800),
                "settle": pick(rng, 0, 0, 0, 1800),
                "remember": pick(rng, 30 * 86_400, 30 * 86_400, 0, 3600),
            },
        }
    )


def _exception(rng: Random) -> dict[str, Any]:
    return {
        "event": pick(rng, "purchase", "purchase", "cancel"),
        "match": one_of(rng, MATCHES),
        "where": one_of(rng, tuple(FILTERS)) if chance(rng, 4) else None,
    }


def _step(rng: Random) -> dict[str, Any]:
    wait = parse_wait(one_of(rng, WAITS))
    life = pick(rng, *[None] * 9, 1800, 7200, 86_400)
    return {
        "wait": wait,
        "channels": one_of(rng, STEP_CHANNELS),
        "template": "hello",
        "expires": life if life is None or chance(rng, 5) else wait.longest + life,
    }


def _window(rng: Random, class_: str) -> object:
    if chance(rng, 4):
        return "none"
    # A transactional campaign has no window of its own: which one would then say what an unknown zone is?
    return make_window(rng) if class_ == "marketing" and chance(rng, 3) else None


def _enter(rng: Random, model: str, instants: Instants) -> dict[str, Any]:
    where = one_of(rng, tuple(FILTERS)) if chance(rng, 3) else None
    since = one_of(rng, instants) if chance(rng, 4) else None
    if "segment" in model:
        on = pick(rng, "enter", "enter", "exit")
        return {"segment": model, "on": on, "where": where if on == "enter" else None, "since": since}
    lateness = pick(rng, *[None] * 6, 0, 3600, 172_800)
    return {"trigger": model, "where": where, "since": since, "max_lateness": lateness}


def _active(rng: Random, instants: Instants) -> dict[str, Any]:
    from_ = one_of(rng, instants) if chance(rng, 8) else None
    until = one_of(rng, instants) if chance(rng, 8) else None
    return {"from": from_, "until": until if until and (not from_ or from_ < until) else None}


def _audience(rng: Random, segments: Sequence[str]) -> dict[str, Any]:
    side = pick(rng, *[None] * 5, "in", "not_in", "not_in")
    lists = {side: (one_of(rng, segments),)} if side and segments else {}
    return {**lists, "recheck": not chance(rng, 4)}


def _guard(rng: Random) -> object:
    """The worlds' people are a hundred or two, so that 1% of them is a message or two."""
    limit = pick(rng, *[None] * 12, 1, 2, 4, "0.7%", "1.45%", "3%")
    return None if limit is None else {"max_messages": limit}


def draft_campaign(rng: Random, name: str, model: str, segments: Sequence[str], instants: Instants) -> dict[str, Any]:
    """A campaign that people of `model` enter, as its file would have it."""
    class_ = pick(rng, *["marketing"] * 5, "transactional")
    return {
        "campaign": name,
        "priority": pick(rng, 50, 50, 10, 60),
        "class": class_,
        "tags": pick(rng, (), ("promotion",), ("news",), ("promotion", "news")),
        "active": _active(rng, instants),
        "enter": _enter(rng, model, instants),
        "re_enter": pick(rng, "never", *["always"] * 3, {"after": 0}, {"after": 3600}, {"after": 86_400}),
        "on_retrigger": pick(rng, "ignore", "restart", "stack", "stack", "stack"),
        "match": one_of(rng, MATCHES) if chance(rng, 3) else None,
        "audience": _audience(rng, segments),
        "exceptions": [_exception(rng) for _ in range(pick(rng, 0, 0, 1, 1, 2))],
        "control": pick(rng, *[None] * 6, 0.0, 0.3, 1.0),
        "variants": pick(rng, (), (), ({"name": "a"}, {"name": "b", "weight": 2}, {"name": "c"})),
        "steps": [_step(rng) for _ in range(pick(rng, 1, 1, 2, 3))],
        "time_window": _window(rng, class_),
        "when_capped": pick(rng, "drop", "wait"),
        "counts_toward_caps": pick(rng, None, None, None, True, False),
        "guard": _guard(rng),
        "on_suppressed": pick(rng, "advance", "advance", "exit"),
        "on_edit": pick(rng, "keep", "adopt"),
    }


def patient(rng: Random, draft: dict[str, Any]) -> dict[str, Any]:
    """The campaign, made so that several of a person's messages are often held back overnight together."""
    window = {"open": "09:00", "close": "21:00", "unknown_zone": "Asia/Tokyo", "held": pick(rng, "latest", "all")}
    return {
        **draft,
        "class": "marketing",
        "active": {},
        "enter": {key: None if key in ("where", "since") else value for key, value in draft["enter"].items()},
        "re_enter": "always",
        "on_retrigger": "stack",
        "audience": {},
        "exceptions": [],
        "steps": [{"channels": one_of(rng, STEP_CHANNELS), "template": "hello"} for _ in range(pick(rng, 1, 2))],
        "time_window": window if chance(rng, 3) else {**window, "held": "latest_per_campaign"},
    }


_FIXED = ("campaign", "class", "enter")


def _edit(rng: Random, old: dict[str, Any], segments: Sequence[str], instants: Instants) -> dict[str, Any]:
    """The campaign with one to three of its keys as in another one; how people enter stays."""
    other = draft_campaign(rng, old["campaign"], "", segments, instants)
    keys = rng.sample([key for key in old if key not in _FIXED], rng.randint(1, 3))
    changed = {**old, **{key: other[key] for key in keys}}
    return old if isinstance(changed["time_window"], TimeWindow) and changed["class"] == "transactional" else changed


def campaigns_by_tick(
    rng: Random, drafts: Sequence[dict[str, Any]], ticks: int, segments: Sequence[str], instants: Instants
) -> list[tuple[Campaign, ...]]:
    """The campaigns in force at each tick: half of the time, one is edited, launched late, taken away or put back."""
    campaigns = [Campaign.model_validate(draft) for draft in drafts]
    rules = [list(campaigns) for _ in range(ticks)]
    if chance(rng, 2):
        index, at = rng.randrange(len(drafts)), rng.randint(1, ticks - 1)
        kind = pick(rng, "edit", "edit", "edit", "remove", "launch", "pause")
        edited = Campaign.model_validate(_edit(rng, drafts[index], segments, instants))
        for tick, in_force in enumerate(rules):
            if kind == "edit" and tick >= at:
                in_force[index] = edited
            elif (kind, tick >= at) in (("remove", True), ("launch", False)) or (kind, tick) == ("pause", at):
                del in_force[index]
    return [tuple(in_force) for in_force in rules]
