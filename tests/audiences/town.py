"""A small town for audience tests: people and segments in a warehouse, and a destination that really answers."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa
import sqlglot

from activate import syncing
from activate.audience import Audience
from activate.audience_plan import AudiencePlan, AudienceReport, Faults
from activate.deliver.hand_over import Clock
from activate.policy import Policy
from activate.project import Model, Project, Relation
from activate.warehouses.base import Warehouse

NOON = dt.datetime(2026, 3, 2, 12)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PEOPLE = {
    "user_id": "text", "email": "text", "email_consent": "boolean", "phone": "text", "first_name": "text",
    "points": "bigint", "balance": "numeric(12,2)", "rate": "double", "born": "date", "seen_at": "timestamp", "vip": "boolean",
}  # fmt: skip
_NUMBERS = count(1)


@dataclass
class Peer:
    """A service that holds audiences: members with the fields last told, by audience."""

    holds: dict[str, dict[str, dict[str, Any] | None]] = field(default_factory=dict)
    told: list[tuple[str, str, str]] = field(default_factory=list)
    requests: list[list[dict[str, Any]]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    answer: Callable[[Peer, list[dict[str, Any]]], tuple[int, dict[str, str], Any] | None] | None = None
    url: str = ""
    page: int = 2
    jobs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, audience: str, changes: Sequence[Mapping[str, Any]]) -> None:
        """Apply changes, as a well-behaved set does."""
        with self._lock:
            held = self.holds.setdefault(audience, {})
            for change in changes:
                self.told.append((audience, change["change"], change["member"]))
                if change["change"] == "remove":
                    held.pop(change["member"], None)
                else:
                    held[change["member"]] = change.get("fields")

    def members(self, audience: str = "vips") -> dict[str, dict[str, Any] | None]:
        """Who is held, with their fields."""
        return self.holds.get(audience, {})


@contextmanager
def peer_server() -> Iterator[Peer]:
    """A peer over loopback HTTP. `answer` may return (status, headers, body) instead of taking; None takes everything."""
    peer = Peer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # head and body go out by themselves: each answer would wait 40 ms
        # An answer in one packet: in two, the second would wait 40 ms for the first one's acknowledgement.
        wbufsize = -1

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            body = json.loads(raw)
            with peer._lock:
                peer.bodies.append(raw)
                peer.requests.append(body["changes"])
                peer.headers.append({name.lower(): value for name, value in self.headers.items()})
            found = peer.answer(peer, body["changes"]) if peer.answer else None
            if found is None:
                peer.take(body["audience"], body["changes"])
                found = (200, {}, {})
            self._send(*found)

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path.startswith("/jobs/"):
                name = parts.path.rsplit("/", 1)[-1]
                self._send(200, {}, peer.jobs[name].pop(0))
                return
            if parts.path != "/members":
                self._send(404, {}, {})
                return
            asked = parse_qs(parts.query)
            audience, start = asked["audience"][0], int(asked.get("from", ["0"])[0])
            names = sorted(peer.members(audience))
            body: dict[str, Any] = {"members": names[start : start + peer.page]}
            if start + peer.page < len(names):
                body["next"] = f"/members?audience={audience}&from={start + peer.page}"
            self._send(200, {}, body)

        def _send(self, status: int, headers: Mapping[str, str], body: Any) -> None:
            if status == 0:  # take it, and hang up without an answer
                self.close_connection = True
                self.connection.close()
                return
            data = json.dumps(body).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    peer.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield peer
    finally:
        server.shutdown()
        server.server_close()


def no_waiting() -> Clock:
    """A clock whose sleeps are counted and not slept."""
    passed = [0.0]

    def sleep(seconds: float) -> None:
        passed[0] += seconds

    return Clock(now=lambda: NOON, monotonic=lambda: passed[0], sleep=sleep, chance=lambda: 0.5)


class Town:
    """People, segments and audiences in schemas of their own. Methods that put something there return self."""

    def __init__(self, warehouse: Warehouse, directory: Path, destinations: Mapping[str, Any], **policy: Any) -> None:
        number = next(_NUMBERS)
        self.warehouse = warehouse
        self.schema, self.state = f"town_{number}", f"town_state_{number}"
        self.directory = directory
        self.now = NOON
        self.faults: dict[str, Faults] = {}
        self.policy = Policy.model_validate(
            {
                "profiles": {"model": "people", "key": "user_id"},
                "events": {"model": "people", "id": "user_id", "key": "user_id", "name": "user_id", "time": "seen_at"},
                "channels": {"email": {"address": "email", "consent": "email_consent", "provider": "mails"}},
                "state": {"schema": self.state},
                "destinations": dict(destinations),
                **policy,
            }
        )
        self.models: dict[str, Model] = {}
        self.audiences: dict[str, Audience] = {}
        self.run(f"CREATE SCHEMA {self.schema}")
        self.table("people", PEOPLE)

    def run(self, sql: str) -> None:
        """Run a statement written for DuckDB."""
        self.warehouse.execute(sqlglot.parse_one(sql, read="duckdb"))

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """Rows of a query; `state.` stands for the state schema."""
        found: list[dict[str, Any]] = self.warehouse.query(
            sqlglot.parse_one(sql.replace("state.", f"{self.state}."), read="duckdb")
        ).to_pylist()
        return found

    def table(self, name: str, columns: Mapping[str, str]) -> Town:
        """Make an empty model."""
        relation = Relation(self.schema, name)
        self.run(
            f"CREATE TABLE {self.schema}.{name} ({', '.join(f'{column} {kind}' for column, kind in columns.items())})"
        )
        found = self.warehouse.columns([relation])[relation]
        self.models[name] = Model(name, relation, kind="segment", key="user_id", columns=found)
        return self

    def put(self, name: str, *rows: Mapping[str, Any]) -> Town:
        """Append rows to a model; a segment is made on the way, with the columns of its first row."""
        if name not in self.models:
            kinds = {str: "text", bool: "boolean", int: "bigint", float: "double"}
            self.table(name, {column: kinds.get(type(value), "text") for column, value in rows[0].items()})
        for row in rows:
            values = ", ".join(_literal(value) for value in row.values())
            self.run(f"INSERT INTO {self.schema}.{name} ({', '.join(row)}) VALUES ({values})")
        return self

    def segment(
        self,
        name: str,
        users: Sequence[str] | Mapping[str, Mapping[str, Any]],
        columns: Mapping[str, str] | None = None,
    ) -> Town:
        """Make (anew) a segment of these people."""
        rows = users if isinstance(users, Mapping) else {user: {} for user in users}
        if name in self.models:
            self.run(f"DELETE FROM {self.schema}.{name}")
        else:
            self.table(name, {"user_id": "text", **(columns or {})})
        if rows:
            data = pa.Table.from_pylist([{"user_id": user, **more} for user, more in rows.items()])
            self.warehouse.ingest(Relation(self.schema, name), data)
        return self

    def audience(self, name: str = "vips", **keys: Any) -> Town:
        """Add (or change) an audience."""
        written = {"audience": name, "segment": name, "destination": "crm", **keys}
        self.audiences[name] = Audience.model_validate(written)
        return self

    @property
    def project(self) -> Project:
        """The rules as they stand."""
        return Project(
            self.directory,
            "town",
            self.policy,
            (),
            self.models,
            audiences=tuple(self.audiences.values()),
            faults=self.faults,
        )

    def later(self, **delta: float) -> Town:
        """Move the clock."""
        self.now += dt.timedelta(**(delta or {"minutes": 10}))
        return self

    def plan(self, name: str = "vips", **more: Any) -> AudiencePlan:
        """What a sync would do."""
        return syncing.plan(self.warehouse, self.project, [self.audiences[name]], self.now, **more)[0]

    def sync(self, name: str = "vips", **more: Any) -> AudienceReport:
        """Sync one audience."""
        more.setdefault("clock", no_waiting())
        return syncing.sync(self.warehouse, self.project, [self.audiences[name]], self.now, **more)[0]


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    return str(value) if isinstance(value, int | float) else "'" + str(value).replace("'", "''") + "'"


def sha(text: str) -> str:
    """SHA-256 of a text, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()
