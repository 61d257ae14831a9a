"""The warehouse itself is asked for the columns and tries every expression, before a tick relies on them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlglot

from activate.errors import RulesError
from activate.load.project import inspect, load_project
from activate.settings import Target
from activate.warehouses.base import Warehouse
from activate.warehouses.duckdb import DuckDB
from activate.warehouses.postgres import Postgres

from .conftest import CAMPAIGN, COLUMNS, Shop, node

CART = "rules/campaigns/abandoned_cart.yml"


@pytest.fixture(params=["duckdb", "postgres"])
def warehouse(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Warehouse]:
    if request.param == "duckdb":
        opened: Warehouse = DuckDB.open(str(tmp_path / "shop.duckdb"))
    else:
        opened = Postgres.open(request.getfixturevalue("postgres_server"))
        _run(opened, "CREATE SCHEMA main")
    for model, columns in COLUMNS.items():
        listed = ", ".join(f"{column} {kind}" for column, kind in columns.items()).replace("double", "double precision")
        _run(opened, f"CREATE TABLE main.{model} ({listed})")
    yield opened
    opened.close()


@pytest.fixture
def live(shop: Shop, warehouse: Warehouse) -> Shop:
    """The shop whose models are in the warehouse, and whose manifest declares no column."""
    shop.adapter = warehouse.name
    for name in shop.nodes:
        contract = shop.nodes[name]["config"]["meta"].get("activate")
        shop.nodes[name] = node(name, {}, contract, database=None, relation_name=f'"main"."{name}"')
    return shop


def _run(warehouse: Warehouse, statement: str) -> None:
    warehouse.execute(sqlglot.parse_one(statement, dialect=warehouse.dialect))


def _inspect(shop: Shop, warehouse: Warehouse) -> list[str]:
    shop.save_manifest()
    with pytest.raises(RulesError) as error:
        inspect(load_project(shop.options), warehouse)
    return [str(mistake) for mistake in error.value.mistakes]


def test_the_models_that_the_rules_use_get_their_columns(live: Shop, warehouse: Warehouse) -> None:
    live.save_manifest()
    project = inspect(load_project(live.options), warehouse)
    assert list(project.models["cart_abandoned"].columns) == list(COLUMNS["cart_abandoned"])
    assert project.models["cart_abandoned"].columns["occurred_at"].startswith("timestamp")
    assert project.models["profiles"].columns["push_consent"] == "boolean"
    assert project.models["lapsed"].columns == {}, "no rule uses it"


def test_a_model_that_is_not_built_says_what_to_run(live: Shop, warehouse: Warehouse) -> None:
    _run(warehouse, "DROP TABLE main.cart_abandoned")
    assert _inspect(live, warehouse) == [
        "models/models.yml: error: model cart_abandoned: main.cart_abandoned is not in the warehouse; "
        "run `dbt build` with the same target"
    ]


def test_a_model_that_lost_its_key_column_is_told(live: Shop, warehouse: Warehouse) -> None:
    _run(warehouse, "ALTER TABLE main.cart_abandoned RENAME COLUMN user_id TO person")
    (said,) = _inspect(live, warehouse)
    assert said.startswith(
        "models/models.yml: error: model cart_abandoned: `activate.key`: the model has no column 'user"
    )


def test_a_key_that_became_a_fraction_is_told(live: Shop, warehouse: Warehouse) -> None:
    _run(warehouse, "ALTER TABLE main.profiles DROP COLUMN user_id")
    _run(warehouse, "ALTER TABLE main.profiles ADD COLUMN user_id double precision")
    (said,) = _inspect(live, warehouse)
    assert said.startswith("rules/activate.yml:1: error: the column 'user_id' of model 'profiles' is double")


def test_all_that_only_the_warehouse_knows_comes_at_once(live: Shop, warehouse: Warehouse) -> None:
    _run(warehouse, "ALTER TABLE main.cart_abandoned DROP COLUMN cart_value")
    _run(warehouse, "ALTER TABLE main.profiles DROP COLUMN push_token")
    files = [said.split(": ")[0] for said in _inspect(live, warehouse)]
    assert files == ["rules/activate.yml:4", f"{CART}:7", "rules/templates/cart.push.j2:1"]


def test_types_that_cannot_be_compared_are_found_by_trying(live: Shop, warehouse: Warehouse) -> None:
    live.campaign(where='"occurred_at > 5"')
    (said,) = _inspect(live, warehouse)
    assert said.startswith(f"{CART}:7: error: the warehouse cannot use this `where`: {warehouse.name}: ")


@pytest.mark.parametrize("where", ["cart_value > 'abc'", "occurred_at > 'last week' and cart_value > 3"])
def test_a_text_that_is_no_value_of_its_columns_type_is_found_before_a_row_meets_it(
    live: Shop, warehouse: Warehouse, where: str
) -> None:
    live.campaign(where=f'"{where}"')
    (said,) = _inspect(live, warehouse)
    assert said.startswith(f"{CART}:7: error: the warehouse cannot use this `where`: {warehouse.name}: ")


def test_what_fits_only_the_rows_that_come_is_not_refused_for_a_row_of_nulls(live: Shop, warehouse: Warehouse) -> None:
    live.campaign(where='"cast(cart_id as int) > 3 and 100 / cart_value > 2 and lower(cart_id) is not null"')
    live.save_manifest()
    inspect(load_project(live.options), warehouse)


def test_what_the_warehouse_refuses_comes_with_all_the_rest(live: Shop, warehouse: Warehouse) -> None:
    _run(warehouse, "ALTER TABLE main.profiles DROP COLUMN push_token")
    live.campaign(where='"occurred_at > 5"')
    assert [said.split(": ")[0] for said in _inspect(live, warehouse)] == ["rules/activate.yml:4", f"{CART}:7"]


def test_of_several_expressions_only_the_bad_one_is_told(live: Shop, warehouse: Warehouse) -> None:
    live.write("rules/campaigns/other.yml", CAMPAIGN.replace("abandoned_cart", "other"))
    live.campaign(where='"occurred_at + cart_id > 5"')
    assert [said.split(": ")[0] for said in _inspect(live, warehouse)] == [f"{CART}:7"]


def test_names_that_need_quoting_are_found_and_run(live: Shop, warehouse: Warehouse) -> None:
    _run(warehouse, 'ALTER TABLE main.cart_abandoned RENAME COLUMN cart_value TO "Cart ""Value"" %"')
    _run(warehouse, 'ALTER TABLE main.profiles RENAME COLUMN push_token TO "select"')
    live.write(
        "rules/activate.yml", (live.directory / "rules/activate.yml").read_text().replace("push_token", "select")
    )
    live.campaign(where="""'"cart ""value"" %" > 100'""")
    live.write("rules/templates/cart.push.j2", "{{ context['Cart \"Value\" %'] }}")
    live.save_manifest()
    project = inspect(load_project(live.options), warehouse)
    assert 'Cart "Value" %' in project.models["cart_abandoned"].columns


def test_lint_with_a_warehouse_checks_once_with_what_it_holds(live: Shop, warehouse: Warehouse) -> None:
    live.nodes["profiles"]["columns"] = {"user_id": {"name": "user_id", "data_type": "varchar"}}
    live.nodes["profiles"]["config"]["contract"] = {"enforced": False}
    assert any("does not declare a column" in said for said in live.lint())
    reading = live.read(warehouse=warehouse)
    assert reading.mistakes == ()
    assert reading.project is not None
    assert reading.project.models["profiles"].columns


def test_lint_with_a_warehouse_tells_what_is_wrong_with_files_and_columns_together(
    live: Shop, warehouse: Warehouse
) -> None:
    _run(warehouse, "ALTER TABLE main.profiles DROP COLUMN email")
    live.campaign(wait="soon")
    files = [said.split(": ")[0] for said in live.lint(warehouse=warehouse)]
    assert files == ["rules/activate.yml:5", f"{CART}:11"]


def test_a_target_of_the_same_kind_is_taken(live: Shop, warehouse: Warehouse) -> None:
    assert live.read(target=Target(warehouse.name, "dev", {})).project is not None


def test_lint_before_the_first_build_is_a_warning_and_a_tick_is_an_error(live: Shop, warehouse: Warehouse) -> None:
    for model in COLUMNS:
        _run(warehouse, f"DROP TABLE main.{model}")
    assert live.lint(warehouse=warehouse) == [
        "target/manifest.json: warning: none of the models that the rules use is built yet, so their columns were not "
        "checked"
    ]
    assert all("is not in the warehouse; run `dbt build`" in said for said in _inspect(live, warehouse))
