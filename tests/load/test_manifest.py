"""dbt's manifest is read as data: names, relations, contracts; dbt itself is never imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from activate.errors import SettingsError
from activate.load.manifest import Manifest, read_manifest
from activate.project import Relation
from activate.settings import Target

from ..warm_dbt import WarmDbt
from .conftest import COLUMNS, Shop, node


def _manifest(shop: Shop) -> Manifest:
    shop.save_manifest()
    return read_manifest(shop.directory / "target/manifest.json")


def test_models_come_with_their_relation_contract_and_declared_columns(shop: Shop) -> None:
    manifest = _manifest(shop)
    model = manifest.models["cart_abandoned"]
    assert model.relation == Relation("main", "cart_abandoned", "shop")
    assert (model.kind, model.key, model.id) == ("trigger", "user_id", "event_id")
    assert (model.time, model.loaded) == ("occurred_at", "loaded_at")
    assert model.columns == {}, "columns are the warehouse's to tell"
    assert manifest.declared["cart_abandoned"] == COLUMNS["cart_abandoned"]
    assert manifest.models["profiles"].kind is None


def _as_1_12(raw: dict[str, Any]) -> None:
    """dbt 1.12 still writes schema v12. What it adds are keys, so any key that is not known may be anywhere."""
    raw["metadata"]["dbt_version"] = "1.12.0"
    raw |= {"functions": {}, "new_section": {"a": [1]}}
    for found in [*raw["nodes"].values(), *raw["sources"].values()]:
        found |= {"new_key": {"x": 1}, "new_list": None}
        found["config"]["new_key"] = {"y": [2]}


@pytest.mark.parametrize("version", ["1.10", "1.12"])
def test_what_dbt_1_10_wrote_of_the_reference_project_is_read_and_so_it_is_with_keys_of_later_versions(
    version: str, tmp_path: Path
) -> None:
    """The file is dbt 1.10.23's own, of `dbt parse` in this repository, with fewer nodes and without their texts."""
    raw = json.loads((Path(__file__).parent / "manifests/dbt_1_10.json").read_bytes())
    if version == "1.12":
        _as_1_12(raw)
    (tmp_path / "manifest.json").write_text(json.dumps(raw))
    manifest = read_manifest(tmp_path / "manifest.json")
    assert (manifest.adapter, manifest.project, manifest.broken) == ("duckdb", raw["metadata"]["project_name"], {})
    cart, lapsed = manifest.models["cart_abandoned"], manifest.models["lapsed_vip"]
    assert (cart.kind, cart.key, cart.id, cart.time, cart.loaded) == (
        "trigger", "user_id", "event_id", "occurred_at", "loaded_at",
    )  # fmt: skip
    assert (lapsed.kind, lapsed.key, lapsed.file.startswith("models/segments/")) == ("segment", "user_id", True)
    assert manifest.models["activate.messages"].relation.name == "messages"
    assert "activate_now" in manifest.macros
    assert "dateadd" not in manifest.macros, "that one is dbt's"
    assert manifest.groups
    assert not any("test" in name for name in manifest.models)


def test_the_alias_is_the_tables_name(shop: Shop) -> None:
    shop.nodes["profiles"] |= {"alias": "people", "schema": "crm", "relation_name": '"shop"."crm"."people"'}
    assert _manifest(shop).models["profiles"].relation == Relation("crm", "people", "shop")


def test_a_contract_in_the_older_place_is_read(shop: Shop) -> None:
    shop.nodes["lapsed"]["config"] = {"materialized": "table", "meta": {}}
    shop.nodes["lapsed"]["meta"] = {"activate": {"kind": "segment", "key": "user_id"}}
    assert _manifest(shop).models["lapsed"].kind == "segment"


def test_of_several_packages_the_root_projects_model_is_meant(shop: Shop) -> None:
    for package in ("a_package", "z_package"):
        shop.nodes[package] = node(
            "profiles", {}, package_name=package, unique_id=f"model.{package}.profiles", schema="x"
        )
    assert _manifest(shop).models["profiles"].unique_id == "model.shop.profiles"
    del shop.nodes["profiles"]
    assert _manifest(shop).models["profiles"].unique_id == "model.a_package.profiles"


def test_of_several_versions_the_latest_is_meant_and_each_has_a_name(shop: Shop) -> None:
    for version in (1, 2):
        shop.nodes[f"v{version}"] = node(
            "lapsed", {}, version=version, latest_version=2, alias=f"lapsed_v{version}",
            unique_id=f"model.shop.lapsed.v{version}", relation_name=f'"shop"."main"."lapsed_v{version}"',
        )  # fmt: skip
    del shop.nodes["lapsed"]
    models = _manifest(shop).models
    assert models["lapsed"].relation.name == "lapsed_v2"
    assert models["lapsed.v1"].relation.name == "lapsed_v1"


def test_seeds_snapshots_and_sources_can_be_used_and_tests_cannot(shop: Shop) -> None:
    shop.nodes["plans"] = node("plans", {}, resource_type="seed", unique_id="seed.shop.plans")
    shop.nodes["past"] = node("past", {}, resource_type="snapshot", unique_id="snapshot.shop.past")
    shop.nodes["check"] = node("check", {}, resource_type="test", unique_id="test.shop.check")
    shop.sources["source.shop.raw.events"] = node(
        "events", {"x": "integer"}, resource_type="source", source_name="raw", identifier="raw_events", schema="raw",
        unique_id="source.shop.raw.events", relation_name='"shop"."raw"."raw_events"', alias=None,
    )  # fmt: skip
    models = _manifest(shop).models
    assert {"plans", "past", "raw.events"} <= set(models)
    assert "check" not in models
    assert models["raw.events"].relation == Relation("raw", "raw_events", "shop")


def test_names_that_dbt_does_not_quote_are_folded_as_postgres_folds_them(shop: Shop) -> None:
    shop.nodes["profiles"] |= {
        "schema": "CRM",
        "alias": "People",
        "database": "Shop",
        "relation_name": "Shop.CRM.People",
    }
    shop.adapter = "postgres"
    assert _manifest(shop).models["profiles"].relation == Relation("crm", "people", "shop")
    shop.nodes["profiles"]["relation_name"] = '"Shop"."CRM"."People"'
    assert _manifest(shop).models["profiles"].relation == Relation("CRM", "People", "Shop")


@pytest.mark.parametrize(
    ("contract", "said"),
    [
        ("segment", "`meta.activate` must be a mapping, e.g. {kind: segment, key: user_id}"),
        ({"key": "user_id"}, "`meta.activate` has no `kind`; allowed: segment, trigger"),
        (
            {"kind": "segmnt"},
            "`meta.activate` has the unknown kind 'segmnt'; allowed: segment, trigger; did you mean 'segment'?",
        ),
        ({"kind": "segment"}, "`meta.activate` of a segment needs `key`"),
        ({"kind": "segment", "key": 5}, "`meta.activate.key` must be the name of a column"),
        (
            {"kind": "segment", "key": "user_id", "tiem": "x"},
            "`meta.activate` has the unknown key 'tiem'; allowed: kind, key, id, time, loaded; did you mean 'time'?",
        ),
        ({"kind": "trigger", "key": "user_id", "id": "x"}, "`meta.activate` of a trigger needs `time`"),
    ],
)
def test_a_broken_contract_is_told_and_makes_no_segment(shop: Shop, contract: object, said: str) -> None:
    shop.nodes["lapsed"] = node("lapsed", {}, contract)
    manifest = _manifest(shop)
    assert manifest.broken == {"lapsed": (said,)}
    assert manifest.models["lapsed"].kind is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"metadata": {}}', '{"metadata": {}, "nodes": {}, "sources": {}}'])
def test_a_file_that_is_no_manifest_says_what_to_run(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(SettingsError, match="run `dbt parse` again"):
        read_manifest(tmp_path / "manifest.json")


def test_a_manifest_for_another_kind_of_warehouse_is_refused(shop: Shop) -> None:
    with pytest.raises(
        SettingsError, match=r"made for duckdb, but target 'prod' is on postgres.*dbt parse --target prod"
    ):
        shop.read(target=Target("postgres", "prod", {}))


def test_what_the_installed_dbt_writes_is_read(tmp_path: Path, warm_dbt: WarmDbt) -> None:
    for file, text in {
        "dbt_project.yml": "name: real\nprofile: real\nversion: 1.0.0\n",
        "profiles.yml": "real: {outputs: {default: {type: duckdb, path: real.duckdb, schema: marts}}}\n",
        "models/carts.sql": "select 1 as user_id",
        "models/models.yml": "models:\n  - name: carts\n"
        "    config: {meta: {activate: {kind: segment, key: user_id}}}\n"
        "    columns: [{name: user_id, data_type: integer}]\n"
        "sources:\n  - name: raw\n    schema: raw\n    tables: [{name: events}]\n",
    }.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text)
    done = warm_dbt.run(["dbt", "parse", "-q"], cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    manifest = read_manifest(tmp_path / "target/manifest.json")
    assert (manifest.adapter, manifest.project) == ("duckdb", "real")
    assert manifest.models["carts"].relation == Relation("marts", "carts", "real")
    assert manifest.models["carts"].kind == "segment"
    assert manifest.models["carts"].file == "models/models.yml"
    assert manifest.models["raw.events"].relation == Relation("raw", "events", "real")
    assert manifest.declared["carts"] == {"user_id": "integer"}


def test_reading_a_project_does_not_import_dbt(shop: Shop) -> None:
    shop.save_manifest()
    code = (
        "import sys, json, pathlib\n"
        "from activate.settings import Options\n"
        "from activate.load.project import read_project\n"
        f"read_project(Options(pathlib.Path({str(shop.directory)!r})))\n"
        "print(json.dumps([name for name in sys.modules if name.split('.')[0] in ('dbt', 'duckdb', 'requests')]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # our own
    assert json.loads(done.stdout) == []
