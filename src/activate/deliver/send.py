"""Delivers what is in the outbox: settle what a dead run left, then wave by wave read, render, claim, post, record.

A message is claimed before it is posted and its outcome is recorded after, so a crash in between leaves a row that says
so. While one wave is being posted the next is rendered and claimed, so at most two waves are ever in doubt. Reading and
writing have a thread (and a connection) each, because the warehouse works without Python's lock and rendering does not.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa

from activate.deliver.batches import Batch, batches
from activate.deliver.carry import Carrier, NotTaken
from activate.deliver.crew import Crew
from activate.deliver.files import FileCarrier
from activate.deliver.hand_over import Clock, Handed, Line
from activate.deliver.http import HttpCarrier
from activate.deliver.http2 import Http2Carrier
from activate.deliver.mail import MailCarrier
from activate.deliver.outbox import Outbox
from activate.deliver.pace import Pace, Paces
from activate.deliver.render import Rendered, Renderer
from activate.deliver.render_process import RenderProcess
from activate.deliver.rows import RowsCarrier
from activate.errors import DeliveryError, SettingsError
from activate.heap import set_aside
from activate.message import Interrupted, Lost, Page, ProviderReport
from activate.project import Project
from activate.providers.base import Outcome, Outgoing, Provider, Status
from activate.warehouses.base import Warehouse

MAX_WAVE = 5_000
_DOUBTFUL_WAVE = (500, MAX_WAVE)  # at least and at most, where a kill leaves what nobody can know
_MAX_READ = 25_000  # several waves are read at once: each reading looks through the profiles
_WAVE_SECONDS = 2.0
_WORTH_A_PROCESS = 150_000  # messages
_RECORDS = 2  # writes of outcomes under way
_PROBES = 3
_COOL_SECONDS = 20.0
Progress = Callable[[str, int, int], None]
"""Told the provider's name, how many messages have been dealt with, and how many there are."""


def deliver(
    project: Project,
    providers: Mapping[str, Provider],
    open_outbox: Callable[[str], Outbox],
    *,
    now: dt.datetime | None = None,
    clock: Clock | None = None,
    wait_seconds: float = 30.0,
    on_progress: Progress | None = None,
    make_carrier: Callable[[Provider], Carrier] | None = None,
    paces: Paces | None = None,
    time_limit: float | None = None,
) -> list[ProviderReport]:
    """Deliver for each provider, side by side; one that fails never stops another.

    `paces` are those of the providers' accounts (None: accounts are shared within this run). After `time_limit` seconds
    nothing more is begun; what is under way is finished and recorded, and the rest waits.

    `now` is the instant that expiries are judged by and rows are dated with (a replay); None: the clock's, as it moves.
    What goes wrong with a provider is in its report. A warehouse that fails, or a lease that is held by another run
    for longer than `wait_seconds`, is raised when the other providers are done.
    """
    clock = clock or Clock()
    paces = paces or Paces(clock.monotonic, clock.sleep)
    make = make_carrier or carrier_for
    runs = [
        _Delivery(project, provider, open_outbox(name), now, clock, on_progress, make,
                  paces.of(provider.account, provider.limits.per_second))
        for name, provider in providers.items()
    ]  # fmt: skip
    if not runs:
        return []
    with set_aside(), ThreadPoolExecutor(len(runs), thread_name_prefix="deliver") as pool:
        futures = [pool.submit(run.run, wait_seconds) for run in runs]
        try:
            _, late = wait(futures, time_limit)
            if late:
                _stop(runs, "the time limit is up")
                wait(futures)
        except BaseException:
            _stop(runs, "the run was asked to stop")
            raise
    return [future.result() for future in futures]


def _stop(runs: Iterable[_Delivery], why: str) -> None:
    """What is under way is finished and recorded, what is claimed is released, and nothing more is begun."""
    for run in runs:
        run.stop(why)


def require_usable(reports: Sequence[ProviderReport]) -> None:
    """Raise DeliveryError when some provider could not be used at all."""
    broken = [report for report in reports if report.unusable]
    if broken:
        told = "; ".join(f"{report.provider}: {report.error} ({report.left} messages wait)" for report in broken)
        raise DeliveryError(f"could not deliver by {told}")


def carrier_for(provider: Provider, open_warehouse: Callable[[], Warehouse] | None = None) -> Carrier:
    """A connection of the kind that the provider's requests need.

    `open_warehouse` gives a connection of its own to the project's warehouse; raises SettingsError where a provider writes
    there and there is none.
    """
    timeout = provider.limits.timeout_seconds
    if provider.transport == "table":
        if open_warehouse is None:
            raise SettingsError(f"provider {provider.name!r} writes into the warehouse, and there is no way to open it")
        return RowsCarrier(open_warehouse)
    if provider.transport == "file":
        return FileCarrier()
    if provider.transport == "http2":
        return Http2Carrier(timeout)
    return MailCarrier(timeout) if provider.transport == "mail" else HttpCarrier(timeout)


def _after_crash(message_id: str, taken: frozenset[str] | None) -> tuple[Status, None, str | None]:
    """What became of a claim that was left behind: status, no id of the provider's, error code."""
    if taken is None:
        return "unknown", None, "interrupted"
    return ("accepted", None, None) if message_id in taken else ("failed", None, "interrupted")


def _doubtful(outcome: Outcome, doubted: Set[str]) -> Outcome:
    """An earlier attempt may have been taken, so an end without another one is not a definite failure."""
    if outcome.message_id in doubted and outcome.status in ("failed", "aborted", "expired"):
        return outcome._replace(status="unknown", error_code=outcome.error_code or outcome.status)
    return outcome


def _lost(outcomes: Sequence[Outcome], outgoing: Sequence[Outgoing]) -> list[Lost]:
    """The addresses that the provider told are not to be used again."""
    reasons = {outcome.message_id: outcome.lost for outcome in outcomes if outcome.lost}
    if not reasons:
        return []
    return [
        Lost(message.message_id, message.channel, message.address, reason)
        for message in outgoing
        if (reason := reasons.get(message.message_id))
    ]


@dataclass
class _Wave:
    """A wave that is being claimed, and then posted."""

    rendered: Rendered
    posting: Future[list[Future[Handed]]]


class _Made(NamedTuple):
    """A wave that is rendered: its requests, the moment it was rendered at, and how many messages are done after it."""

    rendered: Rendered
    batches: list[Batch]
    at: dt.datetime
    done: int


class _Place(NamedTuple):
    """The rows that were read last, and where in their page they end."""

    page: Page
    ends: int
    rows: pa.Table


class _Delivery:
    """One provider's delivery, from the lease to the report."""

    def __init__(self, project: Project, provider: Provider, outbox: Outbox, now: dt.datetime | None, clock: Clock,
                 on_progress: Progress | None, make_carrier: Callable[[Provider], Carrier], pace: Pace) -> None:  # fmt: skip
        self._project = project
        self._provider = provider
        self._policy = project.policy.delivery
        self._outbox = outbox
        self._now = now
        self._clock = clock
        self._progress = on_progress
        self._make_carrier = make_carrier
        self._line = Line(provider, clock, pace)
        self._renderer = Renderer(project, provider)
        self._latest: dt.datetime | None = None
        self._counts: Counter[str] = Counter()
        limits = provider.limits
        self._least = limits.batch * limits.concurrency
        self._most = _MAX_READ if limits.per_second is None else int(limits.per_second * limits.batch * _WAVE_SECONDS)
        self._size = self._bounded(2 * self._least)
        self._landed_at = clock.monotonic()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix=f"record-{provider.name}")
        self._recording: deque[Future[None]] = deque()

    def stop(self, why: str) -> None:
        """Begin nothing more."""
        self._line.breaker.stop(why)

    def run(self, wait_seconds: float) -> ProviderReport:
        """Deliver everything that is open."""
        started_at, began = self._clock.now(), self._clock.monotonic()
        try:
            with self._outbox.lease(wait_seconds), self._writer:  # writes end before the lease does
                left = self._run(started_at)
        finally:
            self._outbox.close()
        errors = [reason for reason in (self._trouble(), *map(str, self._renderer.mistakes.values())) if reason]
        return ProviderReport(
            self._provider.name, dict(self._counts), left, self._line.requests,
            self._clock.monotonic() - began, self._line.scrub.text("; ".join(errors)) or None,
            self._line.breaker.stopped,
        )  # fmt: skip

    def _run(self, started_at: dt.datetime) -> int:
        """Deliver; return how many messages are left open."""
        interrupted = self._outbox.interrupted()
        if interrupted:
            self._settle(interrupted)
            self._recorded()
        work = self._outbox.collect()
        self._latest = max(filter(None, (work.latest, self._latest)), default=None)
        if work.total:
            self._send(work.total)
            self._recorded()
            self._probe()
        left, oldest = self._outbox.left()
        if work.total or interrupted:
            counts = {"outcomes": dict(self._counts), "requests": self._line.requests}
            finished_at = self._clock.now()
            self._outbox.finish(counts, self._now or finished_at, started_at, finished_at, oldest or self._latest)
        return left

    def _probe(self) -> None:
        """A provider that failed after it had worked is tried again after a while, by one request at a time.

        One that never worked in this run is left to the next.
        """
        breaker = self._line.breaker
        for number in range(_PROBES):
            if not breaker.may_recover:
                return
            self._clock.rest(_COOL_SECONDS * 2**number, breaker.asked_to_stop)
            breaker.half_open()
            if breaker.is_open:
                return
            self._line.window.close_to_one()
            work = self._outbox.collect()
            if work.total:
                self._send(work.total)
                self._recorded()

    def _trouble(self) -> str | None:
        """Why the provider was left alone, or that it took nothing at all."""
        breaker = self._line.breaker
        if breaker.reason or not self._counts["failed"] or self._counts["accepted"] or self._counts["rejected"]:
            return breaker.reason
        return f"nothing was taken (the last failure: {breaker.last_code})"

    # -- what a dead run left ---------------------------------------------------------------------------------------

    def _settle(self, interrupted: Sequence[Interrupted]) -> None:
        """Give each claim without an outcome the outcome that can be known."""
        self._latest = max(message.claimed_at for message in interrupted)
        try:
            taken = self._look_up(interrupted)
        except NotTaken as trouble:
            # They stay claimed: to hand them over again unseen could double them.
            self._line.breaker.trip(f"what was delivered before cannot be looked up ({trouble.code})")
            return
        outcomes = [Outcome(message.message_id, *_after_crash(message.message_id, taken)) for message in interrupted]
        attempts = {message.message_id: message.attempt for message in interrupted}
        transactional = {message.message_id for message in interrupted if message.message_class == "transactional"}
        excused = frozenset(attempts)
        final = [self._is_final(outcome, attempts, transactional, excused) for outcome in outcomes]
        self._record(outcomes, attempts, final, self._at())

    def _look_up(self, interrupted: Sequence[Interrupted]) -> frozenset[str] | None:
        """Which of the messages the provider holds, where that can be looked up (files), else None."""
        paths = {self._provider.looked_up_in(message.claimed_at) for message in interrupted}
        carrier = self._make_carrier(self._provider)
        wanted = frozenset(message.message_id for message in interrupted)
        found = [carrier.already_taken(path, wanted) for path in paths if path is not None]
        carrier.close()
        return frozenset().union(*found) if found else None

    # -- waves ------------------------------------------------------------------------------------------------------

    def _send(self, total: int) -> None:
        crew = Crew(self._line, lambda: self._make_carrier(self._provider))
        flying: list[_Wave] = []
        try:
            # Closed at once when something fails: it has a process and threads of its own.
            with contextlib.closing(self._rendered(total)) as waves:
                for made in waves:
                    self._refuse(made.rendered, made.at)
                    flying.append(_Wave(made.rendered, self._writer.submit(self._hand_over, crew, made)))
                    if len(flying) == 2:
                        self._land(flying.pop(0))
                    self._tell(min(made.done, total), total)
        except BaseException:
            self.stop("the run failed")  # what is under way ends soon, and its outcomes are still recorded
            raise
        finally:
            try:
                for wave in flying:
                    self._land(wave)
            finally:
                crew.close()

    def _rendered(self, total: int) -> Generator[_Made, None, None]:
        """Yield each wave rendered."""
        with contextlib.ExitStack() as stack:
            helper = self._render_process(total)
            if helper is not None:
                stack.callback(helper.close)
            beside = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix=f"render-{self._provider.name}"))
            ahead: Future[_Made] | None = None
            for rows, done in self._read_ahead():
                if helper is None or not helper.is_ready:
                    if ahead is not None:
                        yield ahead.result()
                        ahead = None
                    yield self._render(rows, self._at(), done)
                    continue
                before, ahead = ahead, beside.submit(self._render_apart, helper, rows, self._at(), done)
                if before is not None:
                    yield before.result()
            if ahead is not None and not self._line.breaker.is_open:
                yield ahead.result()

    def _render_process(self, total: int) -> RenderProcess | None:
        """A process that renders, where that is worth its start: much to send to a provider that may take it fast."""
        if total < _WORTH_A_PROCESS or (os.cpu_count() or 1) < 2 or self._most < MAX_WAVE:
            return None
        try:
            return RenderProcess(self._project, self._provider)
        except Exception:  # it is only a faster way: whatever cannot be sent to another process is rendered in this one
            return None

    def _render(self, rows: pa.Table, at: dt.datetime, done: int) -> _Made:
        rendered = self._renderer.render(rows, at)
        return _Made(rendered, batches(self._provider, rendered.outgoing, at), at, done)

    def _render_apart(self, helper: RenderProcess, rows: pa.Table, at: dt.datetime, done: int) -> _Made:
        rendered = Rendered.of(rows)
        made = helper.render(rows, self._renderer.kinds, at, rendered)
        return self._render(rows, at, done) if made is None else _Made(rendered, made, at, done)

    def _read_ahead(self) -> Iterator[tuple[pa.Table, int]]:
        """Yield each wave with how many messages are done after it; the next are read while this one is worked on."""
        done = 0
        with ThreadPoolExecutor(1) as reader:
            ahead = reader.submit(self._read, None)
            while not self._line.breaker.is_open and (place := ahead.result()) is not None:
                ahead = reader.submit(self._read, place)
                step = self._claimed_at_once()
                for start in range(0, place.rows.num_rows, step):
                    if self._line.breaker.is_open:
                        break
                    wave = place.rows.slice(start, step)
                    done += wave.num_rows
                    yield wave, done

    def _read(self, last: _Place | None) -> _Place | None:
        """Read what comes next, from the next page when this one is used up; None behind the last."""
        size = self._size
        if last is not None and last.ends < last.page.rows:
            page, begins = last.page, last.ends
        elif (turned := self._turn_page()) is not None:
            page, begins = turned, 0
        else:
            return None
        return _Place(page, begins + size, self._outbox.wave(begins, size, self._at()))

    def _claimed_at_once(self) -> int:
        """How many messages are a wave. Where a doubt cannot be settled it is a second's worth, so that few are in doubt."""
        if self._provider.idempotent or self._provider.looked_up_in(self._at()) is not None:
            return MAX_WAVE
        least, most = _DOUBTFUL_WAVE
        return min(max(self._size // 2, self._least, least), most)

    def _turn_page(self) -> Page | None:
        """Make the next part of the outbox ready to be read, and the templates that it needs."""
        page = self._outbox.page()
        if page is not None:
            self._outbox.choose(*self._renderer.prepare(page.kinds))
        return page

    def _hand_over(self, crew: Crew, made: _Made) -> list[Future[Handed]]:
        """Claim a wave, and have it posted once that is written down. Runs beside the rendering of the next wave."""
        attempts, outgoing = made.rendered.attempts, made.rendered.outgoing
        self._outbox.claim({message.message_id: attempts[message.message_id] for message in outgoing}, made.at)
        return [crew.post(batch, made.at) for batch in made.batches]

    def _refuse(self, rendered: Rendered, at: dt.datetime) -> None:
        """Record what does not go out."""
        outcomes = [_doubtful(outcome, rendered.doubted) for outcome in rendered.refused]
        self._record(outcomes, rendered.attempts, [True] * len(outcomes), at)

    def _land(self, wave: _Wave) -> None:
        """Wait for a wave's outcomes and record them."""
        outcomes: list[Outcome] = []
        excused: set[str] = set()
        # A doubt that can be looked up stays a claim, and the next run looks.
        looks_up = self._provider.looked_up_in(self._at()) is not None
        for future in wave.posting.result():
            handed = future.result()
            outcomes += [one for one in handed.outcomes if one.status != "unknown"] if looks_up else handed.outcomes
            excused |= handed.excused
        attempts, transactional = wave.rendered.attempts, wave.rendered.transactional
        final = [
            outcome.status == "accepted" or self._is_final(outcome, attempts, transactional, excused)
            for outcome in outcomes
        ]
        if wave.rendered.doubted:
            outcomes = [
                _doubtful(outcome, wave.rendered.doubted) if ends else outcome
                for outcome, ends in zip(outcomes, final, strict=True)
            ]
        self._record(outcomes, attempts, final, self._at(), _lost(outcomes, wave.rendered.outgoing))
        landed_at = self._clock.monotonic()
        self._adapt(len(outcomes), landed_at - self._landed_at)
        self._landed_at = landed_at

    def _is_final(
        self, outcome: Outcome, attempts: Mapping[str, int], transactional: Set[str], excused: Set[str]
    ) -> bool:
        """Whether nothing more will be tried."""
        spent = attempts[outcome.message_id] >= self._policy.max_attempts
        if outcome.status == "failed":
            return spent and outcome.message_id not in excused
        if outcome.status == "unknown":
            resend = self._policy.resend_unknown == "transactional" and outcome.message_id in transactional
            return spent or not (self._provider.idempotent or resend)
        return True

    # -- small things -----------------------------------------------------------------------------------------------

    def _record(
        self,
        outcomes: list[Outcome],
        attempts: Mapping[str, int],
        final: Sequence[bool],
        at: dt.datetime,
        lost: Sequence[Lost] = (),
    ) -> None:
        """Write outcomes down, in the background and in order; a few such writes at most are under way."""
        if not outcomes:
            return
        self._recorded(_RECORDS - 1)
        self._recording.append(self._writer.submit(self._outbox.record, outcomes, attempts, final, at, lost))
        self._counts.update(outcome.status for outcome in outcomes)

    def _recorded(self, but: int = 0) -> None:
        """Wait until all outcomes so far (all but the last few) are on disk; raises what went wrong."""
        while len(self._recording) > but:
            self._recording.popleft().result()

    def _at(self) -> dt.datetime:
        """This moment; never before a message was queued, so that state stays in order when clocks differ."""
        at = self._now or self._clock.now()
        return max(at, self._latest) if self._latest else at

    def _bounded(self, size: int) -> int:
        return max(1, min(max(size, self._least), _MAX_READ, max(self._most, 1)))

    def _adapt(self, rows: int, seconds: float) -> None:
        """Size the next reading to some two seconds' worth: a slow peer's rows are fresh, and a fast peer is fed."""
        if rows and seconds > 0:
            self._size = self._bounded(min(int(rows / seconds * _WAVE_SECONDS), 4 * self._size))

    def _tell(self, done: int, total: int) -> None:
        if self._progress is not None:
            self._progress(self._provider.name, done, total)
