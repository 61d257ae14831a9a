"""What engagement platforms have in common: people known by a key, messages as named properties, template languages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from activate.providers.base import Outgoing
from activate.providers.options import Option

KNOWN_BY = Option(
    "known_by", "What the platform knows people by: `user_id` (the profile's key) or the channel's `address`.",
    default="user_id", choices=("user_id", "address"),
)  # fmt: skip


def known_as(options: Mapping[str, Any], message: Outgoing) -> str:
    """What the platform knows the message's person by."""
    return message.address if options["known_by"] == "address" else message.user_id


def properties(message: Outgoing) -> dict[str, Any]:
    """The rendered blocks by name, and where they come from; `data` is the object that it holds as JSON."""
    blocks: dict[str, Any] = dict(message.content)
    if "data" in blocks:
        blocks["data"] = data_of(message)
    origin = {"message_id": message.message_id, "campaign": message.campaign, "step": message.step}
    return {**blocks, **origin, **({"variant": message.variant} if message.variant else {})}


def data_of(message: Outgoing) -> dict[str, Any]:
    """The JSON object in the block `data`, empty without one. Raises ValueError if it is none."""
    text = message.content.get("data", "").strip()
    found = json.loads(text) if text else {}
    if not isinstance(found, dict):
        raise ValueError("the block `data` is no JSON object")
    return found


def has_bad_data(message: Outgoing) -> bool:
    """Whether the block `data` is there and no JSON object."""
    try:
        data_of(message)
    except (ValueError, RecursionError):
        return True
    return False


def is_liquid(message: Outgoing) -> bool:
    """Whether rendered text holds Liquid, which a platform would evaluate: somebody's name is not to be a program."""
    return any("{{" in text or "{%" in text for text in message.content.values())
