"""Carts left behind in a stream of shop events that others made up, on DuckDB."""

from __future__ import annotations

import datetime as dt
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from ..warm_dbt import WarmDbt
from .data_sets import ecom
from .proof import Proof, Replayed, replayed_with_facts
from .replay import replay
from .stage import set_stage


@contextmanager
def _replayed(
    paths: pytest.TempPathFactory,
    name: str,
    first: dt.datetime,
    last: dt.datetime,
    every: dt.timedelta,
    run_dbt: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run,
) -> Iterator[Replayed]:
    folder = paths.mktemp("ecom")
    stage = set_stage(ecom(), folder / "project", str(folder / "real.duckdb"), run_dbt)
    with replayed_with_facts(name, stage, replay(stage, first, last, every)) as done:
        yield done


class Carts(Proof):
    """What must hold of carts, beside the claims."""

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


class TestDay(Carts):
    """24 ticks and one, half an hour apart, on the busiest day for carts."""

    @pytest.fixture(scope="class")
    def replayed(self, tmp_path_factory: pytest.TempPathFactory, warm_dbt: WarmDbt) -> Iterator[Replayed]:
        first, last = dt.datetime(2024, 5, 28, 12), dt.datetime(2024, 5, 29)
        every = dt.timedelta(minutes=30)
        with _replayed(tmp_path_factory, "shop, half a day", first, last, every, warm_dbt.run) as done:
            yield done


@pytest.mark.slow
@pytest.mark.timeout(3600)
class TestFortnight(Carts):
    """336 hourly ticks and one."""

    @pytest.fixture(scope="class")
    def replayed(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replayed]:
        first, last = dt.datetime(2024, 5, 18), dt.datetime(2024, 6, 1)
        with _replayed(tmp_path_factory, "shop, DuckDB", first, last, dt.timedelta(hours=1)) as done:
            yield done
