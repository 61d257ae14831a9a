"""The listener, as a WSGI application and over a real socket."""

from __future__ import annotations

import io
import threading
import urllib.request
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.validate import validator

import pytest

from activate.ingest.spool import Spool
from activate.ingest.web import MAX_BODY
from activate.providers.unsubscribe import make_token
from activate.sources.base import Captured
from activate.sources.registry import SOURCES
from tests.ingest.shop import UNSUBSCRIBE, EventShop
from tests.ingest.vectors import LOSSES, signed


def ask(
    shop: EventShop, method: str, path: str, request: Captured | None = None, **environ: Any
) -> tuple[int, str, dict[str, str]]:
    """One request through the application, which the standard library's validator watches."""
    body = request.body if request else b""
    path, _, query = ((request and request.url) or path).partition("?")
    given: dict[str, Any] = {
        "REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, "SCRIPT_NAME": "", "SERVER_NAME": "x",
        "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.version": (1, 0), "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body), "wsgi.errors": io.StringIO(), "wsgi.multithread": True, "wsgi.multiprocess": False,
        "wsgi.run_once": False, "CONTENT_LENGTH": str(len(body)),
    }  # fmt: skip
    for name, value in (request.headers if request else {}).items():
        given["HTTP_" + name.upper().replace("-", "_")] = value
    told: list[Any] = []

    def start(status: str, headers: list[tuple[str, str]], _: Any = None) -> Any:
        told[:] = [int(status.split(maxsplit=1)[0]), dict(headers)]
        return lambda _: None

    answer = validator(shop.listener())({**given, **environ}, start)
    text = b"".join(answer).decode()
    answer.close()  # type: ignore[attr-defined]
    return told[0], text, told[1]


def lines(shop: EventShop) -> int:
    current = shop.directory / ".activate" / "events" / "current.jsonl"
    return len(current.read_text().splitlines()) if current.exists() else 0


@pytest.mark.parametrize("kind", sorted(SOURCES))
def test_events_are_on_disk_when_they_are_answered_for(local: EventShop, kind: str) -> None:
    request = signed(kind, LOSSES[kind])
    status, body, headers = ask(local, "POST", f"/events/{kind}", request)
    assert (status, lines(local)) == (200, 1)
    assert body == ("<Response/>" if kind == "twilio" else "{}")
    assert headers["Content-Type"] == ("text/xml" if kind == "twilio" else "application/json")
    report = local.load_spool()
    assert report is not None
    assert (report.events, report.suppressions) == (1, 1)


def test_a_forged_request_is_refused_and_leaves_nothing(local: EventShop) -> None:
    request = signed("sendgrid", LOSSES["sendgrid"])
    forged = request._replace(body=request.body + b" ")
    assert ask(local, "POST", "/events/sendgrid", forged)[:2] == (401, "bad_signature\n")
    assert not (local.directory / ".activate").exists()


def test_a_replayed_request_counts_once(local: EventShop) -> None:
    request = signed("sendgrid", LOSSES["sendgrid"])
    for _ in range(3):
        assert ask(local, "POST", "/events/sendgrid", request)[0] == 200
    report = local.load_spool()
    assert report is not None
    assert (report.events, report.duplicates) == (1, 2)


def test_nothing_is_answered_for_that_is_not_on_disk(local: EventShop, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert ask(local, "POST", "/events/sendgrid", signed("sendgrid", LOSSES["sendgrid"]))[0] == 503
    assert lines(local) == 0


@pytest.mark.parametrize(
    ("method", "path", "environ", "status"),
    [
        ("GET", "/", {}, 404),
        ("GET", "/events/sendgrid", {}, 405),
        ("POST", "/events/nobody", {}, 404),
        ("POST", "/events/sendgrid/more", {}, 404),
        ("POST", "/events/sendgrid", {"CONTENT_LENGTH": str(MAX_BODY + 1)}, 413),
        ("POST", "/events/sendgrid", {"CONTENT_LENGTH": "10"}, 400),
        ("POST", "/unsubscribe/", {}, 404),
        ("GET", "/health", {}, 200),
        ("HEAD", "/health", {}, 200),
    ],
)
def test_other_requests(local: EventShop, method: str, path: str, environ: dict[str, str], status: int) -> None:
    assert ask(local, method, path, **environ)[0] == status
    assert lines(local) == 0


def test_8_8_one_click_unsubscribes_by_post_alone(local: EventShop) -> None:
    """8.8 and RFC 8058: GET must not unsubscribe; a replay changes nothing more."""
    local.stage.campaign("hello", enter={"trigger": "visit"}, re_enter="always", steps=[{"channels": ["email"]}])
    local.stage.tick("2026-03-01 01:00")
    path = f"/unsubscribe/{make_token('u0', 'email', UNSUBSCRIBE)}"
    for method in ("GET", "HEAD"):
        status, page, headers = ask(local, method, path)
        assert (status, lines(local)) == (200, 0)
        assert "Set-Cookie" not in headers
        assert headers["Referrer-Policy"] == "no-referrer"
        assert ('<form method="post">' in page) == (method == "GET")
    body = Captured(local.now, {}, b"List-Unsubscribe=One-Click")
    for _ in range(2):
        assert ask(local, "POST", path, body)[0] == 200
    report = local.load_spool()
    assert report is not None
    assert (report.events, report.duplicates) == (1, 1)
    (row,) = local.suppressions()
    assert (row["channel"], row["user_id"], row["address_hash"], row["reason"]) == ("email", "u0", None, "opted_out")
    local.stage.event("visit", "u0", at="2026-03-02 13:00")
    assert local.stage.tick("2026-03-02 13:00") == ["u0 hello/1: suppress address_suppressed"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_token_that_is_not_ours_does_nothing(local: EventShop, method: str) -> None:
    for token in (make_token("u0", "email", "another secret of enough length"), "x", "x.y", "%00"):
        assert ask(local, method, f"/unsubscribe/{token}")[0] == 404
    assert lines(local) == 0


class Silent(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        return


def test_many_requests_at_once_over_http_are_all_on_disk(local: EventShop) -> None:
    server = make_server("127.0.0.1", 0, local.listener(), handler_class=Silent)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    spool = Spool(local.directory / ".activate" / "events")
    try:
        for number in range(10):
            request = signed("generic", [{**LOSSES["generic"][0], "id": f"g{number}"}])
            sent = urllib.request.Request(
                f"http://127.0.0.1:{server.server_port}/events/generic", request.body, dict(request.headers)
            )
            assert urllib.request.urlopen(sent).status == 200
            if number == 5:
                assert len(spool.segments()) == 1  # a loader takes the file away in the middle
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    report = local.load_spool()
    assert report is not None
    assert report.events == 10
