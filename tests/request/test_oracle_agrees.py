"""Random requests, asked of random people: the query says the same as the oracle, on each warehouse."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from activate.request import Request

from .oracle import Oracle, Person
from .world import COLUMNS, NOW, World, asking, read

EVENTS = ("purchase", "app_opened", 'Order "Done"\' {{ x }}')
# Around the ends of the periods below: on them, just inside, just outside.
AGES = [
    dt.timedelta(seconds=second) + dt.timedelta(hours=hours)
    for hours in (0, 1, 24, 72, 24 * 40)
    for second in (-1, 0, 1)
]
WITHIN = ("1 hour", "1 day", "3 days", "40 days", "90 minutes")
SINCE = tuple((NOW - age).isoformat() for age in (dt.timedelta(days=1), dt.timedelta(days=3)))
TEXTS = ("Berlin", "berlin", "O'Hare", "{{ x }}", "a\\b", "", "3", "true", 'say "hi"', "--", "%s", "ü")
NUMBERS = (0, 1, 2, 3, -1, 2.5, 3.0)
DOCUMENT_VALUES = st.sampled_from([*TEXTS, 0, 1, 2, 2.5, 3.0, -1, 1e20, True, False, None])

sizes = st.sampled_from(("at_least", "at_most", "more_than", "less_than"))


def comparisons(plain: st.SearchStrategy[Any], sized: st.SearchStrategy[Any] | None) -> st.SearchStrategy[Any]:
    """Everything that may be written of a field: `plain` are its values, `sized` those that have a size."""
    forms = [
        plain,
        st.fixed_dictionaries({"is": plain}),
        st.fixed_dictionaries({"in": st.lists(plain, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"missing": st.booleans()}),
    ]
    if sized is not None:
        forms.append(st.builds(lambda key, value: {key: value}, sizes, sized))
        forms.append(st.fixed_dictionaries({"at_least": sized, "less_than": sized}))
    simple = st.one_of(*forms)
    negated = simple.map(lambda inner: {"not": inner})
    return simple | negated | negated.map(lambda inner: {"not": inner})


texts, numbers = st.sampled_from(TEXTS), st.sampled_from(NUMBERS)
instants = st.sampled_from(AGES).map(lambda age: (NOW - age).isoformat())
periods = st.sampled_from(WITHIN).map(lambda within: {"within": within})
FIELDS = {
    "city": comparisons(texts, None),
    "age": comparisons(numbers, numbers),
    "score": comparisons(numbers, numbers),
    "is_vip": comparisons(st.booleans(), None),
    "signed_up_at": comparisons(instants, instants) | periods | periods.map(lambda inner: {"not": inner}),
}
PROPERTIES = {
    "category": comparisons(texts, None),
    "quantity": comparisons(numbers, numbers),
    "coupon": comparisons(texts | numbers | st.booleans(), numbers),
    "odd key.with {{ 'quotes' }}": comparisons(texts | numbers, numbers),
}


@st.composite
def happenings(draw: st.DrawFn) -> dict[str, Any]:
    found: dict[str, Any] = {"event": draw(st.sampled_from(EVENTS))}
    when = draw(st.sampled_from(("within", "since", None)))
    if when is not None:
        found[when] = draw(st.sampled_from(WITHIN if when == "within" else SINCE))
    names = draw(st.lists(st.sampled_from(sorted(PROPERTIES)), max_size=2, unique=True))
    if names:
        found["where"] = {name: draw(PROPERTIES[name]) for name in names}
    return found


@st.composite
def dids(draw: st.DrawFn) -> dict[str, Any]:
    found = draw(happenings())
    if draw(st.booleans()):
        found["sum"] = draw(st.sampled_from(("quantity", "coupon")))
        found[draw(sizes | st.just("exactly"))] = draw(st.sampled_from((0, 1, 2, 3, 2.5)))
        return found
    for key, least in draw(st.sampled_from(([], [("at_least", 1)], [("at_most", 1)], [("exactly", 1)], [("more_than", 0)],
                                            [("less_than", 2)], [("at_least", 1), ("less_than", 2)]))):  # fmt: skip
        number = draw(st.integers(least, 3))
        found[key] = draw(st.sampled_from((number, f"{number} times")))
    return found


leaves = st.one_of(
    dids().map(lambda found: {"did": found}),
    happenings().map(lambda found: {"did_not": found}),
    st.dictionaries(st.sampled_from(sorted(FIELDS)), st.none(), min_size=1, max_size=2).flatmap(
        lambda names: st.fixed_dictionaries({"profile": st.fixed_dictionaries({name: FIELDS[name] for name in names})})
    ),
    st.sampled_from(({"in_segment": "loyal"}, {"not_in_segment": "loyal"})),
)
lines = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda found: {"all": found}),
        st.lists(inner, min_size=1, max_size=3).map(lambda found: {"any": found}),
        inner.map(lambda found: {"not": found}),
    ),
    max_leaves=5,
)
events = st.builds(
    lambda name, age, late, category, quantity, document: {
        "event_name": name, "occurred_at": NOW - age, "loaded_at": NOW - age + late, "category": category,
        "quantity": quantity, "properties": None if document is None else json.dumps(document),
    },
    st.sampled_from(EVENTS), st.sampled_from(AGES), st.sampled_from((dt.timedelta(0), dt.timedelta(minutes=5))),
    st.none() | texts, st.none() | st.integers(-1, 3),
    st.none() | st.dictionaries(st.sampled_from(("coupon", "odd key.with {{ 'quotes' }}")), DOCUMENT_VALUES),
)  # fmt: skip
people = st.builds(
    Person,
    st.fixed_dictionaries({
        "city": st.none() | texts, "age": st.none() | st.integers(-1, 3), "score": st.none() | numbers.map(float),
        "is_vip": st.none() | st.booleans(), "signed_up_at": st.none() | st.sampled_from(AGES).map(lambda age: NOW - age),
    }),
    st.lists(events, max_size=5),
    st.sampled_from((set(), {"loyal"})),
)  # fmt: skip


@given(line=lines, crowd=st.lists(people, min_size=1, max_size=6))
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_on_duckdb(world: World, line: dict[str, Any], crowd: list[Person]) -> None:
    agree(world, line, crowd)


@given(line=lines, crowd=st.lists(people, min_size=1, max_size=6))
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_on_postgres(postgres_world: World, line: dict[str, Any], crowd: list[Person]) -> None:
    agree(postgres_world, line, crowd)


@pytest.fixture
def postgres_world(postgres_server: str) -> Any:
    from activate.warehouses.postgres import Postgres

    found = World(Postgres.open(postgres_server)).make()
    yield found
    found.warehouse.close()


def agree(world: World, line: dict[str, Any], crowd: list[Person]) -> None:
    request, document, mistakes = read(asking(json.dumps(line)))
    if request is None:
        # Two sizes can contradict each other; nothing else that is drawn here is a mistake.
        assert all("nothing is at least" in mistake.message for mistake in mistakes), mistakes
        return
    world.fill(**_rows(crowd))
    question, found = world.check(request, document, allow_unseen=True)
    assert [mistake for mistake in found.mistakes if mistake.severity == "error"] == []
    oracle = Oracle(NOW, frozenset(COLUMNS["events"]))
    expected = {f"p{number}" for number, person in enumerate(crowd) if oracle.fits(request, person)}
    assert set(world.ask(question)) == expected
    counts = world.count(question)
    assert (counts["everybody"], counts["people"]) == (len(crowd), len(expected))
    _lines_agree(request, question, counts, oracle, crowd)


def _lines_agree(request: Request, question: Any, counts: dict[str, int], oracle: Oracle, crowd: list[Person]) -> None:
    for found in question.root.walk():
        if found.number:
            held = sum(oracle.holds(found.condition, person) != found.negated for person in crowd)
            assert counts[found.column] == held, found.number


def _rows(crowd: list[Person]) -> dict[str, list[dict[str, Any]]]:
    keyed = [(f"p{number}", person) for number, person in enumerate(crowd)]
    return {
        "profiles": [{"user_id": key, **person.profile} for key, person in keyed],
        # The segment may list somebody twice, and somebody who has no profile; events may have no person.
        "loyal": [{"user_id": key} for key, person in keyed if person.segments for _ in range(2)] + [{"user_id": None}],
        "events": [
            {"event_id": f"{key}-{index}", "user_id": key, **event}
            for key, person in keyed
            for index, event in enumerate(person.events)
        ] + [{"event_id": "nobody's", "user_id": None, "event_name": "purchase", "occurred_at": NOW, "loaded_at": NOW}],
    }  # fmt: skip
