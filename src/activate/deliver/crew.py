"""The threads that hand batches over to one provider, each with a connection of its own."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from activate.deliver.batches import Batch
from activate.deliver.carry import Carrier
from activate.deliver.hand_over import Handed, Line


class Crew:
    """As many threads as the provider allows requests at once."""

    def __init__(self, line: Line, make_carrier: Callable[[], Carrier]) -> None:
        self._line = line
        self._make_carrier = make_carrier
        self._own = threading.local()
        self._carriers: list[Carrier] = []
        size = line.provider.limits.concurrency
        self._pool = ThreadPoolExecutor(size, thread_name_prefix=f"deliver-{line.provider.name}")

    def post(self, batch: Batch, at: dt.datetime) -> Future[Handed]:
        """Hand a batch over in the background."""
        return self._pool.submit(self._post, batch, at)

    def close(self) -> None:
        """Wait for what is under way, and close the connections."""
        self._pool.shutdown(wait=True)
        for carrier in self._carriers:
            carrier.close()

    def _post(self, batch: Batch, at: dt.datetime) -> Handed:
        carrier: Carrier | None = getattr(self._own, "carrier", None)
        if carrier is None:
            carrier = self._own.carrier = self._make_carrier()
            self._carriers.append(carrier)
        return self._line.hand_over(carrier, batch.messages, at, batch.request)
