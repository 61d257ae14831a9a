"""A feed with rows on each warehouse, and a client that asks the application without a server."""

from __future__ import annotations

import datetime as dt
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from activate.feed.app import make_app
from activate.feed.items import ENGAGEMENTS
from activate.feed.places import Place, Pool, Snapshot
from activate.feed.tokens import Keys
from activate.project import Relation
from activate.warehouses.base import Warehouse
from activate.warehouses.duckdb import DuckDB
from activate.warehouses.postgres import Postgres

NOW = dt.datetime(2026, 3, 2, 12)
SECRET = "0123456789abcdef0123456789abcdef"
FEED, ENGAGED = Relation("activate_feed", "items"), Relation("activate", ENGAGEMENTS)
COLUMNS = (
    "message_id TEXT, user_id TEXT, channel TEXT, campaign TEXT, step BIGINT, variant TEXT, title TEXT, body TEXT, "
    "url TEXT, image TEXT, data TEXT, tags TEXT, created_at TIMESTAMP, expires_at TIMESTAMP"
)


class Box:
    """The feed's table, written to by a connection that is open only while it is used, and the endpoint over it."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.keys = Keys([SECRET])
        self.seconds = 0.0
        self.place = self.open_place()
        self.now = NOW
        self.origins = ("https://shop.example.com",)

    def open_place(self, **options: Any) -> Place:
        if self.uri.startswith("postgres"):
            return Pool(lambda: Postgres.open(self.uri), FEED, ENGAGED)
        return Snapshot(self.uri, FEED, ENGAGED, monotonic=lambda: self.seconds, **options)

    def connect(self) -> Warehouse:
        return Postgres.open(self.uri) if self.uri.startswith("postgres") else DuckDB.open(self.uri)

    def run(self, *statements: str) -> Box:
        warehouse = self.connect()
        for statement in statements:
            warehouse.execute(statement)
        warehouse.close()
        return self

    def build(self) -> Box:
        return self.run("CREATE SCHEMA activate_feed", f"CREATE TABLE activate_feed.items ({COLUMNS})")

    def put(
        self, message_id: str, user_id: str = "ann", minutes: int = 0, lasts: int | None = 60, **values: str
    ) -> Box:
        """An item made `minutes` before now that lasts `lasts` minutes from now."""
        created = NOW - dt.timedelta(minutes=minutes)
        row = {"channel": "card", "campaign": "hello", "title": f"Title {message_id}", "body": "Body", **values}
        quoted = ", ".join("'" + text.replace("'", "''") + "'" for text in row.values())
        end = "NULL" if lasts is None else f"TIMESTAMP '{NOW + dt.timedelta(minutes=lasts)}'"
        return self.run(
            f"INSERT INTO activate_feed.items (message_id, user_id, created_at, expires_at, {', '.join(row)}) VALUES "
            f"('{message_id}', '{user_id.replace(chr(39), chr(39) * 2)}', TIMESTAMP '{created}', {end}, {quoted})"
        )

    def token(self, user_id: str = "ann", *channels: str) -> str:
        return self.keys.sign(user_id, 3600, channels)[0]

    def ask(
        self, query: str = "", token: str | None = "", *, method: str = "GET", path: str = "/v1/feed", **headers: str
    ) -> tuple[int, dict[str, str], Any]:
        """Status, headers and the body as JSON; `token` empty is ann's own, None is none."""
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, "wsgi.input": io.BytesIO(),
            **{f"HTTP_{name.upper()}": value for name, value in headers.items()},
        }  # fmt: skip
        if token is not None:
            environ.setdefault("HTTP_AUTHORIZATION", f"Bearer {token or self.token()}")
        self.seconds += 10  # a copy may be made anew
        told: list[Any] = []
        app = make_app(self.place, self.keys, self.origins, lambda: self.now)
        body = b"".join(app(environ, lambda status, sent: told.extend((status, sent))))
        return int(told[0].split()[0]), dict(told[1]), json.loads(body) if body else None

    def ids(self, query: str = "", token: str = "") -> list[str]:
        status, _, body = self.ask(query, token)
        assert status == 200, body
        return [item["message_id"] for item in body["items"]]


@pytest.fixture(params=["duckdb", "postgres"])
def box(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Box]:
    """A feed on each warehouse."""
    uri = str(tmp_path / "shop.duckdb") if request.param == "duckdb" else request.getfixturevalue("postgres_server")
    made = Box(uri).build()
    yield made
    made.place.close()


@pytest.fixture
def duckdb_box(tmp_path: Path) -> Iterator[Box]:
    """A feed in a DuckDB file."""
    made = Box(str(tmp_path / "shop.duckdb")).build()
    yield made
    made.place.close()
