"""`dbt-activate request`, as it is typed: what it prints, writes, and does not overwrite."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
import re
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import pytest
import yaml

from activate.cli import main
from activate.load.schema import schemas

from .world import COLUMNS, NOW, World

DOCS = Path(__file__).parents[2] / "docs"
RULES = """\
profiles: {model: profiles, key: user_id}
events: {model: events, id: event_id, key: user_id, name: event_name, time: occurred_at, loaded: loaded_at, properties: properties}
channels: {email: {address: email, provider: outbox}}
providers: {outbox: {type: file, path: out.jsonl}}
"""
REQUEST = """\
request: shoe_lovers
description: Buys shoes.
owner: growth
who: {did: {event: purchase, at_least: twice, within: 30 days, where: {category: shoes}}}
"""
FILE = "rules/requests/shoe_lovers.yml"
SQL, YML = "models/segments/shoe_lovers.sql", "models/segments/shoe_lovers.yml"


class Place:
    """A dbt project on disk, with a manifest and a warehouse that has rows."""

    def __init__(self, directory: Path, uri: str | None) -> None:
        self.directory = directory
        adapter = "postgres" if uri else "duckdb"
        parts = urlsplit(uri or "")
        output: dict[str, Any] = {"type": "duckdb", "path": "tiny.duckdb", "schema": "shop"}
        if uri:
            output = {"type": "postgres", "host": parts.hostname, "port": parts.port, "user": parts.username,
                      "password": "", "dbname": parts.path.strip("/"), "schema": "shop", "threads": 1}  # fmt: skip
        self.write("dbt_project.yml", "name: shop\nprofile: shop\n")
        self.write("profiles.yml", json.dumps({"shop": {"target": "dev", "outputs": {"dev": output}}}))
        self.write("rules/activate.yml", RULES)
        self.write(FILE, REQUEST)
        self.manifest(adapter)

    def manifest(self, adapter: str = "duckdb", **more: Any) -> None:
        nodes = {
            f"model.shop.{name}": {
                "unique_id": f"model.shop.{name}", "resource_type": "model", "package_name": "shop", "name": name,
                "database": None, "schema": "shop", "alias": name, "original_file_path": f"models/{name}.sql",
                "config": {"meta": {"activate": {"kind": "segment", "key": "user_id"}}} if name == "loyal" else {},
            }
            for name in COLUMNS
        }  # fmt: skip
        macros = {
            name: {"name": name, "package_name": "shop"} for name in ("activate_now", "test_activate_segment_contract")
        }
        found = {"metadata": {"adapter_type": adapter, "project_name": "shop"}, "nodes": nodes, "sources": {},
                 "macros": macros, "groups": {"group.shop.growth": {"name": "growth"}}, **more}  # fmt: skip
        self.write("target/manifest.json", json.dumps(found))

    def write(self, name: str, text: str) -> None:
        (self.directory / name).parent.mkdir(parents=True, exist_ok=True)
        (self.directory / name).write_text(text, "utf-8")

    def read(self, name: str) -> str:
        return (self.directory / name).read_text("utf-8")

    def run(self, *words: str, code: int = 0) -> str:
        """What was printed on stdout, or on stderr if that was expected to fail."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.chdir(self.directory), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            found = main(["request", FILE, "--now", NOW.isoformat(), *words])
        assert found == code, out.getvalue() + err.getvalue()
        return err.getvalue() if code and "--json" not in words else out.getvalue()

    def lint(self, code: int = 0) -> list[dict[str, Any]]:
        """What `dbt-activate lint` finds."""
        out = io.StringIO()
        clock = mock.patch("activate.run.wall_clock", return_value=NOW)
        with clock, contextlib.chdir(self.directory), contextlib.redirect_stdout(out):
            assert main(["lint", "--json"]) == code, out.getvalue()
        found: list[dict[str, Any]] = json.loads(out.getvalue())["mistakes"]
        return found


# What is about files and words more than about rows is tried on PostgreSQL behind the slow marker.
@pytest.fixture(params=["duckdb", pytest.param("postgres", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    from activate.warehouses.duckdb import DuckDB
    from activate.warehouses.postgres import Postgres

    uri = request.getfixturevalue("postgres_server") if request.param == "postgres" else None
    world = World(Postgres.open(uri) if uri else DuckDB.open(str(tmp_path / "tiny.duckdb"))).make()
    events = [
        {"event_id": f"{who}{number}", "user_id": who, "event_name": "purchase", "category": "shoes", "loaded_at": NOW,
         "occurred_at": NOW - dt.timedelta(days=number), "properties": "{}"}
        for who, count in (("a", 3), ("b", 1)) for number in range(count)
    ]  # fmt: skip
    world.fill(profiles=[{"user_id": who} for who in "abc"], events=events)
    world.warehouse.close()
    return Place(tmp_path, uri)


@pytest.mark.parametrize("place", ["duckdb", "postgres"], indirect=True)
def test_the_model_is_written_and_the_people_counted(place: Place) -> None:
    shown = place.run()
    assert "1 person of 3 fit." in shown
    assert "1. did purchase at least twice within 30 days, where category is" in shown
    assert f"written    {SQL}" in shown
    assert "dbt build --select shoe_lovers" in shown
    assert "{{ ref('events') }}" in place.read(SQL)
    assert "-- 1. did purchase at least twice within 30 days" in place.read(SQL)
    [model] = yaml.safe_load(place.read(YML))["models"]
    assert model["config"] == {
        "group": "growth", "meta": {"owner": "growth", "activate": {"kind": "segment", "key": "user_id"}},
    }  # fmt: skip
    assert model["data_tests"] == ["activate_segment_contract"]
    assert [column["name"] for column in model["columns"]] == ["user_id", "purchase_times_in_30_days"]
    assert "unchanged" in place.run()


def test_lint_reads_every_request_and_tells_all_mistakes_at_once(place: Place) -> None:
    place.write("rules/requests/b.yml", "request: b\ndescription: B.\nwho: {did: {event: purchse}}\n")
    place.write(
        "rules/requests/c.yml", "request: c\ndescription: C.\nwho:\n  did: {event: purchase, whithin: 3 days}\n"
    )
    place.write("rules/requests/deep/d.yml", REQUEST)
    place.write(
        "rules/requests/e.yml", "request: e\ndescription: E.\nwho: {did: {event: purchase, where: {category: shoe}}}\n"
    )
    found = place.lint(code=2)
    told = {(one["file"], one["line"], one["severity"]): one["message"] for one in found if "requests" in one["file"]}
    assert sorted(told) == [
        ("rules/requests/b.yml", 3, "error"), ("rules/requests/c.yml", 4, "error"), ("rules/requests/e.yml", 3, "warning"),
        ("rules/requests/shoe_lovers.yml", 1, "error"),
    ]  # fmt: skip
    assert "did you mean 'purchase'?" in told["rules/requests/b.yml", 3, "error"]
    assert "within" in told["rules/requests/c.yml", 4, "error"]
    assert "is already in rules/requests/deep/d.yml:1" in told["rules/requests/shoe_lovers.yml", 1, "error"]
    assert "values: shoes" in told["rules/requests/e.yml", 3, "warning"]
    assert not (place.directory / "models").exists()


def test_lint_lets_pass_what_was_allowed_unseen(place: Place) -> None:
    place.write(FILE, REQUEST.replace("purchase", "refund"))
    assert [one["severity"] for one in place.lint(code=2) if one["file"] == FILE] == ["error"]
    place.run("--allow-unseen")
    assert {one["severity"] for one in place.lint() if one["file"] == FILE} == {"warning"}


def test_lint_without_a_warehouse_reads_the_requests_all_the_same(place: Place) -> None:
    profiles = json.loads(place.read("profiles.yml"))
    profiles["shop"]["outputs"]["dev"] |= {"path": "no/where.duckdb", "port": 1}
    place.write("profiles.yml", json.dumps(profiles))
    place.write("rules/requests/c.yml", "request: c\ndescription: C.\nwho: {did: {evnt: purchase}}\n")
    found = place.lint(code=2)
    assert any(one["file"] == "rules/requests/c.yml" and "did you mean 'event'?" in one["message"] for one in found)
    assert any("were not held against the warehouse" in one["message"] for one in found)


def test_a_dry_run_prints_and_writes_nothing(place: Place) -> None:
    shown = place.run("--dry-run")
    assert "{{ ref('profiles') }}" in shown
    assert "unit_tests:" in shown
    assert f"to write   {SQL}" in shown
    assert not (place.directory / "models").exists()


def test_json_is_one_document_of_the_documented_shape(place: Place) -> None:
    found = json.loads(place.run("--json"))
    example = re.search(
        r"<!-- example request -->\n```json\n(.*?)\n```", (DOCS / "json.md").read_text("utf-8"), re.DOTALL
    )
    assert example
    documented = json.loads(example[1])
    assert set(found) == set(documented)
    for key in ("lines", "files"):
        assert set(found[key][0]) == set(documented[key][0])
    assert (found["people"], found["everybody"], found["now"]) == (1, 3, "2026-03-01T12:00:00Z")
    place.write(FILE, REQUEST.replace("event: purchase", "event: purchse"))
    [mistake] = json.loads(place.run("--json", code=2))["error"]["mistakes"]
    assert (mistake["file"], mistake["line"]) == (FILE, 4)
    assert mistake["message"].endswith("did you mean 'purchase'?")


def test_a_changed_request_replaces_its_own_model(place: Place) -> None:
    place.run()
    place.write(FILE, REQUEST.replace("30 days", "60 days"))
    assert "to replace" in place.run("--dry-run")
    assert f"replaced   {SQL}" in place.run()
    assert "dbt.dateadd('day', -60" in place.read(SQL)


@pytest.mark.parametrize("name", [SQL, YML])
def test_what_was_changed_by_hand_is_not_overwritten(place: Place, name: str) -> None:
    place.run()
    mine = place.read(name).replace("shoes", "boots")
    place.write(name, mine)
    place.write(FILE, REQUEST.replace("30 days", "60 days"))
    other = {SQL: YML, YML: SQL}[name]
    before = place.read(other)
    told = place.run(code=2)
    assert f"{name}:1: error: was changed by hand since it was made; move it away, or overwrite it with --force" in told
    assert (place.read(name), place.read(other)) == (mine, before)
    assert "--force overwrites it" in place.run("--dry-run")
    place.run("--force")
    assert "boots" not in place.read(name)


def test_what_something_else_made_is_not_overwritten(place: Place) -> None:
    place.write(SQL, "select 1 as user_id\n")
    assert "was not made by `dbt-activate request`" in place.run(code=2)
    place.run("--force")
    text = place.read(FILE)
    place.write("rules/requests/other.yml", text)
    with contextlib.chdir(place.directory), contextlib.redirect_stderr(io.StringIO()) as err:
        assert main(["request", "rules/requests/other.yml"]) == 2
    assert f"was made from another request, {FILE}" in err.getvalue()


def test_a_model_of_the_name_elsewhere_is_a_mistake(place: Place) -> None:
    place.write(FILE, REQUEST.replace("shoe_lovers", "loyal"))
    assert f"{FILE}:1: error: the dbt project already has a model 'loyal' (models/loyal.sql)" in place.run(code=2)


def test_a_project_without_the_macros_is_told_what_to_do(place: Place) -> None:
    manifest = json.loads(place.read("target/manifest.json"))
    place.manifest(manifest["metadata"]["adapter_type"], macros={})
    told = place.run(code=3)
    assert "lacks activate_now() and the test activate_segment_contract" in told
    assert "`dbt-activate init` adds them" in told


def test_an_event_that_was_never_seen_is_let_in_when_asked(place: Place) -> None:
    place.write(FILE, REQUEST.replace("event: purchase", "event: purchase_v2"))
    assert "no event 'purchase_v2' was ever seen" in place.run(code=2)
    assert not (place.directory / SQL).exists()
    assert "warning: no event 'purchase_v2' was ever seen" in place.run("--allow-unseen")
    assert (place.directory / SQL).exists()


def test_a_request_that_is_not_there(place: Place) -> None:
    (place.directory / FILE).unlink()
    assert f"{FILE}: error: cannot be read" in place.run(code=2)


def test_the_page_has_every_key_of_the_language() -> None:
    page = (DOCS / "requests.md").read_text("utf-8")
    schema = schemas()["request"]
    keys = {key for part in (schema, *schema["$defs"].values()) for key in part["properties"]}
    assert {key for key in keys if not re.search(rf"\b{key}\b", page)} == set()
