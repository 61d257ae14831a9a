"""Why somebody never entered a campaign: each answer, looked up in the models as they are."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from report_shop import CART, LAUNCH, NOW, WELCOME, Shop, changed

from activate.report.explain import explain
from activate.report.phrases import ABSENCES
from activate.report.story import Absence
from activate.report.text import to_data, to_json
from activate.tables import MEMBERSHIPS

DAY = dt.timedelta(days=1)
MINUTE = dt.timedelta(minutes=1)
Write = Callable[[Shop], None]
SINCE = changed(CART, enter={"trigger": "cart_abandoned", "since": "2026-03-01"})
LEAVERS = changed(WELCOME, enter={"segment": "vip", "on": "exit"})


def _cart(at: dt.datetime, occurrence: str | None = "e1", **values: object) -> Write:
    def write(shop: Shop) -> None:
        shop.cart("ann", occurrence, at, **values)  # type: ignore[arg-type]  # rows without an id are the point

    return write


def _seen_by_a_tick(shop: Shop) -> None:
    shop.cart("ann", "e1", NOW - DAY)
    entry = shop.enter("ann", "e1", NOW - DAY)
    shop.decide("ann", entry, NOW, "ready", "send", "send")


def _member(*changes: tuple[str, dt.datetime], now: bool = True, points: int = 50) -> Write:
    def write(shop: Shop) -> None:
        if now:
            shop.model("vip", user_id="ann", points=points)
        for change, at in changes:
            shop.state(MEMBERSHIPS, segment="vip", user_id="ann", change=change, run_id="r", changed_at=at)

    return write


def _nothing(_: Shop) -> None:
    pass


def _gone(shop: Shop) -> None:
    shop.decide("ann", "x", NOW, "not_in_audience", "audience", "suppress", step=0, campaign="old_one")


CASES: list[tuple[str, str, Write, object]] = [
    ("campaign_unknown", "no_such", _nothing, CART),
    ("campaign_gone", "old_one", _gone, CART),
    ("no_occurrence", "abandoned_cart", _nothing, CART),
    ("nothing_new", "abandoned_cart", _seen_by_a_tick, CART),
    ("before_launch", "abandoned_cart", _cart(LAUNCH - MINUTE), CART),
    ("before_since", "abandoned_cart", _cart(LAUNCH - DAY), SINCE),
    ("before_active", "abandoned_cart", _cart(NOW - DAY), changed(CART, active={"from": "2026-03-28"})),
    ("after_active", "abandoned_cart", _cart(NOW - DAY), changed(CART, active={"until": "2026-03-20"})),
    ("where_false", "abandoned_cart", _cart(NOW - DAY, cart_value=99.5), CART),
    ("where_false", "abandoned_cart", _cart(NOW - DAY, cart_value=None), CART),
    ("in_future", "abandoned_cart", _cart(NOW + MINUTE), CART),
    ("not_loaded", "abandoned_cart", _cart(NOW - DAY, loaded_at=NOW + MINUTE), CART),
    ("missing_id", "abandoned_cart", _cart(NOW - DAY, None), CART),
    ("missing_time", "abandoned_cart", _cart(None), CART),  # type: ignore[arg-type]  # rows without a time are the point
    ("behind_scan", "abandoned_cart", _cart(NOW - DAY, loaded_at=NOW - DAY), CART),
    ("awaiting_tick", "abandoned_cart", _cart(NOW - MINUTE), CART),
    ("not_member", "welcome", _nothing, WELCOME),
    ("not_member", "welcome", _member(("enter", LAUNCH), ("exit", NOW), now=False), WELCOME),
    ("member_at_launch", "welcome", _member(("enter", LAUNCH)), WELCOME),
    ("awaiting_tick", "welcome", _member(), WELCOME),
    ("where_false", "welcome", _member(("enter", NOW), points=3), WELCOME),
    ("never_left", "welcome", _member(("enter", LAUNCH)), LEAVERS),
    ("never_member", "welcome", _member(now=False), LEAVERS),
    ("awaiting_tick", "welcome", _member(("enter", LAUNCH), now=False), LEAVERS),
    ("member_at_launch", "welcome", _member(("enter", LAUNCH - DAY), ("exit", LAUNCH), now=False), LEAVERS),
]  # fmt: skip


def _absence(shop: Shop, campaign: str) -> Absence:
    found = explain(shop.warehouse, shop.project, "ann", now=NOW, campaign=campaign).campaigns[0].absence
    assert found is not None
    return found


def test_every_answer_has_a_case() -> None:
    assert {why for why, *_ in CASES} | {"no_tick"} == set(ABSENCES)


@pytest.mark.parametrize("case", CASES, ids=[f"{place}-{case[0]}" for place, case in enumerate(CASES)])
def test_the_look_up_says_why(shop: Shop, case: tuple[str, str, Write, object]) -> None:
    why, campaign, write, rules = case
    shop.campaigns = tuple(rules if found.campaign == rules.campaign else found for found in shop.campaigns)
    write(shop)
    absence = _absence(shop, campaign)
    assert absence.why == why
    assert absence.text == ABSENCES[why].meaning
    assert absence.change


def test_a_campaign_that_is_misspelt_comes_with_the_nearest(shop: Shop) -> None:
    assert _absence(shop, "abandonned_cart").change == "Did you mean 'abandoned_cart'?"


def test_a_false_where_shows_the_values_on_the_terminal_but_only_their_names_in_json(shop: Shop) -> None:
    _cart(NOW - DAY, cart_value=99.5)(shop)
    occurrence = _absence(shop, "abandoned_cart").occurrences[0]
    assert occurrence.values == {"cart_value": 99.5}
    assert "cart_value > 100" in occurrence.text
    assert to_data(occurrence)["values"] == ["cart_value"]
    assert "99.5" not in to_json(occurrence)


def test_before_the_first_tick_there_are_no_state_tables_and_explain_says_so(empty_shop: Shop) -> None:
    empty_shop.profile("ann")
    empty_shop.cart("ann", "e1", NOW)
    story = explain(empty_shop.warehouse, empty_shop.project, "ann", now=NOW)
    assert story.last_tick is None
    assert story.as_of == NOW
    assert [found.absence.why for found in story.campaigns if found.absence] == ["no_tick", "no_tick"]


def test_a_person_whom_no_row_knows_is_told_as_unknown(shop: Shop) -> None:
    shop.profile("bob")
    story = explain(shop.warehouse, shop.project, "ann", now=NOW)
    assert not story.is_known
    assert story.profile.rows == 0


def test_a_person_without_a_profile_but_with_an_occurrence_is_known(shop: Shop) -> None:
    shop.cart("ann", "e1", NOW)
    assert explain(shop.warehouse, shop.project, "ann", now=NOW).is_known


def test_a_key_with_quotes_is_a_key_like_any_other(shop: Shop) -> None:
    person = "o'hara\"; drop table x --"
    shop.profile(person)
    shop.cart(person, "e1", NOW)
    story = explain(shop.warehouse, shop.project, person, now=NOW)
    assert story.profile.rows == 1
    assert story.campaigns[0].absence is not None
    assert story.campaigns[0].absence.why == "awaiting_tick"


def test_no_address_is_in_the_story(shop: Shop) -> None:
    shop.profile("ann")
    told = repr(explain(shop.warehouse, shop.project, "ann", now=NOW))
    assert "someone@example.com" not in told
    assert "t0k3n" not in told
