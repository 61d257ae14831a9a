"""Entering and leaving segments: docs/rules.md, section 3."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from activate.testing.scenario import Scenario

Build = Callable[..., Scenario]


def lapsed(scenario: Scenario, **keys: object) -> Scenario:
    """A campaign on the segment `lapsed`, which holds Ada at the launch."""
    scenario.campaign("back", **{"enter": {"segment": "lapsed"}, "re_enter": "always", **keys})
    scenario.profile("ada").profile("bob").segment("lapsed", "ada").tick("2026-03-01 00:00")
    return scenario


def test_people_found_at_the_launch_were_there_before_it(build: Build) -> None:
    """docs/rules.md: `changed_at > launch` (people found there at the launch were there before it)."""
    scenario = lapsed(build())
    assert scenario.decisions() == []
    assert scenario.segment("lapsed", "ada", "bob").tick("2026-03-02 00:00") == ["bob back/1: send ready"]


def test_since_takes_people_found_at_the_launch(build: Build) -> None:
    """docs/rules.md: or, with `since`, when `changed_at ≥ since`."""
    scenario = lapsed(build(), enter={"segment": "lapsed", "since": "2026-03-01"})
    assert [row["user_id"] for row in scenario.messages()] == ["ada"]


def test_leaving_a_segment(build: Build) -> None:
    """docs/rules.md: a person newly in it gets `enter`, one no longer in it gets `exit`."""
    scenario = lapsed(build(), enter={"segment": "lapsed", "on": "exit"})
    assert scenario.segment("lapsed", "bob").tick("2026-03-02 00:00") == ["ada back/1: send ready"]
    assert scenario.segment("lapsed").tick("2026-03-03 00:00") == ["bob back/1: send ready"]


@pytest.mark.parametrize("on", ["enter", "exit"])
def test_the_segment_holds_no_longer_when_the_step_is_due(build: Build, on: str) -> None:
    """docs/rules.md: `left_segment`: the entry segment no longer holds (`on: enter`) or holds again (`on: exit`)."""
    scenario = lapsed(build(), enter={"segment": "lapsed", "on": on}, steps=[{"wait": "1 hour"}])
    scenario.segment("lapsed", *(["ada", "bob"] if on == "enter" else [])).tick("2026-03-02 00:00")
    scenario.segment("lapsed", "ada")
    person = "bob" if on == "enter" else "ada"
    assert scenario.tick("2026-03-02 01:00") == [f"{person} back/1: suppress left_segment"]


def test_without_a_recheck_it_does_not_matter(build: Build) -> None:
    """docs/rules.md: audience (only with `audience.recheck`)."""
    scenario = lapsed(build(), audience={"recheck": False}, steps=[{"wait": "1 hour"}])
    scenario.segment("lapsed", "ada", "bob").tick("2026-03-02 00:00")
    assert scenario.segment("lapsed", "ada").tick("2026-03-02 01:00") == ["bob back/1: send ready"]


def test_who_comes_back_to_a_segment_enters_again(build: Build) -> None:
    """docs/rules.md: `occurrence_id` is md5(`segment|user_id|change|changed_at`): each change is an occurrence."""
    scenario = lapsed(build())
    for day in (2, 3, 4):
        scenario.segment("lapsed").tick(f"2026-03-0{day} 00:00")
        assert scenario.segment("lapsed", "ada").tick(f"2026-03-0{day} 12:00") == ["ada back/1: send ready"]
    assert len({entry["occurrence_id"] for entry in scenario.entries()}) == 3


def test_where_is_asked_of_the_persons_row(build: Build) -> None:
    """docs/rules.md: For `on: enter`, `where` is asked of the person's row in the segment model."""
    scenario = lapsed(build(), enter={"segment": "lapsed", "where": "cart_value > 100"})
    scenario.segment("lapsed", cart_value=0).tick("2026-03-02 00:00")
    scenario.segment("lapsed", "ada", "bob", cart_value=100)
    assert scenario.tick("2026-03-03 00:00") == []
    scenario.segment("lapsed").tick("2026-03-04 00:00")
    assert scenario.segment("lapsed", "bob", cart_value=101).tick("2026-03-05 00:00") == ["bob back/1: send ready"]
