"""Delivers what is in the outbox: settle what a dead run left, then wave by wave read, render, claim, post, record.

A message is claimed before it is posted and its outcome is recorded after, so a crash in between leaves a row that says
so. While one wave is being posted the next is read, rendered and claimed; so at most two waves are ever in doubt.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from activate.deliver.carry import Carrier, NotTaken
from activate.deliver.crew import Crew
from activate.deliver.files import FileCarrier
from activate.deliver.hand_over import Clock, Handed, Line
from activate.deliver.http import HttpCarrier
from activate.deliver.mail import MailCarrier
from activate.deliver.outbox import Outbox
from activate.deliver.render import Rendered, Renderer
from activate.errors import DeliveryError
from activate.message import Attempt, Interrupted, ProviderReport
from activate.project import Project
from activate.providers.base import Outcome, Outgoing, Provider, Status

MAX_WAVE = 5_000
_WAVE_SECONDS = 2.0
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
) -> list[ProviderReport]:
    """Deliver for each provider, side by side; one that fails never stops another.

    `now` is the instant that expiries are judged by and rows are dated with (a replay); None: the clock's, as it moves.
    What goes wrong with a provider is in its report. A warehouse that fails, or a lease that is held by another run
    for longer than `wait_seconds`, is raised when the other providers are done.
    """
    runs = [
        _Delivery(project, provider, open_outbox(name), now, clock or Clock(), on_progress, make_carrier or carrier_for)
        for name, provider in providers.items()
    ]
    if not runs:
        return []
    with ThreadPoolExecutor(len(runs), thread_name_prefix="deliver") as pool:
        futures = [pool.submit(run.run, wait_seconds) for run in runs]
        try:
            wait(futures)
        except BaseException:
            # Asked to stop: what is under way is finished and recorded, nothing more is begun.
            for run in runs:
                run.stop()
            raise
    return [future.result() for future in futures]


def require_usable(reports: Sequence[ProviderReport]) -> None:
    """Raise DeliveryError when some provider could not be used at all."""
    broken = [report for report in reports if report.unusable]
    if broken:
        told = "; ".join(f"{report.provider}: {report.error} ({report.left} messages wait)" for report in broken)
        raise DeliveryError(f"could not deliver by {told}")


def carrier_for(provider: Provider) -> Carrier:
    """A connection of the kind that the provider's requests need."""
    timeout = provider.limits.timeout_seconds
    if provider.transport == "file":
        return FileCarrier()
    return MailCarrier(timeout) if provider.transport == "mail" else HttpCarrier(timeout)


@dataclass
class _Wave:
    """A wave that is being posted."""

    rendered: Rendered
    batches: list[tuple[Sequence[Outgoing], Future[list[Handed]]]]


class _Delivery:
    """One provider's delivery, from the lease to the report."""

    def __init__(self, project: Project, provider: Provider, outbox: Outbox, now: dt.datetime | None, clock: Clock,
                 on_progress: Progress | None, make_carrier: Callable[[Provider], Carrier]) -> None:  # fmt: skip
        self._provider = provider
        self._policy = project.policy.delivery
        self._outbox = outbox
        self._now = now
        self._clock = clock
        self._progress = on_progress
        self._make_carrier = make_carrier
        self._line = Line(provider, clock)
        self._renderer = Renderer(project, provider)
        self._latest: dt.datetime | None = None
        self._counts: Counter[str] = Counter()
        limits = provider.limits
        self._least = limits.batch * limits.concurrency
        self._most = MAX_WAVE if limits.per_second is None else int(limits.per_second * limits.batch * _WAVE_SECONDS)
        self._size = self._bounded(2 * self._least)
        self._landed_at = clock.monotonic()

    def stop(self) -> None:
        """Begin nothing more."""
        self._line.breaker.trip("the run was asked to stop")

    def run(self, wait_seconds: float) -> ProviderReport:
        """Deliver everything that is open."""
        started_at, began = self._clock.now(), self._clock.monotonic()
        try:
            with self._outbox.lease(wait_seconds):
                left = self._run(started_at)
        finally:
            self._outbox.close()
        errors = [reason for reason in (self._line.breaker.reason, *self._renderer.mistakes.values()) if reason]
        return ProviderReport(
            self._provider.name, dict(self._counts), left, self._line.requests,
            self._clock.monotonic() - began, "; ".join(errors) or None,
        )  # fmt: skip

    def _run(self, started_at: dt.datetime) -> int:
        """Deliver; return how many messages are left open."""
        interrupted = self._outbox.interrupted()
        if interrupted:
            self._settle(interrupted)
        work = self._outbox.collect()
        self._latest = max(filter(None, (work.latest, self._latest)), default=None)
        if work.total:
            self._outbox.choose(*self._renderer.prepare(work.kinds))
            self._send(work.total)
        left, oldest = self._outbox.left()
        if work.total or interrupted:
            counts = {"outcomes": dict(self._counts), "requests": self._line.requests}
            finished_at = self._clock.now()
            self._outbox.finish(counts, self._now or finished_at, started_at, finished_at, oldest or self._latest)
        return left

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
        rows = []
        for message in interrupted:
            if taken is not None:
                status: Status = "accepted" if message.message_id in taken else "failed"
            else:
                status = "unknown"
            outcome = Outcome(message.message_id, status, None, None if status == "accepted" else "interrupted")
            rows.append(self._attempt(Handed(outcome, excused=True), message.attempt, message.message_class))
        self._write(rows)

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
        place = 0
        try:
            while place < total and not self._line.breaker.is_open:
                at = self._at()
                rendered = self._renderer.render(self._outbox.wave(place, self._size, at), at)
                place += self._size
                claims = [Attempt(key, number, "claimed", final=False) for key, number in rendered.attempts.items()]
                self._write(rendered.refused + claims, at)
                flying.append(self._post(crew, rendered, at))
                if len(flying) == 2:
                    self._land(flying[0])
                    del flying[0]
                self._tell(min(place, total), total)
        except BaseException:
            self.stop()  # what is under way ends soon, and its outcomes are still recorded
            raise
        finally:
            for wave in flying:
                self._land(wave)
            crew.close()

    def _post(self, crew: Crew, rendered: Rendered, at: dt.datetime) -> _Wave:
        size = self._provider.limits.batch
        batches = [rendered.outgoing[start : start + size] for start in range(0, len(rendered.outgoing), size)]
        return _Wave(rendered, [(batch, crew.post(batch, at)) for batch in batches])

    def _land(self, wave: _Wave) -> None:
        """Wait for a wave's outcomes and record them."""
        rows = []
        for batch, future in wave.batches:
            handed = future.result()
            classes = {message.message_id: message.message_class for message in batch}
            for item in handed:
                key = item.outcome.message_id
                rows.append(self._attempt(item, wave.rendered.attempts[key], classes[key]))
        self._write(rows)
        landed_at = self._clock.monotonic()
        self._adapt(wave.rendered.rows, landed_at - self._landed_at)
        self._landed_at = landed_at

    def _attempt(self, handed: Handed, attempt: int, message_class: str) -> Attempt:
        """The row for an outcome: `final` where nothing more will be tried."""
        outcome = handed.outcome
        spent = attempt >= self._policy.max_attempts
        if outcome.status == "failed":
            final = spent and not handed.excused
        elif outcome.status == "unknown":
            resend = message_class == "transactional" and self._policy.resend_unknown == "transactional"
            final = spent or not (self._provider.idempotent or resend)
        else:
            final = True
        return Attempt(
            outcome.message_id, attempt, outcome.status, outcome.provider_message_id, outcome.error_code,
            outcome.error, final,
        )  # fmt: skip

    # -- small things -----------------------------------------------------------------------------------------------

    def _write(self, rows: Sequence[Attempt], at: dt.datetime | None = None) -> None:
        self._outbox.write(rows, at or self._at())
        self._counts.update(row.status for row in rows if row.status != "claimed")

    def _at(self) -> dt.datetime:
        """This moment; never before a message was queued, so that state stays in order when clocks differ."""
        at = self._now or self._clock.now()
        return max(at, self._latest) if self._latest else at

    def _bounded(self, size: int) -> int:
        return max(1, min(max(size, self._least), MAX_WAVE, max(self._most, 1)))

    def _adapt(self, rows: int, seconds: float) -> None:
        """Size the next wave to some two seconds' worth: a crash then leaves few in doubt, and a fast peer is fed."""
        if rows and seconds > 0:
            self._size = self._bounded(min(int(rows / seconds * _WAVE_SECONDS), 4 * self._size))

    def _tell(self, done: int, total: int) -> None:
        if self._progress is not None:
            self._progress(self._provider.name, done, total)
