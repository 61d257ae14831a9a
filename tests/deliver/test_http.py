"""HTTP failures are told apart by what they mean: never sent, or perhaps taken."""

from __future__ import annotations

import contextlib
import gzip
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import urllib3
from post_office import Service, service

from activate.deliver.carry import InDoubt, NotTaken
from activate.deliver.http import HttpCarrier, _meaning
from activate.providers.base import HttpAnswer, HttpRequest, Unusable


@contextmanager
def raw_server(script: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that reads one request and then does what `script` says with the connection."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        try:
            while True:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65_536)
                    script(connection)
        except OSError:
            return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def _post(url: str, timeout: float = 1.0) -> HttpAnswer:
    carrier = HttpCarrier(timeout)
    try:
        return carrier.carry(HttpRequest("POST", url, {"X-Key": "1"}, b'{"private": "body"}'))
    finally:
        carrier.close()


def test_nobody_listens_is_definite() -> None:
    with pytest.raises(NotTaken, match="not_connected"):
        _post("http://127.0.0.1:9/")


def test_an_unknown_host_is_definite() -> None:
    with pytest.raises(NotTaken, match="not_connected"):
        _post("http://no-such-host.invalid/")


def test_plain_http_at_a_tls_address_is_definite() -> None:
    with (
        raw_server(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as url,
        pytest.raises(NotTaken),
    ):
        _post(url.replace("http:", "https:"))


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"", "connection_lost"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", "answer_lost"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhalf", "answer_lost"),
    ],
)
def test_an_answer_cut_off_is_a_doubt(answer: bytes, code: str) -> None:
    with raw_server(lambda connection: connection.sendall(answer)) as url, pytest.raises(InDoubt) as raised:
        _post(url)
    assert raised.value.code == code


def test_silence_is_a_doubt_and_ends_in_time() -> None:
    began = time.monotonic()
    with raw_server(lambda _: time.sleep(3)) as url, pytest.raises(InDoubt, match="timeout"):
        _post(url)
    assert time.monotonic() - began < 10


def test_an_answer_that_drips_ends_in_time() -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        for _ in range(40):
            connection.sendall(b"x")
            time.sleep(0.1)

    began = time.monotonic()
    with raw_server(drip) as url, pytest.raises(InDoubt, match="answer_lost"):
        _post(url)
    assert time.monotonic() - began < 10


def test_an_endless_answer_is_read_up_to_a_limit() -> None:
    def flood(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        for _ in range(100):
            connection.sendall(b"x" * 1_000_000)

    with raw_server(flood) as url:
        assert len(_post(url, 10).body) < 1_200_000


def test_connections_are_used_again(peer: Service) -> None:
    carrier = HttpCarrier(5)
    ports: set[Any] = set()

    def script(handler: Any, ids: list[str]) -> bool:
        ports.add(handler.client_address)
        return False

    peer.script = script
    for _ in range(5):
        answer = carrier.carry(HttpRequest("POST", peer.url, {}, b'{"messages": []}'))
        assert (answer.status, answer.body) == (200, b"{}")
    carrier.close()
    assert len(ports) == 1


def test_each_host_keeps_its_connection() -> None:
    """An API and where its tokens come from take turns, or several push services."""
    ports: set[Any] = set()

    def script(handler: Any, ids: list[str]) -> bool:
        ports.add(handler.client_address)
        return False

    carrier = HttpCarrier(5)
    with contextlib.ExitStack() as stack:
        services = [stack.enter_context(service()) for _ in range(35)]
        for one in services:
            one.script = script
        for one in services[:2] * 3:
            assert carrier.carry(HttpRequest("POST", one.url, {}, b'{"messages": []}')).status == 200
        assert len(ports) == 2
        for one in services * 2:
            assert carrier.carry(HttpRequest("POST", one.url, {}, b'{"messages": []}')).status == 200
        assert [len(one.requests) for one in services] == [5, 5, *[2] * 33]
        assert len(carrier._hosts) <= 32
        carrier.close()


def test_addresses_of_devices_are_not_remembered_for_ever(peer: Service) -> None:
    carrier = HttpCarrier(5)
    for number in range(300):
        assert carrier.carry(HttpRequest("POST", f"{peer.url}?{number}", {}, b'{"messages": []}')).status == 200
    assert len(carrier._ways) <= 256
    carrier.close()


def test_nothing_that_is_logged_names_a_path(peer: Service, caplog: pytest.LogCaptureFixture) -> None:
    """Some hold a key, or name a device."""
    caplog.set_level(logging.DEBUG)
    carrier = HttpCarrier(5)
    carrier.carry(HttpRequest("POST", f"{peer.url}?access_token=hidden", {}, b'{"messages": []}'))
    carrier.close()
    assert len(peer.requests) == 1
    assert "hidden" not in caplog.text


def test_redirects_and_cookies_are_not_followed(peer: Service) -> None:
    def script(handler: Any, ids: list[str]) -> bool:
        handler.answer(307, Location=peer.url, Set_Cookie="a=b")
        return True

    peer.script = script
    carrier = HttpCarrier(5)
    for _ in range(2):
        assert carrier.carry(HttpRequest("POST", peer.url, {}, b'{"messages": []}')).status == 307
    assert len(peer.requests) == 2
    assert all("Cookie" not in headers for headers, _ in peer.requests)


def test_an_address_that_cannot_be_used_says_so() -> None:
    with pytest.raises(Unusable, match="url"):
        _post("http://exa mple:port/")


@pytest.mark.parametrize(
    ("reason", "kind"),
    [("CERTIFICATE_VERIFY_FAILED", NotTaken), ("WRONG_VERSION_NUMBER", NotTaken), ("DECRYPTION_FAILED", InDoubt)],
)
def test_tls_failures_are_told_apart(reason: str, kind: type[Exception]) -> None:
    failure = ssl.SSLError(1, f"[SSL: {reason}] words")
    failure.reason = reason
    assert isinstance(_meaning(urllib3.exceptions.SSLError(failure)), kind)


# -- the second request of a connection, which goes another way --------------------------------------------------------


@contextmanager
def second_answered(script: Callable[[socket.socket], None]) -> Iterator[tuple[str, list[bytes]]]:
    """A server that answers the first request of a connection, and does with the second what `script` says.

    Yields its address and what it has read, a request each.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    heard: list[bytes] = []

    def read(connection: socket.socket) -> bool:
        data = b""
        while b'"private": "body"}' not in data:
            if not (more := connection.recv(65_536)):
                return False
            data += more
        heard.append(data)
        return True

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    if read(connection):
                        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                        if read(connection):
                            script(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/", heard
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


REQUEST = b'{"private": "body"}'
PACKED = gzip.compress(b"packed", mtime=0)


def _post_twice(url: str, timeout: float = 1.0) -> HttpAnswer:
    carrier = HttpCarrier(timeout)
    try:
        assert carrier.carry(HttpRequest("POST", url, {"X-Key": "1"}, REQUEST)).body == b"{}"
        return carrier.carry(HttpRequest("POST", url, {"X-Key": "2"}, REQUEST))
    finally:
        carrier.close()


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"", "connection_lost"),
        (b"no HTTP at all\r\n\r\n", "connection_lost"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", "answer_lost"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhalf", "answer_lost"),
    ],
    ids=["nothing", "no-http", "half-a-body", "half-a-chunk"],
)
def test_a_later_answer_cut_off_is_a_doubt_and_nothing_is_posted_again(answer: bytes, code: str) -> None:
    with second_answered(lambda connection: connection.sendall(answer)) as (url, heard):
        with pytest.raises(InDoubt) as raised:
            _post_twice(url)
        assert raised.value.code == code
        assert len(heard) == 2, "a request that may have been taken is not sent a second time"


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", 200, b"abcde"),
        (b"HTTP/1.1 202 Accepted\r\nConnection: close\r\n\r\nuntil the end", 202, b"until the end"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, b"x"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(PACKED), PACKED),
            200,
            b"packed",
        ),
    ],
    ids=["chunked", "until-close", "no-content", "continue-first", "gzip"],
)
def test_a_later_answer_is_read_in_every_form(answer: bytes, status: int, body: bytes) -> None:
    with second_answered(lambda connection: connection.sendall(answer)) as (url, _):
        found = _post_twice(url)
    assert (found.status, found.body) == (status, body)


def test_a_later_answer_that_unpacks_without_end_is_read_up_to_a_limit() -> None:
    packed = gzip.compress(b"x" * 20_000_000)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    with second_answered(lambda connection: connection.sendall(head + packed)) as (url, _):
        assert len(_post_twice(url, 10).body) < 1_200_000


def test_a_later_silence_is_a_doubt() -> None:
    with second_answered(lambda _: time.sleep(0.6)) as (url, heard), pytest.raises(InDoubt, match="timeout"):
        _post_twice(url, 0.3)
    assert len(heard) == 2


def test_a_later_answer_that_drips_ends_in_time() -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        for _ in range(100):
            connection.sendall(b"x")
            time.sleep(0.02)

    with second_answered(drip) as (url, _), pytest.raises(InDoubt, match="answer_lost"):
        _post_twice(url, 0.3)


def test_a_later_endless_answer_is_read_up_to_a_limit() -> None:
    def flood(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        for _ in range(100):
            connection.sendall(b"x" * 1_000_000)

    with second_answered(flood) as (url, _):
        assert len(_post_twice(url, 10).body) < 1_200_000


def test_a_connection_that_the_peer_has_closed_meanwhile_is_made_anew(peer: Service) -> None:
    ports: list[Any] = []

    def script(handler: Any, ids: list[str]) -> bool:
        ports.append(handler.client_address)
        handler.close_connection = True  # without saying so in a header
        return False

    peer.script = script
    carrier = HttpCarrier(5)
    for _ in range(3):
        assert carrier.carry(HttpRequest("POST", peer.url, {}, b'{"messages": []}')).status == 200
        time.sleep(0.05)
    carrier.close()
    assert len(set(ports)) == 3


def test_a_header_that_cannot_be_sent_spoils_only_its_own_request(peer: Service) -> None:
    carrier = HttpCarrier(5)
    good = HttpRequest("POST", peer.url, {}, b'{"messages": []}')
    for headers in ({}, {"X-Key": "two\r\nlines"}, {"X-Key": "two\r\nlines"}, {}):
        if headers:
            with pytest.raises(NotTaken, match="not_sent"):
                carrier.carry(HttpRequest("POST", peer.url, headers, b'{"messages": []}'))
        else:
            assert carrier.carry(good).status == 200
    carrier.close()
    assert len(peer.requests) == 2


def test_what_goes_through_a_proxy_goes_through_it_each_time(peer: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", peer.url)
    monkeypatch.setenv("no_proxy", "")
    carrier = HttpCarrier(5)
    for _ in range(3):
        request = HttpRequest("POST", "http://shop.example.test/messages", {}, b'{"messages": []}')
        assert carrier.carry(request).status == 200
    carrier.close()
    assert [headers["Host"] for headers, _ in peer.requests] == ["shop.example.test"] * 3
