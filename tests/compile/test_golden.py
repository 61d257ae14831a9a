"""The SQL of every rule, as it stands: on DuckDB and PostgreSQL to the letter, on six more warehouses without error.

After a wanted change: `python -m pytest tests/compile --update-golden`, and read the difference.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import sqlglot

from activate.bookmarks import Bookmarks
from activate.compile.pipeline import compile_tick
from activate.plan import Load, Plan
from activate.warehouses.dialect import DIALECTS
from tests.compile.everything import NOW, bookmarks, policy, project

GOLDEN = Path(__file__).parent / "golden"


def plan(dialect: str, marks: Bookmarks | None = None) -> Plan:
    return compile_tick(project(), DIALECTS[dialect], NOW, marks or bookmarks(), "run")


@pytest.mark.parametrize("dialect", ["duckdb", "postgres"])
def test_the_sql_of_every_rule_is_as_it_was(dialect: str, request: pytest.FixtureRequest) -> None:
    made = {name: f"-- {doc}\n{text.bind(_holes(text.names))}\n" for name, doc, text in plan(dialect).statements()}
    folder = GOLDEN / dialect
    if request.config.getoption("--update-golden"):
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*.sql"):
            old.unlink()
        for name, sql in made.items():
            (folder / f"{name}.sql").write_bytes(sql.encode())
    kept = {path.stem: path.read_bytes().decode() for path in folder.glob("*.sql")}
    assert made == kept


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
def test_caps_by_address_are_printed_for_every_warehouse_and_ask_for_no_hash(
    dialect: str, request: pytest.FixtureRequest
) -> None:
    caps = [
        {"limit": 2, "per": "1 day"},
        {"limit": 1, "per": "7 days", "channel": "email", "by": "address"},
        {"limit": 3, "per": "calendar day", "channel": "push", "by": "address"},
    ]
    rules = project(rules=policy(frequency_caps=caps))
    marks = replace(bookmarks(), suppressed=frozenset())
    found = compile_tick(rules, DIALECTS[dialect], NOW, marks, "run").statements()
    made = {
        name: f"-- {doc}\n{text.bind(_holes(text.names))}\n" for name, doc, text in found if name.startswith("caps")
    }
    assert not [name for name, sql in made.items() if "sha256" in sql.lower() or "unsupported" in sql.lower()]
    folder = GOLDEN / f"{dialect}_by_address"
    if dialect not in ("duckdb", "postgres"):
        return
    if request.config.getoption("--update-golden"):
        folder.mkdir(parents=True, exist_ok=True)
        for name, sql in made.items():
            (folder / f"{name}.sql").write_bytes(sql.encode())
    assert made == {path.stem: path.read_bytes().decode() for path in folder.glob("*.sql")}


def _holes(names: tuple[str, ...]) -> dict[str, str]:
    return {name: f":{name}" for name in names}


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
@pytest.mark.parametrize("first", [True, False], ids=["first tick", "later tick"])
def test_the_plan_is_printed_for_every_warehouse_and_can_be_read_again(dialect: str, first: bool) -> None:
    marks = Bookmarks(zones=("Europe/Berlin",)) if first else bookmarks()
    script = list(plan(dialect, marks).script())
    assert len(script) >= 40
    for name, sql in script:
        read = sqlglot.parse(re.sub(r"(?<![:\w]):([a-z_]+)", "0", sql), read=dialect)
        assert len(read) == 1, name
        assert "\ue000" not in sql
        assert "unsupported" not in sql.lower()


def test_no_statement_asks_the_warehouse_for_the_time_or_for_local_time() -> None:
    for dialect in DIALECTS:
        for name, sql in plan(dialect).script():
            assert not re.search(r"\b(now|current_timestamp|current_date|random)\b\s*\(?", sql, re.I), name
            zones = re.findall(r"AT TIME ZONE '([^']+)'", sql)
            assert set(zones) <= {"UTC"}, name


def test_the_same_rules_are_printed_once_and_only_their_instants_change() -> None:
    first = compile_tick(project(), DIALECTS["duckdb"], NOW, bookmarks(), "a")
    second = compile_tick(project(), DIALECTS["duckdb"], NOW.replace(hour=13), bookmarks(), "b")
    texts = [(one, two) for one, two in zip(first.stages, second.stages, strict=True) if not isinstance(one, Load)]
    assert texts
    assert all(one is two for one, two in texts)
    assert first.constants["now"] != second.constants["now"]


def test_without_suppressions_a_plan_asks_for_no_address() -> None:
    made = compile_tick(project(), DIALECTS["duckdb"], NOW, replace(bookmarks(), suppressed=frozenset()), "run")
    asked = re.compile(r"tick_suppressed|sha256|push_at|address_\d")
    assert not [name for name, sql in made.script() if asked.search(sql)]
    assert [name for name, sql in plan("duckdb").script() if asked.search(sql)]


def test_without_a_guard_a_plan_does_nothing_about_guards() -> None:
    free = [campaign.model_copy(update={"guard": None}) for campaign in project().campaigns]
    made = compile_tick(project(*free), DIALECTS["duckdb"], NOW, bookmarks(), "run")
    tables = [stage.table for stage in made.stages if isinstance(stage, Load)]
    assert "tick_guards" not in tables
    assert not [name for name, sql in made.script() if "guard" in name or "guard" in sql or "tick_held" in sql]


def test_a_constant_in_a_rule_is_not_mistaken_for_a_hole() -> None:
    cart, *_ = project().campaigns
    sly = cart.model_copy(update={"enter": cart.enter.model_copy(update={"where": "cart_id = ':now'"})})
    made = compile_tick(project(sly), DIALECTS["duckdb"], NOW, bookmarks(), "run")
    assert any("':now'" in sql for _, sql in made.script())
