"""The numbered cases of "Frequency caps"."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from pydantic import ValidationError

from activate.policy import FrequencyCap
from activate.report.explain import explain
from activate.testing.scenario import Scenario

Build = Callable[..., Scenario]

DAILY = [{"limit": 1, "per": "calendar day"}]
ROLLING = [{"limit": 1, "per": "1 day"}]


def written(scenario: Scenario, *names: str, **keys: object) -> Scenario:
    """Campaigns that send at once, each on the event of its own name, for Ada; they are not launched yet."""
    for name in names:
        scenario.campaign(name, **{"enter": {"trigger": name}, "re_enter": "always", "on_retrigger": "stack", **keys})
    return scenario.profile("ada")


def campaigns(scenario: Scenario, *names: str, **keys: object) -> Scenario:
    """The same, launched long before, with those written before them."""
    written(scenario, *names, **keys).tick("2026-01-01 00:00")
    return scenario


def sent(scenario: Scenario, name: str, at: str) -> list[str]:
    """Let Ada do what the campaign waits for, and tick at once."""
    return scenario.event(name, "ada", at=at).tick(at)


@pytest.mark.parametrize(
    ("caps", "second"),
    [(DAILY, "send ready"), (ROLLING, "defer frequency_cap until 2026-03-03 23:00:00")],
)
def test_3_1_calendar_and_rolling_days(build: Build, caps: list[dict[str, object]], second: str) -> None:
    """3.1: 1/day calendar: 23:00 then 00:00 next date: both sent. Rolling: second blocked until 23:00."""
    scenario = campaigns(build(frequency_caps=caps), "hello", when_capped="wait")
    assert sent(scenario, "hello", "2026-03-02 23:00") == ["ada hello/1: send ready"]
    assert sent(scenario, "hello", "2026-03-03 00:00") == [f"ada hello/1: {second}"]


def test_3_1_the_calendar_day_is_the_persons(build: Build) -> None:
    """3: Default rolling; calendar uses user zone."""
    scenario = campaigns(build(frequency_caps=DAILY), "hello", when_capped="wait").profile("ada", zone="Asia/Tokyo")
    assert sent(scenario, "hello", "2026-03-02 14:59") == ["ada hello/1: send ready"]
    assert sent(scenario, "hello", "2026-03-02 15:00") == ["ada hello/1: send ready"]
    again = sent(scenario, "hello", "2026-03-03 00:00")
    assert again == ["ada hello/1: defer frequency_cap until 2026-03-03 15:00:00"]


def test_3_1_calendar_weeks_and_months(build: Build) -> None:
    """docs/rules.md: `calendar day`, `week` (from Monday), `month`: messages with `queued_at ≥` its first instant."""
    caps = [{"limit": 1, "per": f"calendar {period}", "tag": period} for period in ("week", "month")]
    scenario = build(frequency_caps=caps)
    for period in ("month", "week"):
        keys: dict[str, object] = {"enter": {"trigger": "hello"}, "tags": [period], "when_capped": "wait"}
        written(scenario, period, **keys, steps=[{"expires": "60 days"}])
    scenario.tick("2026-01-01 00:00")
    assert sent(scenario, "hello", "2026-03-02 00:00") == ["ada month/1: send ready", "ada week/1: send ready"]
    assert sent(scenario, "hello", "2026-03-08 23:59:59") == [
        "ada month/1: defer frequency_cap until 2026-04-01 00:00:00",
        "ada week/1: defer frequency_cap until 2026-03-09 00:00:00",
    ]
    assert scenario.tick("2026-03-09 00:00") == ["ada week/1: send ready"]
    assert scenario.tick("2026-04-01 00:00") == ["ada month/1: send ready"]


def test_3_2_the_edge_of_a_rolling_day(build: Build) -> None:
    """3.2: Rolling edge: exactly 86,400 s later allowed."""
    scenario = campaigns(build(frequency_caps=ROLLING), "hello").profile("bob")
    scenario.event("hello", "bob", at="2026-03-02 12:00")
    assert sent(scenario, "hello", "2026-03-02 12:00") == ["ada hello/1: send ready", "bob hello/1: send ready"]
    assert sent(scenario, "hello", "2026-03-03 11:59:59.999999") == ["ada hello/1: suppress frequency_cap"]
    scenario.event("hello", "bob", at="2026-03-03 12:00")
    assert scenario.tick("2026-03-03 12:00") == ["bob hello/1: send ready"]


def test_3_3_the_higher_priority_wins_and_the_loser_names_it(build: Build) -> None:
    """3.3: Two campaigns, same run, cap 1: only the higher priority; loser's row names winner."""
    scenario = build(frequency_caps=ROLLING)
    scenario.campaign("low", enter={"trigger": "visit"}, priority=10)
    scenario.campaign("high", enter={"trigger": "visit"}, priority=90).profile("ada").tick("2026-03-01 00:00")
    assert sent(scenario, "visit", "2026-03-02 12:00") == [
        "ada high/1: send ready",
        "ada low/1: suppress frequency_cap",
    ]
    loser = next(row for row in scenario.decisions() if row["campaign"] == "low")
    assert loser["evidence"] == scenario.messages()[0]["message_id"]
    assert (loser["rule"], loser["observed"]) == ("frequency_caps[0]", 1)


def test_3_3_without_a_difference_in_priority_the_earlier_due_wins(build: Build) -> None:
    """3: Priority: per user, sort (priority desc, due_ts, campaign_id, key)."""
    scenario = campaigns(build(frequency_caps=ROLLING), "b", "a_z", "a1")
    scenario.event("b", "ada", at="2026-03-02 11:59").event("a_z", "ada", at="2026-03-02 12:00")
    assert scenario.tick("2026-03-02 12:00") == ["ada a_z/1: suppress frequency_cap", "ada b/1: send ready"]
    scenario.event("a_z", "ada", at="2026-03-04 12:00").event("a1", "ada", at="2026-03-04 12:00")
    # By code points, as Python sorts: `1` comes before `_`.
    assert scenario.tick("2026-03-04 12:00") == ["ada a1/1: send ready", "ada a_z/1: suppress frequency_cap"]


def test_3_5_a_deferred_message_counts_when_it_is_sent(build: Build) -> None:
    """3.5: Deferred message counts on its real send date."""
    window = {"open": "08:00", "close": "22:00"}
    scenario = campaigns(build(frequency_caps=ROLLING, time_window=window), "hello")
    assert sent(scenario, "hello", "2026-03-02 23:00") == ["ada hello/1: defer window_closed until 2026-03-03 08:00:00"]
    assert scenario.tick("2026-03-03 08:00") == ["ada hello/1: send ready"]
    assert sent(scenario, "hello", "2026-03-04 07:59:59")[-1].startswith("ada hello/1: defer window_closed")
    assert scenario.tick("2026-03-04 08:00") == ["ada hello/1: send ready"]


def test_3_5_a_deferral_by_one_cap_until_there_is_room(build: Build) -> None:
    """3: `defer` to the instant the blocking message leaves the window, bounded by expiry and attempts."""
    caps = [{"limit": 1, "per": "1 hour"}, {"limit": 2, "per": "6 hours"}]
    scenario = campaigns(build(frequency_caps=caps), "hello", when_capped="wait")
    assert sent(scenario, "hello", "2026-03-02 10:00") == ["ada hello/1: send ready"]
    assert sent(scenario, "hello", "2026-03-02 11:00") == ["ada hello/1: send ready"]
    assert sent(scenario, "hello", "2026-03-02 11:30") == ["ada hello/1: defer frequency_cap until 2026-03-02 16:00:00"]
    row = scenario.decisions()[-1]
    assert (row["rule"], row["observed"], row["evidence"]) == ("frequency_caps[0]", 1, None)
    assert scenario.tick("2026-03-02 12:00") == []  # the first cap has room again, the second has not: nothing new
    assert scenario.tick("2026-03-02 16:00") == ["ada hello/1: send ready"]


def test_3_5_a_deferral_past_the_expiry(build: Build) -> None:
    """3: `defer` to the instant the blocking message leaves the window, bounded by expiry and attempts."""
    scenario = campaigns(build(frequency_caps=ROLLING), "hello", when_capped="wait", steps=[{"expires": "23 hours"}])
    sent(scenario, "hello", "2026-03-02 10:00")
    assert sent(scenario, "hello", "2026-03-02 11:00") == ["ada hello/1: suppress frequency_cap"]


def test_3_6_a_message_counts_for_its_channel_and_for_any(build: Build) -> None:
    """3.6: Push+email campaign: one per channel, one toward "any"."""
    caps = [{"limit": 1, "per": "1 day", "channel": "push"}, {"limit": 2, "per": "1 day"}]
    scenario = build(frequency_caps=caps)
    for number, channel in enumerate(["push", "email", "push", "sms"]):
        scenario.campaign(
            f"c{number}", enter={"trigger": "visit"}, priority=90 - number, steps=[{"channels": [channel]}]
        )
    scenario.profile("ada").tick("2026-03-01 00:00")
    assert sent(scenario, "visit", "2026-03-02 12:00") == [
        "ada c0/1: send ready",
        "ada c1/1: send ready",
        "ada c2/1: suppress frequency_cap",
        "ada c3/1: suppress frequency_cap",
    ]
    rules = {row["campaign"]: row["rule"] for row in scenario.decisions() if row["reason"] == "frequency_cap"}
    assert rules == {"c2": "frequency_caps[0]", "c3": "frequency_caps[1]"}


def test_3_6_caps_by_tag_campaign_and_class(build: Build) -> None:
    """3: Rule = limit, period, zone, channels, tags, class. All matching rules AND; most restrictive wins."""
    caps = [
        {"limit": 1, "per": "1 day", "tag": "promotion"},
        {"limit": 1, "per": "1 day", "campaign": "plain"},
        {"limit": 3, "per": "1 day", "class": "marketing"},
    ]
    scenario = written(build(frequency_caps=caps), "promo", "sale", tags=["promotion"])
    campaigns(scenario, "plain", "other")
    decided = [
        sent(scenario, name, f"2026-03-02 12:0{minute}")
        for minute, name in enumerate(["promo", "sale", "plain", "plain", "other", "other"])
    ]
    assert [line.split(": ")[1] for [line] in decided] == [
        "send ready", "suppress frequency_cap", "send ready", "suppress frequency_cap", "send ready",
        "suppress frequency_cap",
    ]  # fmt: skip
    assert [row["rule"] for row in scenario.decisions() if row["rule"]] == [
        f"frequency_caps[{index}]" for index in range(3)
    ]


def test_3_8_people_in_a_control_group_take_no_room(build: Build) -> None:
    """3.8: Control-withheld: count 0."""
    scenario = written(build(frequency_caps=ROLLING), "held", control="100%", priority=90)
    campaigns(scenario, "sent")
    scenario.event("held", "ada", at="2026-03-02 12:00").event("sent", "ada", at="2026-03-02 12:00")
    assert scenario.tick("2026-03-02 12:00") == ["ada held/1: withhold control_group", "ada sent/1: send ready"]


def test_3_8_people_in_a_control_group_are_held_to_caps(build: Build) -> None:
    """docs/rules.md: A withheld candidate has passed every gate before, and takes no room."""
    scenario = written(build(frequency_caps=ROLLING), "sent", priority=90)
    campaigns(scenario, "held", control="100%")
    scenario.event("held", "ada", at="2026-03-02 12:00").event("sent", "ada", at="2026-03-02 12:00")
    assert scenario.tick("2026-03-02 12:00") == ["ada held/1: suppress frequency_cap", "ada sent/1: send ready"]


def test_3_9_a_cap_that_is_lowered_applies_at_once(build: Build) -> None:
    """3.9: Cap lowered mid-window: applies at once to next decision; [...] Ours retroactive."""
    scenario = campaigns(build(frequency_caps=[{"limit": 5, "per": "1 day"}]), "hello")
    sent(scenario, "hello", "2026-03-02 10:00")
    sent(scenario, "hello", "2026-03-02 11:00")
    scenario.edit_policy(frequency_caps=(FrequencyCap(limit=2, per="1 day"),))
    assert sent(scenario, "hello", "2026-03-02 12:00") == ["ada hello/1: suppress frequency_cap"]


@pytest.mark.parametrize(("counts", "marketing"), [(None, "send ready"), (True, "suppress frequency_cap")])
def test_3_10_transactional_messages_and_caps(build: Build, counts: bool | None, marketing: str) -> None:
    """3.10: Transactional at cap: sends; marketing after it unaffected unless `counts_toward_cap`."""
    scenario = written(
        build(frequency_caps=[{"limit": 2, "per": "1 day"}]), "receipt", counts_toward_caps=counts,
        **{"class": "transactional"},
    )  # fmt: skip
    campaigns(scenario, "hello")
    sent(scenario, "hello", "2026-03-02 10:00")
    assert sent(scenario, "receipt", "2026-03-02 10:01") == ["ada receipt/1: send ready"]
    assert sent(scenario, "hello", "2026-03-02 10:02") == [f"ada hello/1: {marketing}"]
    assert sent(scenario, "receipt", "2026-03-02 10:03") == ["ada receipt/1: send ready"]


def test_3_11_a_limit_of_zero_blocks(build: Build) -> None:
    """3.11: Rule with limit 0 = block; null = no rule."""
    caps = [{"limit": 0, "per": "1 day", "channel": "push"}]
    scenario = campaigns(build(frequency_caps=caps), "hello", when_capped="wait")
    assert sent(scenario, "hello", "2026-03-02 10:00") == ["ada hello/1: suppress frequency_cap"]
    assert (scenario.decisions()[0]["observed"], scenario.decisions()[0]["evidence"]) == (0, None)
    assert sent(campaigns(build(frequency_caps=[]), "hello"), "hello", "2026-03-02 10:00") == [
        "ada hello/1: send ready"
    ]


def test_3_12_who_is_not_re_eligible_never_comes_to_the_caps(build: Build) -> None:
    """3.12: Cap and re-eligibility both fail (docs/rules.md: the first gate that does not pass decides)."""
    scenario = campaigns(build(frequency_caps=ROLLING), "hello", re_enter="never")
    sent(scenario, "hello", "2026-03-02 10:00")
    assert sent(scenario, "hello", "2026-03-02 11:00") == ["ada hello/0: suppress not_re_eligible"]


def test_3_13_more_than_a_hundred_messages_a_week(build: Build) -> None:
    """3.13: >100 messages/week: exact (Braze tag caps degrade)."""
    scenario = campaigns(build(frequency_caps=[{"limit": 101, "per": "7 days", "tag": "news"}]), "hello", tags=["news"])
    for number in range(103):
        scenario.event("hello", "ada", at=f"2026-03-02 10:{number // 60:02}:{number % 60:02}")
    decided = scenario.tick("2026-03-02 11:00")
    assert decided == ["ada hello/1: send ready"] * 101 + ["ada hello/1: suppress frequency_cap"] * 2


def test_3_what_definitely_failed_gives_its_room_back(build: Build) -> None:
    """3: Count `accepted` and `unknown`; release on definite pre-acceptance failure."""
    cases = [
        ("rejected", True, "send ready"),
        ("failed", True, "send ready"),
        ("aborted", True, "send ready"),
        ("expired", True, "send ready"),
        ("failed", False, "suppress frequency_cap"),
        ("unknown", True, "suppress frequency_cap"),
        ("accepted", True, "suppress frequency_cap"),
    ]
    scenario = campaigns(build(frequency_caps=ROLLING), "hello")
    people = {f"{status} {final}": decided for status, final, decided in cases}
    for person in people:
        scenario.profile(person).event("hello", person, at="2026-03-02 10:00")
    scenario.tick("2026-03-02 10:00")
    for person, (status, final, _) in zip(people, cases, strict=True):
        scenario.delivered(status, user_id=person, at="2026-03-02 10:01", final=final)
        scenario.event("hello", person, at="2026-03-02 11:00")
    decided = sorted(f"{person} hello/1: {outcome}" for person, outcome in people.items())
    assert scenario.tick("2026-03-02 11:00") == decided


def test_3_tags_are_those_of_the_time_of_queueing(build: Build) -> None:
    """3: Tags snapshotted at send."""
    scenario = campaigns(build(frequency_caps=[{"limit": 1, "per": "1 day", "tag": "news"}]), "a", "b", tags=["news"])
    sent(scenario, "a", "2026-03-02 10:00")
    scenario.campaign("a", enter={"trigger": "a"}, tags=[])
    assert sent(scenario, "b", "2026-03-02 11:00") == ["ada b/1: suppress frequency_cap"]


BY_ADDRESS = [{"limit": 1, "per": "1 day", "channel": "email", "by": "address"}]
MAIL = [{"channels": ["email"]}]


def homes(scenario: Scenario, *names: str, launched: bool = True, **keys: object) -> Scenario:
    """Ada and Bob share a mailbox, which each writes in a way of their own; Cid has one alone."""
    for name in names:
        rules = {"enter": {"trigger": name}, "re_enter": "always", "on_retrigger": "stack", "steps": MAIL, **keys}
        scenario.campaign(name, **rules)
    scenario.profile("ada", email="Home@x.example").profile("bob", email="home@X.example ").profile("cid")
    if launched:
        scenario.tick("2026-01-01 00:00")
    return scenario


@pytest.mark.parametrize(("by", "second"), [("person", "send ready"), ("address", "suppress frequency_cap")])
def test_3_14_two_profiles_that_share_an_address(build: Build, by: str, second: str) -> None:
    """3.14: Two profiles sharing one email: optional address-level cap."""
    scenario = homes(build(frequency_caps=[{**BY_ADDRESS[0], "by": by}]), "hello")
    assert scenario.event("hello", "ada", at="2026-03-02 10:00").tick("2026-03-02 10:00") == ["ada hello/1: send ready"]
    for name in ("bob", "cid"):
        scenario.event("hello", name, at="2026-03-02 11:00")
    assert scenario.tick("2026-03-02 11:00") == [f"bob hello/1: {second}", "cid hello/1: send ready"]


def test_3_14_the_higher_priority_wins_across_profiles_in_one_tick(build: Build) -> None:
    """3.14, 3.3: Two campaigns, same run, cap 1: only the higher priority; loser's row names winner."""
    scenario = homes(build(frequency_caps=BY_ADDRESS), "low", launched=False, when_capped="wait")
    homes(scenario, "high", priority=60)
    scenario.event("low", "ada", at="2026-03-02 10:00").event("high", "bob", at="2026-03-02 10:00")
    assert scenario.tick("2026-03-02 10:00") == [
        "ada low/1: defer frequency_cap until 2026-03-03 10:00:00",
        "bob high/1: send ready",
    ]
    [lost] = scenario.decisions("ada")
    assert (lost["rule"], lost["observed"]) == ("frequency_caps[0]", 1)
    assert lost["evidence"] == scenario.messages("bob")[0]["message_id"]
    story = explain(scenario.warehouse, scenario.project(), "ada", now=dt.datetime(2026, 3, 2, 11), campaign="low")
    [told] = [verdict.text for verdict in story.campaigns[0].entries[0].steps[0].verdicts if verdict.gate == "caps"]
    assert "1 per 1 day by address (channel email): 1 counted, full (high of 2026-03-02 10:00)" in told
    assert "bob" not in told
    assert scenario.tick("2026-03-03 09:59:59") == []
    assert scenario.tick("2026-03-03 10:00") == ["ada low/1: send ready"]


def test_3_14_a_chain_of_shared_addresses_is_decided_in_one_order(build: Build) -> None:
    """3.14: Ada and Bob share a mailbox, Bob and Cid a telephone: what Bob gets depends on Ada, what Cid gets on Bob."""
    caps = [*BY_ADDRESS, {**BY_ADDRESS[0], "channel": "sms"}, {"limit": 1, "per": "1 day"}]
    scenario = homes(build(frequency_caps=caps), "first", launched=False, priority=70)
    homes(scenario, "second", launched=False, priority=60)
    scenario.campaign("third", enter={"trigger": "third"}, priority=50, steps=[{"channels": ["sms"]}])
    scenario.profile("bob", email="home@x.example", phone="+1 (555) 0100").profile("cid", phone="0015550100")
    scenario.tick("2026-01-02 00:00")
    for name, user_id in (("first", "ada"), ("second", "bob"), ("third", "bob"), ("third", "cid")):
        scenario.event(name, user_id, at="2026-03-02 10:00")
    assert scenario.tick("2026-03-02 10:00") == [
        "ada first/1: send ready",
        "bob second/1: suppress frequency_cap",
        *sorted(scenario_lines(scenario)),
    ]


def scenario_lines(scenario: Scenario) -> list[str]:
    """Of Bob and Cid, who share a telephone and rank alike: one gets it, the other does not."""
    found = {row["user_id"]: row["outcome"] for row in scenario.decisions() if row["campaign"] == "third"}
    assert sorted(found.values()) == ["send", "suppress"]
    words = {"send": "send ready", "suppress": "suppress frequency_cap"}
    return [f"{user_id} third/1: {words[outcome]}" for user_id, outcome in found.items()]


def test_3_14_whose_address_it_was_is_a_matter_of_the_profiles_now(build: Build) -> None:
    """docs/rules.md: no table holds an address; who moved out of a mailbox takes their messages along."""
    scenario = homes(build(frequency_caps=BY_ADDRESS), "hello")
    scenario.event("hello", "ada", at="2026-03-02 10:00").tick("2026-03-02 10:00")
    scenario.profile("ada", email="new@x.example").event("hello", "bob", at="2026-03-02 11:00")
    assert scenario.tick("2026-03-02 11:00") == ["bob hello/1: send ready"]
    scenario.profile("cid", email="NEW@x.example").event("hello", "cid", at="2026-03-02 12:00")
    assert scenario.tick("2026-03-02 12:00") == ["cid hello/1: suppress frequency_cap"]


def test_3_14_the_calendar_is_that_of_who_asks(build: Build) -> None:
    """docs/rules.md: with `by: address` the calendar is the candidate's."""
    scenario = homes(build(frequency_caps=[{**BY_ADDRESS[0], "per": "calendar day"}]), "hello")
    scenario.profile("bob", zone="Asia/Tokyo", email="home@x.example")
    scenario.event("hello", "ada", at="2026-03-02 10:00").tick("2026-03-02 10:00")
    scenario.event("hello", "bob", at="2026-03-02 14:59").event("hello", "ada", at="2026-03-02 15:00", id="again")
    assert scenario.tick("2026-03-02 14:59") == ["bob hello/1: suppress frequency_cap"]
    scenario.event("hello", "bob", at="2026-03-02 15:00")
    assert scenario.tick("2026-03-02 15:00") == ["ada hello/1: suppress frequency_cap", "bob hello/1: send ready"]


def test_3_14_a_cap_by_address_names_its_channel() -> None:
    with pytest.raises(ValidationError, match="an address belongs to a channel"):
        FrequencyCap.model_validate({"limit": 1, "per": "1 day", "by": "address"})
