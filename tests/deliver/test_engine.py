"""The delivery engine: windows, probes, time limits, shared accounts, compressed bodies, and secrets that stay inside."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hmac
import json
import multiprocessing
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from post_office import NOON, SECRET, MakeOffice, PostOffice, Service, duckdb_office, message_id, webhook

from activate.deliver import send
from activate.deliver.carry import InDoubt
from activate.deliver.hand_over import Clock, Line
from activate.deliver.http import compressed
from activate.deliver.pace import Breaker, Paces, Window
from activate.deliver.scrub import Scrubber
from activate.project import Relation
from activate.providers.base import Answer, Capabilities, HttpAnswer, HttpRequest, Outcome, Outgoing, Unusable
from activate.providers.options import read_options
from activate.providers.webhook import Webhook
from activate.record.reservations import Reservations
from activate.run import shared_paces
from activate.testing import faults
from activate.testing.faults import FaultServer, Rule
from activate.warehouses.postgres import Postgres

NO_WAIT = Clock(now=lambda: NOON, sleep=lambda _: None)


# -- window and breaker ------------------------------------------------------------------------------------------------


def test_the_window_halves_once_a_second_and_opens_one_by_one() -> None:
    now = [0.0]
    window = Window(8, lambda: now[0])
    window.overloaded()
    window.overloaded()
    assert window.size == 4, "what fails together is one sign"
    now[0] = 1.0
    window.overloaded()
    assert window.size == 2
    for _ in range(3):
        window.succeeded()
    assert 3 <= window.size < 4
    for _ in range(100):
        window.succeeded()
    assert window.size == 8, "never more than allowed"
    for second in range(2, 12):
        now[0] = float(second)
        window.overloaded()
    assert window.size == 1, "never none"


def test_no_more_requests_are_under_way_than_the_window_allows() -> None:
    window = Window(4, time.monotonic)
    window.overloaded()
    busy, most, lock = [0], [0], threading.Lock()

    def work() -> None:
        with window.slot():
            with lock:
                busy[0] += 1
                most[0] = max(most[0], busy[0])
            time.sleep(0.01)
            with lock:
                busy[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == 2


def test_an_overloaded_peer_sees_fewer_requests_at_once(duckdb_only: MakeOffice) -> None:
    with FaultServer([Rule(faults.too_many(0), requests=range(1, 9))]) as server:
        office = duckdb_only({"mail": webhook(server.url, batch=1, concurrency=8)}).people(40).queue(range(40))
        sizes: list[float] = []
        overloaded = Window.overloaded

        def watched(window: Window) -> None:
            overloaded(window)
            sizes.append(window.size)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Window, "overloaded", watched)
            # A message whose four tries were all among the first eight requests is left to the next run.
            assert set(office.deliver().counts) <= {"accepted", "failed"}
    assert len(sizes) == 8
    assert min(sizes) == 4


def test_a_breaker_is_half_open_only_after_failures_at_a_provider_that_had_worked() -> None:
    dead = Breaker(2)
    dead.failed("a")
    dead.failed("a")
    assert not dead.may_recover, "it never worked: the next run is soon enough"
    ill = Breaker(2)
    ill.succeeded()
    ill.failed("a")
    ill.failed("a")
    assert ill.may_recover
    ill.half_open()
    assert not ill.is_open
    ill.failed("a")
    assert ill.is_open, "one failure is enough"
    assert ill.may_recover
    refused = Breaker(2)
    refused.succeeded()
    refused.trip("bad credentials")
    assert not refused.may_recover
    stopped = Breaker(2)
    stopped.stop("the time limit is up")
    assert stopped.is_open
    assert stopped.reason is None


def test_a_provider_that_recovers_within_the_run_gets_everything(duckdb_only: MakeOffice) -> None:
    rests: list[float] = []
    clock = Clock(now=lambda: NOON, sleep=rests.append)
    with FaultServer([Rule(faults.unavailable(), requests=range(11, 18))]) as server:
        office = duckdb_only({"mail": webhook(server.url, batch=1, concurrency=1)}).people(30).queue(range(30))
        report = office.deliver(clock=clock)
    assert report.counts["accepted"] == 30
    assert report.error is None
    assert report.left == 0
    assert max(rests) >= 20, "it was left alone for a while"
    assert set(server.book.accepted.values()) == {1}
    assert office.last() == {"accepted": 30}


def test_a_provider_that_stays_dead_is_given_up_and_uses_up_no_attempt(duckdb_only: MakeOffice) -> None:
    with FaultServer([Rule(faults.unavailable(), requests=range(6, 1_000))]) as server:
        office = duckdb_only({"mail": webhook(server.url, batch=1, concurrency=1)}).people(20).queue(range(20))
        report = office.deliver()
        assert report.error is not None
        assert "requests failed in a row" in report.error
        assert report.left == 15
        assert server.requests < 40
    assert not any(final for rows in office.outcomes().values() for status, _, final in rows if status != "accepted")


# -- the end of a run ----------------------------------------------------------------------------------------------------


def test_after_the_time_limit_nothing_is_begun_and_nothing_stays_claimed(make_office: MakeOffice) -> None:
    with FaultServer([Rule(faults.slow_drip(0.15))]) as server:
        office = make_office({"mail": webhook(server.url, batch=1, concurrency=2)}).people(200).queue(range(200))
        began = time.monotonic()
        report = office.deliver(time_limit=2.5, clock=Clock(now=lambda: NOON))
        assert time.monotonic() - began < 12
        assert report.stopped == "the time limit is up"
        assert report.error is None
        assert not report.unusable
        accepted = report.counts["accepted"]
        assert 0 < accepted < 200
        assert report.left == 200 - accepted, report.counts
        assert "claimed" not in office.last(), "what was claimed and not begun is released"
    with FaultServer() as after:
        office.project = PostOffice.open(
            office.warehouse, office.project.directory, {"mail": webhook(after.url, batch=10)}
        ).project
        assert office.deliver().counts == {"accepted": 200 - accepted}
    assert set((server.book.accepted + after.book.accepted).values()) == {1}
    assert len(server.book.accepted + after.book.accepted) == 200


def test_who_is_asked_to_stop_does_not_sleep_a_pause_out(duckdb_only: MakeOffice) -> None:
    with FaultServer([Rule(faults.too_many(30))]) as server:
        office = duckdb_only({"mail": webhook(server.url, batch=1, concurrency=1)}).people(3).queue(range(3))
        began = time.monotonic()
        report = office.deliver(time_limit=0.3, clock=Clock(now=lambda: NOON))
        assert time.monotonic() - began < 5
    assert report.left == 3


# -- accounts ------------------------------------------------------------------------------------------------------------


class Ticking:
    """A clock whose sleep moves it."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_who_names_the_same_account_shares_its_pace_and_the_lowest_rate_holds() -> None:
    ticking = Ticking()
    paces = Paces(ticking.monotonic, ticking.sleep)
    mail, text, other = paces.of("acme", 10), paces.of("acme", 5), paces.of("other", 10)
    assert mail is text
    assert mail is not other
    for _ in range(50):
        mail.take()
        text.take()
    assert ticking.now - 100.0 == pytest.approx(99 / 5)


def test_reservations_of_two_processes_follow_one_another(postgres_server: str) -> None:
    with contextlib.closing(Postgres.open(postgres_server)) as warehouse:
        warehouse.execute('CREATE SCHEMA "activate"')
        still = [0.0]
        first, second = (Reservations(warehouse.clone, "activate", lambda: still[0]) for _ in range(2))
        with contextlib.closing(first), contextlib.closing(second):
            assert first.reserve("acme", 0.1, 6) == 0.0
            waits = [one.reserve("acme", 0.1, 6) for one in (second, first, second)]
            assert second.reserve("other", 0.1, 6) == 0.0
        assert waits == pytest.approx([60, 120, 180], abs=20), "by the warehouse's clock, which moves on meanwhile"


def test_what_is_reserved_and_not_used_in_its_second_is_forfeited() -> None:
    ticking = Ticking()
    asked: list[int] = []

    def reserve(account: str, rate: float, count: int) -> float:
        asked.append(count)
        return 0.0

    pace = Paces(ticking.monotonic, ticking.sleep, reserve).of("acme", 10)
    for _ in range(3):
        pace.take()
    ticking.now += 5
    for _ in range(10):
        pace.take()
    assert asked == [10, 10]


def _hurry(uri: str, directory: str, providers: dict[str, Any], name: str) -> None:
    """One of two processes that use an account: each delivers its own provider's messages."""
    with contextlib.closing(Postgres.open(uri)) as warehouse:
        office = PostOffice.open(warehouse, Path(directory), providers)
        with shared_paces(warehouse, office.project) as paces:
            own = {name: office.providers()[name]}
            from activate.record.deliveries import Outbox

            send.deliver(
                office.project,
                own,
                lambda one: Outbox(warehouse.clone(), office.project, one, one),
                now=NOON,
                paces=paces,
            )


def test_two_processes_together_keep_an_account_s_pace(postgres_server: str, tmp_path: Path, peer: Service) -> None:
    at: list[float] = []
    peer.script = lambda *_: bool(at.append(time.monotonic()))
    section = webhook(peer.url, batch=1, concurrency=2, per_second=10, account="acme")
    providers = {"mail": section, "post": section}
    with contextlib.closing(Postgres.open(postgres_server)) as warehouse:
        office = PostOffice.open(warehouse, tmp_path, providers).build().people(40)
        office.queue(range(20)).queue(range(20, 40), provider="post")
    arguments = [(postgres_server, str(tmp_path), providers, name) for name in providers]
    processes = [multiprocessing.get_context("forkserver").Process(target=_hurry, args=one) for one in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert len(at) == 40
    assert at[-1] - at[0] >= 2.5, "forty at ten a second; without sharing it would be two seconds"
    assert max(sum(1 for one in at if start <= one < start + 1.0) for start in at) <= 21


# -- what is asked of the provider ---------------------------------------------------------------------------------------


def _outgoing(number: int, text: str = "") -> Outgoing:
    return Outgoing(
        message_id(number), f"u{number}", "hello", 1, None, "email", f"a{number}@example.com", {"text": text}
    )


def _made(kind: type[Webhook], **options: Any) -> Webhook:
    given = {"url": "https://peer.example.com/", "secret": SECRET, **options}
    return kind("mail", read_options(kind.all_options(), given))


class _Answering:
    """A connection with scripted answers."""

    def __init__(self, *answers: Answer | Exception) -> None:
        self.answers = list(answers)
        self.seen: list[HttpRequest] = []

    def carry(self, request: HttpRequest) -> Answer:
        self.seen.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


class _Compressing(Webhook):
    capabilities: ClassVar[Capabilities] = Capabilities(compresses=True)


def test_large_bodies_are_compressed_before_they_are_signed_where_the_provider_says_so() -> None:
    for kind, text, encoded in (
        (_Compressing, "long " * 500, True), (_Compressing, "short", False), (Webhook, "long " * 500, False),
    ):  # fmt: skip
        carrier = _Answering(HttpAnswer(200, {}, b"{}"))
        handed = Line(_made(kind), NO_WAIT).hand_over(carrier, [_outgoing(1, text)], NOON)  # type: ignore[arg-type]
        assert [outcome.status for outcome in handed.outcomes] == ["accepted"]
        (request,) = carrier.seen
        assert (request.headers.get("Content-Encoding") == "gzip") is encoded
        body = gzip.decompress(request.body) if encoded else request.body
        assert json.loads(body)["messages"][0]["content"] == {"text": text}
        signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.body
        key = base64.b64decode(SECRET.removeprefix("whsec_"))
        signature = base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
        assert request.headers["webhook-signature"] == f"v1,{signature}"


def test_what_is_encoded_already_is_left_alone() -> None:
    request = HttpRequest("POST", "https://peer.example.com/", {"content-encoding": "br"}, b"x" * 5_000)
    assert compressed(request) is request


class _OwnWait(Webhook):
    def asked_wait(self, answer: HttpAnswer, at: Any) -> float | None:
        assert at == NOON
        return float(answer.headers["x-reset-in"]) if "x-reset-in" in answer.headers else None


@pytest.mark.parametrize(("headers", "wait"), [({"x-reset-in": "7"}, 7.0), ({"retry-after": "3"}, 3.0)])
def test_a_provider_s_own_way_to_ask_for_a_pause_comes_before_the_header(
    headers: Mapping[str, str], wait: float
) -> None:
    rests: list[float] = []
    clock = Clock(now=lambda: NOON, sleep=rests.append, chance=lambda: 0.0)
    carrier = _Answering(HttpAnswer(429, headers, b""), HttpAnswer(200, {}, b"{}"))
    handed = Line(_made(_OwnWait), clock).hand_over(carrier, [_outgoing(1)], NOON)  # type: ignore[arg-type]
    assert handed.outcomes[0].status == "accepted"
    assert max(rests) == pytest.approx(wait, abs=0.5)


# -- secrets -------------------------------------------------------------------------------------------------------------

KEY = "header-key-0123456789"
SHOWN = [SECRET, SECRET.removeprefix("whsec_"), KEY, f"Bearer {KEY}", base64.b64encode(f"user:{KEY}".encode()).decode(),
         f"https://x.example.com/?key={SECRET.lower()}"]  # fmt: skip


class _Talkative(Webhook):
    """Puts whatever it is told into its outcomes."""

    told: ClassVar[str] = ""
    fails: ClassVar[bool] = False

    def read_http(self, answer: HttpAnswer, batch: Sequence[Outgoing]) -> list[Outcome]:
        if self.fails:
            raise Unusable("http_401", f"the key {self.told} is refused")
        return [Outcome(one.message_id, "rejected", self.told, self.told, f"bad: {self.told}!") for one in batch]


@pytest.mark.parametrize("shown", SHOWN)
def test_no_secret_leaves_the_line_in_an_outcome_or_a_reason(shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Talkative, "told", shown)
    provider = _made(_Talkative, headers={"Authorization": f"Bearer {KEY}"})
    carrier = _Answering(HttpAnswer(200, {}, b"{}"))
    line = Line(provider, NO_WAIT)
    (outcome,) = line.hand_over(carrier, [_outgoing(1)], NOON).outcomes  # type: ignore[arg-type]
    assert outcome.provider_message_id is None
    assert outcome.error_code == "provider_error"
    assert outcome.error is not None
    assert "[hidden]" in outcome.error
    monkeypatch.setattr(_Talkative, "fails", True)
    line.hand_over(carrier, [_outgoing(1)], NOON)  # type: ignore[arg-type]
    assert line.breaker.reason is not None
    for text in (outcome.error, line.breaker.reason):
        assert shown not in text
        assert KEY not in text
        assert SECRET.removeprefix("whsec_").lower() not in text.lower()


def test_an_exchanged_token_is_a_secret_too() -> None:
    scrub = Scrubber(_made(Webhook))
    assert scrub.text("token abcdef123456") == "token abcdef123456"
    scrub.add("abcdef123456")
    assert scrub.text("token abcdef123456") == "token [hidden]"


def test_what_is_no_secret_is_left_as_it_is() -> None:
    scrub = Scrubber(_made(Webhook, headers={"X-Stage": "prod"}))
    plain = Outcome("m", "rejected", "id-1", "http_400", "the product is unknown")
    assert scrub.outcomes([plain]) == [plain]


def test_no_secret_reaches_the_state_or_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Talkative, "told", SECRET)
    with FaultServer() as server, duckdb_office(tmp_path, {"mail": webhook(server.url, batch=1)}) as office:
        office.people(3).queue(range(3))
        section = office.project.policy.providers["mail"]
        provider = _made(_Talkative, url=section["url"], batch=1)
        monkeypatch.setattr(office, "providers", lambda: {"mail": provider})
        report = office.deliver()
        assert report.counts == {"rejected": 3}
        assert SECRET not in office.all_state() + repr(report)
        assert "[hidden]" in office.all_state()


def test_a_doubt_narrows_the_window() -> None:
    line = Line(_made(Webhook, concurrency=4), NO_WAIT)
    line.hand_over(_Answering(InDoubt("timeout")), [_outgoing(1)], NOON)  # type: ignore[arg-type]
    assert line.window.size == 2


def test_the_table_of_paces_is_no_state_of_the_past(postgres_server: str) -> None:
    with contextlib.closing(Postgres.open(postgres_server)) as warehouse:
        warehouse.execute('CREATE SCHEMA "activate"')
        with contextlib.closing(Reservations(warehouse.clone, "activate")) as reservations:
            for _ in range(3):
                reservations.reserve("acme", 100, 100)
        rows = warehouse.query(f"SELECT account FROM {Relation('activate', 'paces').table().sql('postgres')}")
        assert rows.num_rows == 1


def test_no_secret_leaves_a_sync_either(tmp_path: Path) -> None:
    import pyarrow as pa

    from activate.deliver.audience_line import Told
    from activate.deliver.sync import Shipment, Sync, _Posted
    from activate.destinations.base import Refusal, Verdict
    from activate.destinations.webhook import AudienceWebhook as Audience

    written: list[Any] = []

    class Book:
        def settle(self, *row: Any) -> None:
            written.append(row)

    given = {"url": "https://peer.example.com/", "secret": SECRET}
    destination = Audience("crm", read_options(Audience.all_options(), given))
    shipment = Shipment("vips", "run", NOON, {"upsert": 2}, (), 1)
    sync = Sync(destination, Book(), shipment, None, lambda: None)  # type: ignore[arg-type]
    rows = pa.RecordBatch.from_pydict({"_seq": [1, 2]})
    verdict = Verdict("rejected", SECRET, f"{SECRET} is wrong", {1: Refusal("failed", "odd", f"with {SECRET}")})
    sync._record(_Posted("upsert", (0, 2), 1, rows, []), [Told(0, 2, verdict)])
    sync.breaker.trip(f"{SECRET} is refused")
    assert written
    assert SECRET not in repr(written) + repr(sync.sent) + str(sync.breaker.reason)
    assert "[hidden]" in repr(written)
