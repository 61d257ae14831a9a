"""What push providers have in common: the notification's blocks, the `data` of a template, and how long both may be."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Mapping
from typing import Any

import orjson

from activate.providers.base import HttpAnswer, Outgoing
from activate.providers.json_api import json_object

_REASON = re.compile(r"[A-Za-z]{3,40}")
BLOCKS = ("title", "body", "url", "image")


def data_of(content: Mapping[str, str]) -> dict[str, Any] | None:
    """The block `data` as an object; empty where there is none, None where it is not a JSON object."""
    text = content.get("data", "").strip()
    if not text:
        return {}
    try:
        found = orjson.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def strings(data: Mapping[str, Any]) -> dict[str, str]:
    """Data for services that take strings only: everything else is written as JSON."""
    return {key: value if isinstance(value, str) else orjson.dumps(value).decode() for key, value in data.items()}


def size(value: object) -> int:
    """How many bytes a value takes as JSON."""
    return len(orjson.dumps(value))


def text_size(value: Mapping[str, str]) -> int:
    """How many bytes names and values take, without what JSON adds."""
    return sum(len(name.encode()) + len(text.encode()) for name, text in value.items())


def too_long(content: Mapping[str, str], limit: int, service: str) -> list[str]:
    """What is to be said at lint about a template whose fixed text alone exceeds a service's limit."""
    fixed = text_size({name: content[name] for name in (*BLOCKS, "data") if content.get(name)})
    if fixed <= limit:
        return []
    return [f"the fixed text alone takes {fixed:,} bytes; {service} takes {limit:,} with everything filled in"]


def reason_of(answer: HttpAnswer) -> str | None:
    """Apple's word for what is wrong (`{"reason": "BadDeviceToken"}`), or None."""
    reason = json_object(answer).get("reason")
    return reason if isinstance(reason, str) and _REASON.fullmatch(reason) else None


def uuid_of(*message_ids: str) -> str:
    """A UUID (version 4 by form) that is made of message ids: the same ids make the same one."""
    digest = hashlib.md5("\n".join(message_ids).encode(), usedforsecurity=False).hexdigest()
    return str(uuid.UUID(digest, version=4))


def collapse_id(message: Outgoing, longest: int = 64) -> str:
    """A short ASCII name for a campaign, under which a later message takes the place of an earlier one."""
    name = message.campaign
    if name.isascii() and len(name) <= longest and re.fullmatch(r"[A-Za-z0-9_-]+", name):
        return name
    return hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
