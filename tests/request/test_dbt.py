"""dbt builds and tests what a request makes, on each warehouse, and the model holds the people that were counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from activate.ask.answer import answer
from activate.settings import find_options

from ..dbt_project.conftest import WITHOUT_TESTS
from ..dbt_project.reference import Reference

ROOT = Path(__file__).parents[2]
EVIL = """\
request: hostile_texts
description: "{{ 1/0 }} {% raw %} '; drop table profiles --"
who:
  all:
    - profile: {country: {not: "{{ 1/0 }}"}, first_name: {not: "O'Hare; -- {# x #}"}}
    - did: {event: product_viewed, at_most: 3 times, where: {price: {at_least: 10}, "it's {{ odd }}": {missing: true}}}
    - did_not: {event: product_viewed, where: {product_category: "{% endraw %}"}}
"""
PLAIN = """\
request: texts_with_quotes
description: It's about "quotes".
owner: nobody
who:
  all:
    - profile: {first_name: {not: "O'Hare"}}
    - did: {event: product_viewed, since: 2026-10-01, where: {cart_id: {missing: true}, price: {more_than: 0}}}
"""


@pytest.mark.slow  # dbt builds the reference project once more, on each warehouse
def test_dbt_builds_what_requests_make(reference: Reference) -> None:
    options = find_options(reference.options.project_dir, reference.options.project_dir, reference.target.name)
    now = reference.shop.replay_from
    reference.load(None, now)
    reference.build(now, *WITHOUT_TESTS)
    requests = options.project_dir / "rules" / "requests"
    for name, text in (("evil", EVIL), ("plain", PLAIN)):
        (requests / f"{name}.yml").write_text(text, "utf-8")
    people = {}
    for file in sorted(requests.glob("*.yml")):
        found = answer(options, file, now=now, allow_unseen=file.stem == "evil")
        people[found.request] = found.people
        assert found.everybody > found.people, file
        if (ROOT / "rules/requests" / file.name).exists():
            statuses = {made.path: made.status for made in found.files}
            assert set(statuses.values()) == {"unchanged"}, f"make the models of {file.name} again"
            assert found.has_unit_test
    assert people["hostile_texts"] > 0
    assert people["texts_with_quotes"] > 0
    reference.build(now, "--select", *people)
    for name, count in people.items():
        [(held,)] = reference.ask(f"SELECT COUNT(*) FROM analytics.{name}")
        assert held == count, name
    tests = _results(options.project_dir)
    assert sum(test.startswith("unit_test.") for test in tests) >= 3
    described = json.loads((options.project_dir / "target/manifest.json").read_text("utf-8"))["nodes"]
    description = described["model.activate_reference.hostile_texts"]["description"]
    assert description.startswith("{{ 1/0 }} {% raw %} '; drop table profiles --")


def _results(directory: Path) -> list[str]:
    found = json.loads((directory / "target/run_results.json").read_text("utf-8"))["results"]
    assert {result["status"] for result in found} <= {"success", "pass"}
    return [result["unique_id"] for result in found]
