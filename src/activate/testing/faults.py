"""Scripted faults: a process that dies at an exact statement, and an HTTP peer that fails at exact requests."""

from __future__ import annotations

import contextlib
import datetime as dt
import gzip
import json
import os
import random
import signal
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from activate.warehouses.base import Warehouse

# What a warehouse does that can be cut short. `transaction` begins and commits by statements of its own.
_CALLS = ("_run", "_fetch", "query", "ingest")


def kill_before(warehouse: Warehouse, number: int) -> Callable[[], int]:
    """Make this process kill itself (SIGKILL) just before the warehouse's `number`-th call, counted from 1.

    Returns a function that tells how many calls there were so far; with number 0 it only counts.
    """
    calls = depth = 0

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls, depth
            if depth == 0:  # a call made by another one is part of it
                calls += 1
                if calls == number:
                    os.kill(os.getpid(), signal.SIGKILL)
            depth += 1
            try:
                return call(*args, **kwargs)
            finally:
                depth -= 1

        return wrapper

    for name in _CALLS:
        if hasattr(warehouse, name):
            setattr(warehouse, name, counted(getattr(warehouse, name)))
    return lambda: calls


# -- a peer that fails as a script says --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fault:
    """How one request is dealt with. `takes`: whether the peer accepts its messages, whatever it answers.

    Made by the functions below, which are the faults that there are.
    """

    kind: str
    takes: bool
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    result: str = "accepted"
    code: str | None = None
    body: bytes | None = None


def take() -> Fault:
    """No fault: accept, and answer 200."""
    return Fault("take", True)


def reset_before() -> Fault:
    """Reset the connection before reading the request; nothing is accepted.

    (A rule that names a message has to read the request to know it; the client cannot tell the difference.)
    """
    return Fault("reset_before", False)


def reset_after() -> Fault:
    """Read the request, accept it, and reset the connection instead of answering."""
    return Fault("reset_after", True)


def slow_drip(seconds: float) -> Fault:
    """Accept, and let the answer drip for so many seconds, a byte at a time."""
    return Fault("drip", True, seconds=seconds)


def half_answer() -> Fault:
    """Accept, answer the head and half of the body, and close."""
    return Fault("half", True)


def wrong_status(status: int, takes: bool = False) -> Fault:
    """Answer with this status. `takes`: accept all the same, as a proxy that loses the answer would make it look."""
    return Fault("status", takes, status=status)


def unavailable() -> Fault:
    """Answer 503; nothing is accepted."""
    return Fault("status", False, status=503)


def too_many(seconds: float, as_date: bool = False) -> Fault:
    """Answer 429 with Retry-After, as seconds or as a date; nothing is accepted."""
    kind = "too_many_until" if as_date else "too_many"
    return Fault(kind, False, status=429, seconds=seconds)


def errors_inside(result: str = "failed", code: str = "busy") -> Fault:
    """Answer 200 with this result for the first and every second message; the others are accepted."""
    return Fault("errors", True, result=result, code=code)


def duplicate_answer() -> Fault:
    """Accept, and acknowledge twice: each message twice in the answer, and the answer twice on the wire."""
    return Fault("duplicate", True)


def malformed_body(body: bytes = b'{"results": [{"message_id": "') -> Fault:
    """Accept, and answer 200 with a body that is no JSON."""
    return Fault("malformed", True, body=body)


def hang(takes: bool = True, seconds: float = 3600.0) -> Fault:
    """Read the request and never answer (for so many seconds, or until the client or the server goes)."""
    return Fault("hang", takes, seconds=seconds)


@dataclass(frozen=True)
class Rule:
    """When a fault happens: at these requests (counted from 1), to a share of them, or where a message is in one.

    Conditions that are given must all hold. A share is drawn from the seed and the request's number, so the same script
    does the same. `times` is how often at most.
    """

    fault: Fault
    requests: Collection[int] = ()
    share: float = 1.0
    seed: int = 0
    message_id: str | None = None
    times: int | None = None

    def matches(self, number: int, ids: Sequence[str]) -> bool:
        """Whether the request is meant, `times` aside."""
        if self.requests and number not in self.requests:
            return False
        if self.message_id is not None and self.message_id not in ids:
            return False
        return self.share >= 1 or random.Random(f"{self.seed}.{number}").random() < self.share  # noqa: S311  # a script, no secret


def ids_in(headers: Mapping[str, str], body: bytes) -> list[str]:
    """Every `message_id` in a JSON body, in order; else the Idempotency-Key. Header names are in lower case."""
    if headers.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    try:
        found = list(_message_ids(json.loads(body)))
    except ValueError:
        found = []
    key = headers.get("idempotency-key")
    return found or ([key] if key else [])


def _message_ids(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("message_id"), str):
            yield value["message_id"]
        for item in value.values():
            yield from _message_ids(item)
    elif isinstance(value, list):
        for item in value:
            yield from _message_ids(item)


class Book:
    """Which messages were accepted, and how often; each is also appended to a file, which survives any process.

    A file that exists is read first, so that a peer that is started again remembers.
    """

    def __init__(self, path: Path | None = None, idempotent: bool = False) -> None:
        self.accepted: Counter[str] = Counter()
        self.repeated: Counter[str] = Counter()
        self._idempotent = idempotent
        self._lock = threading.Lock()
        if path is not None and path.exists():
            for line in path.read_text().splitlines():
                word, _, key = line.partition(" ")
                (self.accepted if word == "accepted" else self.repeated)[key] += 1
        self._file = path.open("ab", buffering=0) if path is not None else None

    def accept(self, ids: Iterable[str]) -> None:
        """Accept messages: an idempotent peer each of them once, a plain one as often as it is handed over."""
        with self._lock:
            lines = []
            for key in ids:
                word = "repeated" if self._idempotent and key in self.accepted else "accepted"
                (self.accepted if word == "accepted" else self.repeated)[key] += 1
                lines.append(f"{word} {key}\n")
            if self._file is not None:
                self._file.write("".join(lines).encode())

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


@dataclass(frozen=True)
class _Request:
    number: int
    headers: Mapping[str, str]
    body: bytes
    ids: Sequence[str]


class FaultServer:
    """A HTTP/1.1 peer on this machine that takes messages, except where the script says otherwise.

        with FaultServer([Rule(reset_after(), requests={3}), Rule(unavailable(), share=0.05, seed=7)]) as server:
            ...  # post to server.url
        assert server.book.accepted["some message id"] == 1

    The first rule of the script that matches decides. `idempotent`: a message that is handed over again is
    acknowledged and not accepted again. `book` is a file that the book is kept in. `ids` finds the messages' ids in a
    request (lower-case headers, body); the answer to those taken is what docs/providers.md says of webhooks.
    """

    def __init__(
        self, script: Sequence[Rule] = (), *, idempotent: bool = False, book: Path | None = None,
        ids: Callable[[Mapping[str, str], bytes], list[str]] = ids_in,
    ) -> None:  # fmt: skip
        self.book = Book(book, idempotent)
        self.faults: Counter[str] = Counter()
        self.requests = 0
        self._script = script
        self._used: Counter[int] = Counter()
        self._ids = ids
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._ended = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/messages"
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> FaultServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self.book.close()

    def _listen(self) -> None:
        while not self._ended.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with contextlib.suppress(OSError):  # a client that was killed is no error of the server's
                while connection.recv(1, socket.MSG_PEEK):
                    if not self._answer(connection):
                        break
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def _answer(self, connection: socket.socket) -> bool:
        """Deal with one request, whose first byte is there; return whether the connection goes on."""
        with self._lock:
            self.requests += 1
            number = self.requests
        fault = self._choose(number, None)
        if fault is not None and fault.kind == "reset_before":
            _reset(connection)
            return False
        request = self._read(connection, number)
        if request is None:
            return False
        fault = fault or self._choose(number, request.ids) or take()
        return self._carry_out(connection, fault, request)

    def _choose(self, number: int, ids: Sequence[str] | None) -> Fault | None:
        """The script's fault. With `ids` None (not read yet) only if the rule does not depend on them."""
        with self._lock:
            for place, rule in enumerate(self._script):
                if rule.times is not None and self._used[place] >= rule.times:
                    continue
                if ids is None and rule.message_id is not None:
                    return None
                if rule.matches(number, ids or ()):
                    self._used[place] += 1
                    self.faults[rule.fault.kind] += 1
                    return rule.fault
        return None

    def _read(self, connection: socket.socket, number: int) -> _Request | None:
        data = b""
        while b"\r\n\r\n" not in data:
            part = connection.recv(65_536)
            if not part:
                return None
            data += part
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")[1:]
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        parts, missing = [body], int(headers.get("content-length", "0")) - len(body)
        while missing > 0:
            part = connection.recv(65_536)
            if not part:
                return None  # a request that was cut off is not accepted
            parts.append(part)
            missing -= len(part)
        body = b"".join(parts)
        return _Request(number, headers, body, self._ids(headers, body))

    def _carry_out(self, connection: socket.socket, fault: Fault, request: _Request) -> bool:
        refused = set(request.ids[::2]) if fault.kind == "errors" else set()
        if fault.takes:
            self.book.accept(key for key in request.ids if key not in refused)
        if fault.kind in ("reset_before", "reset_after"):
            _reset(connection)
            return False
        if fault.kind == "hang":
            # Until the client gives up: what it still says is not listened to.
            connection.settimeout(fault.seconds)
            with contextlib.suppress(TimeoutError):
                while not self._ended.is_set() and connection.recv(65_536):
                    pass
            return False
        answer = _written(fault, self._body(fault, request, refused))
        if fault.kind == "half":
            connection.sendall(answer[: len(answer) - len(answer.partition(b"\r\n\r\n")[2]) // 2])
            return False
        if fault.kind == "drip":
            for byte in answer:
                connection.sendall(bytes([byte]))
                if self._ended.wait(fault.seconds / len(answer)):
                    return False
            return True
        connection.sendall(answer * 2 if fault.kind == "duplicate" else answer)
        return True

    @staticmethod
    def _body(fault: Fault, request: _Request, refused: Collection[str]) -> bytes:
        if fault.body is not None:
            return fault.body
        if fault.status >= 300:
            return b'{"error": "scripted"}'
        results = [
            {"message_id": key, "status": fault.result, "error_code": fault.code}
            if key in refused
            else {"message_id": key, "status": "accepted"}
            for key in request.ids
        ]
        return json.dumps({"results": results * 2 if fault.kind == "duplicate" else results}).encode()


def _written(fault: Fault, body: bytes) -> bytes:
    headers = {**fault.headers, "Content-Type": "application/json", "Content-Length": str(len(body))}
    if fault.kind == "too_many":
        headers["Retry-After"] = f"{fault.seconds:.0f}"
    elif fault.kind == "too_many_until":
        until = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=fault.seconds)
        headers["Retry-After"] = format_datetime(until, usegmt=True)
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {fault.status} {_REASONS.get(fault.status, 'Scripted')}\r\n{head}\r\n".encode("latin-1") + body


def _reset(connection: socket.socket) -> None:
    """Make closing send a reset (RST), whatever has been read."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


_REASONS = {200: "OK", 429: "Too Many Requests", 503: "Service Unavailable"}
