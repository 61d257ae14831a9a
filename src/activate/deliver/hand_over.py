"""Hands one batch over: build, sign, post, read; tries again what was not taken, and halves a batch that one spoils."""

from __future__ import annotations

import datetime as dt
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from activate.deliver.batches import request_for
from activate.deliver.carry import Carrier, InDoubt, NotTaken, Refused
from activate.deliver.http import compressed, retry_after
from activate.deliver.pace import Breaker, Pace, Window
from activate.deliver.scrub import Scrubber
from activate.deliver.tokens import Tokens
from activate.providers.base import (
    Answer,
    HttpAnswer,
    HttpRequest,
    Outcome,
    Outgoing,
    Provider,
    Request,
    Status,
    Unusable,
)

TRIES = 4
_FIRST_BACKOFF = 0.5
LONGEST_WAIT = 60.0
_OVERLOADED = (408, 429, 503)


def _utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)


@dataclass(frozen=True)
class Clock:
    """Everything that time and chance are asked for, so that tests need not wait.

    `now` is naive UTC; `chance` returns a float in [0, 1).
    """

    now: Callable[[], dt.datetime] = _utc_now
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = field(default_factory=lambda: random.Random().random)  # noqa: S311  # spreads retries, guards nothing

    def rest(self, seconds: float, until: threading.Event) -> None:
        """Sleep, but not beyond the event: who is asked to stop does not sleep a pause out."""
        if self.sleep is time.sleep:
            until.wait(seconds)
        else:
            self.sleep(seconds)


class Asking(Protocol):
    """A provider or a destination: what one of its answers may ask for in its own way."""

    def asked_wait(self, answer: HttpAnswer, at: dt.datetime) -> float | None:
        """Seconds, or None."""


def heed(answer: object, of: Asking, kind: str, clock: Clock, pace: Pace, breaker: Breaker) -> float:
    """Pause as an answer asks us to, and return the seconds; who asks for more than a minute is left alone for this run."""
    if not isinstance(answer, HttpAnswer) or answer.status < 300:
        return 0.0
    asked = of.asked_wait(answer, clock.now())
    if asked is None:
        asked = retry_after(answer.headers, clock.now())
    if asked is None:
        return 0.0
    if asked > LONGEST_WAIT:
        breaker.trip(f"the {kind} asks us to wait {asked:.0f} seconds")
        return 0.0
    pace.pause(asked)
    return asked


class Handed(NamedTuple):
    """One outcome per message. `excused`: those that failed because the provider as a whole was down."""

    outcomes: list[Outcome]
    excused: frozenset[str] = frozenset()


class Line:
    """The way to one provider: its pace, its window and its breaker, shared by its threads.

    `pace` is its account's; None: one of its own. What leaves the line holds no secret.
    """

    def __init__(self, provider: Provider, clock: Clock, pace: Pace | None = None) -> None:
        limits = provider.limits
        self.provider = provider
        self.clock = clock
        self.scrub = Scrubber(provider)
        self.pace = pace or Pace(limits.per_second, clock.monotonic, clock.sleep)
        self.window = Window(limits.concurrency, clock.monotonic)
        self.breaker = Breaker(max(5, 3 * limits.concurrency), self.scrub.text)
        self.tokens = Tokens(provider, clock.monotonic, self.scrub.add)
        self.requests = 0
        self._count = threading.Lock()

    def hand_over(
        self, carrier: Carrier, batch: Sequence[Outgoing], at: dt.datetime, request: Request | None = None
    ) -> Handed:
        """Hand a batch over and return one outcome per message. Never raises: what goes wrong is an outcome.

        `request` is the batch's, if it was made before.
        """
        done: list[Outcome] = []
        doubted: set[str] = set()
        waiting = batch
        last: Handed | None = None
        # Worth another try in this run: what was not taken, or may be taken twice without harm.
        open_ends = ("failed", "unknown") if self.provider.idempotent else ("failed",)
        for attempt in range(TRIES):
            if self.breaker.is_open:
                break
            last, wait = self._try_once(carrier, waiting, at, request)
            request = None
            again = {outcome.message_id for outcome in last.outcomes if outcome.status in open_ends}
            if not again or wait is None or attempt == TRIES - 1:
                break
            done += [outcome for outcome in last.outcomes if outcome.message_id not in again]
            last = Handed([outcome for outcome in last.outcomes if outcome.message_id in again], last.excused)
            doubted |= {outcome.message_id for outcome in last.outcomes if outcome.status == "unknown"}
            waiting = [message for message in waiting if message.message_id in again]
            self._rest(max(wait, self.clock.chance() * _FIRST_BACKOFF * 2**attempt))
        last = last or _all(waiting, "failed", "provider_stopped", excused=True)
        if doubted:
            # An earlier try may have been taken, so a later one that was not says nothing about the message.
            last = Handed([_doubtful(outcome, doubted) for outcome in last.outcomes], last.excused)
        return Handed(self.scrub.outcomes([*done, *last.outcomes]), last.excused)

    def _rest(self, seconds: float) -> None:
        self.clock.rest(seconds, self.breaker.opened)

    def _try_once(
        self, carrier: Carrier, batch: Sequence[Outgoing], at: dt.datetime, request: Request | None
    ) -> tuple[Handed, float | None]:
        """One request. The wait is what the provider asks for before another, or None when nothing is left to try."""
        try:
            request = request or request_for(self.provider, batch, at)
        except Exception as error:  # a message that cannot be put into a request spoils only itself
            return self._halve(carrier, batch, at, f"cannot_build_{type(error).__name__}".lower()), None
        try:
            self.pace.take(self._rest)
        except Exception as error:  # the account's pace is kept in the warehouse; nothing goes out without it
            self.breaker.trip(f"the account's pace cannot be kept ({type(error).__name__})")
        if self.breaker.is_open:  # stopped while it waited for its turn
            return _all(batch, "failed", "provider_stopped", excused=True), None
        with self._count:
            self.requests += 1
        try:
            with self.window.slot():
                answer = self._post(carrier, request)
            if isinstance(answer, HttpAnswer) and self.tokens.outdated(answer):
                return _all(batch, "failed", f"http_{answer.status}", excused=True), 0.0
            if self.provider.splits(answer):
                self.breaker.succeeded()
                code = f"http_{answer.status}" if isinstance(answer, HttpAnswer) else "refused"
                return self._halve(carrier, batch, at, code), None
            outcomes = self.provider.read(answer, batch)
        except Refused as error:
            self.breaker.succeeded()
            return self._halve(carrier, batch, at, error.code), None
        except Exception as error:
            return self._without_answer(batch, error)
        self._note(outcomes)
        return Handed(_complete(outcomes, batch)), heed(
            answer, self.provider, "provider", self.clock, self.pace, self.breaker
        )

    def _post(self, carrier: Carrier, request: Request) -> Answer:
        if isinstance(request, HttpRequest):
            posted_at = int(self.clock.now().replace(tzinfo=dt.UTC).timestamp())
            if self.provider.compresses:
                request = compressed(request)
            request = self.provider.sign(self.tokens.authorize(request, posted_at, carrier.carry), posted_at)
        try:
            answer = carrier.carry(request)
        except InDoubt:
            self.window.overloaded()
            raise
        if isinstance(answer, HttpAnswer) and answer.status in _OVERLOADED:
            self.window.overloaded()
        else:
            self.window.succeeded()
        return answer

    def _without_answer(self, batch: Sequence[Outgoing], error: Exception) -> tuple[Handed, float | None]:
        if isinstance(error, NotTaken):
            self.breaker.failed(error.code)
            return _all(batch, "failed", error.code, excused=True), 0.0
        if isinstance(error, InDoubt):
            self.breaker.failed(error.code)
            return _all(batch, "unknown", error.code), 0.0
        if isinstance(error, Unusable):
            self.breaker.trip(str(error))
            return _all(batch, "failed", error.code, excused=True), None
        # A flaw in a provider's code must not leave claims without an outcome.
        self.breaker.trip(f"the provider's code failed ({type(error).__name__})")
        return _all(batch, "unknown", "internal_error"), None

    def _note(self, outcomes: Sequence[Outcome]) -> None:
        if any(outcome.status in ("accepted", "rejected") for outcome in outcomes):
            self.breaker.succeeded()
        elif outcomes:
            self.breaker.failed(outcomes[0].error_code or outcomes[0].status)

    def _halve(self, carrier: Carrier, batch: Sequence[Outgoing], at: dt.datetime, code: str) -> Handed:
        if len(batch) == 1:
            return _all(batch, "rejected", code)
        middle = len(batch) // 2
        halves = [self.hand_over(carrier, half, at) for half in (batch[:middle], batch[middle:])]
        return Handed(halves[0].outcomes + halves[1].outcomes, halves[0].excused | halves[1].excused)


def _all(batch: Sequence[Outgoing], status: Status, code: str, excused: bool = False) -> Handed:
    outcomes = [Outcome(message.message_id, status, None, code) for message in batch]
    return Handed(outcomes, frozenset(message.message_id for message in batch) if excused else frozenset())


def _doubtful(outcome: Outcome, doubted: set[str]) -> Outcome:
    if outcome.status == "failed" and outcome.message_id in doubted:
        return outcome._replace(status="unknown")
    return outcome


def _complete(outcomes: list[Outcome], batch: Sequence[Outgoing]) -> list[Outcome]:
    """One outcome per message: a provider that forgets one leaves it unknown."""
    if len(outcomes) == len(batch):
        return outcomes
    told = {outcome.message_id: outcome for outcome in outcomes}
    ids = [message.message_id for message in batch]
    return [told.get(key) or Outcome(key, "unknown", None, "not_told") for key in ids]
