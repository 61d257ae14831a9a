"""The listener as a WSGI application: a pure function of a request, but for the spool that it writes to.

POST /events/NAME          events of the source NAME of `ingest:`; answered when they are on disk
POST /unsubscribe/TOKEN    one-click unsubscribe (RFC 8058); GET shows a page with a button and changes nothing
GET  /health               whether the listener runs
"""

from __future__ import annotations

import datetime as dt
import html
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any

from activate.engagement import row_of
from activate.ingest.spool import Spool
from activate.ingest.take import take
from activate.sources.base import Captured, Event, Refused, Source, Unreachable, digest

MAX_BODY = 20 * 2**20
Clock = Callable[[], dt.datetime]
StartResponse = Callable[[str, list[tuple[str, str]]], object]
Unsubscriber = Callable[[str], tuple[str, str]]
"""From a token to the person and the channel; raises ValueError for a token that is not ours."""

_SAFE = [
    ("Cache-Control", "no-store"), ("Referrer-Policy", "no-referrer"), ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"),
]  # fmt: skip


class Answer(Exception):
    """Ends the handling of a request with a status, and a short text or page."""

    def __init__(self, status: HTTPStatus, body: bytes = b"", kind: str = "text/plain; charset=utf-8") -> None:
        self.status = status
        self.body = body
        self.kind = kind
        super().__init__(status)


class Listener:
    """The application, for these sources (by name), tokens and spool."""

    def __init__(self, sources: Mapping[str, Source], read_token: Unsubscriber, spool: Spool, clock: Clock) -> None:
        self._sources = sources
        self._read_token = read_token
        self._spool = spool
        self._clock = clock

    def __call__(self, environ: Mapping[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        try:
            answer = self._handle(environ)
        except Answer as early:
            answer = early
        except (OSError, Unreachable):
            answer = Answer(HTTPStatus.SERVICE_UNAVAILABLE)  # not on disk, or not verified: the sender has to try again
        headers = [("Content-Type", answer.kind), ("Content-Length", str(len(answer.body))), *_SAFE]
        if answer.status == HTTPStatus.METHOD_NOT_ALLOWED:
            headers.append(("Allow", "GET, HEAD, POST"))
        start_response(f"{answer.status.value} {answer.status.phrase}", headers)
        return [b""] if environ["REQUEST_METHOD"] == "HEAD" else [answer.body]

    def _handle(self, environ: Mapping[str, Any]) -> Answer:
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
        kind, _, rest = path.lstrip("/").partition("/")
        if kind == "events" and rest in self._sources:
            if method != "POST":
                raise Answer(HTTPStatus.METHOD_NOT_ALLOWED)
            return self._events(self._sources[rest], environ)
        if kind == "unsubscribe" and rest:
            return self._unsubscribe(rest, method)
        if path == "/health" and method in ("GET", "HEAD"):
            return Answer(HTTPStatus.OK, b"ok\n")
        raise Answer(HTTPStatus.NOT_FOUND)

    def _events(self, source: Source, environ: Mapping[str, Any]) -> Answer:
        now = self._clock()
        query = environ.get("QUERY_STRING", "")
        url = environ.get("PATH_INFO", "") + (f"?{query}" if query else "")
        request = Captured(now, _headers(environ), _body(environ), url)
        try:
            taken = take(source, request)
        except Refused as refused:
            raise Answer(HTTPStatus.UNAUTHORIZED, f"{refused.code}\n".encode()) from None
        self._spool.reject(source.name, taken.rejected, now)
        self._spool.append(taken.rows)
        kind, body = source.reply
        return Answer(HTTPStatus.OK, body, kind)

    def _unsubscribe(self, token: str, method: str) -> Answer:
        try:
            user_id, channel = self._read_token(token)
        except ValueError:
            raise Answer(HTTPStatus.NOT_FOUND, _page("This link does not work."), _HTML) from None
        if method in ("GET", "HEAD"):
            # Scanners of mail follow links: nothing may change before a button is pressed.
            return Answer(HTTPStatus.OK, _page("Do you want no more of these messages?", "Unsubscribe"), _HTML)
        if method != "POST":
            raise Answer(HTTPStatus.METHOD_NOT_ALLOWED)
        now = self._clock()
        # The same link pressed again is another event of the same effect: somebody may have come back in between.
        event = Event("unsubscribed", digest(token, now.isoformat(timespec="seconds")), now, channel, user_id=user_id)
        self._spool.append([row_of("unsubscribe", event, now)])
        return Answer(HTTPStatus.OK, _page("You are unsubscribed."), _HTML)


_HTML = "text/html; charset=utf-8"


def _page(text: str, button: str = "") -> bytes:
    form = f'<form method="post"><button>{html.escape(button)}</button></form>' if button else ""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="robots" content="noindex">'
        '<meta name="viewport" content="width=device-width"><title>Unsubscribe</title>'
        f'<body style="font:1.1rem sans-serif;margin:4rem auto;max-width:30rem"><p>{html.escape(text)}</p>{form}</body></html>'
    ).encode()


def _headers(environ: Mapping[str, Any]) -> dict[str, str]:
    found = {name[5:].replace("_", "-").lower(): str(value) for name, value in environ.items() if name[:5] == "HTTP_"}
    return found | {"content-type": str(environ.get("CONTENT_TYPE", ""))}


def _body(environ: Mapping[str, Any]) -> bytes:
    try:
        length = int(environ.get("CONTENT_LENGTH") or 0)
    except ValueError:
        raise Answer(HTTPStatus.BAD_REQUEST) from None
    if length > MAX_BODY:
        raise Answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    body: bytes = environ["wsgi.input"].read(length) if length else b""
    if len(body) != length:
        raise Answer(HTTPStatus.BAD_REQUEST)
    return body
