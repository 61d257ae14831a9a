"""A connection for each kind of destination, and the members that it holds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import cast

from activate.deliver.audience_line import AudienceCarrier
from activate.deliver.carry import InDoubt, NotTaken
from activate.deliver.http import HttpCarrier
from activate.deliver.objects import PartCarrier
from activate.deliver.tables import TableCarrier
from activate.deliver.tokens import Tokens
from activate.destinations.base import Destination, MembersRequest
from activate.errors import DeliveryError
from activate.providers.base import HttpAnswer, Unusable
from activate.warehouses.base import Warehouse

_PAGES = 100_000


def carrier_for(destination: Destination, open_warehouse: Callable[[str | None], Warehouse]) -> AudienceCarrier:
    """A connection of the kind that the destination's requests need, used by one thread."""
    if destination.transport == "table":
        return TableCarrier(open_warehouse)
    if destination.transport == "file":
        return PartCarrier()
    return cast("AudienceCarrier", HttpCarrier(destination.limits.timeout_seconds))


def members(destination: Destination, carrier: AudienceCarrier, audience: str, at: int) -> Iterator[Sequence[str]]:
    """Stream the members that a destination holds; `at` (Unix seconds) is what HTTP questions are signed with.

    Raises DeliveryError when it cannot be asked, or does not answer as it should: half an answer is none.
    """
    questions = [destination.ask_members(audience)]
    tokens = Tokens(destination, time.monotonic)
    for _ in range(_PAGES):
        question = questions.pop() if questions else None
        if question is None:
            return
        try:
            if isinstance(question, MembersRequest):
                yield from carrier.members(question)  # type: ignore[attr-defined]  # the carriers of tables and files
                return
            answer = carrier.carry(destination.sign(tokens.authorize(question, at, carrier.carry), at))
            page = destination.read_members(cast("HttpAnswer", answer))
        except (NotTaken, InDoubt) as error:
            raise DeliveryError(f"{destination.name}: its members cannot be read ({error.code})") from None
        except Unusable as error:
            raise DeliveryError(f"{destination.name}: {error}") from None
        yield page.members
        questions += [one for one in (page.more, page.detail) if one is not None]
    raise DeliveryError(f"{destination.name}: its members do not end")
