"""The query of a request: golden texts, boundaries, quoting, and values that try to break out."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import jinja2
import pytest
import sqlglot

from activate.ask.names import RESERVED, identifier
from activate.ask.people import make_rows
from activate.warehouses.duckdb import DuckDB

from .test_language import FULL
from .world import NOW, World, asking, printed, read

GOLDEN = Path(__file__).parent / "golden"
WITH_NUMBERS = FULL.replace("category: shoes", "coupon: {at_least: 2}, 'odd key': \"it's {{ x }}\"")
EVIL = [
    "' or 1=1 --",
    "{{ 1/0 }}",
    "{% raw %}",
    "{# x #}",
    "{{{",
    "}} {{",
    "\\' or true",
    '"; drop table x',
    "/* */",
    "*/",
    "$$",
]


def world_question(world: World, text: str) -> Any:
    request, document, mistakes = read(text)
    assert request is not None, mistakes
    question, found = world.check(request, document, allow_unseen=True)
    assert [mistake for mistake in found.mistakes if mistake.severity == "error"] == []
    return question


@pytest.mark.parametrize("dialect", ["duckdb", "postgres"])
@pytest.mark.parametrize(("name", "text"), [("full", FULL), ("with_numbers", WITH_NUMBERS)])
def test_the_model_is_the_golden_one(
    world: World, request: pytest.FixtureRequest, dialect: str, name: str, text: str
) -> None:
    made = printed(world_question(world, text), dialect)
    file = GOLDEN / f"{name}.{dialect}.sql"
    if request.config.getoption("--update-golden"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(made, "utf-8")
    assert file.read_text("utf-8") == made


def rendered(text: str, now: dt.datetime = NOW) -> str:
    """A model as dbt would render it for DuckDB."""

    class Dbt:
        @staticmethod
        def dateadd(unit: str, count: int, instant: str) -> str:
            return f"({instant} + to_{unit}s({count}))"

    return jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(text).render(
        ref=lambda name: f"shop.{name}", dbt=Dbt, activate_now=lambda: f"cast('{now}' as timestamp)",
        json_text=lambda document, key: f"json_extract_string({document}, '$.{key}')",
    )  # fmt: skip


@pytest.mark.parametrize("evil", EVIL)
def test_a_value_stays_a_value_in_the_model_as_in_the_count(world: World, evil: str) -> None:
    quoted = "'" + evil.replace("'", "''") + "'"
    event = {
        "event_id": "1",
        "user_id": "a",
        "event_name": evil,
        "occurred_at": NOW,
        "loaded_at": NOW,
        "category": evil,
    }
    harmless = {**event, "user_id": "b", "event_name": "purchase", "category": "hats"}
    world.fill(
        profiles=[{"user_id": "a", "city": evil}, {"user_id": "b", "city": "Berlin"}],
        events=[event, harmless, {**event, "properties": "{}"}],
    )
    line = f"{{did: {{event: {quoted}, where: {{category: {{in: [{quoted}, hats]}}, {quoted}: {{missing: true}}}}}}}}"
    question = world_question(world, asking(f"{{all: [{line}, {{profile: {{city: {quoted}}}}}]}}"))
    assert set(world.ask(question)) == {"a"}
    model = printed(question, "duckdb")
    rows = world.warehouse.query(rendered(model)).to_pylist()
    assert [row["user_id"] for row in rows] == ["a"]
    assert len(sqlglot.parse(rendered(model), read="duckdb")) == 1


def test_the_rendered_model_answers_as_the_count_does(world: World) -> None:
    ago = [dt.timedelta(days=days) for days in (1, 5, 20, 100)]
    events = [
        {"event_id": f"{who}{number}", "user_id": who, "event_name": "purchase", "occurred_at": NOW - age, "loaded_at": NOW,
         "category": "shoes", "quantity": 150, "properties": '{"coupon": 3, "odd key": "it\'s {{ x }}"}'}
        for who, count in (("a", 3), ("b", 2), ("c", 4)) for number, age in enumerate(ago[:count])
    ]  # fmt: skip
    world.fill(profiles=[{"user_id": who, "city": "Berlin"} for who in "abcd"], events=events)
    for text in (FULL, WITH_NUMBERS):
        question = world_question(world, text)
        rows = world.warehouse.query(rendered(printed(question, "duckdb"))).to_pylist()
        assert {row["user_id"]: row for row in rows} == world.ask(question)
        assert sorted(world.ask(question)) == ["a", "c"]
        assert world.ask(question)["a"]["purchase_times_in_90_days"] == 3


@pytest.mark.parametrize(
    ("condition", "age", "counts"),
    [
        ("within: 14 days", dt.timedelta(days=14), False),
        ("within: 14 days", dt.timedelta(days=14) - dt.timedelta(seconds=1), True),
        ("within: 14 days", dt.timedelta(0), True),
        ("within: 14 days", -dt.timedelta(seconds=1), False),
        ("since: 2026-02-15", NOW - dt.datetime(2026, 2, 15), True),
        ("since: 2026-02-15", NOW - dt.datetime(2026, 2, 15) + dt.timedelta(seconds=1), False),
    ],
)
def test_where_a_period_ends(either_world: World, condition: str, age: dt.timedelta, counts: bool) -> None:
    event = {"event_id": "1", "event_name": "purchase", "occurred_at": NOW - age, "loaded_at": NOW}
    either_world.fill(profiles=[{"user_id": "a"}], events=[{**event, "user_id": "a"}])
    # A second, longer period: the first is not all that is read.
    other = "did_not: {event: purchase, within: 900 days, where: {category: hats}}"
    did = world_question(either_world, asking(f"{{all: [{{did: {{event: purchase, {condition}}}}}, {{{other}}}]}}"))
    assert bool(either_world.ask(did)) == counts
    did_not = world_question(either_world, asking(f"{{did_not: {{event: purchase, {condition}}}}}"))
    assert bool(either_world.ask(did_not)) != counts


def test_history_can_be_replayed(either_world: World) -> None:
    event = {
        "event_id": "1",
        "user_id": "a",
        "event_name": "purchase",
        "occurred_at": NOW,
        "loaded_at": NOW + dt.timedelta(hours=2),
    }
    either_world.fill(profiles=[{"user_id": "a"}], events=[event])
    question = world_question(either_world, asking("{did: {event: purchase}}"))
    assert not either_world.ask(question, NOW + dt.timedelta(hours=1))  # it had happened, but nobody could know
    assert either_world.ask(question, NOW + dt.timedelta(hours=2))


def test_bare_names_are_no_words_of_the_warehouse(either_world: World) -> None:
    if either_world.warehouse.name == "duckdb":
        query = "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category = 'reserved'"
    else:
        query = "SELECT word::text FROM pg_get_keywords() WHERE catcode IN ('R', 'T')"
    words = set(either_world.warehouse.query(query).column(0).to_pylist())
    assert words <= RESERVED
    assert identifier("user").quoted
    assert identifier("Order Id").quoted
    assert not identifier("product_category").quoted


def test_odd_columns_are_quoted() -> None:
    warehouse = DuckDB.open(":memory:")
    warehouse.execute('CREATE TABLE t("order" INT, "Weird {{ name }}" INT)')
    query = sqlglot.exp.select(*(sqlglot.exp.Column(this=identifier(name)) for name in ("order", "Weird {{ name }}")))
    warehouse.query(query.from_("t"))
    warehouse.close()


def test_made_up_people_fit_or_miss_one_line_each(world: World) -> None:
    rows = make_rows(world_question(world, FULL))
    assert rows is not None
    assert [row["user_id"] for row in rows.given["profiles"]] == [
        "fits", "misses_line_1", "misses_line_2", "misses_line_3", "misses_line_4",
    ]  # fmt: skip
    assert rows.expected[0]["user_id"] == "fits"


def test_nobody_is_made_up_for_a_contradiction(world: World) -> None:
    contradiction = "{all: [{did: {event: purchase}}, {did_not: {event: purchase}}]}"
    assert make_rows(world_question(world, asking(contradiction))) is None
