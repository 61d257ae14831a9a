"""What a tick promises whatever the rules are: the same again changes nothing, one at a time, all or nothing."""

from __future__ import annotations

import dataclasses
import datetime as dt
import multiprocessing
import threading
import time
from typing import Any

import pytest

from activate.errors import LeaseHeldError, TimeOrderError, WarehouseError
from activate.project import Project
from activate.run import decide
from activate.warehouses.base import Warehouse
from tests.decide import shop


def replay(warehouse: Warehouse, *clocks: str, project: Project | None = None) -> None:
    for clock in clocks:
        decide(warehouse, project or shop.rules(), shop.at(clock))


def outcomes(warehouse: Warehouse) -> set[tuple[str, str, str]]:
    return {(row["user_id"], row["outcome"], row["reason"]) for row in shop.rows(warehouse, "decisions")}


def test_0_1_the_same_now_again_changes_nothing(warehouse: Warehouse) -> None:
    """0.1: Rerunning any task with the same `as_of` gives byte-identical decisions and zero new sends."""
    replay(warehouse, "10:00", "10:10", "10:40")
    before = shop.state(warehouse)
    again = decide(warehouse, shop.rules(), shop.at("10:40"))
    assert not again.changed
    assert again.counts == ()
    assert shop.state(warehouse) == before


def test_0_1_two_warehouses_with_the_same_rows_decide_the_same(tmp_path: Any) -> None:
    """0.1: Rerunning any task with the same `as_of` gives byte-identical decisions and zero new sends."""
    found = []
    for name in ("a", "b"):
        warehouse = shop.connect(str(tmp_path / f"{name}.duckdb"))
        shop.build(warehouse)
        replay(warehouse, "10:00", "10:10", "10:40")
        found.append(shop.state(warehouse))
        warehouse.close()
    assert found[0] == found[1]
    assert found[0]["messages"]


def test_a_plan_counts_what_a_run_would_do_and_writes_nothing(warehouse: Warehouse) -> None:
    replay(warehouse, "10:00", "10:10")
    before = shop.state(warehouse)
    plan = decide(warehouse, shop.rules(), shop.at("10:40"), commit=False, samples=2)
    assert shop.state(warehouse) == before
    assert not plan.committed
    run = decide(warehouse, shop.rules(), shop.at("10:40"))
    assert plan.counts == run.counts
    assert run.counts
    assert all(len(people) <= 2 for people in plan.samples.values())
    assert any(name == "gates.gated" and "tick_gated" in sql for name, sql in plan.statements)


def test_a_plan_on_the_first_day_leaves_no_tables_behind(warehouse: Warehouse) -> None:
    from activate.project import Relation

    assert decide(warehouse, shop.rules(), shop.at("10:00"), commit=False).changed
    assert warehouse.columns([Relation("activate", "entries")]) == {}


def test_time_does_not_run_backwards(warehouse: Warehouse) -> None:
    replay(warehouse, "10:00", "10:10")
    before = shop.state(warehouse)
    with pytest.raises(TimeOrderError, match=r"10:05.* lies before the last tick .*10:10"):
        replay(warehouse, "10:05")
    assert shop.state(warehouse) == before


def hold(uri: str, seconds: float, ready: Any) -> None:
    warehouse = shop.connect(uri)
    with warehouse.lock("tick.activate", 0):
        ready.set()
        time.sleep(seconds)


def test_0_3_a_second_tick_at_the_same_time_leaves_with_a_clear_message(uri: str) -> None:
    """0.3: Two schedulers on one interval: exactly one obtains the (run, user) reservation."""
    warehouse = shop.connect(uri)
    shop.build(warehouse)
    held = warehouse.clone()
    done = threading.Event()

    def first() -> None:
        with held.lock("tick.activate", 0):
            done.wait(30)

    thread = threading.Thread(target=first)
    thread.start()
    try:
        time.sleep(0.2)
        with pytest.raises(LeaseHeldError, match="another run holds the lease"):
            decide(warehouse, shop.rules(), shop.at("10:00"), wait_seconds=0.3)
        threading.Timer(0.5, done.set).start()
        assert decide(warehouse, shop.rules(), shop.at("10:00"), wait_seconds=20).changed
    finally:
        done.set()
        thread.join()
        held.close()
        warehouse.close()


def test_the_lease_of_a_killed_process_is_free_at_once(uri: str) -> None:
    warehouse = shop.connect(uri)
    shop.build(warehouse)
    warehouse.close()
    context = multiprocessing.get_context("forkserver")
    ready = context.Event()
    holder = context.Process(target=hold, args=(uri, 60, ready))
    holder.start()
    assert ready.wait(30)
    holder.kill()
    holder.join()
    warehouse = shop.connect(uri)
    assert decide(warehouse, shop.rules(), shop.at("10:00"), wait_seconds=5).changed
    warehouse.close()


def test_two_ticks_at_once_send_each_message_once(uri: str) -> None:
    """3.4: Same with two parallel mapped tasks: still one."""
    warehouse = shop.connect(uri)
    shop.build(warehouse)
    replay(warehouse, "10:00", "10:10")
    second = warehouse.clone()
    failures: list[Exception] = []

    def one(connection: Warehouse) -> None:
        try:
            decide(connection, shop.rules(), shop.at("10:40"), wait_seconds=30)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=one, args=(connection,)) for connection in (warehouse, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    messages = shop.rows(warehouse, "messages")
    assert messages
    assert len({row["message_id"] for row in messages}) == len(messages)
    assert len([row for row in shop.rows(warehouse, "runs") if row["now"] == shop.at("10:40")]) == 1
    second.close()
    warehouse.close()


def test_an_open_entry_is_found_again_after_a_long_outage(warehouse: Warehouse) -> None:
    replay(warehouse, "10:00", "10:10")
    decide(warehouse, shop.rules(), shop.at("10:00") + dt.timedelta(days=60))
    found = outcomes(warehouse)
    assert ("1", "suppress", "expired") in found
    assert not [row for row in shop.rows(warehouse, "messages") if row["campaign"] == "cart"]


def test_the_look_back_follows_what_is_open(warehouse: Warehouse) -> None:
    replay(warehouse, "10:00", "10:10", "10:20")
    by_tick = {(row["campaign"], row["decided_at"]): row["live_from"] for row in shop.rows(warehouse, "scans")}
    assert by_tick["cart", shop.at("10:20")] == shop.at("10:10")
    for now in (shop.at("12:00", 16), shop.at("12:10", 16)):
        decide(warehouse, shop.rules(), now)
    by_tick = {(row["campaign"], row["decided_at"]): row["live_from"] for row in shop.rows(warehouse, "scans")}
    assert by_tick["cart", shop.at("12:10", 16)] == shop.at("12:10", 16)


# -- bad input ---------------------------------------------------------------------------------------------------------


def test_rows_that_nobody_can_have_are_counted_and_the_others_go_on(warehouse: Warehouse) -> None:
    replay(warehouse, "10:00")
    shop.cart(warehouse, 90, None, shop.at("10:06"))
    shop.run(warehouse, "INSERT INTO analytics.carts (user_id, cart_value) VALUES ('1', 500)")
    tick = decide(warehouse, shop.rules(), shop.at("10:10"))
    assert tick.invalid["carts"] >= 1
    assert tick.entered["cart"] == 4, "one was asked at a closed hour of hers"


def test_two_rows_of_one_event_are_one_occurrence(warehouse: Warehouse) -> None:
    replay(warehouse, "10:00")
    shop.cart(warehouse, 1, "1", shop.at("10:05"))
    shop.cart(warehouse, 1, "1", shop.at("10:04"))
    replay(warehouse, "10:10")
    entries = [row for row in shop.rows(warehouse, "entries") if row["campaign"] == "cart" and row["user_id"] == "1"]
    assert [row["entered_at"] for row in entries] == [shop.at("10:04")]


def test_a_person_with_two_profiles_gets_nothing_and_a_reason(warehouse: Warehouse) -> None:
    shop.run(
        warehouse,
        "INSERT INTO analytics.profiles VALUES ('1', 'Asia/Tokyo', 'uno@example.com', TRUE, NULL, NULL, NULL)",
    )
    replay(warehouse, "10:00", "10:10", "10:40")
    mine = [row for row in shop.rows(warehouse, "decisions") if row["user_id"] == "1"]
    assert {row["reason"] for row in mine} == {"duplicate_profile"}
    assert len({(row["entry_id"], row["step"]) for row in mine}) == len(mine)
    tick = decide(warehouse, shop.rules(), shop.at("10:45"))
    assert tick.invalid["duplicate profiles"] == 1


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e308"])
def test_odd_numbers_are_let_in_by_the_where_and_kept_as_valid_json(warehouse: Warehouse, value: str) -> None:
    import json

    replay(warehouse, "10:00")
    shop.cart(warehouse, 77, "3", shop.at("10:07"), value=value)
    replay(warehouse, "10:10")
    entry = next(
        row for row in shop.rows(warehouse, "entries") if row["occurrence_id"] == "77" and row["campaign"] == "cart"
    )

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    context = json.loads(entry["context"], parse_constant=refuse)
    written = context["cart_value"]
    assert written is None if value != "1e308" else float(written) == 1e308


def test_a_model_that_lost_its_key_column_stops_the_tick_and_loses_nothing(warehouse: Warehouse) -> None:
    replay(warehouse, "10:00")
    before = shop.state(warehouse)
    shop.run(warehouse, "ALTER TABLE analytics.carts RENAME COLUMN user_id TO customer")
    with pytest.raises(WarehouseError, match=r"arrivals\.cart .*nothing was recorded.*user_id"):
        replay(warehouse, "10:10")
    assert shop.state(warehouse) == before
    shop.run(warehouse, "ALTER TABLE analytics.carts RENAME COLUMN customer TO user_id")
    assert decide(warehouse, shop.rules(), shop.at("10:20")).entered["cart"] == 4, (
        "one was asked at a closed hour of hers"
    )


def test_a_missing_model_is_named(warehouse: Warehouse) -> None:
    shop.run(warehouse, "DROP TABLE analytics.vip")
    with pytest.raises(WarehouseError, match=r"membership\.members .*vip"):
        replay(warehouse, "10:00")


def test_an_error_shows_no_value_of_any_row(warehouse: Warehouse) -> None:
    shop.run(
        warehouse,
        "DROP TABLE analytics.vip",
        "CREATE VIEW analytics.vip AS SELECT CAST(email AS BIGINT) AS user_id, 1 AS spent FROM analytics.profiles",
    )
    with pytest.raises(WarehouseError) as caught:
        replay(warehouse, "10:00")
    assert "example.com" not in str(caught.value)


def test_a_lost_connection_is_an_error_and_the_next_tick_goes_on(uri: str) -> None:
    warehouse = shop.connect(uri)
    shop.build(warehouse)
    replay(warehouse, "10:00")
    warehouse.close()
    with pytest.raises(WarehouseError):
        replay(warehouse, "10:10")
    fresh = shop.connect(uri)
    assert decide(fresh, shop.rules(), shop.at("10:10")).entered["cart"] == 4, "one was asked at a closed hour of hers"
    fresh.close()


def test_names_that_need_quoting_are_quoted(warehouse: Warehouse) -> None:
    """A campaign's `where` over a column called "Odd name" lets people in (tests/compile/everything.py)."""
    replay(warehouse, "10:00", "10:10")
    entry = next(row for row in shop.rows(warehouse, "entries") if row["campaign"] == "cart")
    assert '"Odd name"' in entry["context"]


def test_rules_are_remembered_for_entries_that_began_under_them(warehouse: Warehouse) -> None:
    """1.14: Campaign edited while pending: pending rows keep the old version unless the operator chooses `adopt`."""
    rules = shop.rules()
    replay(warehouse, "10:00", "10:10")
    cart = rules.campaigns[0]
    slower = cart.model_copy(update={"steps": (cart.steps[0].model_copy(update={"wait": _hours(2)}),)})
    edited = dataclasses.replace(rules, campaigns=(slower, *rules.campaigns[1:]))
    replay(warehouse, "10:40", project=edited)
    assert ("1", "send", "ready") in outcomes(warehouse)


def _hours(hours: int) -> Any:
    from activate.words import Wait

    return Wait(seconds=hours * 3600)
