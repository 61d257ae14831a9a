"""A process that renders: the interpreter's lock of the one that posts stays free, and a second core has work.

It is given rows as Arrow and gives back which of them go out, in which requests, and why others do not. It writes nothing
and sends nothing, so that when it dies its rows are rendered again by whoever asked. Both ends of the pipe are this
program's, on this machine: pickles are as safe as the rows themselves.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import gc
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from activate.deliver.batches import Batch, batches
from activate.deliver.render import Rendered, Renderer, seconds_left, tags_of
from activate.message import Kind
from activate.project import Project
from activate.providers.base import Outcome, Outgoing, Provider, Request

_LENGTH = 8  # bytes that tell the length of what follows
_BUFFER = 4 * 1024 * 1024  # a wave's requests fit, so that neither side waits for the other half way
_COLUMNS = ("message_id", "user_id", "campaign", "step", "variant", "channel", "address", "class", "tags")


class _Part(NamedTuple):
    """One request: which rows are in it, their contents (pickled: they are hardly ever asked for), and the request."""

    places: list[int]
    contents: bytes
    request: Request | None


class _Answer(NamedTuple):
    refused: list[Outcome]
    parts: list[_Part]


class _Gone(Exception):
    """The other process has ended."""


class RenderProcess:
    """The end of the process that posts. Used by one thread; `close` by any."""

    def __init__(self, project: Project, provider: Provider) -> None:
        """Start it; raises OSError, or whatever pickling the provider raises."""
        told = pickle.dumps((project, provider))
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                end.setsockopt(socket.SOL_SOCKET, option, _BUFFER)
        self._pipe = ours
        self._kinds: set[Kind] = set()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  # this program itself
                [sys.executable, "-c", f"from {__name__} import main; main({theirs.fileno()})"],
                pass_fds=[theirs.fileno()], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        self._ready = threading.Event()
        threading.Thread(target=self._start, args=(told,), daemon=True).start()

    @property
    def is_ready(self) -> bool:
        """Whether it takes rows now: it needs a moment to begin, and may have ended."""
        return self._ready.is_set()

    def render(self, rows: pa.Table, kinds: Sequence[Kind], at: dt.datetime, rendered: Rendered) -> list[Batch] | None:
        """Render a wave: fill in what goes out and what does not, and return the requests; None if the process is gone.

        `kinds` are the templates that the rows may need, `rendered` has what the rows alone tell.
        """
        new = [kind for kind in kinds if kind not in self._kinds]
        try:
            _send(self._pipe, pickle.dumps((new, at, _written(rows)), protocol=5))
            answer: _Answer = pickle.loads(_received(self._pipe))  # noqa: S301  # see above
        except (OSError, _Gone, pickle.UnpicklingError, EOFError):
            self._ready.clear()
            return None
        self._kinds.update(new)
        made = _messages(rows, at, answer.parts)
        rendered.refused = answer.refused
        rendered.outgoing = [message for batch in made for message in batch.messages]
        return made

    def close(self) -> None:
        """End it."""
        self._ready.clear()
        with contextlib.suppress(OSError):
            self._pipe.shutdown(socket.SHUT_RDWR)
        self._pipe.close()
        self._process.kill()
        self._process.wait()

    def _start(self, told: bytes) -> None:
        with contextlib.suppress(OSError, _Gone):
            _send(self._pipe, told)
            _received(self._pipe)
            self._ready.set()


class _Contents(Mapping[str, str]):
    """The content of one message of a request, unpacked when it is asked for: to halve the request, say."""

    __slots__ = ("_number", "_packed")

    def __init__(self, packed: list[Any], number: int) -> None:
        self._packed = packed
        self._number = number

    def _content(self) -> Mapping[str, str]:
        if isinstance(self._packed[0], bytes):
            self._packed[:] = pickle.loads(self._packed[0])  # noqa: S301  # see above
        content: Mapping[str, str] = self._packed[self._number]
        return content

    def __getitem__(self, name: str) -> str:
        return self._content()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._content())

    def __len__(self) -> int:
        return len(self._content())


def _messages(rows: pa.Table, at: dt.datetime, parts: Sequence[_Part]) -> list[Batch]:
    columns = [rows.column(name).to_pylist() for name in _COLUMNS]
    left = seconds_left(rows, at)
    values = list(zip(*columns, left, strict=True))
    new = tuple.__new__
    made = []
    for places, contents, request in parts:
        packed: list[Any] = [contents]
        messages = []
        for number, place in enumerate(places):
            message_id, user_id, campaign, step, variant, channel, address, class_, tags, ttl = values[place]
            messages.append(new(Outgoing, (
                message_id, user_id, campaign, step, variant, channel, address, _Contents(packed, number), class_,
                tags_of(tags), ttl,
            )))  # fmt: skip
        made.append(Batch(messages, request))
    return made


def _send(pipe: socket.socket, frame: bytes) -> None:
    pipe.sendall(len(frame).to_bytes(_LENGTH, "big"))
    pipe.sendall(frame)


def _received(pipe: socket.socket) -> memoryview:
    size = int.from_bytes(_exactly(pipe, _LENGTH), "big")
    return _exactly(pipe, size)


def _exactly(pipe: socket.socket, size: int) -> memoryview:
    """Read so many bytes, in as few calls as may be: each gives the interpreter's lock away, and must wait to have it back."""
    buffer = memoryview(bytearray(size))
    filled = 0
    while filled < size:
        count = pipe.recv_into(buffer[filled:], size - filled, socket.MSG_WAITALL)
        if not count:
            raise _Gone
        filled += count
    return buffer


def _written(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    written: bytes = sink.getvalue().to_pybytes()
    return written


def _serve(pipe: socket.socket) -> None:
    """Render what comes in until the other end is closed."""
    project, provider = pickle.loads(_received(pipe))  # noqa: S301  # see above
    renderer = Renderer(project, provider)
    _send(pipe, b"ready")
    gc.freeze()
    while True:
        kinds, at, written = pickle.loads(_received(pipe))  # noqa: S301  # see above
        renderer.prepare(kinds)
        rows = pa.ipc.open_stream(written).read_all()
        _send(pipe, pickle.dumps(_answered(renderer, provider, rows, at), protocol=5))


def _answered(renderer: Renderer, provider: Provider, rows: pa.Table, at: dt.datetime) -> _Answer:
    rendered = renderer.render(rows, at)
    places = {key: place for place, key in enumerate(rows.column("message_id").to_pylist())}
    parts = [
        _Part(
            [places[message.message_id] for message in batch.messages],
            pickle.dumps([message.content for message in batch.messages], protocol=5),
            batch.request,
        )
        for batch in batches(provider, rendered.outgoing, at)
    ]
    return _Answer(rendered.refused, parts)


def main(descriptor: int) -> None:
    """The process: serve the pipe until its other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the one that posts decides
    with contextlib.suppress(_Gone, OSError), socket.socket(fileno=descriptor) as pipe:
        _serve(pipe)
