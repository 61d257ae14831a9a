"""Journeys, deliveries and late news as a story; and how stories, progress and messages look when printed."""

from __future__ import annotations

import datetime as dt
import io
from dataclasses import dataclass, field
from typing import get_args

import pytest
from report_shop import CART, NOW, WELCOME, Shop, changed
from rich.console import Console
from test_explain_reasons import CASES, DECIDED, DUE, ENTERED

from activate.errors import Mistake
from activate.message import ProviderReport
from activate.providers.base import Status
from activate.report.console import make_console
from activate.report.delivery_view import show_delivery
from activate.report.explain import explain
from activate.report.lint_view import show_mistakes
from activate.report.phrases import CODES, STATUSES
from activate.report.preview_view import show_preview
from activate.report.progress import progress
from activate.report.story_view import show_story
from activate.tables import AUDITS

HOUR = dt.timedelta(hours=1)


def _sent(shop: Shop) -> str:
    shop.profile("ann")
    entry = shop.enter("ann", "e1", ENTERED)
    shop.decide("ann", entry, DECIDED, "ready", "send", "send", channel="push", due_at=DUE, message_id="m9")
    shop.message("ann", "m9", DECIDED, entry_id=entry, campaign="abandoned_cart")
    return entry


def _headline(shop: Shop, campaign: str = "abandoned_cart") -> str:
    return explain(shop.warehouse, shop.project, "ann", now=NOW, campaign=campaign).campaigns[0].headline


def test_every_delivery_status_has_words() -> None:
    assert {*get_args(Status), "claimed", "queued"} == set(STATUSES)


@pytest.mark.parametrize("status", get_args(Status))
def test_what_became_of_a_message_is_told(shop: Shop, status: str) -> None:
    _sent(shop)
    shop.deliver("m9", "claimed", DECIDED + HOUR)
    shop.deliver("m9", status, DECIDED + HOUR, error_code="render_error" if status == "aborted" else None)
    step = explain(shop.warehouse, shop.project, "ann", now=NOW).campaigns[0].entries[0].steps[0]
    assert step.message is not None
    assert step.message.status == status
    assert STATUSES[status] in step.text
    assert (CODES["render_error"] in step.text) == (status == "aborted")


def test_a_message_that_failed_is_told_with_what_comes_next(shop: Shop) -> None:
    _sent(shop)
    shop.deliver("m9", "failed", DECIDED + HOUR, error_code="http_503")
    message = explain(shop.warehouse, shop.project, "ann", now=NOW).campaigns[0].entries[0].steps[0].message
    assert message is not None
    assert message.text.endswith("http_503; it will be tried again")


def test_an_undelivered_message_waits_in_the_outbox(shop: Shop) -> None:
    _sent(shop)
    assert _headline(shop) == "queued, not delivered yet, by push"


def test_a_late_exception_is_noted(shop: Shop) -> None:
    entry = _sent(shop)
    shop.state(
        AUDITS, entry_id=entry, message_id="m9", kind="late_exception", evidence="p8", run_id="r", recorded_at=NOW
    )
    notes = explain(shop.warehouse, shop.project, "ann", now=NOW).campaigns[0].entries[0].notes
    assert notes == (
        "The exception event p8 came to light at 2026-03-28 12:00 UTC, after the message was decided: loaded in time, "
        "it would have stopped it.",
    )


def test_a_journey_waits_for_its_next_step_at_the_person_s_local_time(shop: Shop) -> None:
    """Two days after Friday the 27th, 10:00 in Berlin: by then summer time has begun, so 08:00 UTC."""
    shop.profile("ann")
    entry = shop.enter("ann", "s1", ENTERED, WELCOME)
    row = {"campaign": "welcome", "channel": "email", "due_at": ENTERED, "message_id": "m1", "ends_entry": False}
    shop.decide("ann", entry, DECIDED, "ready", "send", "send", **row)
    steps = explain(shop.warehouse, shop.project, "ann", now=NOW, campaign="welcome").campaigns[0].entries[0].steps
    assert [step.fate for step in steps] == ["sent", "waiting"]
    assert steps[1].due_at == dt.datetime(2026, 3, 29, 8)
    assert _headline(shop, "welcome") == "step 2 waits until 2026-03-29 08:00 UTC"


def test_an_entry_follows_the_version_it_began_with_unless_the_file_says_adopt(shop: Shop) -> None:
    shop.profile("ann")
    shop.enter("ann", "e1", NOW)
    longer = changed(CART, steps=[{"wait": "2 hours", "channels": ["push"], "template": "cart"}])
    shop.campaigns = (longer, WELCOME)
    assert _headline(shop) == "waits until 2026-03-28 12:30 UTC"
    shop.campaigns = (changed(longer, on_edit="adopt"), WELCOME)
    assert _headline(shop) == "waits until 2026-03-28 14:00 UTC"


def test_earlier_answers_are_told_before_the_last(shop: Shop) -> None:
    shop.profile("ann")
    entry = shop.enter("ann", "e1", ENTERED)
    night = DECIDED + 12 * HOUR
    shop.decide("ann", entry, night, "window_closed", "window", "defer", channel="push", retry_at=NOW, due_at=DUE)
    shop.decide("ann", entry, NOW, "expired", "expiry", "suppress", channel="push", due_at=DUE)
    step = explain(shop.warehouse, shop.project, "ann", now=NOW).campaigns[0].entries[0].steps[0]
    assert [answer.reason for answer in step.answers] == ["window_closed", "expired"]
    assert "before that: it was outside the local time window (2026-03-27 21:35 UTC)" in _printed(shop, width=200)


def _printed(shop: Shop, width: int = 80) -> str:
    out = io.StringIO()
    show_story(make_console(out, width=width), explain(shop.warehouse, shop.project, "ann", now=NOW))
    return out.getvalue()


@pytest.mark.parametrize("reason", sorted(CASES))
def test_a_story_fits_into_80_columns_and_shows_no_address(shop: Shop, reason: str) -> None:
    CASES[reason].write(shop)
    told = _printed(shop)
    assert max(len(line) for line in told.splitlines()) <= 80
    assert "someone@example.com" not in told
    assert "t0k3n" not in told
    assert "What would change it:" in told or reason == "ready"


def test_the_terminal_shows_the_values_of_the_row_that_brought_the_person_in(shop: Shop) -> None:
    _sent(shop)
    assert "cart_id c1 · cart_value 150.0" in _printed(shop)


def test_long_histories_are_cut_with_a_hint(shop: Shop) -> None:
    shop.profile("ann")
    for number in range(8):
        shop.enter("ann", f"e{number}", ENTERED + number * HOUR)
    assert "and 3 older entries (--json lists all)" in _printed(shop)


def test_a_person_whom_nobody_knows_is_told_in_one_sentence(shop: Shop) -> None:
    assert _printed(shop, width=120).splitlines() == [
        "ann", "No row of the models or the state tables has this key: nobody knows this person."
    ]  # fmt: skip


# -- other views ------------------------------------------------------------------------------------------------------


def test_deliveries_are_a_row_per_provider_with_its_trouble_below() -> None:
    out = io.StringIO()
    reports = [
        ProviderReport("outbox", {"accepted": 12_345, "aborted": 1}, seconds=3.2),
        ProviderReport("mail", {}, left=7, error="the server does not answer"),
        ProviderReport("idle"),
    ]
    show_delivery(make_console(out, width=80), reports)
    told = out.getvalue()
    assert "12,345" in told
    assert "! mail: the server does not answer" in told
    assert "idle" not in told


def test_nothing_to_deliver_is_one_sentence() -> None:
    out = io.StringIO()
    show_delivery(make_console(out), [ProviderReport("idle")])
    assert out.getvalue() == "Nothing was to be delivered.\n"


@pytest.mark.parametrize("on_terminal", [False, True])
def test_mistakes_are_grouped_by_file_with_clickable_places(on_terminal: bool) -> None:
    out = io.StringIO()
    long = "no column 'cart_valu' in the model; its columns: " + ", ".join(["cart_value"] * 9)
    mistakes = [
        Mistake("rules/b.yml", 3, long), Mistake("rules/a.yml", 1, "first", "warning"),
        Mistake("rules/a.yml", 0, "all"),
    ]  # fmt: skip
    show_mistakes(Console(file=out, width=80, force_terminal=on_terminal, color_system=None), mistakes)
    told = out.getvalue()
    assert ("rules/a.yml:1 warning\n    first" if on_terminal else "rules/a.yml:1: warning: first\n") in told
    assert (f"rules/b.yml:3: error: {long}\n" in told) is not on_terminal, "a log has one line per mistake"
    assert told.index("rules/a.yml") < told.index("rules/b.yml")
    assert told.endswith("2 errors, 1 warning.\n")


@dataclass(frozen=True)
class _Rendered:
    campaign: str = "c"
    step: int = 1
    channel: str = "push"
    variant: str | None = "b"
    template: str = "cart.b.push.j2"
    content: dict[str, str] = field(default_factory=lambda: {"body": "x" * 100})
    problem: str | None = "this person has given no consent on this channel"


def test_a_preview_shows_blocks_whole_and_why_it_would_not_be_sent() -> None:
    out = io.StringIO()
    show_preview(make_console(out, width=80), _Rendered())
    told = out.getvalue()
    assert "c, step 1, by push, variant b: rules/templates/cart.b.push.j2" in told
    assert "It would not be sent: this person has given no consent on this channel." in told
    assert "x" * 100 in told


def test_progress_into_a_pipe_is_a_line_at_the_end_and_one_every_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 6.0, 7.0, 8.0])
    monkeypatch.setattr("activate.report.progress.time.monotonic", lambda: next(clock))
    out = io.StringIO()
    with progress(stream=out) as told:
        for done, name in ((0, "clock"), (1, "arrivals"), (2, "due"), (3, "caps"), (4, "done")):
            told.step(done, 4, name)
    assert out.getvalue() == "deciding: 2 of 4 (due)\ndeciding: 4 of 4\n"


def test_progress_can_be_quiet() -> None:
    out = io.StringIO()
    with progress(quiet=True, stream=out) as told:
        told.step(1, 1, "x")
        told.provider("mail", 1, 1)
    assert out.getvalue() == ""


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_on_a_terminal_is_a_bar_per_task() -> None:
    out = _Terminal()
    with progress(stream=out) as told:
        told.step(1, 4, "arrivals")
        told.provider("mail", 50, 100)
        told.provider("mail", 100, 100)
    assert "delivering by mail" in out.getvalue()
    assert "deciding" in out.getvalue()
