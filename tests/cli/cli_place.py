"""A tiny project on disk, as a data team would have it after `dbt build`: files, a manifest, and models with rows."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import sqlglot

from activate.cli import main
from activate.warehouses.base import Warehouse
from activate.warehouses.duckdb import DuckDB
from activate.warehouses.postgres import Postgres

LAUNCH = dt.datetime(2026, 3, 28, 8)
TICK = dt.datetime(2026, 3, 28, 12)

POLICY = """\
profiles: {model: profiles, key: user_id, time_zone: time_zone}
events: {model: events, id: event_id, key: user_id, name: event_name, time: occurred_at, properties: properties}
channels:
  push: {address: push_token, consent: push_consent, provider: outbox}
providers:
  outbox: {type: file, path: outbox/messages.jsonl}
time_window: {open: "09:00", close: "21:00", unknown_zone: Europe/Berlin}
frequency_caps:
  - {limit: 1, per: 1 day}
"""
CAMPAIGN = """\
campaign: abandoned_cart
enter: {trigger: cart_abandoned, where: "cart_value > 100"}
re_enter: always
on_retrigger: stack
steps:
  - wait: 30 minutes
    channels: [push]
    template: cart
"""
TEMPLATE = "{% block title %}Still thinking?{% endblock %}{% block body %}{{ context.cart_value }} waits{% endblock %}"
MODELS = {
    "profiles": "user_id TEXT, time_zone TEXT, push_token TEXT, push_consent BOOLEAN",
    "events": "event_id TEXT, user_id TEXT, event_name TEXT, occurred_at TIMESTAMP, properties TEXT",
    "cart_abandoned": "event_id TEXT, user_id TEXT, occurred_at TIMESTAMP, cart_value BIGINT",
    "vips": "user_id TEXT, points BIGINT",
}
CONTRACTS = {
    "cart_abandoned": {"kind": "trigger", "key": "user_id", "id": "event_id", "time": "occurred_at"},
    "vips": {"kind": "segment", "key": "user_id"},
}


@dataclass
class Place:
    """The project's directory, and a way to change the models' rows while no command holds the database."""

    directory: Path
    uri: str | None

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command on the project, in this process (it is quicker)."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.chdir(self.directory), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(words)
        return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())

    def process(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command in the project, as a process of its own."""
        command = [sys.executable, "-m", "activate", *words]
        return subprocess.run(command, capture_output=True, text=True, cwd=self.directory, check=False, timeout=120)

    def json(self, *words: str, code: int = 0) -> Any:
        """Run the command with --json; stdout must be one document, and the exit code as expected."""
        found = self.run(*words, "--json")
        assert found.returncode == code, found.stdout + found.stderr
        return json.loads(found.stdout)

    def connect(self) -> Warehouse:
        """A connection of the test's own."""
        return Postgres.open(self.uri) if self.uri else DuckDB.open(str(self.directory / "tiny.duckdb"))

    def execute(self, *statements: str) -> None:
        """Run statements (in DuckDB's dialect) on the models."""
        warehouse = self.connect()
        for statement in statements:
            warehouse.execute(sqlglot.parse_one(statement, read="duckdb"))
        warehouse.close()

    def write(self, name: str, text: str) -> None:
        """Write a file of the project."""
        (self.directory / name).parent.mkdir(parents=True, exist_ok=True)
        (self.directory / name).write_text(text, "utf-8")

    def cart(self, person: str, event: str, at: dt.datetime, value: int = 150) -> None:
        """Somebody leaves a cart behind."""
        self.carts((person, event, at, value))

    def carts(self, *left: tuple[str, str, dt.datetime, int]) -> None:
        """Several carts: person, event, instant, value."""
        self.execute(*(f"INSERT INTO shop.cart_abandoned VALUES ('{event}', '{person}', TIMESTAMP '{at}', {value})"
                       for person, event, at, value in left))  # fmt: skip


def _manifest(adapter: str) -> str:
    nodes = {
        f"model.shop.{name}": {
            "unique_id": f"model.shop.{name}", "resource_type": "model", "package_name": "shop", "name": name,
            "database": None, "schema": "shop", "alias": name, "relation_name": f'"shop"."{name}"',
            "original_file_path": f"models/{name}.sql", "patch_path": None, "columns": {},
            "config": {"materialized": "table", "meta": {"activate": CONTRACTS[name]} if name in CONTRACTS else {}},
        }
        for name in MODELS
    }  # fmt: skip
    metadata = {"adapter_type": adapter, "project_name": "shop"}
    return json.dumps({"metadata": metadata, "nodes": nodes, "sources": {}})


def _profile(uri: str | None) -> str:
    if uri is None:
        return "shop: {target: dev, outputs: {dev: {type: duckdb, path: tiny.duckdb, schema: shop}}}\n"
    parts = urlsplit(uri)
    settings = {
        "type": "postgres", "host": parts.hostname, "port": parts.port, "user": parts.username, "password": "",
        "dbname": parts.path.strip("/"), "schema": "shop", "threads": 1,
    }  # fmt: skip
    return json.dumps({"shop": {"target": "dev", "outputs": {"dev": settings}}})


def _make(directory: Path, uri: str | None) -> Place:
    place = Place(directory, uri)
    place.write("dbt_project.yml", "name: shop\nprofile: shop\nversion: '1'\n")
    place.write("profiles.yml", _profile(uri))
    place.write("target/manifest.json", _manifest("postgres" if uri else "duckdb"))
    place.write("rules/activate.yml", POLICY)
    place.write("rules/campaigns/abandoned_cart.yml", CAMPAIGN)
    place.write("rules/templates/cart.push.j2", TEMPLATE)
    place.execute(
        "CREATE SCHEMA shop",
        *(f"CREATE TABLE shop.{name} ({columns})" for name, columns in MODELS.items()),
        "INSERT INTO shop.profiles VALUES ('ann', 'Europe/Berlin', 't-ann', TRUE), "
        "('bob', 'Europe/Berlin', 't-bob', TRUE), ('cid', 'Europe/Berlin', 't-cid', FALSE)",
    )
    return place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """The project on DuckDB, before its first tick."""
    return _make(tmp_path, None)


@pytest.fixture(params=["duckdb", "postgres"])
def either_place(tmp_path: Path, request: pytest.FixtureRequest) -> Place:
    """The project on each warehouse, before its first tick."""
    return _make(tmp_path, request.getfixturevalue("postgres_server") if request.param == "postgres" else None)


def busy(place: Place) -> Place:
    """Launch the campaign, then let three people leave carts behind; ann leaves two."""
    assert place.run("run", "--now", f"{LAUNCH}").returncode == 0
    at = TICK - dt.timedelta(minutes=45)
    place.carts(("ann", "e1", at, 150), ("ann", "e2", at, 150), ("bob", "e3", at, 50), ("cid", "e4", at, 150))
    return place
