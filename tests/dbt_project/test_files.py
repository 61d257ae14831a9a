"""Files of the reference project that are made from something else are as that something says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from activate.campaign import Campaign
from activate.demo.generate import Shop
from activate.load.exposures import FILE, exposures_yaml
from activate.load.rules import load_rules
from activate.policy import Policy
from activate.project import Model, Project, Relation
from activate.scaffold.sources import state_source
from activate.template import inspect_template

ROOT = Path(__file__).parents[2]


def test_the_source_of_the_state_tables_is_up_to_date() -> None:
    assert (ROOT / "models/sources/activate.yml").read_text("utf-8") == state_source()


def test_the_source_of_the_raw_tables_declares_what_the_generator_makes(shop: Shop) -> None:
    source = yaml.safe_load((ROOT / "models/sources/raw.yml").read_text("utf-8"))["sources"][0]
    declared = {table["name"]: [column["name"] for column in table["columns"]] for table in source["tables"]}
    made = {name: set(table.schema.names) for name, table in shop.tables.items()}
    assert {name: set(columns) for name, columns in declared.items()} == made


def test_no_model_reckons_with_a_var_which_dbt_1_10_cannot_do_in_a_unit_test() -> None:
    """There, `var()` is a name that is not known yet while the unit test is parsed: it can be printed, not negated."""
    texts = {path: path.read_text("utf-8") for path in (ROOT / "models").rglob("*.sql")}
    assert [path.name for path, text in texts.items() if re.search(r"[-+*/]\s*var\(|var\([^)]*\)\s*[-+*/]", text)] == []


def test_the_exposures_are_those_of_the_rules() -> None:
    rules = load_rules(ROOT)
    assert rules.policy is not None
    names = {path.stem for path in (ROOT / "models").rglob("*.sql")}
    models = {
        name: Model(name, Relation("analytics", name), unique_id=f"model.activate_reference.{name}") for name in names
    }
    project = Project(ROOT, "activate_reference", rules.policy, rules.campaigns, models)
    assert (ROOT / FILE).read_text("utf-8") == exposures_yaml(project)


def test_the_rules_have_no_mistake() -> None:
    assert load_rules(ROOT).mistakes == ()


def test_the_rules_show_every_key_there_is() -> None:
    files = [ROOT / "rules/activate.yml", *(ROOT / "rules/campaigns").glob("*.yml")]
    text = "\n".join(path.read_text("utf-8") for path in files)
    keys: set[str] = set()
    for model in (Policy, Campaign):
        schema = model.model_json_schema(by_alias=True)
        for part in (schema, *schema["$defs"].values()):
            keys |= set(part.get("properties", ()))
    assert {key for key in keys if not re.search(rf"\b{key}\b", text)} == set()
    assert len(keys) > 60


def test_every_model_is_described_and_has_an_owner() -> None:
    described: dict[str, dict[str, object]] = {}
    for path in (ROOT / "models").rglob("*.yml"):
        for model in yaml.safe_load(path.read_text("utf-8")).get("models", []):
            described[model["name"]] = model
    for path in (ROOT / "models").rglob("*.sql"):
        entry = described[path.stem]
        assert entry["description"], path.stem
        assert entry["config"]["group"] in ("data_platform", "growth"), path.stem  # type: ignore[index]


@pytest.mark.parametrize("folder", ["triggers", "segments"])
def test_every_trigger_and_segment_has_its_contract_tested(folder: str) -> None:
    kind = folder[:-1]
    files = (ROOT / "models" / folder).glob("*.yml")
    models = [model for file in files for model in yaml.safe_load(file.read_text("utf-8"))["models"]]
    assert {model["name"] for model in models} == {path.stem for path in (ROOT / "models" / folder).glob("*.sql")}
    for model in models:
        assert model["config"]["meta"]["activate"]["kind"] == kind
        assert model["data_tests"] == [f"activate_{kind}_contract"]


@pytest.mark.parametrize("path", sorted((ROOT / "rules/templates").glob("*.j2")), ids=lambda path: path.name)
def test_every_template_can_be_used_and_has_the_blocks_of_its_channel(path: Path) -> None:
    channel = path.name.split(".")[-2]
    wanted = {"email": ("subject", "text", "html"), "push": ("title", "body"), "in_app": ("title", "body"), "sms": ()}
    assert inspect_template(path).blocks == wanted[channel]
