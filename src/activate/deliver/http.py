"""Speaks HTTP: reused connections per thread, time limits that hold, and failures told apart by what they mean."""

from __future__ import annotations

import datetime as dt
import gzip
import http.client
import io
import logging
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter

from activate.deliver import wire
from activate.deliver.carry import InDoubt, NotTaken
from activate.deliver.wire import MAX_ANSWER
from activate.providers.base import HttpAnswer, HttpRequest, Request, Unusable

_CONNECT_SECONDS = 5.0
_HOSTS = 32  # connections kept per thread: an API and where its tokens come from, or several push services
_ADDRESSES = 256  # where each address leads is remembered for so many: some APIs have one for each device
_WORTH_COMPRESSING = 1_024  # bytes
_HANDSHAKE = ("CERTIFICATE", "HANDSHAKE", "PROTOCOL", "UNRECOGNIZED_NAME", "VERSION", "UNKNOWN_CA")
# The request was never sent. (A ProxyError comes before the tunnel stands.)
_NEVER_SENT = (
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.NameResolutionError,
    urllib3.exceptions.ProxyError,
)


class HttpCarrier:
    """Posts requests over kept-alive connections, one for each host, without cookies, redirects or retries of its own.

    `requests` says how to connect (proxies, certificates and so on, as the environment has them) and owns the
    connection pool. The first request of a connection is the pool's, as is whatever goes through a proxy; what follows on
    it is written and read by `activate.deliver.wire`: a tenth of what a `Response` for each answer takes.
    """

    def __init__(self, timeout_seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        # It writes the path of each request to the debug log: some hold a key, or name a device.
        logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)
        self._seconds = timeout_seconds
        self._timeout = urllib3.Timeout(connect=min(_CONNECT_SECONDS, timeout_seconds), read=timeout_seconds)
        self._monotonic = monotonic
        self._adapter = HTTPAdapter(pool_connections=_HOSTS, pool_maxsize=1)
        self._adapter.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
        self._hosts: dict[str, tuple[urllib3.HTTPConnectionPool, Any]] = {}  # with the proxies that lead there
        self._ways: dict[str, tuple[urllib3.HTTPConnectionPool, str]] = {}

    def close(self) -> None:
        self._adapter.close()

    def already_taken(self, path: Path, message_ids: frozenset[str]) -> frozenset[str]:
        raise NotImplementedError("nobody can be asked what was taken")

    def carry(self, request: Request) -> HttpAnswer:
        assert isinstance(request, HttpRequest)
        pool, target = self._ways.get(request.url) or self._find_way(request)
        deadline = self._monotonic() + self._seconds
        if isinstance(pool, _Warm) and (connection := pool.warm_connection()) is not None:
            return self._carry_again(pool, connection, target, request, deadline)
        try:
            response = pool.urlopen(
                request.method, target, body=request.body, headers=request.headers, retries=False, redirect=False,
                assert_same_host=False, timeout=self._timeout, preload_content=False, decode_content=False,
            )  # fmt: skip
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise _meaning(error) from None
        try:
            body = self._body(response, deadline)
        except (urllib3.exceptions.HTTPError, OSError):
            response.close()
            raise InDoubt("answer_lost") from None
        headers = {name.lower(): value for name, value in response.headers.items()}
        return HttpAnswer(response.status, headers, body)

    def _carry_again(
        self, pool: _Warm, connection: http.client.HTTPConnection, target: str, request: HttpRequest, deadline: float
    ) -> HttpAnswer:
        """Put a request through a connection that is in use already."""
        spent = True
        try:
            if connection.sock.gettimeout() != self._seconds:
                connection.sock.settimeout(self._seconds)
            host = wire.host_of(connection)
            found = wire.exchange(connection.sock, request, target, host, deadline, self._monotonic)
            spent = found.spent
        except wire.Lost:
            raise InDoubt("connection_lost") from None
        except TimeoutError:
            raise InDoubt("timeout") from None
        except (http.client.HTTPException, OSError):
            raise InDoubt("answer_lost") from None
        except ValueError:  # a header that cannot be sent, found before any byte went out
            spent = False
            raise NotTaken("not_sent") from None
        finally:
            pool.take_back(connection, spent)
        body = found.body
        if "content-encoding" in found.headers:
            packed = urllib3.HTTPResponse(io.BytesIO(body), found.headers, found.status, preload_content=False)
            try:
                body = self._body(packed, deadline)
            except urllib3.exceptions.HTTPError:
                raise InDoubt("answer_lost") from None
        return HttpAnswer(found.status, found.headers, body)

    def _find_way(self, request: HttpRequest) -> tuple[urllib3.HTTPConnectionPool, str]:
        """The connection pool and the request target for an address, as `requests` would choose them."""
        host = "/".join(request.url.split("/", 3)[:3])
        adapter: Any = self._adapter
        try:
            prepared = requests.Request(request.method, request.url).prepare()
            if host not in self._hosts:
                if len(self._hosts) >= _HOSTS:
                    adapter.close()
                    self._hosts.clear()
                    self._ways.clear()
                session = requests.Session()
                settings: Any = session.merge_environment_settings(prepared.url or "", {}, None, None, None)
                proxies, verify, cert = settings["proxies"], settings["verify"], settings["cert"]
                pool = adapter.get_connection_with_tls_context(prepared, verify, proxies=proxies, cert=cert)
                adapter.cert_verify(pool, prepared.url, verify, cert)
                self._hosts[host] = (pool, proxies)
            pool, proxies = self._hosts[host]
            way = (pool, adapter.request_url(prepared, proxies))
        except (requests.RequestException, OSError, ValueError):
            raise Unusable("bad_url", "the provider's url cannot be used") from None
        if len(self._ways) >= _ADDRESSES:
            self._ways.clear()
        self._ways[request.url] = way
        return way

    def _body(self, response: Any, deadline: float) -> bytes:
        """Read the body, at most a megabyte, and not beyond the deadline however slowly it drips."""
        parts: list[bytes] = []
        size = 0
        read = getattr(response, "read1", response.read)  # urllib3 1.26, which some clouds' clients pin, has no read1
        while part := read(65_536, decode_content=True):
            parts.append(part)
            size += len(part)
            if size > MAX_ANSWER or self._monotonic() > deadline:
                response.close()
                if size <= MAX_ANSWER:
                    raise OSError("deadline")
                break
        else:
            response.release_conn()
        return b"".join(parts)


class _Warm:
    """A pool that can say whether its connection is in use already. Those of a proxy are not of this kind."""

    def warm_connection(self: Any) -> http.client.HTTPConnection | None:
        """Take the connection out of the pool if it stands; see `take_back`."""
        connection: http.client.HTTPConnection = self._get_conn()
        if connection.sock is None:
            self._put_conn(connection)
            return None
        return connection

    def take_back(self: Any, connection: http.client.HTTPConnection, spent: bool) -> None:
        """Put it back; one that is spent is closed, and made anew when it is next needed."""
        if spent:
            connection.close()
        self._put_conn(connection)


class _Pool(_Warm, urllib3.HTTPConnectionPool):
    """Of plain connections, on this machine."""


class _SecurePool(_Warm, urllib3.HTTPSConnectionPool):
    """Of TLS connections."""


def compressed(request: HttpRequest) -> HttpRequest:
    """The request with its body in gzip, if that is worth it and the body is not encoded already."""
    if len(request.body) <= _WORTH_COMPRESSING or any(name.lower() == "content-encoding" for name in request.headers):
        return request
    body = gzip.compress(request.body, compresslevel=5, mtime=0)
    return replace(request, headers={**request.headers, "Content-Encoding": "gzip"}, body=body)


def _meaning(error: Exception) -> NotTaken | InDoubt:
    if isinstance(error, _NEVER_SENT):
        return NotTaken("not_connected")
    if isinstance(error, urllib3.exceptions.SSLError | ssl.SSLError):
        return NotTaken("tls_failed") if _in_handshake(error) else InDoubt("connection_lost")
    if isinstance(error, urllib3.exceptions.TimeoutError | TimeoutError):
        return InDoubt("timeout")
    if isinstance(error, urllib3.exceptions.ProtocolError | OSError):
        return InDoubt("connection_lost")
    return NotTaken("not_sent")  # refused by the client itself, before any byte went out


def _in_handshake(error: BaseException) -> bool:
    """Whether TLS failed before a request could be sent, rather than on a connection in use."""
    seen: list[object] = [error]
    for found in seen:  # grows: the reason is wrapped three deep
        if isinstance(found, ssl.SSLError):
            return any(word in (found.reason or "") for word in _HANDSHAKE)
        seen += [getattr(found, "reason", None), *(getattr(found, "args", None) or ())]
    return False


def retry_after(headers: Mapping[str, str], now: dt.datetime) -> float | None:
    """Seconds that an answer asks us to wait (RFC 9110, 10.2.3: seconds or a date), or None. `now` is naive UTC."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(min(int(text[:9]), 86_400))
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is not None:
        moment = moment.astimezone(dt.UTC).replace(tzinfo=None)
    return min(max(0.0, (moment - now).total_seconds()), 86_400.0)
