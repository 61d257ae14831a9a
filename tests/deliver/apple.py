"""A server that speaks HTTP/2 over TLS on loopback, as Apple's push service does, with a certificate made for it."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


def certificate(folder: Path) -> Path:
    """A file with a certificate for 127.0.0.1 and its key, which is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    file = folder / "server.pem"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(made.public_bytes(Encoding.PEM) + secret)
    return file


@dataclass
class Seen:
    """A request that has come in as a whole: which connection and stream, its headers (pseudo ones too), its body."""

    connection: int
    stream: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Talk:
    """One connection, for a script to answer on. The script is called under no lock, by the connection's thread."""

    number: int
    protocol: str | None
    h2: h2.connection.H2Connection
    stream: ssl.SSLSocket

    def answer(self, seen: Seen, status: int, body: bytes = b"", **headers: str) -> None:
        named = [(name.replace("_", "-"), value) for name, value in headers.items()]
        self.h2.send_headers(seen.stream, [(":status", str(status)), *named], end_stream=not body)
        if body:
            self.h2.send_data(seen.stream, body, end_stream=True)

    def refuse(self, seen: Seen, code: int) -> None:
        self.h2.reset_stream(seen.stream, code)

    def goodbye(self, last_stream: int) -> None:
        self.h2.close_connection(last_stream_id=last_stream, additional_data=b'{"reason": "Shutdown"}')

    def hang_up(self) -> None:
        self.stream.shutdown(socket.SHUT_RDWR)


def take(talk: Talk, seen: Seen) -> None:
    """Answer as for a message that was taken."""
    talk.answer(seen, 200, apns_id=seen.headers.get("apns-id", ""))


@dataclass
class Apple:
    """`script` is called for each request; `seen` are all requests, `protocols` what each connection agreed on."""

    url: str = ""
    script: Callable[[Talk, Seen], None] = take
    seen: list[Seen] = field(default_factory=list)
    protocols: list[str | None] = field(default_factory=list)

    def serve(self, stream: ssl.SSLSocket) -> None:
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        talk = Talk(len(self.protocols), stream.selected_alpn_protocol(), connection, stream)
        self.protocols.append(talk.protocol)
        connection.initiate_connection()
        stream.sendall(connection.data_to_send())
        asked: dict[int, tuple[dict[str, str], list[bytes]]] = {}
        while data := stream.recv(65_536):
            try:
                events = connection.receive_data(data)
            except h2.exceptions.ProtocolError:
                continue  # what comes in after goodbye is read and dropped
            for event in events:
                if isinstance(event, h2.events.RequestReceived):
                    asked[event.stream_id] = (dict(event.headers), [])
                elif isinstance(event, h2.events.DataReceived):
                    asked[event.stream_id][1].append(event.data)
                    connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    headers, parts = asked.pop(event.stream_id)
                    seen = Seen(talk.number, event.stream_id, headers, b"".join(parts))
                    self.seen.append(seen)
                    self.script(talk, seen)
            stream.sendall(connection.data_to_send())


@contextlib.contextmanager
def apple(file: Path) -> Iterator[Apple]:
    """Run the server with the certificate in `file`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    context.set_alpn_protocols(["h2"])
    listener = socket.create_server(("127.0.0.1", 0))
    made = Apple(f"https://127.0.0.1:{listener.getsockname()[1]}")
    open_streams: list[Any] = []

    def one(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as stream:
            open_streams.append(stream)
            made.serve(stream)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=one, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for stream in open_streams:
            with contextlib.suppress(OSError):
                stream.shutdown(socket.SHUT_RDWR)
        thread.join(5)
