"""A small world for delivery tests: a warehouse with people and queued messages, templates on disk, and real servers."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlglot

from activate.deliver.hand_over import Clock
from activate.deliver.send import deliver
from activate.message import ProviderReport
from activate.policy import Policy
from activate.project import Model, Project, Relation
from activate.providers.base import Provider
from activate.providers.registry import create
from activate.record.deliveries import Outbox
from activate.record.migrate import migrate
from activate.warehouses.base import Warehouse
from activate.warehouses.duckdb import DuckDB
from activate.warehouses.postgres import Postgres

NOON = dt.datetime(2026, 3, 2, 12)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PROFILE_COLUMNS = {
    "user_id": "text", "time_zone": "text", "email": "text", "email_consent": "boolean", "push_token": "text",
    "push_consent": "text", "first_name": "text", "points": "bigint", "balance": "numeric(12,2)", "born": "date",
    "seen_at": "timestamp", "extra": "json",
}  # fmt: skip
TEMPLATES = {
    "hello.email.j2": "{% block subject %}Hello {{ profile.first_name }}{% endblock %}"
    "{% block text %}You have {{ profile.points }} points, {{ context.product }}.{% endblock %}"
    "{% block html %}<p>{{ profile.first_name }}: {{ context.product }}</p>{% endblock %}",
    "hello.push.j2": "Hello {{ profile.first_name }}",
}


def message_id(number: int) -> str:
    """The id of the n-th message."""
    return hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()


def address(number: int) -> str:
    """The address of the n-th person; nothing but a provider may ever see it."""
    return f"secret.person.{number}@private.example.com"


@dataclass
class PostOffice:
    """A warehouse, the project's rules, and what has been delivered."""

    warehouse: Warehouse
    project: Project
    runs: int = 0
    clock: Clock = field(default_factory=lambda: Clock(now=lambda: NOON, sleep=lambda _: None))

    @classmethod
    def open(cls, warehouse: Warehouse, directory: Path, providers: Mapping[str, Any], **policy: Any) -> PostOffice:
        """Use the warehouse with these `providers:`; `policy` are further keys of rules/activate.yml."""
        folder = directory / "rules" / "templates"
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in TEMPLATES.items():
            if not (folder / name).exists():
                (folder / name).write_text(text)
        rules = {
            "profiles": {"model": "profiles", "key": "user_id", "time_zone": "time_zone"},
            "events": {"model": "events", "id": "id", "key": "user_id", "name": "name", "time": "at"},
            "channels": {
                "email": {"address": "email", "consent": "email_consent", "provider": "mail"},
                "push": {"address": "push_token", "consent": "push_consent", "provider": "mail"},
            },
            "providers": providers,
            **policy,
        }
        profiles = Model("profiles", Relation("shop", "profiles"), columns=dict(PROFILE_COLUMNS))
        project = Project(directory, "shop", Policy.model_validate(rules), (), {"profiles": profiles})
        return cls(warehouse, project)

    def build(self) -> PostOffice:
        """Make the tables."""
        with self.warehouse.transaction():
            migrate(self.warehouse, "activate", NOON)
        self.sql("CREATE SCHEMA shop")
        columns = ", ".join(f'"{name}" {kind}' for name, kind in PROFILE_COLUMNS.items())
        self.sql(f"CREATE TABLE shop.profiles ({columns})")
        return self

    def sql(self, text: str) -> list[tuple[Any, ...]]:
        """Run SQL (in DuckDB's dialect); return rows of a query."""
        tree = sqlglot.parse_one(text, read="duckdb")
        if not isinstance(tree, sqlglot.exp.Query):
            self.warehouse.execute(tree)
            return []
        found = self.warehouse.query(tree)
        return list(zip(*(column.to_pylist() for column in found.columns), strict=True))

    def people(self, count: int, start: int = 0) -> PostOffice:
        """Add people who can be reached by e-mail."""
        self.sql(
            "INSERT INTO shop.profiles SELECT 'u' || g.n, 'Europe/Berlin', "
            "'secret.person.' || g.n || '@private.example.com', TRUE, 'token-' || g.n, 'opted_in', 'Ann' || g.n, g.n, "
            "1234.50, DATE '1990-01-02', TIMESTAMP '2026-03-01 22:30:00', CAST('{\"a\": [1, 2]}' AS JSON) "
            f"FROM GENERATE_SERIES({start}, {start + count - 1}) AS g(n)"
        )
        return self

    def queue(self, numbers: Sequence[int], **values: Any) -> PostOffice:
        """Queue one message for each of these people; `values` replace columns of `messages`."""
        count = len(numbers)
        rows: dict[str, list[Any]] = {
            "message_id": [message_id(number) for number in numbers],
            "entry_id": [f"e{number}" for number in numbers],
            "campaign": ["hello"] * count,
            "step": [1] * count,
            "variant": [None] * count,
            "user_id": [f"u{number}" for number in numbers],
            "channel": ["email"] * count,
            "provider": ["mail"] * count,
            "class": ["marketing"] * count,
            "tags": ['["promotion"]'] * count,
            "expires_at": [NOON + dt.timedelta(hours=6)] * count,
            "run_id": ["tick"] * count,
            "queued_at": [NOON] * count,
            "send_by": [None] * count,
            "counts_toward_caps": [True] * count,
            "template": ["hello"] * count,
            "priority": [50] * count,
        }
        for name, value in values.items():
            rows[name.rstrip("_")] = [value] * count
        self._ingest("messages", rows)
        self._ingest("entries", {
            "entry_id": rows["entry_id"], "campaign": rows["campaign"], "user_id": rows["user_id"],
            "occurrence_id": rows["entry_id"], "entered_at": [NOON] * count, "variant": [None] * count,
            "is_control": [False] * count, "context": [json.dumps({"product": f"Tea {n}"}) for n in numbers],
            "rules_version": ["r"] * count, "run_id": ["tick"] * count, "recorded_at": rows["queued_at"],
            "campaign_version": ["c"] * count, "control_group": [None] * count, "match_key": [None] * count,
        })  # fmt: skip
        return self

    def _ingest(self, table: str, rows: Mapping[str, list[Any]]) -> None:
        from activate.tables import TABLES

        kinds = {"TEXT": pa.string(), "BIGINT": pa.int64(), "BOOLEAN": pa.bool_(), "TIMESTAMP": pa.timestamp("us")}
        columns = {column.name: kinds[column.type] for one in TABLES if one.name == table for column in one.columns}
        self.warehouse.ingest(
            Relation("activate", table),
            pa.table({name: pa.array(values, columns[name]) for name, values in rows.items()}),
        )

    def providers(self) -> dict[str, Provider]:
        """The providers of the rules."""
        sections = self.project.policy.providers
        return {name: create(name, section, self.project.directory) for name, section in sections.items()}

    def deliver(self, **options: Any) -> ProviderReport:
        """Deliver everything; return the (only) provider's report."""
        return self.deliver_all(**options)[0]

    def deliver_all(self, **options: Any) -> list[ProviderReport]:
        """Deliver by every provider."""
        self.runs += 1
        run_id = f"delivery-{self.runs}"
        chosen = {"now": NOON, "clock": self.clock, "wait_seconds": 0.2, **options}
        make = chosen.pop("open_outbox", lambda name: Outbox(self.warehouse.clone(), self.project, name, run_id))
        return deliver(self.project, self.providers(), make, **chosen)

    def outcomes(self) -> dict[str, list[tuple[str, int, bool]]]:
        """Every message's rows in `deliveries`: (status, attempt, final), a claim before its outcome."""
        rows = self.sql(
            "SELECT message_id, status, attempt, final FROM activate.deliveries "
            "ORDER BY message_id, attempt, CASE status WHEN 'claimed' THEN 0 ELSE 1 END"
        )
        found: dict[str, list[tuple[str, int, bool]]] = {}
        for key, status, attempt, final in rows:
            found.setdefault(key, []).append((status, attempt, final))
        return found

    def last(self) -> Counter[str]:
        """How many messages have each status in their last row."""
        return Counter(rows[-1][0] for rows in self.outcomes().values())

    def codes(self) -> Counter[tuple[str, str | None]]:
        """How many rows have each (status, error code), claims left out."""
        rows = self.sql("SELECT status, error_code FROM activate.deliveries WHERE status <> 'claimed'")
        return Counter(rows)  # type: ignore[arg-type]

    def all_state(self) -> str:
        """Everything that the state tables hold, as one text."""
        from activate.tables import TABLES

        return "\n".join(repr(self.sql(f"SELECT * FROM activate.{table.name}")) for table in TABLES)


_BUILT: list[bytes] = []


@contextmanager
def duckdb_office(directory: Path, providers: Mapping[str, Any], **policy: Any) -> Iterator[PostOffice]:
    """A post office on a new DuckDB file: a copy of one whose tables are made."""
    if not _BUILT:
        with tempfile.TemporaryDirectory() as folder:
            with contextlib.closing(DuckDB.open(f"{folder}/state.duckdb")) as empty:
                PostOffice.open(empty, Path(folder), {}).build()
            _BUILT.append(Path(folder, "state.duckdb").read_bytes())
    file = directory / "state.duckdb"
    file.write_bytes(_BUILT[0])
    with contextlib.closing(DuckDB.open(str(file))) as warehouse:
        yield PostOffice.open(warehouse, directory, providers, **policy)


@contextmanager
def postgres_office(uri: str, directory: Path, providers: Mapping[str, Any], **policy: Any) -> Iterator[PostOffice]:
    """A post office in an empty PostgreSQL database."""
    warehouse = Postgres.open(uri)
    try:
        yield PostOffice.open(warehouse, directory, providers, **policy).build()
    finally:
        warehouse.close()


# -- a service that takes webhooks ------------------------------------------------------------------------------------


@dataclass
class Service:
    """A real HTTP server. `script` is asked for each request: None takes it, or it answers for itself."""

    url: str
    requests: list[tuple[Mapping[str, str], bytes]] = field(default_factory=list)
    taken: Counter[str] = field(default_factory=Counter)
    script: Callable[[_Handler, list[str]], bool] | None = None
    held: threading.Event = field(default_factory=threading.Event)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body go out by themselves: each answer would wait 40 ms
    service: Service

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.service.requests.append((dict(self.headers.items()), body))
        ids = [message["message_id"] for message in json.loads(body)["messages"]]
        if self.service.script is not None and self.service.script(self, ids):
            return
        self.service.taken.update(ids)
        self.answer(200, b"{}")

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Write an answer."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def hang_up(self) -> None:
        """End the connection without an answer."""
        self.close_connection = True
        self.connection.shutdown(2)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 50

    def handle_error(self, *_: object) -> None:
        """A client that was killed is no error of the server."""


@contextmanager
def service() -> Iterator[Service]:
    """Run a webhook service on this machine."""
    handler = type("Handler", (_Handler,), {})
    server = _Server(("127.0.0.1", 0), handler)
    made = Service(f"http://127.0.0.1:{server.server_address[1]}/messages")
    handler.service = made  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.held.set()
        server.shutdown()
        server.server_close()
        thread.join()


def webhook(url: str, **options: Any) -> dict[str, Any]:
    """A section of `providers:` for the service."""
    return {"type": "webhook", "url": url, "secret": SECRET, "timeout": "1 second", **options}


MakeOffice = Callable[..., PostOffice]
"""What the fixture `make_office` gives: makes a post office with these providers."""

on_both = pytest.mark.parametrize("make_office", ["duckdb", "postgres"], indirect=True)
"""Marks a test of `make_office` that runs on both warehouses in every run."""
