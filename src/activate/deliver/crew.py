"""The threads that hand batches over to one provider, each with a connection of its own."""

from __future__ import annotations

import datetime as dt
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from activate.deliver.batches import Batch
from activate.deliver.carry import Carrier
from activate.deliver.hand_over import Handed, Line

AT_ONCE = 0.004  # seconds


class Crew:
    """At most as many threads as the provider allows requests at once.

    Where answers come at once, one thread does it all, for more would only wait for one another; each answer that takes its
    time lets another in.
    """

    def __init__(self, line: Line, make_carrier: Callable[[], Carrier]) -> None:
        self._line = line
        self._make_carrier = make_carrier
        self._own = threading.local()
        self._carriers: list[Carrier] = []
        self._most = line.provider.limits.concurrency
        self._pool = ThreadPoolExecutor(self._most, thread_name_prefix=f"deliver-{line.provider.name}")
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Future[Handed], Batch, dt.datetime]] = deque()
        self._threads, self._busy = 1, 0

    def post(self, batch: Batch, at: dt.datetime) -> Future[Handed]:
        """Hand a batch over in the background."""
        found: Future[Handed] = Future()
        with self._lock:
            self._waiting.append((found, batch, at))
            self._let_in()
        return found

    def close(self) -> None:
        """Wait for what is under way, and close the connections."""
        self._pool.shutdown(wait=True)
        for carrier in self._carriers:
            carrier.close()

    def _let_in(self) -> None:
        if self._waiting and self._busy < self._threads:
            self._busy += 1
            self._pool.submit(self._work)

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._busy -= 1
                    return
                found, batch, at = self._waiting.popleft()
            began = self._line.clock.monotonic()
            try:
                found.set_result(self._post(batch, at))
            except BaseException as error:  # told to who waits for it
                found.set_exception(error)
            if self._threads < self._most and self._line.clock.monotonic() - began > AT_ONCE:
                with self._lock:
                    self._threads = min(self._most, self._threads + 1)
                    self._let_in()

    def _post(self, batch: Batch, at: dt.datetime) -> Handed:
        carrier: Carrier | None = getattr(self._own, "carrier", None)
        if carrier is None:
            carrier = self._own.carrier = self._make_carrier()
            self._carriers.append(carrier)
        return self._line.hand_over(carrier, batch.messages, at, batch.request)
