"""Keeps a provider's pace: so many requests a second, pauses that it asks for, and when to leave it alone."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Pace:
    """A token bucket shared by the threads of one provider. `per_second` None: no limit, but pauses still hold.

    The bucket holds one second's worth (at least one request), so a short wait is made up for but never a long one.
    """

    def __init__(
        self, per_second: float | None, monotonic: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        self._rate = per_second
        self._capacity = max(1.0, per_second or 1.0)
        self._monotonic = monotonic
        self._sleep = sleep
        self._lock = threading.Lock()
        self._tokens = 1.0  # begin gently: a burst at the very first second helps nobody
        self._filled_at = monotonic()
        self._paused_until = float("-inf")

    def take(self) -> None:
        """Wait until one more request may go out."""
        with self._lock:
            now = self._monotonic()
            wait = max(0.0, self._paused_until - now)
            if self._rate is not None:
                passed = max(0.0, now - self._filled_at)
                self._tokens = min(self._capacity, self._tokens + passed * self._rate) - 1
                self._filled_at = now
                wait = max(wait, -self._tokens / self._rate)
        if wait > 0:
            self._sleep(wait)

    def pause(self, seconds: float) -> None:
        """Let no request begin for so many seconds: what one thread was told holds for all."""
        with self._lock:
            self._paused_until = max(self._paused_until, self._monotonic() + seconds)


class Breaker:
    """Opens after so many requests in a row of which nothing was taken; the provider is then left alone for the run.

    `reason` says why it opened, `last_code` is the last failure's.
    """

    def __init__(self, allowed: int) -> None:
        self._allowed = allowed
        self._failures = 0
        self.last_code: str | None = None
        self._lock = threading.Lock()
        self.reason: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether nothing more is posted in this run."""
        return self.reason is not None

    def succeeded(self) -> None:
        """A request was answered in a way that shows the provider at work."""
        with self._lock:
            self._failures = 0

    def failed(self, code: str) -> None:
        """A request failed as a whole."""
        with self._lock:
            self._failures += 1
            self.last_code = code
            if self._failures >= self._allowed and self.reason is None:
                self.reason = f"{self._failures} requests failed in a row (the last: {code})"

    def trip(self, reason: str) -> None:
        """Open at once."""
        with self._lock:
            self.reason = self.reason or reason
