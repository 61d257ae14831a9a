"""A tick that is killed at any statement leaves nothing half decided, and the next one loses and doubles nothing."""

from __future__ import annotations

import multiprocessing
import signal

import pytest

from activate.run import decide
from activate.testing.faults import kill_before
from tests.decide import shop

TICKS = (shop.at("10:00"), shop.at("10:10"), shop.at("10:40"))


def prepare(uri: str) -> None:
    warehouse = shop.connect(uri)
    shop.build(warehouse)
    for now in TICKS[:-1]:
        decide(warehouse, shop.rules(), now)
    shop.event(warehouse, 501, "1", "purchase", shop.at("10:20"), "c1")
    shop.cart(warehouse, 11, "2", shop.at("10:15"))
    shop.run(warehouse, "INSERT INTO analytics.vip VALUES (1, 10), (2, 20)")
    warehouse.close()


def die(uri: str, number: int) -> None:
    """The body of a process that kills itself before its `number`-th call (0: never)."""
    warehouse = shop.connect(uri)
    calls = kill_before(warehouse, number)
    decide(warehouse, shop.rules(), TICKS[-1])
    print(calls(), flush=True)


# Each warehouse is killed before every sixteenth call, the two in turn before every eighth.
@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.slow), 24])
def test_a_tick_killed_before_any_of_its_statements_leaves_all_or_nothing(uri: str, every: int) -> None:
    prepare(uri)
    context = multiprocessing.get_context("forkserver")
    warehouse = shop.connect(uri)
    before = shop.state(warehouse)
    warehouse.close()
    number = 1 + every // 2 * uri.startswith("postgres")
    while True:
        child = context.Process(target=die, args=(uri, number))
        child.start()
        child.join()
        if child.exitcode == 0:
            break
        assert child.exitcode == -signal.SIGKILL
        number += every
        warehouse = shop.connect(uri)
        found = shop.state(warehouse)
        warehouse.close()
        # Until the commit nothing is there; nothing but the lease is given back after it.
        assert found == before or found["decisions"] != before["decisions"], (
            f"half decided when killed before {number - every}"
        )
        if found != before:
            before = found
    assert number > 50
    warehouse = shop.connect(uri)
    after = shop.state(warehouse)
    assert len(after["messages"]) == len({row["message_id"] for row in after["messages"]}) > 0
    assert len(after["entries"]) == len({row["entry_id"] for row in after["entries"]})
    assert decide(warehouse, shop.rules(), TICKS[-1]).changed is False
    assert shop.state(warehouse) == after
    warehouse.close()


def test_what_the_killed_ticks_left_is_what_an_undisturbed_tick_makes(uri: str) -> None:
    prepare(uri)
    context = multiprocessing.get_context("forkserver")
    for number in (5, 25, 45):
        child = context.Process(target=die, args=(uri, number))
        child.start()
        child.join()
        assert child.exitcode == -signal.SIGKILL
    warehouse = shop.connect(uri)
    tick = decide(warehouse, shop.rules(), TICKS[-1])
    found = {(count.campaign, count.outcome, count.reason): count.people for count in tick.counts}
    assert found["cart", "suppress", "exception_event"] == 1
    assert found["cart", "suppress", "no_profile"] == 1
    assert sum(people for (_, outcome, _), people in found.items() if outcome == "send") == len(
        [row for row in shop.rows(warehouse, "messages") if row["queued_at"] == TICKS[-1]]
    )
    warehouse.close()
