"""dbt's lineage shows which campaign hangs on a model."""

from __future__ import annotations

import yaml

from activate.load.exposures import FILE, exposures_yaml
from activate.load.project import load_project

from ..warm_dbt import WarmDbt
from .conftest import CAMPAIGN, Shop


def _exposures(shop: Shop) -> str:
    shop.save_manifest()
    return exposures_yaml(load_project(shop.options))


def test_each_campaign_is_an_exposure_that_depends_on_what_it_reads(shop: Shop) -> None:
    shop.campaign("audience: {in: [lapsed]}\n")
    found = yaml.safe_load(_exposures(shop))
    assert found["version"] == 2
    (exposure,) = found["exposures"]
    assert exposure["name"] == "campaign_abandoned_cart"
    assert exposure["description"] == "A nudge"
    assert exposure["owner"] == {"name": "growth"}
    assert exposure["depends_on"] == ["ref('cart_abandoned')", "ref('lapsed')", "ref('profiles')", "ref('events')"]
    assert exposure["config"]["tags"] == ["activate", "promotion"]


def test_other_packages_versions_and_sources_are_named_as_dbt_wants_them(shop: Shop) -> None:
    events = shop.nodes.pop("events")
    shop.sources["source.shop.raw.events"] = events | {
        "resource_type": "source", "source_name": "raw", "identifier": "events", "unique_id": "source.shop.raw.events",
    }  # fmt: skip
    policy = (shop.directory / "rules/activate.yml").read_text().replace("model: events", "model: raw.events")
    shop.write("rules/activate.yml", policy)
    shop.nodes["profiles"] |= {"package_name": "crm", "unique_id": "model.crm.profiles"}
    trigger = shop.nodes["cart_abandoned"]
    trigger |= {"version": 2, "latest_version": 2, "unique_id": "model.shop.cart_abandoned.v2"}
    (exposure,) = yaml.safe_load(_exposures(shop))["exposures"]
    assert exposure["depends_on"] == [
        "ref('cart_abandoned', v=2)", "ref('crm', 'profiles')", "source('raw', 'events')"
    ]  # fmt: skip


def test_the_same_rules_give_the_same_text_in_the_order_of_names(shop: Shop) -> None:
    shop.write(
        "rules/campaigns/zebra.yml", CAMPAIGN.replace("abandoned_cart", "aardvark").replace("owner: growth\n", "")
    )
    text = _exposures(shop)
    assert text == _exposures(shop)
    names = [exposure["name"] for exposure in yaml.safe_load(text)["exposures"]]
    assert names == ["campaign_aardvark", "campaign_abandoned_cart"]
    assert yaml.safe_load(text)["exposures"][0]["owner"] == {"name": "shop"}, "dbt wants an owner"


def test_odd_words_stay_what_they_are(shop: Shop) -> None:
    shop.campaign(description="'Carts: \"left\" behind #1 € {{ not_jinja }} ✓'")
    (exposure,) = yaml.safe_load(_exposures(shop))["exposures"]
    assert exposure["description"].startswith('Carts: "left" behind #1 € ')


def test_dbt_takes_the_file(shop: Shop, warm_dbt: WarmDbt) -> None:
    shop.campaign(description="'Carts: 10% {{ off }} {# left #}'")
    shop.write("profiles.yml", "shop: {outputs: {default: {type: duckdb, path: ':memory:'}}}\n")
    for name in shop.nodes:
        shop.write(f"models/{name}.sql", "select 1 as user_id")
    shop.write(FILE, _exposures(shop))
    done = warm_dbt.run(["dbt", "parse", "--show-all-deprecations", "--warn-error"], cwd=shop.directory)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Deprecat" not in done.stdout


def test_models_that_dbt_no_longer_has_are_left_out(shop: Shop) -> None:
    project = shop.read().project
    assert project is not None
    del project.models["events"]
    (exposure,) = yaml.safe_load(exposures_yaml(project))["exposures"]
    assert exposure["depends_on"] == ["ref('cart_abandoned')", "ref('profiles')"]
