"""`dbt-activate init` adds what is needed, overwrites nothing and says what it did."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from activate.errors import SettingsError
from activate.load.project import load_project
from activate.scaffold.guess import guess_events, guess_profiles
from activate.scaffold.init import init
from activate.settings import Options, find_options, load_target

from ..warm_dbt import WarmDbt

PROFILES = "shop:\n  target: dev\n  outputs:\n    dev: {type: duckdb, path: dev.duckdb}\n"


@pytest.fixture
def options(tmp_path: Path) -> Options:
    """A dbt project with nothing in it."""
    (tmp_path / "dbt_project.yml").write_text("name: shop\nprofile: shop\n", "utf-8")
    (tmp_path / "profiles.yml").write_text(PROFILES, "utf-8")
    return find_options(tmp_path, tmp_path)


def files(options: Options) -> dict[str, bytes]:
    root = options.project_dir
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def write_manifest(options: Options, models: dict[str, list[str]]) -> None:
    nodes = {
        f"model.shop.{name}": {
            "name": name, "resource_type": "model", "unique_id": f"model.shop.{name}", "package_name": "shop",
            "schema": "main", "database": "dev", "alias": name, "original_file_path": f"models/{name}.sql",
            "columns": {column: {"name": column} for column in columns}, "config": {},
        }
        for name, columns in models.items()
    }  # fmt: skip
    manifest = {"metadata": {"adapter_type": "duckdb", "project_name": "shop"}, "nodes": nodes, "sources": {}}
    target = options.project_dir / "target"
    target.mkdir()
    (target / "manifest.json").write_text(json.dumps(manifest), "utf-8")


def test_an_empty_project_builds_and_its_rules_have_no_mistake(options: Options, warm_dbt: WarmDbt) -> None:
    said = init(options)
    assert "added   rules/activate.yml" in said
    assert any("activate_create_missing" in line for line in said)
    project = options.project_dir / "dbt_project.yml"
    project.write_text(
        project.read_text("utf-8") + """on-run-start: ["{{ activate_create_missing('activate') }}"]\n""", "utf-8"
    )
    built = warm_dbt.run(
        ["dbt", "build", "--project-dir", options.project_dir, "--profiles-dir", options.project_dir],
        cwd=options.project_dir,
    )
    assert built.returncode == 0, built.stdout
    assert "PASS activate_segment_contract_activate_example_" in built.stdout
    loaded = load_project(options, load_target(options))
    assert [campaign.campaign for campaign in loaded.campaigns] == ["activate_welcome"]
    assert loaded.models["activate_example"].kind == "segment"


def test_nothing_is_overwritten(options: Options) -> None:
    rules = options.project_dir / "rules" / "activate.yml"
    rules.parent.mkdir()
    rules.write_text("# mine", "utf-8")
    (options.project_dir / ".gitignore").write_text("target/", "utf-8")
    said = init(options)
    assert "left    rules/activate.yml (it exists)" in said
    assert rules.read_text("utf-8") == "# mine"
    assert (options.project_dir / ".gitignore").read_text("utf-8").splitlines()[:2] == ["target/", "outbox/"]
    before = files(options)
    assert not any(line.startswith("added") for line in init(options))
    assert files(options) == before


def test_a_dry_run_says_the_same_and_writes_nothing(options: Options) -> None:
    before = files(options)
    planned = init(options, dry_run=True)
    assert files(options) == before
    assert [line.replace("to add ", "added  ") for line in planned] == init(options)


def test_the_project_is_asked_where_its_models_are(options: Options) -> None:
    project = options.project_dir / "dbt_project.yml"
    project.write_text("name: shop\nprofile: shop\nmodel-paths: [transform]\nmacro-paths: [jinja, more]\n", "utf-8")
    init(options)
    assert (options.project_dir / "transform/activate/activate_sources.yml").is_file()
    assert (options.project_dir / "jinja/activate/activate_contract.sql").is_file()
    assert not (options.project_dir / "models").exists()


def test_the_manifest_tells_who_the_people_are(options: Options) -> None:
    write_manifest(
        options,
        {
            "stg_customers": ["customer_id", "email"],
            "dim_customers": ["customer_id", "email_address", "timezone", "accepts_marketing"],
            "fct_events": ["event_id", "customer_id", "event_type", "event_at", "_loaded_at"],
            "fct_orders": ["order_id"],
        },
    )
    said = init(options)
    assert "guess   people are in the model 'dim_customers'" in said
    assert "guess   events are in the model 'fct_events'" in said
    text = (options.project_dir / "rules/activate.yml").read_text("utf-8")
    assert "profiles: {model: dim_customers, key: customer_id, time_zone: timezone}" in text
    assert "email: {address: email_address, consent: accepts_marketing, provider: outbox}" in text
    for line in ("model: fct_events", "key: customer_id", "name: event_type", "time: event_at", "loaded: _loaded_at"):
        assert line in text
    assert not (options.project_dir / "models/activate/activate_example_profiles.sql").exists()


def test_without_a_dbt_project_there_is_nothing_to_add_to(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no dbt_project\.yml in"):
        init(Options(project_dir=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_model_of_the_very_name_is_the_better_guess() -> None:
    declared = {"dim_users": ["user_id", "email", "time_zone"], "users": ["id"], "int_users": ["user_id", "email"]}
    found = guess_profiles(declared)
    assert found is not None
    assert (found.name, found.column("key")) == ("users", "id")
    assert guess_events(declared) is None
