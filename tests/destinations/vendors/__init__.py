"""Each vendor's side of the conversation, one module per destination type that speaks HTTP.

A module `tests/destinations/vendors/<type>.py` (dashes as underscores) has one class `Peer`, a small faithful copy of the
vendor's service as documented, which holds one audience:

- `section`: the destination's section as `create` takes it (secrets are `SECRET` or made from it);
- `audience`: the audience's name; `member(n)` and `fields(n)`: a member and the fields mapped for it;
- `answer(request)`: what the vendor answers; it asserts that method, path, authentication and body are as documented,
  and keeps `members` (the set that it holds) accordingly, jobs and token exchanges included;
- `bad`: a set of members that the vendor refuses as rows (empty by default), the others being taken.
"""

from __future__ import annotations

import importlib
from typing import Any, Protocol

from activate.providers.base import HttpAnswer, HttpRequest

SECRET = "a-secret-that-nobody-may-see"


class PeerLike(Protocol):
    section: dict[str, Any]
    audience: str
    members: set[str]
    bad: set[str]

    def member(self, n: int) -> str: ...

    def fields(self, n: int) -> dict[str, Any]: ...

    def answer(self, request: HttpRequest) -> HttpAnswer: ...


def peer(kind: str) -> PeerLike:
    """A fresh vendor. A destination without one fails its contract, with this import's error."""
    found: PeerLike = importlib.import_module(f"{__name__}.{kind.replace('-', '_')}").Peer()
    return found
