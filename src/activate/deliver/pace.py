"""Keeps a peer's pace: requests a second for each account, how many at once, pauses that it asks for, when to leave it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

Sleep = Callable[[float], None]
Reserve = Callable[[str, float, int], float]
"""Reserves so many requests at so many a second for an account, across processes; returns in how many seconds they begin."""

_HALVE_SECONDS = 1.0


class Pace:
    """The pace of one account, shared by all threads that use it. `per_second` None: no limit, but pauses still hold.

    Within one process it is a token bucket, which holds one second's worth (at least one request), so a short wait is
    made up for but never a long one. With `reserve`, requests are reserved a second's worth at a time, where every process
    that uses the account does; what is not used in its second is forfeited.
    """

    def __init__(
        self, per_second: float | None, monotonic: Callable[[], float], sleep: Sleep,
        reserve: Callable[[float, int], float] | None = None,
    ) -> None:  # fmt: skip
        self._rate = per_second
        self._monotonic = monotonic
        self._sleep = sleep
        self._reserve = reserve
        self._lock = threading.Lock()
        self._tokens = 1.0  # begin gently: a burst at the very first second helps nobody
        self._filled_at = monotonic()
        self._paused_until = float("-inf")
        self._reserved, self._next, self._lapses_at = 0, 0.0, 0.0

    def take(self, sleep: Sleep | None = None) -> None:
        """Wait until one more request may go out. `sleep` waits in place of the pace's own."""
        with self._lock:
            wait = max(0.0, self._paused_until - self._monotonic())
            if self._rate is not None:
                own = self._from_bucket(self._rate) if self._reserve is None else self._from_reserve(self._rate)
                wait = max(wait, own)
        if wait > 0:
            (sleep or self._sleep)(wait)

    def pause(self, seconds: float) -> None:
        """Let no request begin for so many seconds: what one thread was told holds for all."""
        with self._lock:
            self._paused_until = max(self._paused_until, self._monotonic() + seconds)

    def slow_to(self, per_second: float | None) -> None:
        """Of several rates that an account's users name, the lowest holds."""
        with self._lock:
            if per_second is not None and (self._rate is None or per_second < self._rate):
                self._rate = per_second

    def _from_bucket(self, rate: float) -> float:
        now = self._monotonic()
        passed = max(0.0, now - self._filled_at)
        self._tokens = min(max(1.0, rate), self._tokens + passed * rate) - 1
        self._filled_at = now
        return -self._tokens / rate

    def _from_reserve(self, rate: float) -> float:
        assert self._reserve is not None
        if not self._reserved or self._monotonic() > self._lapses_at:
            count = max(1, int(rate))
            begins_in = self._reserve(rate, count)
            self._next = self._monotonic() + begins_in
            self._reserved, self._lapses_at = count, self._next + max(1.0, count / rate)
        now = self._monotonic()
        at = max(now, self._next)
        self._next += 1 / rate
        self._reserved -= 1
        return at - now


class Paces:
    """The paces of the accounts that one run uses: whoever names the same account shares its pace."""

    def __init__(self, monotonic: Callable[[], float], sleep: Sleep, reserve: Reserve | None = None) -> None:
        self._monotonic = monotonic
        self._sleep = sleep
        self._reserve = reserve
        self._lock = threading.Lock()
        self._paces: dict[str, Pace] = {}

    def of(self, account: str, per_second: float | None) -> Pace:
        """The account's pace; the lowest rate that anybody named for it holds."""
        reserve = self._reserve
        own = None if reserve is None else lambda rate, count: reserve(account, rate, count)
        with self._lock:
            pace = self._paces.setdefault(account, Pace(per_second, self._monotonic, self._sleep, own))
        pace.slow_to(per_second)
        return pace


class Window:
    """How many requests may be under way: as many as allowed, halved when the peer is overloaded, then one more at a time.

    (Additive increase, multiplicative decrease, as TCP does it: another request is let in after as many successes as
    are allowed at once; what fails within a second counts as one sign.)
    """

    def __init__(self, ceiling: int, monotonic: Callable[[], float]) -> None:
        self._ceiling = ceiling
        self._monotonic = monotonic
        self._free = threading.Condition()
        self.size = float(ceiling)
        self._busy = 0
        self._halved_at = float("-inf")

    @contextlib.contextmanager
    def slot(self) -> Iterator[None]:
        """Hold one of the places, waiting until there is one."""
        with self._free:
            while self._busy >= max(1, int(self.size)):
                self._free.wait()
            self._busy += 1
        try:
            yield
        finally:
            with self._free:
                self._busy -= 1
                self._free.notify()

    def succeeded(self) -> None:
        """A request was answered."""
        if self.size < self._ceiling:
            with self._free:
                self.size = min(float(self._ceiling), self.size + 1 / self.size)
                self._free.notify()

    def overloaded(self) -> None:
        """The peer was too busy, or did not answer."""
        with self._free:
            now = self._monotonic()
            if now - self._halved_at >= _HALVE_SECONDS:
                self._halved_at = now
                self.size = max(1.0, self.size / 2)

    def close_to_one(self) -> None:
        """Let one request in at a time: a probe."""
        with self._free:
            self.size = 1.0


class Breaker:
    """Opens after so many requests in a row of which nothing was taken; the provider is then left alone.

    `reason` says why it opened, `last_code` is the last failure's; `stopped` says why the run ends though nothing is
    wrong with the provider (it was asked to, its time is up). `opened` is set while nothing more is posted, `asked_to_stop`
    from then on. `hide` takes secrets out of reasons.
    """

    def __init__(self, allowed: int, hide: Callable[[str], str] = str) -> None:
        self._allowed = allowed
        self._hide = hide
        self._failures = 0
        self._worked = False
        self._may_recover = False
        self.last_code: str | None = None
        self._lock = threading.Lock()
        self.reason: str | None = None
        self.stopped: str | None = None
        self.opened = threading.Event()
        self.asked_to_stop = threading.Event()

    @property
    def is_open(self) -> bool:
        """Whether nothing more is posted."""
        return self.reason is not None or self.stopped is not None

    def succeeded(self) -> None:
        """A request was answered in a way that shows the provider at work."""
        with self._lock:
            self._failures = 0
            self._worked = True

    def failed(self, code: str) -> None:
        """A request failed as a whole."""
        with self._lock:
            self._failures += 1
            self.last_code = code
            if self._failures >= self._allowed and self.reason is None:
                self.reason = self._hide(f"{self._failures} requests failed in a row (the last: {code})")
                self._may_recover = self._worked
                self.opened.set()

    def trip(self, reason: str) -> None:
        """Open at once, and for good."""
        with self._lock:
            self.reason = self.reason or self._hide(reason)
            self._may_recover = False
            self.opened.set()

    def stop(self, why: str) -> None:
        """Let nothing more be posted, though nothing is wrong."""
        with self._lock:
            self.stopped = self.stopped or why
            self.opened.set()
            self.asked_to_stop.set()

    @property
    def may_recover(self) -> bool:
        """Whether it opened because of failures in a row, at a provider that had worked in this run."""
        return self._may_recover and self.stopped is None

    def half_open(self) -> None:
        """Let requests through again; one failure opens it at once, one success closes it."""
        with self._lock:
            if not self._may_recover or self.stopped:
                return
            self.reason, self._failures = None, self._allowed - 1
            self._may_recover = False
            self.opened.clear()
