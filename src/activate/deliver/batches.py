"""Cuts rendered messages into requests."""

from __future__ import annotations

import datetime as dt
from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

from activate.providers.base import Outgoing, Provider, Request


class Batch(NamedTuple):
    """Messages for one request, and the request; None if it could not be made."""

    messages: Sequence[Outgoing]
    request: Request | None


def batches(provider: Provider, outgoing: Sequence[Outgoing], at: dt.datetime) -> list[Batch]:
    """Cut messages into requests and make these, by whoever has just rendered: all is still at hand."""
    size = provider.limits.batch
    groups: Iterable[Sequence[Outgoing]] = [outgoing]
    if size > 1 and type(provider).together is not Provider.together:
        alike: dict[Hashable, list[Outgoing]] = {}
        for message in outgoing:
            alike.setdefault(provider.together(message), []).append(message)
        groups = alike.values()
    parts = [group[start : start + size] for group in groups for start in range(0, len(group), size)]
    return [Batch(part, _request(provider, part, at)) for part in parts]


def request_for(provider: Provider, batch: Sequence[Outgoing], at: dt.datetime) -> Request:
    """The request for a batch, made anew: contents that were kept packed are unpacked. Raises what the provider raises."""
    whole = [
        message if isinstance(message.content, dict) else message._replace(content=dict(message.content))
        for message in batch
    ]
    return provider.build(whole, at)


def _request(provider: Provider, batch: Sequence[Outgoing], at: dt.datetime) -> Request | None:
    """The request for a batch; None if it cannot be made, which who hands it over then looks into."""
    try:
        return provider.build(batch, at)
    except Exception:
        return None
