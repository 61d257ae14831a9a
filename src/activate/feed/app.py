"""The endpoint as a WSGI application: `GET /v1/feed` for the person that a token names, and `GET /healthz`.

An answer depends on nothing but the request, the place that is read and the clock. Neither tokens nor people nor contents
are logged.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import orjson

from activate.feed.items import MOST, Before, Wanted, page, read_instant
from activate.feed.places import Place, Unavailable
from activate.feed.tokens import BadToken, Keys

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

FEED, HEALTH = "/v1/feed", "/healthz"
_METHODS = ("GET", "HEAD", "OPTIONS")
_PARAMETERS = ("channel", "limit", "since", "before")
_CHANNEL = re.compile(r"[a-z][a-z0-9_]{0,62}")
_BEARER = re.compile(r"Bearer +([A-Za-z0-9_.\-]+)", re.IGNORECASE)
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD",
    "Access-Control-Allow-Headers": "Authorization, If-None-Match",
    "Access-Control-Max-Age": "600",
}
_log = logging.getLogger("activate.feed")


@dataclass(frozen=True)
class Response:
    """A status, headers and a body; HEAD has the headers of GET."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class _Refusal(Exception):
    """Ends a request with a problem (RFC 9457)."""

    def __init__(self, status: int, detail: str, **headers: str) -> None:
        self.response = _problem(status, detail, {name.replace("_", "-"): value for name, value in headers.items()})
        super().__init__(detail)


def make_app(
    place: Place,
    keys: Keys,
    origins: Collection[str] = (),
    clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC).replace(tzinfo=None),
) -> WSGIApplication:
    """The application. `origins` are the web origins whose pages may ask from a browser (CORS)."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        began = time.perf_counter()
        response = answer(environ, place, keys, clock)
        headers = {**response.headers, **_cors(environ, origins), "X-Content-Type-Options": "nosniff"}
        if response.status not in (204, 304):
            headers["Content-Length"] = str(len(response.body))
        _note(environ, response, time.perf_counter() - began)
        start_response(f"{response.status} {HTTPStatus(response.status).phrase}", list(headers.items()))
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [response.body]

    return app


def answer(
    environ: Mapping[str, Any], place: Place, keys: Keys, clock: Callable[[], dt.datetime]
) -> Response:  # fmt: skip
    """The response to a request. Never raises."""
    try:
        path, method = environ.get("PATH_INFO", ""), environ["REQUEST_METHOD"]
        if path not in (FEED, HEALTH):
            raise _Refusal(404, f"There is {FEED} and {HEALTH}.")
        if method not in _METHODS:
            raise _Refusal(405, "This endpoint is only read.", Allow=", ".join(_METHODS))
        if method == "OPTIONS":
            return Response(204, b"", _PREFLIGHT | {"Allow": ", ".join(_METHODS)})
        return _health(place, clock()) if path == HEALTH else _feed(environ, place, keys, clock())
    except _Refusal as refusal:
        return refusal.response
    except Unavailable as trouble:
        _log.warning("the warehouse cannot be read (%s)", trouble.code)
        return _problem(503, "The feed cannot be read at the moment.", {"Retry-After": str(trouble.seconds)})
    except Exception as error:  # the text of a stranger's error may hold anything
        _log.error("unexpected %s", type(error).__name__)
        return _problem(500, "Something went wrong.", {})


def _health(place: Place, now: dt.datetime) -> Response:
    place.rows(Wanted("", now, limit=1))
    return Response(200, b'{"status":"ok"}', {"Content-Type": "application/json", "Cache-Control": "no-store"})


def _feed(environ: Mapping[str, Any], place: Place, keys: Keys, now: dt.datetime) -> Response:
    wanted = _wanted(environ, keys, now)
    body = orjson.dumps(page(place.rows(wanted), wanted))
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if _matches(environ.get("HTTP_IF_NONE_MATCH", ""), tag):
        return Response(304, b"", headers)
    return Response(200, body, headers | {"Content-Type": "application/json"})


def _wanted(environ: Mapping[str, Any], keys: Keys, now: dt.datetime) -> Wanted:
    presented = environ.get("HTTP_AUTHORIZATION", "")
    if not presented:
        raise _Refusal(401, "Send `Authorization: Bearer TOKEN`.", WWW_Authenticate='Bearer realm="feed"')
    try:
        bearer = _BEARER.fullmatch(presented)
        grant = keys.read(bearer[1] if bearer else "")
    except BadToken:
        challenge = 'Bearer realm="feed", error="invalid_token"'
        raise _Refusal(401, "The token is not valid, or not any more.", WWW_Authenticate=challenge) from None
    asked = _parameters(environ.get("QUERY_STRING", ""))
    channels = asked.pop("channel")
    if channels is None:
        channels = grant.channels
    elif grant.channels is not None and not channels <= grant.channels:
        raise _Refusal(403, "The token does not reach this channel.")
    return Wanted(grant.user_id, now, channels, **asked)


def _parameters(text: str) -> dict[str, Any]:
    """What the query string asks for; raises a refusal for what it cannot mean."""
    try:
        given = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), max_num_fields=20, errors="strict")
    except ValueError:
        raise _Refusal(400, "The query string cannot be read.") from None
    names = [name for name, _ in given]
    if unknown := set(names) - set(_PARAMETERS):
        del unknown  # it is the stranger's own text
        raise _Refusal(400, f"Parameters are: {', '.join(_PARAMETERS)}.")
    if any(names.count(name) > 1 for name in _PARAMETERS if name != "channel"):
        raise _Refusal(400, "Only `channel` can be given several times.")
    channels = frozenset(value for name, value in given if name == "channel")
    if not all(_CHANNEL.fullmatch(channel) for channel in channels):
        raise _Refusal(400, "`channel` is the name of a channel.")
    one = dict(given)
    limit = one.get("limit", "20")
    if not re.fullmatch(r"[0-9]{1,4}", limit) or not 1 <= int(limit) <= MOST:
        raise _Refusal(400, f"`limit` is a number from 1 to {MOST}.")
    try:
        since = read_instant(one["since"]) if "since" in one else None
        before = Before.read(one["before"]) if "before" in one else None
    except ValueError:
        raise _Refusal(400, "`since` and `before` are what an answer gave.") from None
    return {"channel": channels or None, "limit": int(limit), "since": since, "before": before}


def _matches(header: str, tag: str) -> bool:
    """Whether If-None-Match names the tag; compared weakly, as RFC 9110 (13.1.2) wants it."""
    return header.strip() == "*" or any(part.strip().removeprefix("W/") == tag for part in header.split(","))


def _cors(environ: Mapping[str, Any], origins: Collection[str]) -> dict[str, str]:
    headers = {"Vary": "Authorization, Origin"}
    origin = environ.get("HTTP_ORIGIN", "")
    if origin in origins:
        headers |= {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": "ETag, Retry-After"}
    return headers


def _problem(status: int, detail: str, headers: Mapping[str, str]) -> Response:
    body = orjson.dumps({"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail})
    return Response(status, body, {"Content-Type": "application/problem+json", "Cache-Control": "no-store", **headers})


def _note(environ: Mapping[str, Any], response: Response, seconds: float) -> None:
    """A line for the access log: only words of our own, since a path may hold anything."""
    path, method = environ.get("PATH_INFO", ""), environ["REQUEST_METHOD"]
    told = (method if method in _METHODS else "-", path if path in (FEED, HEALTH) else "-")
    _log.info("%s %s %d %.1f ms %d bytes", *told, response.status, seconds * 1000, len(response.body))
