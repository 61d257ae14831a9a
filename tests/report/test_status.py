"""`status` counts what is open, what the outbox holds and what providers did; on both warehouses."""

from __future__ import annotations

import datetime as dt
import io

from report_shop import CART, LAUNCH, NOW, WELCOME, Shop, changed

from activate.report.audience_status import AudienceLine
from activate.report.console import make_console
from activate.report.status import DeliveredLine, OpenLine, OutboxLine, Status, status
from activate.report.status_view import needs_a_look, show_status
from activate.tables import RUNS

HOUR = dt.timedelta(hours=1)


def _fill(shop: Shop) -> None:
    at = LAUNCH + HOUR
    shop.enter("ann", "e1", at)
    for person, retry in (("bob", 3), ("cid", 2)):
        entry = shop.enter(person, f"e-{person}", at)
        shop.decide(person, entry, at, "frequency_cap", "caps", "defer", retry_at=at)
        shop.decide(person, entry, at + HOUR, "window_closed", "window", "defer", retry_at=NOW + retry * HOUR)
    shop.decide("dan", shop.enter("dan", "e4", at), at, "ready", "send", "send")
    journey = shop.enter("eve", "e5", at, WELCOME)
    shop.decide("eve", journey, at, "ready", "send", "send", campaign="welcome", ends_entry=False)
    shop.enter("old", "e6", LAUNCH - 9 * HOUR)  # older than live_from: closed, whatever the rows say


def _messages(shop: Shop) -> None:
    for name in ("queued1", "queued2", "claimed", "retry", "unknown", "sent", "rejected"):
        shop.message("ann", name, NOW - 2 * HOUR)
    shop.message("ann", "done", NOW - 3 * HOUR, provider="post")
    for name in ("claimed", "retry", "unknown", "sent", "rejected"):
        shop.deliver(name, "claimed", NOW - HOUR)
    shop.deliver("retry", "failed", NOW - HOUR, error_code="http_503")
    shop.deliver("unknown", "unknown", NOW - HOUR)
    shop.deliver("sent", "accepted", NOW - HOUR)
    shop.deliver("rejected", "rejected", NOW - HOUR)
    shop.deliver("done", "accepted", NOW - HOUR, provider="post")
    shop.message("ann", "long_unknown", NOW - 8 * 24 * HOUR)
    shop.deliver("long_unknown", "unknown", NOW - 7 * 24 * HOUR)
    shop.deliver("yesterday", "accepted", NOW - 25 * HOUR)


def test_open_entries_are_counted_by_campaign_with_the_earliest_next_try(shop: Shop) -> None:
    _fill(shop)
    assert status(shop.warehouse, shop.project, NOW).open == (
        OpenLine("abandoned_cart", waiting=1, deferred=2, next_retry_at=NOW + 2 * HOUR),
        OpenLine("welcome", waiting=1, deferred=0, next_retry_at=None),
    )


def test_what_a_guard_holds_back_is_counted_without_the_control_group_and_how_to_release_it_is_told(shop: Shop) -> None:
    at = LAUNCH + HOUR
    for person, is_control in (("ann", False), ("bob", False), ("cid", True)):
        entry = shop.enter(person, f"e-{person}", at, is_control=is_control)
        shop.decide(person, entry, at, "guard_messages", "guard", "defer")
    dan = shop.enter("dan", "e-dan", at)
    shop.decide("dan", dan, at, "guard_messages", "guard", "defer")
    shop.decide("dan", dan, at + HOUR, "window_closed", "window", "defer", retry_at=NOW + HOUR)
    for limit, allowed in (
        (1000, "it may send 1,000 in a tick"),
        ("5%", "it may send to 5% of the profiles in a tick"),
    ):
        shop.campaigns = (changed(CART, guard={"max_messages": limit}), WELCOME)
        found = status(shop.warehouse, shop.project, NOW)
        assert found.open == (OpenLine("abandoned_cart", 0, 4, next_retry_at=NOW + HOUR, guarded=2, guard=limit),)
        assert needs_a_look(found) == [
            f"abandoned_cart: 2 messages held back by the campaign's guard; {allowed}. To let them pass once: "
            "dbt-activate approve campaign:abandoned_cart --messages 2"
        ]


def test_the_outbox_tells_queued_claimed_to_retry_and_unknown_apart(shop: Shop) -> None:
    _messages(shop)
    found = status(shop.warehouse, shop.project, NOW)
    assert found.outbox == (OutboxLine("phone", 2, 1, 1, 1, NOW - 2 * HOUR),)
    assert found.delivered == (
        DeliveredLine("phone", {"accepted": 1, "rejected": 1, "unknown": 1}),
        DeliveredLine("post", {"accepted": 1}),
    )


def test_the_last_runs_come_newest_first_with_their_figures(shop: Shop) -> None:
    shop.message("ann", "m", NOW)
    shop.deliver("m", "claimed", NOW, run_id="d1")
    shop.deliver("m", "accepted", NOW, run_id="d1")
    shop.state(
        RUNS, run_id="d1", now=NOW, started_at=NOW, finished_at=NOW + HOUR, status="delivered", rules_version="v",
        counts="{}",
    )  # fmt: skip
    runs = status(shop.warehouse, shop.project, NOW).runs
    assert [(run.kind, run.now, run.entered, run.figures) for run in runs] == [
        ("delivered", NOW, 0, {"accepted": 1}),
        ("decided", NOW, 1200, {"send": 1000, "defer": 30}),
        ("decided", LAUNCH, 1200, {"send": 1000, "defer": 30}),
    ]


def test_a_late_tick_is_said_to_be_late(shop: Shop) -> None:
    found = status(shop.warehouse, shop.project, NOW + 5 * HOUR)
    assert found.late_seconds == 5 * 3600
    assert needs_a_look(found) == [
        "The last tick that had anything to record was 5 hours ago, at 2026-03-28 12:00 UTC."
    ]
    assert needs_a_look(status(shop.warehouse, shop.project, NOW + HOUR)) == []


def test_before_the_first_tick_status_says_what_to_do(empty_shop: Shop) -> None:
    found = status(empty_shop.warehouse, empty_shop.project, NOW)
    assert found == Status(NOW, None, None, (), (), (), ())
    assert "dbt-activate run does it" in _printed(found)


def test_the_tables_fit_into_80_columns_and_say_every_figure(shop: Shop) -> None:
    _fill(shop)
    _messages(shop)
    told = _printed(status(shop.warehouse, shop.project, NOW + 2 * HOUR))
    assert max(len(line) for line in told.splitlines()) <= 80
    for words in (
        "1,200 entered, 1,000 send, 30 defer",
        "abandoned_cart",
        "held back",
        "phone",
        "! phone: 1 message claimed",
    ):
        assert words in told


def test_audiences_names_and_moments_stay_in_one_piece_on_80_columns() -> None:
    lines = tuple(
        AudienceLine(name, "crm", synced_at=NOW, status="partial", wanted=1_234_567, refused=refused)
        for name, refused in (("newsletter_readers", 0), ("winback_advertising", 3))
    )
    told = _printed(Status(NOW, None, None, (), (), (), (), audiences=lines))
    for words in ("newsletter_readers", "winback_advertising", "2026-03-28 12:00", "dead letters", "1,234,567"):
        assert words in told
    assert "withheld" not in told, "a column of nothing"


def _printed(found: Status) -> str:
    out = io.StringIO()
    show_status(make_console(out, width=80), found)
    return out.getvalue()
