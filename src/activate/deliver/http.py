"""Speaks HTTP: one reused connection per thread, time limits that hold, and failures told apart by what they mean."""

from __future__ import annotations

import datetime as dt
import ssl
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
_CONNECT_SECONDS = 5.0
_HANDSHAKE = ("CERTIFICATE", "HANDSHAKE", "PROTOCOL", "UNRECOGNIZED_NAME", "VERSION", "UNKNOWN_CA")
# The request was never sent. (A ProxyError comes before the tunnel stands.)
_NEVER_SENT = (
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.NameResolutionError,
    urllib3.exceptions.ProxyError,
)


class HttpCarrier:
    """Posts requests over one kept-alive connection, without cookies, redirects or retries of its own."""

    def __init__(self, timeout_seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._timeout = (min(_CONNECT_SECONDS, timeout_seconds), timeout_seconds)
        self._monotonic = monotonic
        self._adapter = HTTPAdapter(pool_connections=1, pool_maxsize=1)
        self._prepared: dict[str, tuple[requests.PreparedRequest, Mapping[str, Any]]] = {}

    def close(self) -> None:
        self._adapter.close()

    def already_taken(self, path: Path, message_ids: frozenset[str]) -> frozenset[str]:
        raise NotImplementedError("nobody can be asked what was taken")

    def carry(self, request: Request) -> HttpAnswer:
        assert isinstance(request, HttpRequest)
        prepared, settings = self._prepare(request)
        deadline = self._monotonic() + self._timeout[1]
        try:
            response = self._adapter.send(prepared, stream=True, timeout=self._timeout, **settings)
        except requests.RequestException as error:
            raise _meaning(error) from None
        try:
            body = self._body(response.raw, deadline)
        except (urllib3.exceptions.HTTPError, OSError):
            response.close()
            raise InDoubt("answer_lost") from None
        headers = {name.lower(): value for name, value in response.headers.items()}
        return HttpAnswer(response.status_code, headers, body)

    def _prepare(self, request: HttpRequest) -> tuple[requests.PreparedRequest, Mapping[str, Any]]:
        """Fill a copy of the endpoint's prepared request: parsing its address once saves a third of the work."""
        found = self._prepared.get(request.url)
        if found is None:
            session = requests.Session()
            try:
                template = requests.Request(request.method, request.url).prepare()
            except (requests.RequestException, ValueError):
                raise Unusable("bad_url", "the provider's url cannot be used") from None
            # Proxies and certificates as the environment says, as `requests` itself would find them.
            settings = session.merge_environment_settings(request.url, {}, None, None, None)
            kept = {name: settings.get(name) for name in ("proxies", "verify", "cert")}
            found = self._prepared[request.url] = (template, kept)
        prepared = found[0].copy()
        prepared.body = request.body
        prepared.headers.update(request.headers)
        prepared.headers["Content-Length"] = str(len(request.body))
        return prepared, found[1]

    def _body(self, raw: Any, deadline: float) -> bytes:
        """Read the body, at most a megabyte, and not beyond the deadline however slowly it drips."""
        parts: list[bytes] = []
        size = 0
        read = getattr(raw, "read1", raw.read)  # urllib3 1.26, which some clouds' clients pin, has no read1
        while part := read(65_536, decode_content=True):
            parts.append(part)
            size += len(part)
            if size > _MAX_ANSWER or self._monotonic() > deadline:
                raw.close()
                if size <= _MAX_ANSWER:
                    raise OSError("deadline")
                break
        else:
            raw.release_conn()
        return b"".join(parts)


def _meaning(error: requests.RequestException) -> NotTaken | InDoubt:
    if isinstance(error, requests.exceptions.SSLError):
        return NotTaken("tls_failed") if _in_handshake(error) else InDoubt("connection_lost")
    reason: object = error.args[0] if error.args else None
    reason = getattr(reason, "reason", reason)
    if isinstance(error, requests.exceptions.ConnectTimeout) or isinstance(reason, _NEVER_SENT):
        return NotTaken("not_connected")
    if isinstance(error, requests.exceptions.Timeout):
        return InDoubt("timeout")
    if isinstance(error, requests.exceptions.ConnectionError | requests.exceptions.ChunkedEncodingError):
        return InDoubt("connection_lost")
    return NotTaken("not_sent")  # headers or address refused by `requests` itself, before any byte went out


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
