"""An audience in Klaviyo from the warehouse to the list: jobs, look-ups and refusals over real HTTP."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from activate import mending
from activate.providers.base import HttpAnswer, HttpRequest
from activate.warehouses.base import Warehouse
from activate.warehouses.duckdb import DuckDB
from tests.audiences.town import Town
from tests.destinations.vendors.klaviyo import Peer

PEOPLE = {name: {"email": f"{name}@private.example.com", "ltv": at} for at, name in enumerate(["ada", "bob", "cid"])}


@pytest.fixture
def warehouse(duckdb_in_memory: DuckDB) -> Warehouse:
    return duckdb_in_memory


class Server:
    """Klaviyo's peer over loopback HTTP; `busy` requests are answered with 429 first."""

    def __init__(self) -> None:
        self.peer = Peer()
        self.busy = 0
        self.seen: Counter[str] = Counter()
        self.lock = threading.Lock()

    def answer(self, request: HttpRequest) -> HttpAnswer:
        with self.lock:
            self.seen[f"{request.method} {request.url.partition('?')[0].removeprefix(self.peer.url)}"] += 1
            if self.busy:
                self.busy -= 1
                return HttpAnswer(429, {"Retry-After": "3"}, b'{"errors": []}')
            return self.peer.answer(request)


@contextmanager
def serving() -> Iterator[Server]:
    found = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # head and body go out by themselves: each answer would wait 40 ms
        wbufsize = -1

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            url = found.peer.url + self.path
            answer = found.answer(HttpRequest(self.command, url, dict(self.headers.items()), body))
            self.send_response(answer.status)
            for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST = do_DELETE = _answer

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.peer = Peer(f"http://127.0.0.1:{server.server_address[1]}")
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def klaviyo() -> Iterator[Server]:
    with serving() as found:
        yield found


@pytest.fixture
def town(warehouse: Warehouse, klaviyo: Server, tmp_path: Path) -> Town:
    found = Town(warehouse, tmp_path, {"crm": {"type": "klaviyo", **klaviyo.peer.section, "batch": 2}})
    found.segment("vips", PEOPLE, {"email": "text", "ltv": "bigint"})
    return found.audience(fields={"email": "email", "lifetime_value": "ltv"})


def test_members_come_change_and_go(town: Town, klaviyo: Server) -> None:
    first = town.sync()
    assert (first.error, first.outcomes) == (None, {"accepted": 3})
    assert klaviyo.peer.members == set(PEOPLE)
    assert klaviyo.seen["POST /api/profile-bulk-import-jobs"] == 2
    town.later().segment("vips", {"ada": PEOPLE["ada"], "bob": {**PEOPLE["bob"], "ltv": 99}})
    second = town.sync()
    assert (second.error, second.outcomes) == (None, {"accepted": 2})
    assert klaviyo.peer.members == {"ada", "bob"}
    assert klaviyo.peer.properties["bob"]["lifetime_value"] == 99
    assert klaviyo.seen["DELETE /api/lists/Y6nRLr/relationships/profiles"] == 1
    assert town.later().sync().outcomes == {}


def test_a_row_that_the_job_refuses_is_a_dead_letter_and_harms_no_other(town: Town, klaviyo: Server) -> None:
    klaviyo.peer.bad = {"bob"}
    report = town.sync()
    assert report.outcomes == {"accepted": 2, "rejected": 1}
    assert klaviyo.peer.members == {"ada", "cid"}
    told = town.rows("SELECT user_id, error_code FROM state.audience_changes WHERE status = 'rejected'")
    assert told == [{"user_id": "bob", "error_code": "invalid_profile"}]
    klaviyo.seen.clear()
    assert town.later().sync().outcomes == {}
    assert not klaviyo.seen


def test_a_busy_klaviyo_is_waited_for(town: Town, klaviyo: Server) -> None:
    klaviyo.busy = 2
    assert town.sync().outcomes == {"accepted": 3}
    assert klaviyo.peer.members == set(PEOPLE)


def test_the_list_is_compared_with_what_was_acknowledged(town: Town, klaviyo: Server) -> None:
    town.sync()
    klaviyo.peer.members.discard("cid")
    found, report = mending.reconcile(
        town.warehouse, town.project, town.audiences["vips"], town.later().now, heal=False
    )
    assert (found, report) == ({"missing": 1, "left": 0, "foreign": 0}, None)
    assert klaviyo.seen["GET /api/lists/Y6nRLr/profiles"] >= 1


def test_removals_are_cut_into_smaller_requests_than_additions(town: Town, klaviyo: Server) -> None:
    many = {f"user{n}": {"email": f"user{n}@private.example.com", "ltv": n} for n in range(150)}
    town.policy.destinations["crm"]["batch"] = 1_000
    town.segment("vips", many)
    assert town.sync().outcomes == {"accepted": 150}
    assert klaviyo.seen["POST /api/profile-bulk-import-jobs"] == 1
    town.later().segment("vips", {"user0": many["user0"]})
    assert town.sync().outcomes == {"accepted": 149}
    assert klaviyo.seen["DELETE /api/lists/Y6nRLr/relationships/profiles"] == 2
    assert klaviyo.peer.members == {"user0"}
