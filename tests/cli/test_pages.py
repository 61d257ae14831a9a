"""Pages made from the code are up to date, and what they leave to be written by hand is complete."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from activate.campaign import Campaign
from activate.cli import VERBS
from activate.decision import REASONS
from activate.pages import PARTS, campaign_keys, cli_page, fill_in, policy_keys, reasons, write
from activate.policy import Policy

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_of_the_command_is_current() -> None:
    assert (DOCS / "cli.md").read_text("utf-8") == cli_page(), "run: python -m activate.pages"


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_the_generated_parts_of_a_page_are_current(page: Path) -> None:
    text = page.read_text("utf-8")
    assert text == fill_in(text), "run: python -m activate.pages"


def test_the_marketers_page_has_its_generated_parts() -> None:
    text = (DOCS / "marketer.md").read_text("utf-8")
    assert (
        {"campaign keys", "policy keys", "reasons"} <= set(re.findall(r"<!-- begin ([a-z ]+) -->", text)) <= set(PARTS)
    )


@pytest.mark.parametrize(("model", "table"), [(Campaign, campaign_keys()), (Policy, policy_keys())])
def test_every_key_has_a_row_with_a_meaning_and_what_to_write(model: type[Campaign | Policy], table: str) -> None:
    rows = {row.split("|")[1].strip(" `"): row for row in table.splitlines()[2:]}
    for key, field in model.model_fields.items():
        assert (field.alias or key) in rows
    for row in rows.values():
        _, _key, meaning, allowed, default, _ = re.split(r"(?<!\\)\|", row)
        assert meaning.strip()
        assert allowed.strip()
        assert default.strip()


def test_nested_keys_have_rows_of_their_own() -> None:
    table = campaign_keys() + policy_keys()
    for key in (
        "enter.where",
        "steps[].wait",
        "time_window.held",
        "channels.NAME.consent_values",
        "frequency_caps[].per",
    ):
        assert f"| `{key}` |" in table


def test_the_table_of_reasons_is_the_whole_vocabulary() -> None:
    assert re.findall(r"^\| `(\w+)` \|", reasons(), flags=re.MULTILINE) == list(REASONS)


def test_the_marketers_page_names_every_key_that_it_explains_by_hand() -> None:
    text = (DOCS / "marketer.md").read_text("utf-8")
    assert all(f"dbt-activate {verb}" in text for verb in ("lint", "preview", "plan", "explain"))


def test_writing_the_pages_twice_changes_nothing(tmp_path: Path) -> None:
    for page in DOCS.glob("*.md"):
        (tmp_path / page.name).write_text(page.read_text("utf-8"), "utf-8")
    (tmp_path / "cli.md").write_text("old", "utf-8")
    assert write(tmp_path) == [tmp_path / "cli.md"]
    assert write(tmp_path) == []


def test_every_verb_is_on_the_page() -> None:
    page = cli_page()
    assert all(f"\n## {verb.name}\n" in page for verb in VERBS)
