"""Speaks HTTP: one reused connection per thread, time limits that hold, and failures told apart by what they mean."""

from __future__ import annotations

import datetime as dt
import logging
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter

from activate.deliver.carry import InDoubt, NotTaken
from activate.providers.base import HttpAnswer, HttpRequest, Request, Unusable

_MAX_ANSWER = 1_000_000
_ADDRESSES = 256  # where each address leads is remembered for so many: some APIs have one for each person
_CONNECT_SECONDS = 5.0
_HANDSHAKE = ("CERTIFICATE", "HANDSHAKE", "PROTOCOL", "UNRECOGNIZED_NAME", "VERSION", "UNKNOWN_CA")
# The request was never sent. (A ProxyError comes before the tunnel stands.)
_NEVER_SENT = (
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.NameResolutionError,
    urllib3.exceptions.ProxyError,
)


class _Silence(logging.Filter):
    """Keeps what a thread is asking for out of urllib3's debug lines: a path can hold a token or an address."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        target = getattr(self.asked, "target", None)
        if target is not None and isinstance(record.args, tuple):
            record.args = tuple("..." if argument == target else argument for argument in record.args)
        return True


_SILENCE = _Silence()
logging.getLogger("urllib3.connectionpool").addFilter(_SILENCE)


class HttpCarrier:
    """Posts requests over one kept-alive connection, without cookies, redirects or retries of its own.

    `requests` says how to connect (proxies, certificates and so on, as the environment has them) and owns the
    connection pool; the posting itself is its pool's, which is twice as fast as making a `Response` for each answer.
    """

    def __init__(self, timeout_seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._seconds = timeout_seconds
        self._timeout = urllib3.Timeout(connect=min(_CONNECT_SECONDS, timeout_seconds), read=timeout_seconds)
        self._monotonic = monotonic
        self._adapter = HTTPAdapter(pool_connections=1, pool_maxsize=1)
        self._ways: dict[str, tuple[urllib3.HTTPConnectionPool, str]] = {}

    def close(self) -> None:
        self._adapter.close()

    def already_taken(self, path: Path, message_ids: frozenset[str]) -> frozenset[str]:
        raise NotImplementedError("nobody can be asked what was taken")

    def carry(self, request: Request) -> HttpAnswer:
        assert isinstance(request, HttpRequest)
        pool, target = self._ways.get(request.url) or self._find_way(request)
        deadline = self._monotonic() + self._seconds
        _SILENCE.asked.target = target
        try:
            response = pool.urlopen(
                request.method, target, body=request.body, headers=request.headers, retries=False, redirect=False,
                assert_same_host=False, timeout=self._timeout, preload_content=False, decode_content=False,
            )  # fmt: skip
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise _meaning(error) from None
        finally:
            _SILENCE.asked.target = None
        try:
            body = self._body(response, deadline)
        except (urllib3.exceptions.HTTPError, OSError):
            response.close()
            raise InDoubt("answer_lost") from None
        headers = {name.lower(): value for name, value in response.headers.items()}
        return HttpAnswer(response.status, headers, body)

    def _find_way(self, request: HttpRequest) -> tuple[urllib3.HTTPConnectionPool, str]:
        """The connection pool and the request target for an address, as `requests` would choose them."""
        try:
            prepared = requests.Request(request.method, request.url).prepare()
            session = requests.Session()
            settings: Any = session.merge_environment_settings(prepared.url or "", {}, None, None, None)
            proxies, verify, cert = settings["proxies"], settings["verify"], settings["cert"]
            adapter: Any = self._adapter
            pool = adapter.get_connection_with_tls_context(prepared, verify, proxies=proxies, cert=cert)
            adapter.cert_verify(pool, prepared.url, verify, cert)
        except (requests.RequestException, OSError, ValueError):
            raise Unusable("bad_url", "the provider's url cannot be used") from None
        if len(self._ways) >= _ADDRESSES:
            self._ways.clear()
        self._ways[request.url] = (pool, adapter.request_url(prepared, proxies))
        return self._ways[request.url]

    def _body(self, response: Any, deadline: float) -> bytes:
        """Read the body, at most a megabyte, and not beyond the deadline however slowly it drips."""
        parts: list[bytes] = []
        size = 0
        read = getattr(response, "read1", response.read)  # urllib3 1.26, which some clouds' clients pin, has no read1
        while part := read(65_536, decode_content=True):
            parts.append(part)
            size += len(part)
            if size > _MAX_ANSWER or self._monotonic() > deadline:
                response.close()
                if size <= _MAX_ANSWER:
                    raise OSError("deadline")
                break
        else:
            response.release_conn()
        return b"".join(parts)


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
