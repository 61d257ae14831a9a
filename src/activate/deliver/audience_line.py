"""The way to one destination for one audience: its pace, its breaker, and each batch handed over until it is known what became of it."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import pyarrow as pa

from activate.deliver.carry import InDoubt, NotTaken, Refused
from activate.deliver.hand_over import LONGEST_WAIT, TRIES, Clock, heed
from activate.deliver.http import compressed
from activate.deliver.pace import Breaker, Pace
from activate.deliver.scrub import Scrubber
from activate.deliver.tokens import Tokens
from activate.destinations.base import Changes, Destination, Pending, Refusal, Request, RowStatus, Verdict
from activate.providers.base import HttpAnswer, HttpRequest, Unusable

TIME_IS_UP = "the time limit is up"
_ALL_REFUSED = 50
_FIRST_BACKOFF, _LONGEST_JOB = 0.5, 600.0
# Answers that say "not now" of the destination, and nothing of the rows.
_NOT_NOW = (408, 421, 425, 429, 503)


class AudienceCarrier(Protocol):
    """One connection to a destination, used by one thread."""

    def carry(self, request: Request) -> HttpAnswer | None:
        """Hand one request over; raises NotTaken, InDoubt, Refused, or Unusable. No error quotes the request."""

    def close(self) -> None:
        """Give the connection back."""


@dataclass(frozen=True)
class Told:
    """What became of a batch that began at `start` in its page: one verdict for all rows but some."""

    start: int
    count: int
    verdict: Verdict
    excused: bool = False


class AudienceLine:
    """Hands batches over to one destination; shared by the threads of a sync. `now` is the sync's.

    Nothing is begun after `deadline` (the clock's monotonic seconds).
    """

    def __init__(
        self, destination: Destination, make_carrier: Callable[[], AudienceCarrier], clock: Clock, now: dt.datetime,
        pace: Pace | None = None, deadline: float | None = None,
    ) -> None:  # fmt: skip
        self._destination = destination
        self._make_carrier = make_carrier
        self._clock = clock
        self._now = now
        self._deadline = deadline
        limits = destination.limits
        self._compresses = destination.abilities.compresses
        self.scrub = Scrubber(destination)
        self._pace = pace or Pace(limits.per_second, clock.monotonic, clock.sleep)
        self.breaker = Breaker(max(5, 3 * limits.concurrency), self.scrub.text)
        self._tokens = Tokens(destination, clock.monotonic, self.scrub.add)
        self._count = threading.Lock()
        self.requests = 0
        self._alone, self._taken = 0, False
        self._own = threading.local()
        self._carriers: list[AudienceCarrier] = []

    def close(self) -> None:
        """Close the connections."""
        for carrier in self._carriers:
            carrier.close()

    def is_over(self) -> bool:
        """Whether nothing more is begun: the destination is left alone, or the time is up."""
        if self._deadline is not None and self._clock.monotonic() >= self._deadline:
            self.breaker.stop(TIME_IS_UP)
        return self.breaker.is_open

    def carrier(self) -> AudienceCarrier:
        """The connection of the thread that asks."""
        found: AudienceCarrier | None = getattr(self._own, "carrier", None)
        if found is None:
            found = self._own.carrier = self._make_carrier()
            self._carriers.append(found)
        return found

    def hand_over(self, changes: Changes, start: int, tries_left: int = TRIES) -> list[Told]:
        """Hand a batch over, again where it was not taken, in halves where some of its rows spoil it. Never raises."""
        told = [Told(start, len(changes), Verdict("failed", "destination_stopped"), excused=True)]
        doubted = False
        for attempt in range(TRIES):
            if self.is_over():
                break
            found, wait = self._try_once(changes, start)
            told = found
            first = found[0]
            if len(found) > 1 or wait is None or first.verdict.status in ("accepted", "rejected"):
                break
            doubted = doubted or first.verdict.status == "unknown"
            if attempt < TRIES - 1:
                self._clock.sleep(max(wait, self._clock.chance() * _FIRST_BACKOFF * 2**attempt))
        if doubted:
            told = [_doubtful(part) for part in told]
        return self._try_rest(changes, told, tries_left) if tries_left > 1 else told

    def _try_rest(self, changes: Changes, told: list[Told], tries_left: int) -> list[Told]:
        """Of a batch that was taken but for some rows, hand those over again that failed; the others are done."""
        first = told[0]
        rest = [at for at, refusal in sorted(first.verdict.but.items()) if refusal.status == "failed"]
        if len(told) > 1 or not rest or first.verdict.status != "accepted" or self.breaker.is_open:
            return told
        self._clock.sleep(self._clock.chance() * _FIRST_BACKOFF * 2 ** (TRIES - tries_left))
        part = replace(changes, rows=changes.rows.take(pa.array(rest, pa.int64())))
        but = {at: refusal for at, refusal in first.verdict.but.items() if at not in set(rest)}
        for found in self.hand_over(part, 0, tries_left - 1):
            for at in range(found.count):
                status, code, error = key_of(found)
                odd = found.verdict.but.get(at) or Refusal(status, code or "", error)
                if odd.status != "accepted":
                    but[rest[found.start + at]] = odd
        return [replace(first, verdict=Verdict(but=but))]

    def _try_once(self, changes: Changes, start: int) -> tuple[list[Told], float | None]:
        """One request. The wait is what the destination asks for before another; None: nothing is left to try."""
        count = len(changes)
        try:
            request = self._destination.build(changes, self._now)
        except Exception as error:  # a row that cannot be put into a request spoils only itself
            return self._halve(changes, start, f"cannot_build_{type(error).__name__}".lower()), None
        try:
            carrier = self.carrier()
            answer = self.carry(carrier, request)
            if self._destination.splits(answer):
                self.breaker.succeeded()
                return self._halve(changes, start, f"http_{answer.status}" if answer else "refused"), None
            found = self._destination.read(answer, changes)
            verdict = self._await(carrier, found, changes) if isinstance(found, Pending) else found
        except Refused as error:
            self.breaker.succeeded()
            return self._halve(changes, start, error.code), None
        except NotTaken as error:
            self.breaker.failed(error.code)
            return [Told(start, count, Verdict("failed", error.code), excused=True)], 0.0
        except InDoubt as error:
            self.breaker.failed(error.code)
            return [Told(start, count, Verdict("unknown", error.code))], 0.0
        except Unusable as error:
            self.breaker.trip(str(error))
            return [Told(start, count, Verdict("failed", error.code), excused=True)], None
        except Exception as error:  # a flaw in a destination's code must not leave claims without an outcome
            self.breaker.trip(f"the destination's code failed ({type(error).__name__})")
            return [Told(start, count, Verdict("unknown", "internal_error"))], None
        if verdict.halves and count > 1:
            self.breaker.succeeded()
            return [_doubtful(part) for part in self._halve(changes, start, verdict.code or "refused")], None
        if verdict.status in ("accepted", "rejected") or verdict.but:
            self._taken = self._taken or verdict.status == "accepted"
            self.breaker.succeeded()
        else:
            self.breaker.failed(verdict.code or verdict.status)
        if isinstance(found, Pending) and verdict.status == "unknown":
            return [Told(start, count, verdict)], None  # it was taken: to post it again would make a second job
        excused = verdict.status == "failed" and answer is not None and answer.status in _NOT_NOW
        return [Told(start, count, verdict, excused)], self._asked_wait(answer)

    def carry(self, carrier: AudienceCarrier, request: Request) -> HttpAnswer | None:
        """One request, at the account's pace, with its token and its signature. Raises as the carrier does."""
        self._pace.take()
        with self._count:
            self.requests += 1
        if isinstance(request, HttpRequest):
            if self._compresses:
                request = compressed(request)
            posted_at = int(self._clock.now().replace(tzinfo=dt.UTC).timestamp())
            request = self._destination.sign(self._tokens.authorize(request, posted_at, carrier.carry), posted_at)
        answer = carrier.carry(request)
        if answer is not None and self._tokens.outdated(answer):
            raise NotTaken("token_outdated")
        return answer

    def _await(self, carrier: AudienceCarrier, found: Pending, changes: Changes) -> Verdict:
        """Do the rest of the work, and ask for a job until it is done.

        A job that was taken and of which is never told how it ended is in doubt, unless its destination says otherwise.
        """
        began, wait = self._clock.monotonic(), found.seconds
        if found.request is None:
            return Verdict("unknown", "no_job", "the service works on it, but names no job to ask for")
        while self._clock.monotonic() - began < (_LONGEST_JOB if found.patience is None else found.patience):
            if found.step and self.breaker.is_open:
                raise NotTaken("destination_stopped")  # the work was begun, and is not done
            self._clock.sleep(wait)
            wait = min(max(_FIRST_BACKOFF, 2 * wait), LONGEST_WAIT)
            try:
                answer = self.carry(carrier, found.request)
                if answer is None or answer.status in _NOT_NOW:
                    wait = max(wait, self._asked_wait(answer))
                    continue
                if answer.status >= 300 and not found.step:
                    return Verdict("unknown", f"job_http_{answer.status}", but=found.but)
                told = self._destination.resume(found, answer, changes)
            except (NotTaken, InDoubt):
                continue  # the question was lost, not the job; and a step may be posted again
            except Unusable as error:
                if found.step:
                    raise
                return Verdict("unknown", error.code, but=found.but)
            if isinstance(told, Verdict):
                return told
            found, wait = told, told.seconds
        return replace(found.otherwise, but={**found.but, **found.otherwise.but})

    def _asked_wait(self, answer: HttpAnswer | None) -> float:
        return heed(answer, self._destination, "destination", self._clock, self._pace, self.breaker)

    def _halve(self, changes: Changes, start: int, code: str) -> list[Told]:
        if len(changes) == 1:
            self._refused_alone(code)
            return [Told(start, 1, Verdict("rejected", code))]
        middle = len(changes) // 2
        first = self.hand_over(changes.slice(0, middle), start)
        return first + self.hand_over(changes.slice(middle, len(changes) - middle), start + middle)

    def _refused_alone(self, code: str) -> None:
        """Where one row after the other is refused and none was ever taken, the rows are not to blame."""
        with self._count:
            self._alone += 1
            alone, taken = self._alone, self._taken
        if alone >= _ALL_REFUSED and not taken:
            self.breaker.trip(
                f"the destination refuses every row ({code}): look at the mapping, then `dbt-activate retry`"
            )


def _doubtful(part: Told) -> Told:
    """What became of rows of which an earlier try may have been taken: a later one that was not says nothing of them."""
    but = {at: Refusal("unknown", odd.code) if odd.status == "failed" else odd for at, odd in part.verdict.but.items()}
    status = "unknown" if part.verdict.status == "failed" else part.verdict.status
    return replace(part, verdict=replace(part.verdict, status=status, but=but), excused=False)


def key_of(part: Told) -> tuple[RowStatus, str | None, str | None]:
    """How a batch's rows are recorded. What failed because the destination was down uses up no attempt."""
    status: RowStatus = part.verdict.status
    if part.excused and status == "failed":
        status = "aborted"
    return status, part.verdict.code, part.verdict.error
