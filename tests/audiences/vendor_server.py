"""A vendor's peer (tests/destinations/vendors) behind a loopback HTTP server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from activate.providers.base import HttpAnswer, HttpRequest
from tests.destinations.vendors import PeerLike


@dataclass
class Vendor:
    """The server. `meddle` may answer instead of the peer; a status of 0 takes the request and hangs up."""

    peer: PeerLike
    url: str = ""
    paths: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    meddle: Callable[[HttpRequest], HttpAnswer | None] | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


@contextmanager
def serve(peer: PeerLike) -> Iterator[Vendor]:
    """Serve the peer until the end of the block, then raise what it asserted in vain."""
    vendor = Vendor(peer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # head and body go out by themselves: each answer would wait 40 ms
        wbufsize = -1

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            request = HttpRequest(self.command, f"{vendor.url}{self.path}", dict(self.headers.items()), body)
            with vendor.lock:
                vendor.paths.append(f"{self.command} {self.path}")
                answer = vendor.meddle(request) if vendor.meddle else None
                try:
                    answer = answer or vendor.peer.answer(request)
                except AssertionError as fault:
                    vendor.faults.append(f"{self.command} {self.path}: {fault}")
                    answer = HttpAnswer(418, {}, b"{}")
            if answer.status == 0:
                self.close_connection = True
                self.connection.close()
                return
            self.send_response(answer.status)
            for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST = do_PUT = do_DELETE = _answer

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    vendor.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield vendor
    finally:
        server.shutdown()
        server.server_close()
    assert vendor.faults == []
