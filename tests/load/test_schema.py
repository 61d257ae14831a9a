"""The JSON Schemas say the same as the models, and the files that are shipped are current."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import activate
from activate.load.parse import parse_yaml, read_yaml
from activate.load.schema import FILES, schema_text, schemas

from .conftest import CAMPAIGN, POLICY

REPOSITORY = Path(__file__).parents[2]
SHIPPED = Path(activate.__file__).parent / "schemas"


def _errors(name: str, text: str) -> list[str]:
    document, _ = parse_yaml(text, "f.yml")
    assert document is not None
    return [error.message for error in Draft202012Validator(schemas()[name]).iter_errors(document.data)]


@pytest.mark.parametrize("name", FILES)
def test_the_shipped_file_is_current(name: str) -> None:
    assert (SHIPPED / f"{name}.json").read_text("utf-8") == schema_text(name), "write schema_text() to the file again"
    assert {path.stem for path in SHIPPED.glob("*.json")} == set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_it_is_a_valid_schema_and_every_key_is_described(name: str) -> None:
    schema = json.loads(schema_text(name))
    Draft202012Validator.check_schema(schema)
    assert schema["title"].startswith("Activate: ")
    bare = [
        f"{part}.{key}" for part, keys in _parts(schema) for key, value in keys.items() if not value.get("description")
    ]
    assert bare == []


def _parts(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "", schema["properties"]
    for name, part in schema["$defs"].items():
        yield name, part.get("properties", {})


def test_good_files_pass() -> None:
    assert _errors("activate", POLICY) == []
    assert _errors("campaign", CAMPAIGN) == []


def test_the_reference_projects_files_pass() -> None:
    files = [("activate", REPOSITORY / "rules/activate.yml")]
    files += [("campaign", path) for path in sorted((REPOSITORY / "rules/campaigns").glob("*.yml"))]
    for name, path in files:
        document, _ = read_yaml(path, path.name)
        assert document is not None
        assert not list(Draft202012Validator(schemas()[name]).iter_errors(document.data)), path.name


@pytest.mark.parametrize(
    "more",
    [
        "priorty: 5",
        "class: market",
        "control: 0.1",
        "control: '10'",
        "re_enter: {after: 7 dayz}",
        "re_enter: {afterr: 7 days}",
        "re_enter: sometimes",
        "time_window: {open: '9:00', close: '21:00'}",
        "time_window: sometimes",
        "goal: {event: purchase, within: soon}",
        "on_edit: kep",
        "guard: {max_messages: 0}",
        "guard: {max_messages: 0%}",
        "guard: {max_messages: 0.00%}",
        "guard: {max_messages: 0.5}",
        "guard: {max_messages: '500'}",
        "guard: {}",
    ],
)
def test_an_editor_sees_what_lint_would_say_of_a_campaign(more: str) -> None:
    assert _errors("campaign", CAMPAIGN + more)


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        ("  trigger: cart_abandoned\n", ""),
        ("  trigger: cart_abandoned\n", "  trigger: cart_abandoned\n  segment: lapsed\n"),
        ("wait: 30 minutes", "wait: 30"),
        ("wait: 30 minutes", "wait: in two days"),
        ("[push]", "[]"),
        ("campaign: abandoned_cart", "campaign: Abandoned"),
    ],
)
def test_an_editor_sees_a_changed_line(written: str, instead: str) -> None:
    assert written in CAMPAIGN
    assert _errors("campaign", CAMPAIGN.replace(written, instead))


@pytest.mark.parametrize("wait", ["30 minutes", "1 day", "in 2 days at 10:00", "next saturday at 10:00", "0 seconds"])
def test_an_editor_takes_every_form_of_a_wait(wait: str) -> None:
    assert _errors("campaign", CAMPAIGN.replace("30 minutes", wait)) == []


@pytest.mark.parametrize("limit", ["1", "10000", "5%", "0.5%", "100%"])
def test_an_editor_takes_every_form_of_a_guards_limit(limit: str) -> None:
    assert _errors("campaign", f"{CAMPAIGN}guard: {{max_messages: {limit}}}") == []


@pytest.mark.parametrize(
    "more",
    ["time_windw: {}", "scan: {overlap: 3600}", "delivery: {max_attempts: 0}", "frequency_caps: [{limit: 1}]",
     "frequency_caps: [{limit: 1, per: 1 day, clas: x}]", "global_control: 2"],
)  # fmt: skip
def test_an_editor_sees_what_lint_would_say_of_the_policy(more: str) -> None:
    assert _errors("activate", POLICY + more)


def test_a_channels_name_is_checked() -> None:
    assert _errors("activate", POLICY.replace("  push:", "  Push It:"))


def test_defaults_are_written_as_people_write_them() -> None:
    parts = dict(_parts(schemas()["activate"]))
    assert parts["Scan"]["overlap"]["default"] == "1 hour"
    assert dict(_parts(schemas()["campaign"]))["Step"]["wait"]["default"] == "0 seconds"
