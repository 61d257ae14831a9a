"""Each file on its own: what is wrong with it is told at its line, with what is allowed, all at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from activate.errors import Mistake, RulesError, SettingsError
from activate.load.project import load_project
from activate.load.rules import load_rules

from .conftest import CAMPAIGN, POLICY, Shop

CART = "rules/campaigns/abandoned_cart.yml"
REPOSITORY = Path(__file__).parents[2]


def test_a_good_project_has_no_mistakes(shop: Shop) -> None:
    assert shop.lint() == []
    shop.save_manifest()
    project = load_project(shop.options)
    assert project.name == "shop"
    assert [campaign.campaign for campaign in project.campaigns] == ["abandoned_cart"]
    assert project.models["cart_abandoned"].kind == "trigger"


def test_the_formats_of_the_design_are_read(tmp_path: Path) -> None:
    (tmp_path / "rules/campaigns").mkdir(parents=True)
    (tmp_path / "rules/activate.yml").write_text(
        """\
profiles: {model: profiles, key: user_id, time_zone: time_zone}
events:   {model: events, id: event_id, key: user_id, name: event_name, time: occurred_at, loaded: loaded_at}
channels:
  push:  {address: push_token, consent: push_consent, provider: onesignal}
  email: {address: email,      consent: email_consent, provider: sendgrid}
time_window: {open: "09:00", close: "21:00", zone: recipient, unknown_zone: Europe/Berlin, when_closed: wait}
frequency_caps:
  - {limit: 2, per: 1 day}
  - {limit: 3, per: 7 days, channel: push}
  - {limit: 1, per: calendar day, tag: promotion}
"""
    )
    (tmp_path / "rules/campaigns/abandoned_cart.yml").write_text(
        """\
campaign: abandoned_cart
description: A nudge for carts over $100 that were left behind
priority: 60
class: marketing            # transactional passes caps and windows
tags: [promotion]
active: {from: 2026-01-01, until: 2027-01-01}
enter: {trigger: cart_abandoned, where: "cart_value > 100"}
re_enter: {after: 7 days}
exceptions:
  - {event: purchase, match: cart_id}
control: 10%
steps:
  - wait: 30 minutes
    channels: [push, email]       # the first that the person can be reached on
    template: abandoned_cart      # rules/templates/abandoned_cart.push.j2, .email.j2
    expires: 24 hours
goal: {event: purchase, within: 3 days, value: revenue}
"""
    )
    rules = load_rules(tmp_path)
    assert rules.mistakes == ()
    assert rules.policy is not None
    assert rules.policy.frequency_caps[1].channel == "push"
    assert rules.campaigns[0].control == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("written", "people", "limit"),
    [("10000", 7, 10_000), ("5%", 1_999, 99), ("29%", 100, 29), ("0.07%", 10_000, 7), ("33.3333%", 3_000_000, 999_999)],
)
def test_a_guards_limit_is_exact_and_is_stored_as_it_is_written(
    shop: Shop, written: str, people: int, limit: int
) -> None:
    shop.campaign(f"guard: {{max_messages: {written}}}\n")
    assert shop.lint() == []
    shop.save_manifest()
    [campaign] = load_project(shop.options).campaigns
    assert campaign.guard is not None
    assert campaign.guard.limit(people) == limit
    assert json.loads(campaign.canonical())["guard"] == {
        "max_messages": int(written) if "%" not in written else written
    }
    assert type(campaign).model_validate_json(campaign.canonical()) == campaign


def test_the_reference_projects_own_rules_have_no_mistakes() -> None:
    rules = load_rules(REPOSITORY)
    assert rules.mistakes == ()
    assert len(rules.campaigns) >= 6


@pytest.mark.parametrize(
    ("change", "line", "said"),
    [
        (
            {"campaign": "Abandoned-Cart"},
            1,
            "'Abandoned-Cart' is not a name; allowed: lower-case letters, digits and _",
        ),
        ({"campaign": "a" * 64}, 1, "is not a name"),
        ({"owner": "5"}, 3, "5 is not text; put it in quotes if it is meant as text"),
        ({"tags": "promotion"}, 4, "'promotion' is not a list; write it as [a, b] or as lines that begin with `- `"),
        ({"tags": "[promotion, Big Sale]"}, 4, "'Big Sale' is not a name"),
        ({"wait": "3 mins"}, 11, "'3 mins' is not a wait; write '30 minutes', 'in 2 days at 10:00' or"),
        ({"wait": "30"}, 11, "30 is not a wait"),
        ({"wait": "in 0 days at 10:00"}, 11, "the number of days must be from 1 to 365"),
        ({"wait": "next funday at 10:00"}, 11, "'funday' is not a weekday; allowed: monday, tuesday"),
        ({"wait": "in 2 days at 25:00"}, 11, "'25:00' is not a time of day"),
        ({"wait": "99999 days"}, 11, "is longer than ten years"),
        ({"channels": "[]"}, 12, "`channels` needs at least one entry"),
        ({"template": ""}, 11, "`template` is missing"),
        (
            {"template": "cart\n    expires: 24"},
            14,
            "24 is not a duration; write a whole number and a unit",
        ),
    ],
)
def test_a_value_that_cannot_be_told_its_line_and_what_is_allowed(
    shop: Shop, change: dict[str, str], line: int, said: str
) -> None:
    shop.campaign(**change)
    assert shop.only().startswith(f"{CART}:{line}: error: ")
    assert said in shop.only()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("priorty: 5", "unknown key 'priorty'; allowed: campaign, description, owner, priority, class, tags"),
        ("priorty: 5", "did you mean 'priority'?"),
        ("class: market", "'market' is not allowed here; allowed: marketing, transactional; did you mean 'marketing'?"),
        ("priority: 1001", "1001 is too large; the most is 1000"),
        ("priority: -1", "-1 is too small; the least is 0"),
        ("priority: high", "'high' is not a whole number"),
        ("control: 0.5", "0.5 is not a share; write it with a percent sign, e.g. '10%'"),
        ("control: 101%", "'101%' is more than 100%"),
        ("counts_toward_caps: maybe", "'maybe' is neither true nor false"),
        ("active: {from: 2026-02-01, until: 2026-01-01}", "`until` must be later than `from`"),
        ("active: {from: soon}", "'soon' is not a date or time; write e.g. 2026-01-01 or 2026-01-01T08:00:00Z"),
        ("active: {from: '0001-01-01T00:00:00+05:00'}", "lies outside the calendar"),
        ("re_enter: sometimes", "'sometimes' is not allowed here; write `never`, `always` or `{after: 7 days}`"),
        ("re_enter: {aftr: 7 days}", "unknown key 'aftr'; allowed: after; did you mean 'after'?"),
        ("time_window: nope", "'nope' is not allowed here; allowed: none, or a mapping"),
        ("time_window: {open: 9:00, close: '21:00'}", "'9:00' is not a time of day; write it in quotes as \"HH:MM\""),
        ("time_window: {open: '09:00', close: '21:00', weekdays: []}", "name at least one weekday"),
        (
            "time_window: {open: '09:00', close: '21:00', weekdays: [mon]}",
            "'mon' is not allowed here; allowed: monday, tuesday, wednesday, thursday, friday, saturday, sunday",
        ),
        ("goal: purchase", "'purchase' is not a mapping of keys to values"),
        ("audience: {int: [x]}", "unknown key 'int'; allowed: in, not_in, recheck"),
        ("guard: {max_message: 5}", "unknown key 'max_message'; allowed: max_messages; did you mean 'max_messages'?"),
        ("guard: {max_messages: 0}", "0 is too small; a guard that lets nothing pass guards nothing; the least is 1"),
        ("guard: {max_messages: 0%}", "'0%' is too small"),
        ("guard: {max_messages: 101%}", "'101%' is more than 100%"),
        ("guard: {max_messages: 0.00001%}", "'0.00001%' has more than four decimal places"),
        ("guard: {max_messages: 0.5}", "0.5 is not a limit; write a whole number such as 10000, or a percentage"),
        ("guard: {max_messages: true}", "True is not a limit"),
        ("guard: {max_messages: '500'}", "'500' is not a limit"),
        ("guard: {}", "`max_messages` is missing"),
        ("guard: 500", "500 is not a mapping of keys to values"),
        ("variants: [{name: a, weight: 0}]", "0 is too small; the least is 1"),
    ],
)
def test_a_mistake_in_one_more_key(shop: Shop, more: str, said: str) -> None:
    shop.campaign(more + "\n")
    first = next(line for line in shop.lint() if said in line)
    assert first.startswith(f"{CART}:14: error: ")


@pytest.mark.parametrize(
    ("enter", "said"),
    [
        ("{}", "name exactly one of `trigger` and `segment`"),
        ("{trigger: a, segment: b}", "name exactly one of `trigger` and `segment`"),
        ("{trigger: a, on: exit}", "`on: exit` goes with `segment`, not with `trigger`"),
        ("{segment: a, on: exit, where: 'x > 1'}", "`where` cannot be asked of people who left a segment"),
        ("{segment: a, on: exti}", "'exti' is not allowed here; allowed: enter, exit; did you mean 'exit'?"),
    ],
)
def test_people_enter_in_one_way(shop: Shop, enter: str, said: str) -> None:
    text = CAMPAIGN.replace('enter:\n  trigger: cart_abandoned\n  where: "cart_value > 100"\n', f"enter: {enter}\n")
    shop.write(CART, text)
    assert any(said in line and line.startswith(f"{CART}:5:") for line in shop.lint())


def test_the_policys_mistakes_come_with_their_lines(shop: Shop) -> None:
    shop.policy(
        "frequency_caps:\n"
        "  - {limit: 2, per: 1 dya}\n"
        "  - {limit: two, per: calendar day}\n"
        "  - {limit: 2, per: 0 days}\n"
        "time_window: {opens: '09:00', close: '21:00'}\n"
        "state: {schema: My Schema}\n"
    )
    file = "rules/activate.yml"
    said = shop.lint()
    assert said == [
        f"{file}:9: error: '1 dya' is not a period; write a duration such as '7 days', or one of: "
        "calendar day, calendar week, calendar month",
        f"{file}:10: error: 'two' is not a whole number",
        f"{file}:11: error: a period of zero counts nothing; write a longer one, e.g. '1 day'",
        f"{file}:12: error: `open` is missing",
        f"{file}:12: error: unknown key 'opens'; allowed: open, close, weekdays, zone, unknown_zone, when_closed, "
        "triggered_outside, held; did you mean 'open'?",
        f"{file}:13: error: 'My Schema' is not a name; allowed: lower-case letters, digits and _, starting with a "
        "letter, at most 63 characters",
    ]


def test_all_mistakes_of_all_files_come_at_once(shop: Shop) -> None:
    shop.write("rules/campaigns/broken.yml", "campaign: [")
    shop.write("rules/campaigns/tabbed.yml", "campaign: x\n\tenter: y\n")
    shop.write("rules/campaigns/empty.yml", "")
    shop.campaign("priorty: 1\nowner: again\n", wait="soon")
    shop.save_manifest()
    with pytest.raises(RulesError) as error:
        load_project(shop.options)
    files = {mistake.file for mistake in error.value.mistakes}
    assert files == {f"rules/campaigns/{name}.yml" for name in ("abandoned_cart", "broken", "tabbed", "empty")}
    assert str(error.value).startswith("6 mistakes in the rules:\n")
    assert error.value.exit_code == 2


def test_warnings_are_not_counted_as_mistakes() -> None:
    wrong, odd = Mistake("a.yml", 1, "is wrong"), Mistake("a.yml", 2, "is odd", "warning")
    assert str(RulesError([wrong, odd])).startswith("1 mistake in the rules, and 1 warning:\n")
    assert str(RulesError([wrong, wrong])).startswith("2 mistakes in the rules:\n")


def test_a_mistake_in_the_policy_or_in_a_key_hides_nothing_elsewhere(shop: Shop) -> None:
    shop.write("rules/activate.yml", POLICY + "frequency_caps: [{limit: 1, per: calender day}]\nstat: {schema: a}\n")
    shop.campaign(template="carts", trigger="cart_abandonned", wait="30 minuts")
    found = [(line.split(": ")[0], line) for line in shop.lint()]
    assert [place for place, _ in found] == [
        "rules/activate.yml:8", "rules/activate.yml:9", f"{CART}:6", f"{CART}:11", f"{CART}:13",
    ]  # fmt: skip
    for (_, line), words in zip(
        found, ("calender", "'stat'", "did you mean 'cart_abandoned'", "30 minuts", "carts.push.j2"), strict=True
    ):
        assert words in line
    assert load_rules(shop.directory).policy is None, "nobody runs by what is left of it"


def test_two_campaigns_of_one_name_are_told_where_the_other_is(shop: Shop) -> None:
    shop.write("rules/campaigns/again.yml", CAMPAIGN)
    assert shop.only() == (
        f"rules/campaigns/again.yml:1: error: the campaign 'abandoned_cart' is already in {CART}:1; "
        "give this one another name"
    )


def test_campaigns_may_lie_in_folders_and_end_in_yaml(shop: Shop) -> None:
    shop.write("rules/campaigns/spring/second.yaml", CAMPAIGN.replace("abandoned_cart", "second"))
    assert shop.lint() == []
    assert {campaign.campaign for campaign in load_rules(shop.directory).campaigns} == {"abandoned_cart", "second"}


def test_without_a_policy_the_error_says_how_to_get_one(shop: Shop) -> None:
    (shop.directory / "rules/activate.yml").unlink()
    assert shop.only() == "rules/activate.yml: error: is missing; `dbt-activate init` writes one"


def test_without_campaigns_there_is_a_warning(shop: Shop) -> None:
    (shop.directory / CART).unlink()
    assert shop.only() == "rules/campaigns: warning: holds no campaign; nobody will be messaged"
    shop.save_manifest()
    assert load_project(shop.options).campaigns == ()


def test_a_policy_that_is_not_utf8_is_told_its_line(shop: Shop) -> None:
    shop.write("rules/activate.yml", POLICY.encode() + "# grün".encode("latin-1"))
    assert shop.only() == "rules/activate.yml:8: error: is not UTF-8; save the file in that encoding"


def test_without_a_manifest_the_error_says_what_to_run(shop: Shop) -> None:
    with pytest.raises(SettingsError, match="run `dbt parse`"):
        load_project(shop.options)
