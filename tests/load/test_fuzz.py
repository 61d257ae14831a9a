"""Whatever people write, the answer is a value or a mistake with a place: never a crash."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from activate.campaign import Campaign
from activate.expression import parse_where
from activate.load.manifest import read_manifest
from activate.load.parse import parse_yaml
from activate.load.validate import validate
from activate.policy import Policy

from .conftest import CAMPAIGN, POLICY, Shop, node

COLUMNS = {"n": "integer", "b": "boolean", "t": "timestamp", "s": "varchar", "Odd one": "varchar", "j": "json"}
TOKENS = (
    "n", "b", "t", "s", '"Odd one"', "j", "1", "2.5", "-1", "'x'", "'it''s'", "null", "true", "(", ")", ",", "=",
    "<>", "<", ">=", "+", "-", "*", "/", "%", "||", "->", "->>", "and", "or", "not", "is", "in", "between", "like",
    "escape", "case", "when", "then", "else", "end", "cast", "as", "text", "::", "integer", "interval", "date",
    "lower", "coalesce", "select", "from", "exists", "union", ";", "--", "/*", "*/", "$$", "?", ":x", "@", "[", "]",
    "{", "}", ".", "now()", "count(*)", "over", "any", "array", "\\", "'", '"', "`", "\n", "\t", "e'", "x'1'",
    "::regclass", "at time zone",
)  # fmt: skip
quick = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@given(st.lists(st.sampled_from(TOKENS), max_size=14), st.sampled_from(["duckdb", "postgres"]))
def test_an_expression_is_read_or_refused_and_read_again_is_the_same(words: list[str], dialect: str) -> None:
    try:
        tree = parse_where(" ".join(words), columns=COLUMNS, dialect=dialect)
    except ValueError:
        return
    printed = tree.sql(dialect)
    assert parse_where(printed, columns=COLUMNS, dialect=dialect).sql(dialect) == printed


@quick
@given(st.text(max_size=80))
def test_any_text_at_all_is_an_expression_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        parse_where(text, columns=COLUMNS, dialect="duckdb")


@quick
@given(st.one_of(st.text(max_size=60), st.text(alphabet="a:-[]{}&*!|>#'\"%@`,? \n\t", max_size=60)))
def test_any_text_at_all_is_a_document_or_a_mistake_with_a_line(text: str) -> None:
    document, mistakes = parse_yaml(text, "f.yml")
    assert document is not None or mistakes
    assert all(0 <= mistake.line <= len(text.splitlines()) + 1 for mistake in mistakes)


VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from(["10%", "1 day"])
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=6,
)


def _paths(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        found += _paths(value, (*path, key))
    return found


@quick
@given(st.data())
def test_any_value_in_any_place_is_taken_or_told_with_its_line(data: st.DataObject) -> None:
    model, text = data.draw(st.sampled_from([(Campaign, CAMPAIGN), (Policy, POLICY)]))
    raw = yaml.safe_load(text)
    *parents, last = data.draw(st.sampled_from(_paths(raw)))
    place = raw
    for key in parents:
        place = place[key]
    place[last] = data.draw(VALUES)
    written = yaml.safe_dump(raw, allow_unicode=True)
    document, mistakes = parse_yaml(written, "f.yml")
    if document is None:
        assert mistakes
        return
    made, told = validate(model, document)  # type: ignore[type-var]  # one of two models
    assert (made is None) == bool(told)
    assert all(1 <= mistake.line <= len(written.splitlines()) + 1 and mistake.message for mistake in told)


@quick
@given(contract=VALUES, meta=VALUES)
def test_any_contract_at_all_is_read_or_broken(tmp_path: Path, contract: Any, meta: Any) -> None:
    shop = Shop(tmp_path)
    shop.nodes["odd"] = node("odd", {}, contract)
    shop.nodes["odder"] = node("odder", {}, meta=meta if isinstance(meta, dict) else {})
    shop.save_manifest()
    manifest = read_manifest(shop.directory / "target/manifest.json")
    assert (manifest.models["odd"].kind is not None) <= ("odd" not in manifest.broken)
