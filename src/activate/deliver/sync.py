"""Sends one audience's changes: page by page claim, send in batches, record. Removals come before additions.

A page is claimed before it is sent and its outcome is recorded after, so that after a crash nobody is taken for absent who
may be at the destination: what is in doubt is sent, or removed, again. Destinations hold sets, so again does no harm.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Protocol, cast

import pyarrow as pa
from sqlglot import exp

from activate.deliver.audience_line import AudienceCarrier, AudienceLine, Told, key_of
from activate.deliver.carry import InDoubt, NotTaken, Refused
from activate.deliver.hand_over import Clock
from activate.deliver.pace import Pace
from activate.destinations.base import CHANGE, MEMBER, ROW, USER_ID, Changes, Destination, Phase, Refusal, Verdict
from activate.providers.base import Unusable
from activate.warehouses.dialect import Dialect

PAGE = 25_000
_FIRST_PAGE = 5_000
_AT_ONCE = 0.004  # seconds
_PAGE_SECONDS = 10.0
PageRange = tuple[int, int]
Wave = tuple[str, PageRange, int]
"""A page's phase, its range, and the number of the wave that it is sent in."""
_NO_MORE: Iterator[Wave] = iter(())
Progress = Callable[[str, int, int], None]
"""Told the audience's name, how many changes have been dealt with, and how many there are."""


class Whole(AudienceCarrier, Protocol):
    """A connection to a destination that acknowledges a sync as a whole."""

    def finish(self) -> None:
        """Publish what was handed over; raises NotTaken or InDoubt."""

    def abandon(self) -> None:
        """Drop what was handed over."""


class Book(Protocol):
    """What the sync needs of the state; `activate.record.audiences.AudienceBook` keeps it."""

    def pages(self, phase: str, size: int, first: int | None = None) -> list[PageRange]:
        """Ranges of `seq` with at most `size` rows of the phase, the first with `first`."""

    def rows(self, phase: str, page: PageRange, columns: Mapping[str, exp.Expr]) -> pa.RecordBatch:
        """The rows of a page."""

    def claim(self, phase: str, page: PageRange, wave: int) -> None:
        """Record that a page is about to be sent."""

    def settle(self, phase: str, page: PageRange, wave: int, status: str, code: str | None, error: str | None = None,
               refusals: list[tuple[int, str, str, str | None]] = ..., claims: Wave | None = None) -> None:  # fmt: skip
        """Record what became of a page, and with it that of `claims`, which is about to be sent."""


@dataclass(frozen=True)
class Shipment:
    """What is to be sent: the phases in order, how many changes each has, and the fields in the work table's order,
    with those that are `instants` (UTC).

    Phases are `suppress` and `remove`, then `upsert`, or `add` or `update` where the other is withheld.
    """

    audience: str
    run_id: str
    now: dt.datetime
    counts: Mapping[str, int]
    fields: tuple[str, ...]
    first_wave: int
    instants: frozenset[str] = frozenset()


@dataclass
class Sent:
    """What one sync did: changes by kind and by status, and why it stopped, if it did."""

    outcomes: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    error: str | None = None
    stopped: str | None = None


@dataclass(frozen=True)
class _Posted:
    """A page that is on its way."""

    phase: str
    page: PageRange
    wave: int
    rows: pa.RecordBatch
    lanes: list[Future[list[Told]]]

    def wait(self) -> list[Told]:
        """What became of it, batch by batch."""
        return sorted((told for lane in self.lanes for told in lane.result()), key=lambda told: told.start)


class Sync:
    """One audience's sync, from its change set to the outcomes."""

    def __init__(
        self, destination: Destination, book: Book, shipment: Shipment, dialect: Dialect,
        make_carrier: Callable[[], AudienceCarrier], clock: Clock | None = None, on_progress: Progress | None = None,
        pace: Pace | None = None, deadline: float | None = None,
    ) -> None:  # fmt: skip
        self._destination = destination
        self._book = book
        self._shipment = shipment
        self._dialect = dialect
        self._clock = clock or Clock()
        self._progress = on_progress
        self._line = AudienceLine(destination, make_carrier, self._clock, shipment.now, pace, deadline)
        self.breaker = self._line.breaker
        self._lock = threading.Lock()
        self._concurrency, self._threads = destination.limits.concurrency, 1
        self.sent = Sent()

    def run(self) -> Sent:
        """Send everything; what goes wrong with the destination is in the answer, the warehouse's errors are raised."""
        try:
            if self._destination.abilities.whole:
                self._as_a_whole()
            else:
                self._in_pages()
        finally:
            self._line.close()
        self.sent.requests = self._line.requests
        self.sent.error = self.sent.error or self.breaker.reason
        self.sent.stopped = self.breaker.stopped
        if self.sent.error is None and self.sent.stopped is None and set(self.sent.outcomes) == {"aborted"}:
            self.sent.error = f"the destination took nothing (the last answer: {self.breaker.last_code})"
        return self.sent

    def stop(self) -> None:
        """Begin nothing more."""
        self.breaker.trip("the run was asked to stop")

    # -- page by page ---------------------------------------------------------------------------------------------

    def _in_pages(self) -> None:
        limits = self._destination.limits
        with ThreadPoolExecutor(limits.concurrency, thread_name_prefix=f"sync-{self._destination.name}") as pool:
            posted: _Posted | None = None
            try:
                size = self._page_size()
                waves = self._waves(size, _FIRST_PAGE if size == PAGE else size)
                claimed = self._claim_next(waves)
                # While a page is being posted the one before is recorded, and the next is claimed, with that, and read.
                while claimed:
                    phase, page, wave = claimed
                    rows = self._book.rows(phase, page, self._columns(phase))
                    told = posted.wait() if posted else []  # removals are done before additions begin
                    before, posted = posted, _Posted(phase, page, wave, rows, self._post(pool, phase, rows))
                    claimed = self._record(before, told, waves) if before else self._claim_next(waves)
            except BaseException:
                # The warehouse failed, or we are asked to stop: begin nothing more, but what was sent is waited for.
                self.stop()
                raise
            if posted:
                self._record(posted, posted.wait())

    def _page_size(self) -> int:
        limits = self._destination.limits
        least = limits.batch * limits.concurrency
        if limits.per_second is None:
            return max(least, PAGE)
        # With a slow destination a page is what it takes in some seconds, so that little is ever in doubt.
        return max(limits.batch, min(PAGE, int(limits.per_second * limits.batch * _PAGE_SECONDS)))

    def _waves(self, size: int, first: int | None = None) -> Iterator[Wave]:
        """The pages to send. The first may be small, so that the destination has something to do while the next is read."""
        wave = self._shipment.first_wave
        for phase, count in self._shipment.counts.items():
            if not count:
                continue
            for page in self._book.pages(phase, size, first):
                yield phase, page, wave
                wave += 1
            first = None

    def _claim_next(self, waves: Iterator[Wave]) -> Wave | None:
        found = self._next(waves)
        if found:
            self._book.claim(*found)
        return found

    def _next(self, waves: Iterator[Wave]) -> Wave | None:
        found = next(waves, None)
        return None if found is None or self._line.is_over() else found

    def _post(self, pool: ThreadPoolExecutor, phase: str, rows: pa.RecordBatch) -> list[Future[list[Told]]]:
        """Begin to post a page. Each thread takes one batch after the other: to be woken for each costs as much as HTTP.

        Where answers come at once, one thread does it all, for more would only wait for one another; each answer that takes
        its time lets another in, up to as many as the destination allows.
        """
        size = self._destination.batch_of(_kind(phase))
        page = self._changes(phase, rows)
        starts = deque(range(0, rows.num_rows, size))
        lanes: list[Future[list[Told]]] = []

        def lane() -> list[Told]:
            told: list[Told] = []
            while True:
                try:
                    start = starts.popleft()
                except IndexError:
                    return told
                began = self._clock.monotonic()
                told += self._line.hand_over(page.slice(start, size), start)
                if len(lanes) < self._concurrency and self._clock.monotonic() - began > _AT_ONCE:
                    with self._lock:
                        self._threads = min(self._concurrency, len(lanes) + 1)
                        if starts and len(lanes) < self._threads and not self.breaker.is_open:
                            lanes.append(pool.submit(lane))

        with self._lock:
            lanes += [pool.submit(lane) for _ in range(min(len(starts), self._threads))]
        return lanes

    def _record(self, posted: _Posted, told: list[Told], waves: Iterator[Wave] = _NO_MORE) -> Wave | None:
        """Record a page's outcomes: the commonest status for all, the others row by row. No secret gets through.

        Claims the next of `waves` in the same statement, and returns it: each that is committed waits for the disk.
        """
        told = [self._scrubbed(part) for part in told]
        weights: Counter[tuple[str, str | None, str | None]] = Counter()
        for part in told:
            weights[key_of(part)] += part.count - len(part.verdict.but)
        (status, code, error), _ = weights.most_common(1)[0]
        rows = posted.rows
        seqs = rows.column("_seq")
        refusals: list[tuple[int, str, str, str | None]] = []
        for part in told:
            theirs = key_of(part)
            if theirs == (status, code, error) and not part.verdict.but:
                continue
            for at in range(part.count):
                odd = part.verdict.but.get(at)
                found = (odd.status, odd.code, odd.error) if odd else theirs
                if found != (status, code, error):
                    refusals.append((seqs[part.start + at].as_py(), found[0], found[1] or "", found[2]))
        claims = self._next(waves)
        self._book.settle(posted.phase, posted.page, posted.wave, status, code, error, refusals, claims)
        self._note(rows.num_rows, status, code, refusals)
        return claims

    def _scrubbed(self, part: Told) -> Told:
        verdict, hide = part.verdict, self._line.scrub
        if verdict.code is None and verdict.error is None and not verdict.but:
            return part
        but = {
            at: Refusal(odd.status, hide.code(odd.code) or "", hide.text(odd.error or "") or None)
            for at, odd in verdict.but.items()
        }
        clean = Verdict(verdict.status, hide.code(verdict.code), hide.text(verdict.error or "") or None, but)
        return replace(part, verdict=clean)

    def _note(
        self, count: int, status: str, code: str | None, refusals: list[tuple[int, str, str, str | None]]
    ) -> None:
        outcomes = self.sent.outcomes
        if rest := count - len(refusals):
            outcomes[status] += rest
            if status != "accepted" and code:
                self.sent.codes[code] += rest
        for _, odd, why, _ in refusals:
            outcomes[odd] += 1
            if why:
                self.sent.codes[why] += 1
        if self._progress is not None:
            self._progress(self._shipment.audience, outcomes.total(), sum(self._shipment.counts.values()))

    # -- rows -----------------------------------------------------------------------------------------------------

    def _columns(self, phase: str) -> dict[str, exp.Expr]:
        """What to read of each row, as the destination wants it."""
        columns: dict[str, exp.Expr] = {
            MEMBER: exp.column("member", table="w"),
            USER_ID: exp.column("user_id", table="w"),
            CHANGE: exp.column("verdict", table="w"),
        }
        fields = {name: exp.column(f"f{number}", table="w") for number, name in enumerate(self._shipment.fields)}
        abilities = self._destination.abilities
        if abilities.shape == "columns":
            if _kind(phase) != "remove":
                return columns | fields
            # The rows of a file have the same columns, though nothing is told of those who are taken out.
            return columns | ({name: _untold(part) for name, part in fields.items()} if abilities.whole else {})
        pairs: dict[str, exp.Expr] = {"change": columns[CHANGE], "user_id": columns[USER_ID], "member": columns[MEMBER]}
        if _kind(phase) != "remove":
            instants = self._shipment.instants
            shown = {name: self._dialect.iso(part) if name in instants else part for name, part in fields.items()}
            pairs["fields"] = self._dialect.json_value(shown)
        return columns | {ROW: self._dialect.json_object({name: part.copy() for name, part in pairs.items()})}

    def _changes(self, phase: str, rows: pa.RecordBatch) -> Changes:
        shipment = self._shipment
        return Changes(shipment.audience, shipment.run_id, _kind(phase), rows.select(rows.schema.names[1:]))

    # -- as a whole -----------------------------------------------------------------------------------------------

    def _as_a_whole(self) -> None:
        """Claim everything, hand it over in pages, and record it when it is published."""
        carrier = self._line.carrier()
        waves = list(self._waves(PAGE))
        for phase, page, wave in waves:
            self._book.claim(phase, page, wave)
        verdict = self._publish(cast("Whole", carrier), waves)
        for phase, page, wave in waves:
            rows = self._book.rows(phase, page, {})
            told = Told(0, rows.num_rows, verdict, excused=verdict.status == "failed")
            self._record(_Posted(phase, page, wave, rows, []), [told])

    def _publish(self, carrier: Whole, waves: list[tuple[str, PageRange, int]]) -> Verdict:
        replaces = self._destination.abilities.replaces
        if replaces:
            pages: list[tuple[str, PageRange]] = [("replace", page) for page in self._book.pages("replace", PAGE)]
        else:
            pages = [(phase, page) for phase, page, _ in waves]
        try:
            for phase, page in pages:
                if self._line.is_over():
                    raise NotTaken("stopped")
                rows = self._book.rows(phase, page, self._columns(phase))
                self._line.carry(carrier, self._destination.build(self._changes(phase, rows), self._shipment.now))
            if not pages:
                # The last member has left: an empty set is published, not none.
                self._line.carry(
                    carrier, self._destination.build(self._changes("replace", self._nothing()), self._shipment.now)
                )
            carrier.finish()
        except (NotTaken, Refused, Unusable) as error:
            carrier.abandon()
            if self.breaker.stopped is None:
                self.breaker.trip(
                    str(error) if isinstance(error, Unusable) else f"the file cannot be written ({error.code})"
                )
            return Verdict("failed", error.code)
        except InDoubt as error:
            self.breaker.trip(f"nobody knows whether the file was written ({error.code})")
            return Verdict("unknown", error.code)
        return Verdict()

    def _nothing(self) -> pa.RecordBatch:
        return self._book.rows("replace", (0, 0), self._columns("replace"))


def _kind(phase: str) -> Phase:
    return "remove" if phase in ("suppress", "remove") else "upsert"


def _untold(field: exp.Expr) -> exp.Expr:
    """Null, with the field's type."""
    return exp.Case(ifs=[exp.If(this=exp.false(), true=field)])
