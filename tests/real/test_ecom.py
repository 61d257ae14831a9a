"""Carts left behind in a stream of shop events that others made up: a fortnight on DuckDB."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest

from .data_sets import ecom
from .proof import Proof, Replayed, replayed_with_facts
from .replay import replay
from .stage import set_stage

pytestmark = pytest.mark.xdist_group("real-ecom")

FIRST, LAST = dt.datetime(2024, 5, 18), dt.datetime(2024, 6, 1)


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replayed]:
    folder = tmp_path_factory.mktemp("ecom")
    stage = set_stage(ecom(), folder / "project", str(folder / "real.duckdb"))
    with replayed_with_facts("shop, DuckDB", stage, replay(stage, FIRST, LAST)) as done:
        yield done


class TestFortnight(Proof):
    """336 hourly ticks and one."""

    def test_a_cart_that_was_bought_is_not_called_left_behind(self, replayed: Replayed) -> None:
        """Said once more in the shop's own words: no purchase of that visit between the cart and the message."""
        bought = """
            SELECT count(*) FROM activate.messages
            JOIN activate.entries ON entries.entry_id = messages.entry_id
            JOIN shop.events AS cart ON cart.event_id = entries.occurrence_id
            JOIN shop.events AS purchase ON purchase.session_id = cart.session_id AND purchase.event_name = 'purchase'
                AND purchase.occurred_at >= cart.occurred_at AND purchase.loaded_at <= messages.queued_at
            WHERE messages.campaign = 'cart_abandoned'
        """
        assert replayed.count(bought) == 0
        assert replayed.count("SELECT count(*) FROM activate.messages WHERE campaign = 'cart_abandoned'") > 0
        assert replayed.figures.decisions["suppress", "exception", "exception_event"] > 0
