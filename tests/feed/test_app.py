"""The endpoint as HTTP: statuses, caching, CORS, and what the log keeps to itself."""

from __future__ import annotations

import datetime as dt
import logging
from typing import Any

import pytest

from activate.errors import WarehouseError
from activate.feed.places import Pool
from activate.feed.serve import _read_only
from activate.warehouses.postgres import Postgres
from tests.feed.conftest import ENGAGED, FEED, NOW, Box


def test_an_answer_is_private_and_is_asked_for_again(duckdb_box: Box) -> None:
    status, headers, _ = duckdb_box.put("a").ask()
    assert status == 200
    assert headers["Cache-Control"] == "private, no-cache"
    assert headers["Content-Type"] == "application/json"
    assert set(headers["Vary"].split(", ")) == {"Authorization", "Origin"}
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_what_has_not_changed_is_not_sent_again(duckdb_box: Box) -> None:
    box = duckdb_box.put("a")
    tag = box.ask()[1]["ETag"]
    for header in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        status, headers, body = box.ask(if_none_match=header)
        assert (status, body, headers["ETag"]) == (304, None, tag)
        assert "Content-Length" not in headers
    assert box.ask(if_none_match='"x"')[0] == 200
    box.put("b")
    assert box.ask(if_none_match=tag)[0] == 200
    box.run("DELETE FROM activate_feed.items WHERE message_id = 'b'")
    assert box.ask(if_none_match=tag)[0] == 304
    box.now = NOW + dt.timedelta(hours=2)
    assert box.ask(if_none_match=tag)[0] == 200, "what has expired is a change"


def test_head_has_the_headers_of_get_and_no_body(duckdb_box: Box) -> None:
    box = duckdb_box.put("a")
    _, headers, _ = box.ask()
    assert box.ask(method="HEAD") == (200, headers, None)


def test_without_a_token_nothing_is_told(duckdb_box: Box) -> None:
    status, headers, body = duckdb_box.ask(token=None)
    assert (status, headers["WWW-Authenticate"]) == (401, 'Bearer realm="feed"')
    assert body == {
        "type": "about:blank",
        "title": "Unauthorized",
        "status": 401,
        "detail": "Send `Authorization: Bearer TOKEN`.",
    }
    for other in ("Basic YTpi", duckdb_box.token(), f"Bearer {duckdb_box.token()} x", "Bearer"):
        assert duckdb_box.ask(token=None, authorization=other)[0] == 401


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=101", "limit=-1", "limit=1e1", "limit=٣", "limit=", "limit=1&limit=2", "channel=", "channel=A",
     "channel=a%00", "since=yesterday", "since=2026-03-02", "since=2026-99-02T12:00:00.000000Z", "before=x",
     "before=2026-03-02T12:00:00.000000Z", "before=2026-03-02T12:00:00.000000Z~", "chanel=card", "token=x", "%ff=1", "a",
     "&".join(["channel=a"] * 21)],
)  # fmt: skip
def test_a_question_that_means_nothing_is_refused(duckdb_box: Box, query: str) -> None:
    status, headers, body = duckdb_box.ask(query)
    assert (status, body["status"], headers["Content-Type"]) == (400, 400, "application/problem+json")
    assert "yesterday" not in body["detail"]


def test_there_is_nothing_else_and_nothing_is_written(duckdb_box: Box) -> None:
    for path in ("/", "/v1/feed/", "/v1", "/v1/feed/ann", "/v1/../healthz", ""):
        assert duckdb_box.ask(path=path)[0] == 404
    for method in ("POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"):
        status, headers, _ = duckdb_box.ask(method=method)
        assert (status, headers["Allow"]) == (405, "GET, HEAD, OPTIONS")


def test_pages_of_our_origins_may_ask_from_a_browser(duckdb_box: Box) -> None:
    origin = "https://shop.example.com"
    status, headers, body = duckdb_box.ask(token=None, method="OPTIONS", origin=origin)
    assert (status, body) == (204, None)
    assert headers["Access-Control-Allow-Origin"] == origin
    assert headers["Access-Control-Allow-Headers"] == "Authorization, If-None-Match"
    assert duckdb_box.ask(origin=origin)[1]["Access-Control-Allow-Origin"] == origin
    assert duckdb_box.ask(token=None, origin=origin)[1]["Access-Control-Allow-Origin"] == origin, "refusals can be read"
    for other in (
        "https://evil.example.com",
        "https://shop.example.com.evil.com",
        "http://shop.example.com",
        "null",
        "*",
    ):
        assert "Access-Control-Allow-Origin" not in duckdb_box.ask(origin=other)[1]
        assert "Access-Control-Allow-Origin" not in duckdb_box.ask(token=None, method="OPTIONS", origin=other)[1]


def test_health_needs_no_token_and_tells_nothing(duckdb_box: Box) -> None:
    assert duckdb_box.put("a").ask(token=None, path="/healthz")[::2] == (200, {"status": "ok"})


class _Broken:
    def rows(self, wanted: Any) -> Any:
        raise RuntimeError("ann@private.example.com")

    def close(self) -> None:
        return


def test_logs_and_answers_name_nobody(duckdb_box: Box, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    box = duckdb_box.put("a", user_id="ann.private", title="A private title")
    token = box.token("ann.private")
    for query in ("", "channel=private_channel", "limit=private"):
        box.ask(query, token)
    box.ask(path="/ann.private", method="ann.private")
    box.place = _Broken()
    status, _, body = box.ask("", token)
    assert (status, body["detail"]) == (500, "Something went wrong.")
    told = caplog.text
    assert "GET /v1/feed 200" in told
    assert "- - 404" in told
    assert "unexpected RuntimeError" in told
    assert "private" not in told
    assert token not in told


def test_a_server_that_is_down_is_503(duckdb_box: Box) -> None:
    def refused() -> Any:
        raise WarehouseError("cannot reach PostgreSQL at db.private.example.com")

    duckdb_box.place = Pool(refused, FEED, ENGAGED)
    status, headers, body = duckdb_box.ask()
    assert (status, headers["Retry-After"], body["title"]) == (503, "2", "Service Unavailable")
    assert "private" not in body["detail"]
    assert duckdb_box.ask(token=None, path="/healthz")[0] == 503


def test_a_server_that_was_started_anew_is_asked_on_new_connections(postgres_server: str) -> None:
    box = Box(postgres_server).build().put("a")
    assert box.ids() == ["a"]
    box.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )
    assert box.ids() == ["a"]
    box.place.close()


def test_nothing_can_be_written_on_the_connections_of_the_server(postgres_server: str) -> None:
    warehouse = _read_only(Postgres.open(postgres_server))
    with pytest.raises(WarehouseError, match="read-only"):
        warehouse.execute("CREATE TABLE x (a TEXT)")
    warehouse.close()
