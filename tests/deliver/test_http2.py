"""Apple's push service over real HTTP/2: what is sent, and failures told apart by what they mean."""

from __future__ import annotations

import datetime as dt
import json
import logging
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("h2", reason="pip install 'dbt-activate[push]'")

from apple import Apple, Seen, Talk, apple, certificate, take
from post_office import MakeOffice
from tests.providers.vendors import apns

from activate.deliver.batches import Batch
from activate.deliver.carry import InDoubt, NotTaken
from activate.deliver.crew import Crew
from activate.deliver.hand_over import Clock, Line
from activate.deliver.http2 import Http2Carrier
from activate.deliver.send import carrier_for
from activate.errors import SettingsError
from activate.providers.base import HttpRequest, Outcome, Outgoing, Provider, Unusable
from activate.providers.registry import create

if TYPE_CHECKING:
    from concurrent.futures import Future

AT = dt.datetime(2026, 3, 2, 12)
REFUSED_STREAM, INTERNAL_ERROR = 7, 2


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def server(pem: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Apple]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pem))
    with apple(pem) as running:
        yield running


@pytest.fixture
def carrier() -> Iterator[Http2Carrier]:
    made = Http2Carrier(2.0)
    yield made
    made.close()


def _provider(server: Apple, **options: object) -> Provider:
    return create("phones", {"type": "apns", **apns.Peer().section, "url": server.url, **options})


def _message(number: int = 1) -> Outgoing:
    content = {"title": "Tea", "body": "Your cart waits"}
    return Outgoing(
        f"{number:032x}", f"u{number}", "hello", 1, None, "push", f"ab{number:062x}", content, ttl_seconds=60
    )


def _hand_over(provider: Provider, carrier: Http2Carrier, *numbers: int) -> list[Outcome]:
    clock = Clock(now=lambda: AT, sleep=lambda _: None)
    line = Line(provider, clock)
    return [line.hand_over(carrier, [_message(number)], AT).outcomes[0] for number in numbers]


def _request(server: Apple) -> HttpRequest:
    return HttpRequest("POST", f"{server.url}/3/device/ab", {"apns-id": "x"}, b"{}")


def test_a_message_goes_out_as_apple_asks_for_it(server: Apple, carrier: Http2Carrier) -> None:
    (outcome,) = _hand_over(_provider(server), carrier, 1)
    assert server.protocols == ["h2"]
    (seen,) = server.seen
    assert (seen.headers[":method"], seen.headers[":path"]) == ("POST", f"/3/device/{_message().address}")
    assert (seen.headers[":scheme"], seen.headers[":authority"]) == ("https", server.url.removeprefix("https://"))
    at = int(AT.replace(tzinfo=dt.UTC).timestamp())
    assert 0 <= at - apns.check_token(seen.headers["authorization"])["iat"] <= 3600
    assert seen.headers["apns-topic"] == apns.TOPIC
    assert seen.headers["apns-expiration"] == str(at + 60)
    assert int(seen.headers["content-length"]) == len(seen.body)
    assert json.loads(seen.body)["aps"] == {"alert": {"title": "Tea", "body": "Your cart waits"}}
    assert outcome == Outcome(f"{1:032x}", "accepted", "00000000-0000-0000-0000-000000000001")


def test_one_connection_carries_many_messages(server: Apple, carrier: Http2Carrier) -> None:
    outcomes = _hand_over(_provider(server), carrier, *range(50))
    assert {outcome.status for outcome in outcomes} == {"accepted"}
    assert [(seen.connection, seen.stream) for seen in server.seen] == [(0, 2 * n + 1) for n in range(50)]
    assert len({seen.headers["authorization"] for seen in server.seen}) == 1


def test_threads_hand_each_message_over_once(server: Apple) -> None:
    provider = _provider(server, concurrency=4)
    crew = Crew(Line(provider, Clock(now=lambda: AT)), lambda: carrier_for(provider))
    futures: list[Future] = [crew.post(Batch([_message(n)], None), AT) for n in range(100)]
    crew.close()
    assert Counter(future.result().outcomes[0].status for future in futures) == {"accepted": 100}
    assert Counter(seen.headers[":path"] for seen in server.seen) == Counter(
        f"/3/device/ab{n:062x}" for n in range(100)
    )
    assert len(server.protocols) <= 4


def test_a_delivery_goes_out_over_http2_and_a_lost_device_is_on_record(server: Apple, duckdb_only: MakeOffice) -> None:
    def script(talk: Talk, seen: Seen) -> None:
        if seen.headers[":path"].endswith("/ab000001"):
            talk.answer(seen, 410, b'{"reason": "Unregistered", "timestamp": 1772452000000}')
        else:
            take(talk, seen)

    server.script = script
    office = duckdb_only({"mail": {"type": "apns", **apns.Peer().section, "url": server.url}})
    office.people(5)
    office.sql("UPDATE shop.profiles SET push_token = 'ab00000' || SUBSTRING(user_id, 2, 1)")
    report = office.queue(range(5), channel="push").deliver()
    assert (report.counts, report.left) == ({"accepted": 4, "rejected": 1}, 0)
    assert office.codes() == {("accepted", None): 4, ("rejected", "Unregistered"): 1}
    assert "ab000001" not in office.all_state()


def test_a_device_that_is_gone_is_told_and_the_connection_goes_on(server: Apple, carrier: Http2Carrier) -> None:
    def script(talk: Talk, seen: Seen) -> None:
        if seen.stream == 3:
            talk.answer(seen, 410, b'{"reason": "Unregistered", "timestamp": 1772452000000}', apns_id="x")
        else:
            take(talk, seen)

    server.script = script
    outcomes = _hand_over(_provider(server), carrier, 1, 2, 3)
    assert [outcome.status for outcome in outcomes] == ["accepted", "rejected", "accepted"]
    assert (outcomes[1].error_code, outcomes[1].lost) == ("Unregistered", "unregistered")
    assert server.protocols == ["h2"]


def test_a_goodbye_before_a_message_was_read_has_it_sent_again_elsewhere(server: Apple, carrier: Http2Carrier) -> None:
    """RFC 9113, 6.8: streams above the last one that GOAWAY names were not processed."""
    taken: list[str] = []

    def script(talk: Talk, seen: Seen) -> None:
        if talk.number == 0 and seen.stream == 5:
            talk.goodbye(last_stream=3)
        else:
            taken.append(seen.headers[":path"])
            take(talk, seen)

    server.script = script
    outcomes = _hand_over(_provider(server), carrier, 1, 2, 3, 4)
    assert {outcome.status for outcome in outcomes} == {"accepted"}
    assert taken == [f"/3/device/{_message(n).address}" for n in (1, 2, 3, 4)]
    assert [seen.connection for seen in server.seen] == [0, 0, 0, 1, 1]


def test_a_goodbye_between_two_messages_loses_none(server: Apple, carrier: Http2Carrier) -> None:
    def script(talk: Talk, seen: Seen) -> None:
        take(talk, seen)
        if talk.number == 0:
            talk.goodbye(last_stream=seen.stream)

    server.script = script
    outcomes = _hand_over(_provider(server), carrier, 1, 2, 3)
    assert {outcome.status for outcome in outcomes} == {"accepted"}
    assert Counter(seen.headers[":path"] for seen in server.seen).most_common(1)[0][1] == 1


def test_a_goodbye_at_once_is_definite(server: Apple, carrier: Http2Carrier) -> None:
    server.script = lambda talk, _: talk.goodbye(last_stream=0)
    with pytest.raises(NotTaken, match="goaway"):
        carrier.carry(_request(server))


def test_a_goodbye_instead_of_an_answer_is_a_doubt(server: Apple, carrier: Http2Carrier) -> None:
    server.script = lambda talk, seen: talk.goodbye(last_stream=seen.stream)
    with pytest.raises(InDoubt, match="connection_lost"):
        carrier.carry(_request(server))


def test_a_refused_stream_is_definite_and_tried_again(server: Apple, carrier: Http2Carrier) -> None:
    server.script = lambda talk, seen: talk.refuse(seen, REFUSED_STREAM)
    with pytest.raises(NotTaken, match="refused_stream"):
        carrier.carry(_request(server))
    server.script = lambda talk, seen: talk.refuse(seen, REFUSED_STREAM) if len(server.seen) == 2 else take(talk, seen)
    assert _hand_over(_provider(server), carrier, 1)[0].status == "accepted"


def test_a_stream_that_breaks_is_a_doubt(server: Apple, carrier: Http2Carrier) -> None:
    server.script = lambda talk, seen: talk.refuse(seen, INTERNAL_ERROR)
    with pytest.raises(InDoubt, match="connection_lost"):
        carrier.carry(_request(server))
    assert _hand_over(_provider(server), carrier, 1)[0].status == "unknown"
    assert len(server.seen) == 2  # Apple drops no repeated messages, so it is not handed over again


def test_a_connection_that_ends_without_an_answer_is_a_doubt(server: Apple, carrier: Http2Carrier) -> None:
    server.script = lambda talk, _: talk.hang_up()
    with pytest.raises(InDoubt, match="connection_lost"):
        carrier.carry(_request(server))
    server.script = take
    assert carrier.carry(_request(server)).status == 200  # and another is made


def test_half_an_answer_is_a_doubt(server: Apple, carrier: Http2Carrier) -> None:
    def script(talk: Talk, seen: Seen) -> None:
        talk.h2.send_headers(seen.stream, [(":status", "200")])
        talk.refuse(seen, INTERNAL_ERROR)

    server.script = script
    with pytest.raises(InDoubt):
        carrier.carry(_request(server))


def test_silence_is_a_doubt_and_ends_in_time(server: Apple) -> None:
    server.script = lambda talk, seen: None
    began = time.monotonic()
    carrier = Http2Carrier(1.0)
    with pytest.raises(InDoubt, match="timeout"):
        carrier.carry(_request(server))
    assert time.monotonic() - began < 10
    server.script = take
    assert carrier.carry(_request(server)).status == 200
    carrier.close()


def test_an_unknown_certificate_is_definite(server: Apple, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    carrier = Http2Carrier(2.0)
    with pytest.raises(NotTaken, match="tls_failed"):
        carrier.carry(_request(server))
    carrier.close()
    assert not server.seen


def test_nobody_listens_is_definite(carrier: Http2Carrier) -> None:
    with pytest.raises(NotTaken, match="not_connected"):
        carrier.carry(HttpRequest("POST", "https://127.0.0.1:9/", {}, b""))


def test_a_proxy_that_is_not_there_is_definite(
    server: Apple, carrier: Http2Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(NotTaken, match="not_connected"):
        carrier.carry(_request(server))
    assert not server.seen


@pytest.mark.parametrize("url", ["https://exa mple:port/", "https://127.0.0.1:port/"])
def test_an_address_that_cannot_be_used_says_so(carrier: Http2Carrier, url: str) -> None:
    with pytest.raises(Unusable, match="url"):
        carrier.carry(HttpRequest("POST", url, {}, b""))


def test_certificates_that_cannot_be_read_say_so(carrier: Http2Carrier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/at/all.pem")
    with pytest.raises(Unusable, match="certificates"):
        carrier.carry(HttpRequest("POST", "https://127.0.0.1:9/", {}, b""))


def test_nothing_that_is_logged_names_a_device(
    server: Apple, carrier: Http2Carrier, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    _hand_over(_provider(server), carrier, 1)
    assert len(server.seen) == 1
    assert _message().address not in caplog.text
    assert "Your cart waits" not in caplog.text


@pytest.mark.parametrize("package", ["h2", "httpx"])
def test_a_missing_package_is_named_with_the_command(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SettingsError, match=r"pip install 'dbt-activate\[push\]'"):
        Http2Carrier(1.0)


@pytest.mark.parametrize("package", ["h2", "httpx", "cryptography"])
def test_a_missing_package_is_found_out_before_a_message_is_claimed(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = {"type": "apns", **apns.Peer().section}
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SettingsError, match=r"pip install 'dbt-activate\[push\]'"):
        create("phones", section)
