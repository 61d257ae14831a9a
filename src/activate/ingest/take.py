"""From a request to rows: verified, read, hashed; what cannot be used is told apart and kept."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from activate.engagement import Row, row_of
from activate.sources.base import Bad, Captured, Ignored, Refused, Source


@dataclass
class Taken:
    """What became of one request or of many: rows, what was rejected (reason and part), and figures."""

    rows: list[Row] = field(default_factory=list)
    rejected: list[tuple[str, Any]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def take(source: Source, request: Captured, *, signed: bool = True) -> Taken:
    """Verify a request and read its events. Raises Refused."""
    if signed:
        source.verify(request)
    taken = Taken()
    for found in source.read(request):
        if isinstance(found, Ignored):
            taken.counts[f"ignored {found.kind}"] += 1
        elif isinstance(found, Bad):
            taken.rejected.append((found.reason, found.part))
        else:
            try:
                taken.rows.append(row_of(source.name, found, request.received_at))
            except ValueError:
                taken.rejected.append(("no_channel", {"name": found.name, "id": found.event_id}))
    taken.counts.update(f"rejected {reason}" for reason, _ in taken.rejected)
    return taken


def take_or_keep(source: Source, request: Captured, *, signed: bool = True) -> Taken:
    """The same; a request that is refused is kept with the rejected ones, as it came."""
    try:
        return take(source, request, signed=signed)
    except Refused as refused:
        kept = {"headers": dict(request.headers), "body": request.body.decode("utf-8", "replace"), "url": request.url}
        return Taken(rejected=[(refused.code, kept)], counts=Counter({f"refused {refused.code}": 1}))
