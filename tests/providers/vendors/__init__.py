"""Each vendor's side of the conversation, one module per provider type: requests are read as the vendor would read them.

A module `tests/providers/vendors/<type>.py` (dots and dashes as underscores) has one class `Peer`:

- `section`: the provider's section as `create` takes it (secrets as plain text, `SECRET` or made from it);
- `channel`, `content` and `address(n)`: what a message that this vendor takes looks like;
- `taken(request, batch)`: the vendor's documented answer when it took everything, made from what is really in the
  request (it asserts that method, path, authentication and body are what the vendor documents);
- `refused(request, batch)`: the documented answer when the last message of the batch cannot be sent and the others
  were, with the status expected of it and, if the address is lost, why: `(answer, status, lost)`;
- `token(request)`: for providers that exchange a key for a token, the answer.
"""

from __future__ import annotations

import importlib
from typing import Any, Protocol

from activate.providers.base import Answer, HttpAnswer, HttpRequest, Lost, Outgoing, Request, Status

SECRET = "a-secret-that-nobody-may-see"


class PeerLike(Protocol):
    section: dict[str, Any]
    channel: str
    content: dict[str, str]

    def address(self, n: int) -> str: ...

    def taken(self, request: Request, batch: list[Outgoing]) -> Answer: ...

    def refused(self, request: Request, batch: list[Outgoing]) -> tuple[Answer, Status, Lost | None]: ...


class TokenPeer(PeerLike, Protocol):
    def token(self, request: HttpRequest) -> HttpAnswer: ...


def peer(kind: str) -> PeerLike:
    """The vendor's side of a provider type. A provider without one fails its contract, with this import's error."""
    module = importlib.import_module(f"{__name__}.{kind.replace('-', '_').replace('.', '_')}")
    found: PeerLike = module.Peer()
    return found
