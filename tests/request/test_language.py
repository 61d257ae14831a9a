"""Mistakes in a request: file, line, what is allowed, the nearest match, all at once."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from activate.ask.lines import number_lines
from activate.ask.phrases import outline, phrase
from activate.ask.values import unknown_values
from activate.load.parse import read_yaml
from activate.load.schema import schemas

from .world import NOW, World, asking, read

ROOT = Path(__file__).parents[2]
FULL = """\
request: loyal_berliners
description: Bought at least 3 times in 90 days, not in the app for 14 days, living in Berlin
owner: growth
who:
  all:
    - did: {event: purchase, at_least: 3 times, within: 90 days, where: {category: shoes}}
    - did_not: {event: app_opened, within: 14 days}
    - profile: {city: Berlin}
    - any:
        - did: {event: purchase, sum: quantity, at_least: 200, within: 30 days}
        - not: {profile: {country: {in: [DE, AT]}}}
        - in_segment: loyal
"""
SEEN = [
    {"event_id": "1", "user_id": "a", "event_name": name, "occurred_at": NOW - dt.timedelta(days=days), "category": "hats",
     "quantity": 1, "loaded_at": NOW, "properties": properties}
    for name, days, properties in (
        ("purchase", 1, '{"coupon": "SPRING"}'), ("app_opened", 1, "{}"), ("ancient", 900, "[]"), ("broken", 2, None),
    )
]  # fmt: skip
PEOPLE = [
    {"user_id": key, "city": city, "email": f"{key}@example.org"} for key, city in (("a", "Berlin"), ("b", "Bonn"))
]


@pytest.fixture
def seen(world: World) -> World:
    return world.fill(events=SEEN, profiles=PEOPLE)


def found(text: str) -> list[str]:
    return sorted(str(mistake) for mistake in read(text)[2])


@pytest.mark.parametrize(
    ("written", "instead", "expected"),
    [
        ("request: loyal", "request: Loyal", "r.yml:1: error: 'Loyal_berliners' is not a name"),
        (
            "at_least: 3 times",
            "at_lest: 3 times",
            "r.yml:6: error: unknown key 'at_lest'; allowed: event, within, since",
        ),
        ("at_least: 3 times", "at_lest: 3 times", "did you mean 'at_least'?"),
        ("at_least: 3 times", "at_least: thrice", "r.yml:6: error: 'thrice' is not an amount; write e.g. '3 times'"),
        ("at_least: 3 times", "at_least: 0 times", "`did` means at least once, so `at_least` must be at least 1"),
        ("at_least: 3 times", "at_least: 2.5", "counts events, so write a whole number"),
        ("at_least: 3 times", "at_least: 3, at_most: 2", "nothing is at least 3 and at most 2"),
        ("at_least: 3 times", "exactly: 3, at_most: 5", "`exactly` stands alone"),
        ("at_least: 3 times", "at_least: 3, more_than: 2", "`at_least` and `more_than` say the same"),
        ("at_least: 200", "at_least: 200 times", "`sum` adds up values, so write a number without `times`"),
        ("sum: quantity, at_least: 200", "sum: quantity", "`sum` needs something to compare with"),
        ("within: 14 days", "within: 14 dayz", "r.yml:7: error: '14 dayz' is not a duration"),
        ("within: 14 days", "within: 0 days", "a period of zero holds nothing"),
        ("within: 14 days", "within: 14 days, since: 2026-01-01", "write `within` or `since`, not both"),
        ("did_not:", "didnt:", "r.yml:7: error: unknown key 'didnt'; allowed: all, any, not, did, did_not"),
        ("city: Berlin", "city: [Berlin]", "r.yml:8: error: a list is written as {in: [a, b]}"),
        ("city: Berlin", "city: null", "for people without one write {missing: true}"),
        ("city: Berlin", "city: {}", "says nothing; write a value"),
        ("city: Berlin", "city: {missing: true, is: Berlin}", "`missing` stands alone"),
        ("city: Berlin", "city: {at_lest: 3}", "did you mean 'at_least'?"),
        ("city: Berlin", 'city: "a\\nb"', "control character"),
        ("in_segment: loyal", "in_segment: loyal\n          profile: {city: Bonn}", "here are profile and in_segment"),
        ("    - any:\n", "    - any: []\n    - any:\n", "`any` needs at least one entry"),
    ],
)
def test_a_mistake_has_its_line_and_what_is_allowed(written: str, instead: str, expected: str) -> None:
    assert written in FULL
    assert expected in "\n".join(found(FULL.replace(written, instead, 1)))


def test_all_mistakes_are_told_at_once() -> None:
    text = FULL.replace("at_least: 3", "at_lest: 3").replace("14 days", "14 dayz").replace("city: Berlin", "city: [x]")
    assert [mistake.split(":")[1] for mistake in found(text)] == ["6", "7", "8"]


@pytest.mark.parametrize(
    ("written", "instead", "expected"),
    [
        ("event: purchase, at", "event: purchse, at", "r.yml:6: error: no event 'purchse' was ever seen; events: "),
        ("event: purchase, at", "event: purchse, at", "did you mean 'purchase'?"),
        ("category: shoes", "categry: shoes", "r.yml:6: error: no purchase ever had a property 'categry'"),
        ("category: shoes", "categry: shoes", "did you mean 'category'?"),
        ("category: shoes", "cupon: SPRING", "did you mean 'coupon'?"),
        ("category: shoes", "category: 3", "'category' holds text, and 3 is none; put it in quotes: '3'"),
        ("category: shoes", "quantity: three", "'quantity' holds whole numbers, and 'three' is none"),
        (
            "category: shoes",
            "coupon: {at_least: many}",
            "of a key of the JSON column only numbers can be compared by size",
        ),
        ("sum: quantity", "sum: category", "'category' cannot be added up: its column holds text"),
        ("city: Berlin", "citi: Berlin", "r.yml:8: error: the profiles have no field 'citi'; fields: user_id, city"),
        ("city: Berlin", "city: {more_than: A}", "'city' holds text, which is neither larger nor smaller"),
        ("city: Berlin", "city: {within: 3 days}", "so `within` cannot be asked of it"),
        ("city: Berlin", "signed_up_at: soon", "'signed_up_at' holds times: 'soon' is not a date"),
        ("city: Berlin", "is_vip: 'yes'", "'is_vip' holds true or false, and 'yes' is none"),
        (
            "in_segment: loyal",
            "in_segment: loyle",
            "r.yml:12: error: no segment 'loyle'; segments: loyal; did you mean 'loyal'?",
        ),
        ("request: loyal_berliners", "request: loyal", "r.yml:12: error: a request cannot ask for its own segment"),
    ],
)
def test_what_no_model_has_is_refused_with_the_nearest_match(
    seen: World, written: str, instead: str, expected: str
) -> None:
    request, document, mistakes = read(FULL.replace(written, instead, 1))
    assert request is not None, mistakes
    told = "\n".join(str(mistake) for mistake in seen.check(request, document)[1].mistakes)
    assert expected in told


def test_what_is_known_is_not_refused(seen: World) -> None:
    request, document, _ = read(FULL.replace("category: shoes", "COUPON: x, Category: hats"))
    assert request is not None
    # Columns are found whatever their case; keys of JSON are what they are.
    assert [mistake.message.split(";")[0] for mistake in seen.check(request, document)[1].mistakes] == [
        "no purchase ever had a property 'COUPON'"
    ]


def test_an_event_of_long_ago_is_known(seen: World) -> None:
    request, document, _ = read(asking("{did: {event: ancient}}"))
    assert request is not None
    assert seen.check(request, document)[1].mistakes == []


def test_what_was_never_seen_can_be_let_in_with_a_warning(seen: World) -> None:
    request, document, _ = read(asking("{did: {event: purchase_v2, where: {voucher: A}}}"))
    assert request is not None
    question, found_ = seen.check(request, document, allow_unseen=True)
    assert {mistake.severity for mistake in found_.mistakes} == {"warning"}
    assert len(found_.mistakes) == 2
    assert seen.ask(question) == {}


def test_a_column_without_a_value_for_the_event_is_told(seen: World) -> None:
    request, document, _ = read(asking("{did: {event: purchase, where: {event_id: a}}}"))
    assert request is not None
    assert seen.check(request, document)[1].mistakes == []
    seen.fill(events=[{**row, "category": None} for row in SEEN])
    request, document, _ = read(asking("{did: {event: purchase, where: {category: hats}}}"))
    assert request is not None
    assert "no purchase ever had a value in 'category'" in str(seen.check(request, document)[1].mistakes[0])


def test_a_value_that_nobody_has_is_a_warning_but_addresses_are_not_listed(seen: World) -> None:
    request, document, _ = read(asking("{profile: {city: berlin, email: nobody@example.org}}"))
    assert request is not None
    question, _ = seen.check(request, document)
    from activate.ask.known import Known

    from .world import POLICY

    known = Known(seen.warehouse, POLICY, question.profiles, question.events, {}, NOW)
    [warning] = unknown_values(question.leaves.values(), known, document)
    assert str(warning) == (
        "rules/requests/r.yml:3: warning: nobody's city is 'berlin'; values: Berlin, Bonn; did you mean 'Berlin'?"
    )


def test_every_line_is_told_in_words() -> None:
    request, _, _ = read(FULL)
    assert request is not None
    told = [f"{'  ' * depth}{line.number} {phrase(line)}" for depth, line in outline(number_lines(request))]
    assert told == [
        " all of:",
        "  1 did purchase at least 3 times within 90 days, where category is 'shoes'",
        "  2 did not do app_opened within 14 days",
        "  3 city is 'Berlin'",
        "  4 any of:",
        "    4.1 did purchase, quantity adding up to at least 200, within 30 days",
        "    4.2 not so: country is one of 'DE', 'AT'",
        "    4.3 is in the segment loyal",
    ]


def test_a_request_that_nobody_can_read_is_refused() -> None:
    line: Any = "{profile: {city: Berlin}}"
    request, _, _ = read(asking("{all: [" + ", ".join([line] * 101) + "]}"))
    assert request is not None
    with pytest.raises(ValueError, match="has 102 lines; at most 100"):
        number_lines(request)


def test_an_editor_takes_the_reference_requests_and_sees_mistakes() -> None:
    validator = Draft202012Validator(schemas()["request"])
    for file in sorted((ROOT / "rules/requests").glob("*.yml")):
        document, _ = read_yaml(file, file.name)
        assert document is not None
        assert not list(validator.iter_errors(document.data)), file.name
    for written, instead in (("city: Berlin", "city: [x]"), ("did_not", "didnt"), ("3 times", "three times"),
                             ("within: 14 days", "within: soon"), ("city: Berlin", "city: {at_lest: 3}")):  # fmt: skip
        assert list(validator.iter_errors(read(FULL.replace(written, instead))[1].data)), instead
    assert not list(validator.iter_errors(read(FULL)[1].data))
