"""A sync that has only so much time: nothing is begun after it, nothing is lost, and the next sync sends the rest."""

from __future__ import annotations

import io
from itertools import count
from pathlib import Path

import pytest

from activate import syncing
from activate.audience_commands import sync_code
from activate.cli import build_parser
from activate.deliver.hand_over import Clock
from activate.policy import Delivery
from activate.report.audience_view import show_reports
from activate.report.console import make_console
from activate.warehouses.base import Warehouse
from tests.audiences.town import Peer, Town

PEOPLE = {f"p{number:02}": {} for number in range(20)}


def ten_seconds_a_request(peer: Peer) -> Clock:
    """A clock that nothing moves but a request of two rows."""
    return Clock(monotonic=lambda: 5.0 * len(peer.told), sleep=lambda _: None)


@pytest.fixture
def slow(town: Town) -> Town:
    """Twenty members to add, one request at a time."""
    town.policy.destinations["crm"]["concurrency"] = 1
    return town.segment("vips", PEOPLE).audience()


def test_what_is_left_when_time_is_up_is_sent_by_the_next_sync(slow: Town, peer: Peer) -> None:
    report = slow.sync(time_limit=35.0, clock=ten_seconds_a_request(peer))
    assert (report.outcomes, report.error, report.stopped) == (
        {"accepted": 8, "aborted": 12},
        None,
        "the time limit is up",
    )
    assert (len(peer.members()), report.unusable, sync_code([report])) == (8, False, 0)
    told = io.StringIO()
    show_reports(make_console(told), [report])
    assert "vips: the time limit is up; what is left is sent by the next sync" in " ".join(told.getvalue().split())
    rest = slow.later().sync()
    assert (rest.outcomes, rest.stopped) == ({"accepted": 12}, None)
    assert [key for _, _, key in peer.told] == sorted(PEOPLE)  # each once


def test_an_audience_that_was_not_begun_says_so(slow: Town, peer: Peer) -> None:
    slow.audience("others", segment="vips")
    audiences = list(slow.project.audiences)
    clock = ten_seconds_a_request(peer)
    reports = syncing.sync(slow.warehouse, slow.project, audiences, slow.now, clock=clock, time_limit=100.0)
    assert [report.stopped for report in reports] == [None, "the time limit is up"]
    assert [report.outcomes for report in reports] == [{"accepted": 20}, {}]
    assert sync_code(reports) == 0


def test_the_policy_limits_a_sync_and_the_command_line_another(slow: Town, peer: Peer) -> None:
    slow.policy = slow.policy.model_copy(update={"delivery": Delivery.model_validate({"time_limit": "15 seconds"})})
    assert slow.sync(clock=ten_seconds_a_request(peer)).outcomes == {"accepted": 4, "aborted": 16}
    assert slow.later().sync(clock=ten_seconds_a_request(peer), time_limit=1_000.0).outcomes == {"accepted": 16}
    assert build_parser().parse_args(["sync", "--time-limit", "2 minutes"]).time_limit == 120


def test_a_file_that_is_not_whole_by_then_is_not_published(warehouse: Warehouse, tmp_path: Path) -> None:
    target = tmp_path / "vips.csv"
    town = Town(warehouse, tmp_path, {"crm": {"type": "file", "path": str(target)}})
    town.segment("vips", PEOPLE).audience()
    report = town.sync(time_limit=1.5, clock=Clock(monotonic=count().__next__, sleep=lambda _: None))
    assert (report.error, report.stopped, target.exists()) == (None, "the time limit is up", False)
    assert town.later().sync().outcomes == {"accepted": 20}
    assert target.exists()
