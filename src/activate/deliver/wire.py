"""One request over a connection that stands: one write, and the answer read from the socket, as most answers are.

What is unusual about an answer (its length is not told, or it comes in chunks, in parts, or after an interim one) is left
to `http.client`, which is given the bytes that were read already.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import io
import re
import socket
from collections.abc import Callable
from typing import NamedTuple

from activate.providers.base import HttpRequest

MAX_ANSWER = 1_000_000
_READ = 65_536
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_MOST_HEADERS = 100  # as many as http.client takes


class Lost(Exception):
    """The connection ended, or spoke no HTTP, before any answer."""


class Read(NamedTuple):
    """An answer: header names in lower case; `spent` where the connection is not to be used again."""

    status: int
    headers: dict[str, str]
    body: bytes
    spent: bool


def exchange(
    sock: socket.socket, request: HttpRequest, target: str, host: str, deadline: float, monotonic: Callable[[], float]
) -> Read:
    """Post a request and read its answer, at most a megabyte of it.

    Raises ValueError before any byte is sent if a header cannot be sent; else Lost, TimeoutError (the socket's own limit), or
    OSError or HTTPException where the answer ends early or is not there at the `deadline`.
    """
    written = b"".join((_head(request, target, host), request.body))
    # Who refuses a request may hang up before all of it is sent; the answer can be read all the same.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        sock.sendall(written)
    try:
        begun = sock.recv(_READ)
        usual = _usual(begun) if request.method != "HEAD" else None
        if usual is None:
            response = http.client.HTTPResponse(_Begun(sock, begun), method=request.method)  # type: ignore[arg-type]  # all of a socket that it asks for
            response.begin()
    except (http.client.HTTPException, ConnectionError):
        raise Lost from None
    if usual is None:
        return _unusual(response, deadline, monotonic)
    status, headers, length, start = usual
    parts = [begun[start:]]
    missing = length - len(parts[0])
    while missing > 0 and length - missing <= MAX_ANSWER:
        if monotonic() > deadline:
            raise OSError("deadline")
        if not (part := sock.recv(_READ)):
            raise OSError("it ends early")
        parts.append(part)
        missing -= len(part)
    closes = "close" in headers.get("connection", "").lower()
    return Read(status, headers, b"".join(parts), closes or missing != 0)


def host_of(connection: http.client.HTTPConnection) -> str:
    """The `Host` of a connection's requests."""
    host = connection.host.encode("idna").decode() if not connection.host.isascii() else connection.host
    if ":" in host:
        host = f"[{host.partition('%')[0]}]"
    return host if connection.port == connection.default_port else f"{host}:{connection.port}"


@functools.lru_cache(256)
def _added(names: tuple[str, ...]) -> tuple[bool, bool, bool]:
    """Which headers a request with headers of these `names` lacks: Host, Accept-Encoding, Content-Length.

    Raises ValueError for what is no header's name.
    """
    if not all(_HEADER_NAME.fullmatch(name) for name in names):
        raise ValueError("not a header's name")
    given = {name.lower() for name in names}
    return (
        "host" not in given,
        "accept-encoding" not in given,
        given.isdisjoint(("content-length", "transfer-encoding")),
    )


def _head(request: HttpRequest, target: str, host: str) -> bytes:
    headers = request.headers
    text = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if text.count("\n") != len(headers) or text.count("\r") != len(headers):
        raise ValueError("a header's value has several lines")
    names, encoding, length = _added(tuple(headers))
    return "".join((
        f"{request.method} {target} HTTP/1.1\r\n",
        f"Host: {host}\r\n" if names else "",
        "Accept-Encoding: identity\r\n" if encoding else "",
        f"Content-Length: {len(request.body)}\r\n" if length else "",
        text, "\r\n",
    )).encode("latin-1")  # fmt: skip


def _usual(begun: bytes) -> tuple[int, dict[str, str], int, int] | None:
    """Status, headers, the body's length and where it starts, of an answer as most are; None of any other."""
    end = begun.find(b"\r\n\r\n")
    if end < 0 or not begun.startswith(b"HTTP/1.1 "):
        return None
    first, *lines = begun[:end].decode("latin-1").split("\r\n")
    code = first[9:12]
    if not (code.isascii() and code.isdigit()) or code < "200" or first[12:13].strip():
        return None
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not (colon and _HEADER_NAME.fullmatch(name)):
            return None
        headers[name.lower()] = value.strip(" \t")
    if len(headers) < len(lines) or len(lines) > _MOST_HEADERS or "transfer-encoding" in headers:
        return None  # a header that is told twice may be the length
    status, length = int(code), headers.get("content-length", "")
    if status in (204, 304):
        length = "0"
    return (status, headers, int(length), end + 4) if length.isascii() and length.isdigit() else None


def _unusual(response: http.client.HTTPResponse, deadline: float, monotonic: Callable[[], float]) -> Read:
    parts: list[bytes] = []
    size = 0
    while size <= MAX_ANSWER and (part := response.read1(_READ)):
        parts.append(part)
        size += len(part)
        if monotonic() > deadline:
            raise OSError("deadline")
    whole = size <= MAX_ANSWER
    if whole:
        if response.length:
            raise OSError("it ends early")
        response.close()  # it is told to be at its end only by a reading that comes back empty for want of bytes
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Read(response.status, headers, b"".join(parts), response.will_close or not whole)


class _Begun(io.RawIOBase):
    """A socket of which some bytes were read already, as `http.client` reads it."""

    def __init__(self, sock: socket.socket, begun: bytes) -> None:
        self._sock = sock
        self._begun = begun

    def makefile(self, mode: str) -> io.BufferedReader:
        del mode  # it is only ever read
        return io.BufferedReader(self, _READ)

    def readable(self) -> bool:
        return True

    def readinto(self, into: memoryview) -> int:  # type: ignore[override]  # any buffer, and io gives this one
        if not self._begun:
            return self._sock.recv_into(into)
        count = min(len(into), len(self._begun))
        into[:count] = self._begun[:count]
        self._begun = self._begun[count:]
        return count
