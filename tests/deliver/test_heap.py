"""The garbage collector walks over nothing that was there before, and is as it was afterwards."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from activate.heap import set_aside


@pytest.fixture(autouse=True)
def _nothing_is_set_aside() -> Iterator[None]:
    """The tests' own set-up keeps the collector off what it has imported."""
    gc.unfreeze()
    yield
    gc.freeze()


def test_what_is_there_is_set_aside_and_taken_back() -> None:
    before = gc.get_threshold()
    with set_aside():
        assert gc.get_freeze_count() > 10_000
        assert gc.get_threshold()[0] >= 50_000
    assert (gc.get_freeze_count(), gc.get_threshold()) == (0, before)


def test_it_is_taken_back_after_an_error() -> None:
    with pytest.raises(KeyError), set_aside():
        raise KeyError
    assert gc.get_freeze_count() == 0


def test_what_somebody_else_has_set_aside_stays_so() -> None:
    gc.freeze()
    try:
        with set_aside():
            pass
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


def test_a_collector_that_is_off_stays_off() -> None:
    before = gc.get_threshold()
    gc.set_threshold(0)
    try:
        with set_aside():
            assert gc.get_threshold()[0] == 0
    finally:
        gc.set_threshold(*before)
