"""A project that uses every rule: what the golden SQL is made from."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from activate.bookmarks import Bookmark, Bookmarks, StoredVersion
from activate.campaign import Campaign
from activate.policy import Policy
from activate.project import Model, Project, Relation

NOW = dt.datetime(2026, 6, 15, 12, 0)
BEFORE = NOW - dt.timedelta(minutes=10)

_COLUMNS = {
    "profiles": {
        "user_id": "text", "time_zone": "text", "email": "text", "email_consent": "boolean", "push_token": "text",
        "push_consent": "text", "push_at": "timestamp with time zone",
    },
    "events": {
        "event_id": "bigint", "user_id": "text", "event_name": "text", "occurred_at": "timestamp",
        "loaded_at": "timestamp", "properties": "json", "cart_id": "text",
    },
    "carts": {
        "event_id": "bigint", "user_id": "text", "occurred_at": "timestamp with time zone", "loaded_at": "timestamp",
        "cart_id": "text", "cart_value": "double precision", "Odd name": "text",
    },
    "vip": {"user_id": "bigint", "spent": "numeric"},
    "staff": {"user_id": "text"},
}  # fmt: skip


def policy(**more: Any) -> Policy:
    return Policy.model_validate(
        {
            "profiles": {"model": "profiles", "key": "user_id", "time_zone": "time_zone"},
            "events": {
                "model": "events", "id": "event_id", "key": "user_id", "name": "event_name", "time": "occurred_at",
                "loaded": "loaded_at", "properties": "properties",
            },
            "channels": {
                "push": {"address": "push_token", "consent": "push_consent", "provider": "pusher", "registered": "push_at"},
                "email": {"address": "email", "consent": "email_consent", "provider": "mailer"},
            },
            "providers": {"pusher": {"type": "file", "path": "p"}, "mailer": {"type": "file", "path": "m"}},
            "time_window": {"open": "09:00", "close": "21:00", "unknown_zone": "Europe/Berlin", "triggered_outside": "drop"},
            "frequency_caps": [
                {"limit": 2, "per": "1 day"},
                {"limit": 3, "per": "7 days", "channel": "push"},
                {"limit": 1, "per": "calendar day", "tag": "promotion"},
                {"limit": 4, "per": "calendar month", "class": "marketing"},
                {"limit": 1, "per": "calendar week", "campaign": "journey"},
            ],
            "global_control": "5%",
            **more,
        }
    )  # fmt: skip


CART = Campaign.model_validate(
    {
        "campaign": "cart", "priority": 60, "tags": ["promotion"], "active": {"from": "2026-01-01", "until": "2027-01-01"},
        "enter": {"trigger": "carts", "where": 'cart_value > 100 and "Odd name" is not null'},
        "re_enter": {"after": "7 days"}, "on_retrigger": "restart", "control": "10%", "guard": {"max_messages": 10000},
        "exceptions": [{"event": "purchase", "match": "cart_id"}, {"event": "call", "match": "cart_value", "where": "cart_id <> 'x'"}],
        "audience": {"not_in": ["staff"]},
        "steps": [{"wait": "30 minutes", "channels": ["push", "email"], "template": "cart", "expires": "24 hours"}],
    }
)  # fmt: skip
JOURNEY = Campaign.model_validate(
    {
        "campaign": "journey", "enter": {"segment": "vip", "since": "2026-02-01"}, "when_capped": "wait",
        "variants": [{"name": "a", "weight": 2}, {"name": "b"}],
        "time_window": {"open": "18:00", "close": "02:00", "weekdays": ["friday"], "held": "latest"},
        "steps": [
            {"channels": ["email"], "template": "hello"},
            {"wait": "in 2 days at 10:00", "channels": ["push"], "template": "hello"},
            {"wait": "next saturday at 10:00", "channels": ["push"], "template": "hello"},
        ],
    }
)  # fmt: skip
RECEIPT = Campaign.model_validate(
    {
        "campaign": "receipt", "class": "transactional", "enter": {"trigger": "carts"}, "re_enter": "always",
        "on_retrigger": "stack", "steps": [{"channels": ["email"], "template": "receipt"}],
    }
)  # fmt: skip


def project(*campaigns: Campaign, rules: Policy | None = None) -> Project:
    models = {name: Model(name, Relation("analytics", name), columns=columns) for name, columns in _COLUMNS.items()}
    models["carts"] = Model(
        "carts", Relation("analytics", "carts"), "trigger", "user_id", "event_id", "occurred_at", "loaded_at",
        _COLUMNS["carts"],
    )  # fmt: skip
    for name in ("vip", "staff"):
        relation = Relation("analytics", name)
        models[name] = Model(name, relation, "segment", "user_id", columns=_COLUMNS[name])
    return Project(Path("/nowhere"), "golden", rules or policy(), campaigns or (CART, JOURNEY, RECEIPT), models)


def bookmarks() -> Bookmarks:
    """The second tick, with an entry of a campaign whose file is gone."""
    gone = CART.model_copy(update={"campaign": "gone"})
    marks = {name: Bookmark(BEFORE, BEFORE, BEFORE, BEFORE) for name in ("cart", "journey", "receipt", "gone")}
    return Bookmarks(
        marks, (StoredVersion("v0", gone),), ("Europe/Berlin", "Asia/Tokyo"), BEFORE, BEFORE,
        suppressed=frozenset({("push", False), ("email", False), ("email", True)}),
    )  # fmt: skip
