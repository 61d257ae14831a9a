"""Pace, pauses and the breaker, on a clock that tests turn."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activate.deliver.http import retry_after
from activate.deliver.pace import Breaker, Pace


class Time:
    """A clock whose sleep moves it."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


@given(st.floats(0.1, 500), st.lists(st.floats(0, 2), max_size=60))
def test_no_second_sees_more_than_twice_the_rate_and_no_long_time_more_than_the_rate(
    rate: float, idle: list[float]
) -> None:
    time = Time()
    pace = Pace(rate, time.monotonic, time.sleep)
    began = time.now
    for taken, pause in enumerate(idle, start=1):
        time.now += pause
        pace.take()
        assert taken <= (time.now - began) * rate + max(1.0, rate) + 1e-6


def test_the_rate_is_reached() -> None:
    time = Time()
    pace = Pace(10, time.monotonic, time.sleep)
    began = time.now
    for _ in range(101):
        pace.take()
    assert time.now - began == pytest.approx(10.0)


def test_a_pause_holds_for_everyone_even_without_a_rate() -> None:
    time = Time()
    pace = Pace(None, time.monotonic, time.sleep)
    pace.take()
    assert time.now == 100.0
    pace.pause(5)
    pace.pause(1)
    pace.take()
    assert time.now == 105.0


def test_the_breaker_opens_after_failures_in_a_row() -> None:
    breaker = Breaker(3)
    for _ in range(5):
        breaker.failed("a")
        breaker.failed("b")
        breaker.succeeded()
    assert not breaker.is_open
    for code in ("a", "b", "c"):
        breaker.failed(code)
    assert breaker.reason == "3 requests failed in a row (the last: c)"
    breaker.trip("another reason")
    breaker.succeeded()
    assert breaker.reason == "3 requests failed in a row (the last: c)"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7), (" 0 ", 0), ("99999999999999", 86_400), ("", None), ("soon", None), ("-1", None), ("1.5", None),
        ("Mon, 02 Mar 2026 12:00:30 GMT", 30), ("Mon, 02 Mar 2026 11:00:00 GMT", 0), ("²", None),
    ],
)  # fmt: skip
def test_retry_after_is_read(value: str, seconds: float | None) -> None:
    """RFC 9110, 10.2.3: seconds or a date."""
    assert retry_after({"retry-after": value}, dt.datetime(2026, 3, 2, 12)) == seconds
    assert retry_after({}, dt.datetime(2026, 3, 2, 12)) is None
