"""What all ways of handing a request over have in common: an answer, or how sure it is that nothing was taken."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from activate.providers.base import Answer, Request


class NotTaken(Exception):
    """The request was definitely not taken: it was never sent, or was refused as a whole before it was."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


class InDoubt(Exception):
    """The request was sent, or partly sent, and no answer came: it may have been taken."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


class Refused(Exception):
    """The request was refused as a whole, and nothing was taken, because of some of its rows: halves are worth a try."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


class Carrier(Protocol):
    """One connection to a provider, used by one thread."""

    def carry(self, request: Request) -> Answer:
        """Hand one request over; raises NotTaken, InDoubt, Refused, or Unusable. No error quotes the request."""

    def close(self) -> None:
        """Give the connection back."""

    def already_taken(self, path: Path, message_ids: frozenset[str]) -> frozenset[str]:
        """Which of the messages were taken before; asked only for providers that name a place to look."""
