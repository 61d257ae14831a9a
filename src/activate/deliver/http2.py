"""Speaks HTTP/2, for services that take nothing else: one connection per thread, and failures told apart as in http.py.

Threads do not share a connection: a time-out ends all that is under way on it, so one slow answer would leave every
message in doubt. Apple names several connections as the way to more messages per second, too.
"""

from __future__ import annotations

import importlib
import logging
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from activate.deliver.carry import InDoubt, NotTaken
from activate.errors import SettingsError
from activate.providers.base import HttpAnswer, HttpRequest, Request, Unusable

if TYPE_CHECKING:
    import httpx

_MAX_ANSWER = 1_000_000
_CONNECT_SECONDS = 5.0
_REFUSED_STREAM = 7  # RFC 9113, 7: nothing was processed before the stream was closed


class Http2Carrier:
    """Posts requests over one kept-alive HTTP/2 connection, without cookies, redirects or retries of its own.

    `requests` says how to connect (proxies, certificates and so on, as the environment has them). A stream that the
    server refuses, or leaves out when it says goodbye (GOAWAY), was not taken: the request was not processed. The client
    of httpx is left out, since it logs addresses. Raises SettingsError where the packages are not installed.
    """

    def __init__(self, timeout_seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        try:
            import httpx  # noqa: PLC0415  # an extra, of use to few

            importlib.import_module("h2")  # httpx asks for it only when it connects
        except ImportError as error:
            raise SettingsError(
                f"HTTP/2 needs a package that is not installed ({error.name}); run: pip install 'dbt-activate[push]'"
            ) from None
        # It writes every header to the debug log: tokens, and the paths that name devices.
        logging.getLogger("hpack").setLevel(logging.WARNING)
        self._httpx = httpx
        self._seconds = timeout_seconds
        self._timeout = httpx.Timeout(timeout_seconds, connect=min(_CONNECT_SECONDS, timeout_seconds)).as_dict()
        self._monotonic = monotonic
        self._ways: dict[tuple[str, bytes, int | None], httpx.HTTPTransport] = {}

    def close(self) -> None:
        for way in self._ways.values():
            way.close()

    def already_taken(self, path: Path, message_ids: frozenset[str]) -> frozenset[str]:
        raise NotImplementedError("nobody can be asked what was taken")

    def carry(self, request: Request) -> HttpAnswer:
        assert isinstance(request, HttpRequest)
        try:
            made = self._httpx.Request(request.method, request.url, headers=request.headers, content=request.body,
                                       extensions={"timeout": self._timeout})  # fmt: skip
        except (self._httpx.InvalidURL, ValueError):
            raise Unusable("bad_url", "the provider's url cannot be used") from None
        place = (made.url.scheme, made.url.raw_host, made.url.port)
        way = self._ways.get(place) or self._find_way(place, request)
        deadline = self._monotonic() + self._seconds
        try:
            response = way.handle_request(made)
        except self._httpx.HTTPError as error:
            raise self._meaning(error) from None
        try:
            body = self._body(response, deadline)
        except (self._httpx.HTTPError, TimeoutError):
            raise InDoubt("answer_lost") from None
        finally:
            response.close()
        return HttpAnswer(response.status_code, {name.lower(): value for name, value in response.headers.items()}, body)

    def _find_way(self, place: tuple[str, bytes, int | None], request: HttpRequest) -> httpx.HTTPTransport:
        """A transport to a host, by the proxy and with the certificates that `requests` would use."""
        try:
            settings: Any = requests.Session().merge_environment_settings(request.url, {}, None, None, None)
            proxy = requests.utils.select_proxy(request.url, settings["proxies"])
            bundle = settings["verify"] if isinstance(settings["verify"], str) else DEFAULT_CA_BUNDLE_PATH
            is_folder = Path(bundle).is_dir()
            trusted = ssl.create_default_context(
                cafile=None if is_folder else bundle, capath=bundle if is_folder else None
            )
            limits = self._httpx.Limits(max_keepalive_connections=1, keepalive_expiry=None)
            self._ways[place] = self._httpx.HTTPTransport(
                verify=trusted, trust_env=False, http1=False, http2=True, limits=limits, proxy=proxy
            )
        except (requests.RequestException, OSError, ValueError):
            raise Unusable("bad_url", "the provider's url, or its proxy or certificates, cannot be used") from None
        return self._ways[place]

    def _body(self, response: httpx.Response, deadline: float) -> bytes:
        """Read the body, at most a megabyte, and not beyond the deadline however slowly it drips."""
        parts: list[bytes] = []
        size = 0
        for part in response.iter_bytes():
            parts.append(part)
            size += len(part)
            if size > _MAX_ANSWER:
                break
            if self._monotonic() > deadline:
                raise TimeoutError
        return b"".join(parts)

    def _meaning(self, error: httpx.HTTPError) -> NotTaken | InDoubt:
        httpx = self._httpx
        if isinstance(error, httpx.UnsupportedProtocol):
            return NotTaken("not_sent")
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.ProxyError):
            in_tls = any(isinstance(cause, ssl.SSLError) for cause in _causes(error))
            return NotTaken("tls_failed" if in_tls else "not_connected")
        if isinstance(error, httpx.TimeoutException):
            return InDoubt("timeout")
        event = _told_by_server(error)
        if getattr(event, "stream_id", None) and getattr(event, "error_code", None) == _REFUSED_STREAM:
            return NotTaken("refused_stream")
        if getattr(event, "last_stream_id", None) == 0:
            return NotTaken("goaway")  # nothing on this connection was processed, nor will be (RFC 9113, 6.8)
        return InDoubt("connection_lost")


def _causes(error: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or found.__context__


def _told_by_server(error: BaseException) -> object:
    """The event (a reset stream, a GOAWAY) that ended the exchange, as httpcore wraps it; None if there was none."""
    cause = error.__cause__
    return cause.args[0] if cause is not None and cause.args else None
