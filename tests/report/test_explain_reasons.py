"""Every reason of the vocabulary has a story with its figures, told from the stored rows, on both warehouses."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from report_shop import CART, NOW, POLICY, WELCOME, Shop, changed, entry_id

from activate.campaign import Campaign
from activate.decision import REASONS
from activate.policy import Policy
from activate.report.explain import explain
from activate.report.phrases import PHRASES
from activate.report.story import CampaignStory
from activate.tables import APPROVALS

ENTERED = dt.datetime(2026, 3, 27, 9, 0)
DUE = ENTERED + dt.timedelta(minutes=30)
DECIDED = ENTERED + dt.timedelta(minutes=35)
NIGHT = dt.datetime(2026, 3, 27, 20, 14)  # 21:14 in Berlin
HOUR = dt.timedelta(hours=1)


@dataclass(frozen=True)
class Case:
    """Rows that end in one reason, and the words that its story must hold."""

    write: Callable[[Shop], None]
    words: tuple[str, ...]
    campaign: str = "abandoned_cart"


def _entered(shop: Shop, campaign: Campaign = CART) -> str:
    shop.profile("ann")
    shop.cart("ann", "e1", ENTERED)
    shop.model("vip", user_id="ann", points=50)
    return shop.enter("ann", "e1", ENTERED, campaign)


def _step(reason: str, at: dt.datetime = DECIDED, **values: object) -> Callable[[Shop], None]:
    def write(shop: Shop) -> None:
        outcome = str(values.pop("outcome", REASONS[reason].outcomes[0]))
        row = {"channel": "push", "due_at": DUE, **values}
        shop.decide("ann", _entered(shop), at, reason, REASONS[reason].gate, outcome, **row)

    return write


def _refused(reason: str, before: Callable[[Shop], None] | None = None, **values: object) -> Callable[[Shop], None]:
    def write(shop: Shop) -> None:
        shop.profile("ann")
        if before:
            before(shop)
        shop.cart("ann", "e9", ENTERED)
        entry = entry_id("abandoned_cart", "ann", "e9")
        shop.decide("ann", entry, DECIDED, reason, REASONS[reason].gate, "suppress", step=0, **values)

    return write


def _too_late(shop: Shop) -> None:
    shop.profile("ann")
    shop.cart("ann", "e9", DECIDED - dt.timedelta(hours=30), loaded_at=DECIDED)
    shop.decide(
        "ann", entry_id("abandoned_cart", "ann", "e9"), DECIDED, "trigger_too_late", "entry", "suppress", step=0
    )


def _at_night(shop: Shop) -> None:
    shop.profile("ann")
    shop.cart("ann", "e9", NIGHT)
    shop.decide(
        "ann", entry_id("abandoned_cart", "ann", "e9"), NIGHT, "triggered_outside_window", "window", "suppress", step=0,
        zone="Europe/Berlin",
    )  # fmt: skip


def _sent_before(shop: Shop) -> None:
    shop.message("ann", "m0", ENTERED - dt.timedelta(days=3), campaign="abandoned_cart")
    for hours in (1, 2):
        shop.message("ann", f"m{hours}", ENTERED - hours * HOUR, campaign="other", tags="[]")


def _exception(shop: Shop) -> None:
    entry = _entered(shop)
    at = ENTERED + dt.timedelta(minutes=12)
    shop.event("ann", "p7", "purchase", at, loaded_at=at + dt.timedelta(minutes=1))
    shop.decide("ann", entry, DECIDED, "exception_event", "exception", "suppress", due_at=DUE, evidence="p7")


def _removed(shop: Shop) -> None:
    _step("campaign_removed", channel=None)(shop)
    shop.campaigns = (WELCOME,)


def _nobody(shop: Shop) -> None:
    shop.cart("ann", "e1", ENTERED)
    shop.decide("ann", shop.enter("ann", "e1", ENTERED), DECIDED, "no_profile", "consent", "suppress")


def _twice(shop: Shop) -> None:
    shop.profile("ann")
    _step("duplicate_profile", channel=None)(shop)


def _profile(reason: str, **columns: object) -> Callable[[Shop], None]:
    def write(shop: Shop) -> None:
        shop.profile("ann", **columns)
        shop.cart("ann", "e1", ENTERED)
        shop.decide("ann", shop.enter("ann", "e1", ENTERED), DECIDED, reason, REASONS[reason].gate, "suppress")

    return write


def _capped(shop: Shop) -> None:
    entry = _entered(shop)
    for name, hours in (("m1", 3), ("m2", 2)):
        shop.message("ann", name, DECIDED - hours * HOUR, tags="[]")
    shop.message("ann", "m3", DECIDED - HOUR)
    shop.deliver("m3", "rejected", DECIDED - HOUR)  # takes no room
    shop.message("ann", "m4", DECIDED - dt.timedelta(days=1), tags="[]")  # exactly one period ago: outside
    shop.decide(
        "ann", entry, DECIDED, "frequency_cap", "caps", "suppress", channel="push", due_at=DUE, observed=2,
        rule="frequency_caps[0]",
    )  # fmt: skip


def _left(shop: Shop) -> None:
    shop.profile("ann")
    entry = shop.enter("ann", "s1", ENTERED, WELCOME)
    shop.decide("ann", entry, DECIDED, "left_segment", "audience", "suppress", campaign="welcome", due_at=ENTERED)


def _global(shop: Shop) -> None:
    _step("global_control_group")(shop)


def _ready(shop: Shop) -> None:
    entry = _entered(shop)
    shop.decide("ann", entry, DECIDED, "ready", "send", "send", channel="push", due_at=DUE, message_id="m9")
    shop.message("ann", "m9", DECIDED, entry_id=entry, campaign="abandoned_cart", priority=60)
    shop.deliver("m9", "claimed", DECIDED + HOUR)
    shop.deliver("m9", "accepted", DECIDED + HOUR, provider_message_id="x")


CASES: dict[str, Case] = {
    "trigger_too_late": Case(_too_late, ("cart_abandoned e9", "1 day 6 hours old", "1 day is let in")),
    "already_waiting": Case(_refused("already_waiting", evidence="e0ffee"), ("still waiting", "e0ffee")),
    "not_re_eligible": Case(
        _refused("not_re_eligible", _sent_before),
        ("last send was at 2026-03-24 09:00 UTC", "1 week must pass", "2026-03-31 09:00 UTC", "frequency_caps[0]"),
    ),
    "restarted": Case(_step("restarted", channel=None, evidence="e0ffee"), ("later occurrence took its place",)),
    "campaign_ended": Case(_step("campaign_ended", channel=None), ("ended at 2027-01-01",)),
    "campaign_removed": Case(_removed, ("file was removed",)),
    "exception_event": Case(_exception, ("purchase p7 happened at 2026-03-27 09:12", "loaded at 2026-03-27 09:13")),
    "not_in_audience": Case(_refused("not_in_audience"), ("not in vip",)),
    "left_segment": Case(_left, ("not in vip", "recheck"), "welcome"),
    "no_profile": Case(_nobody, ("0 rows for this key",)),
    "duplicate_profile": Case(_twice, ("2 rows for this key",)),
    "unreachable": Case(
        _profile("unreachable", push_token=None, email=""), ("push has no address", "email has no address")
    ),
    "no_consent": Case(
        _profile("no_consent", push_consent=None, email_consent="unsubscribed"),
        ("push has an address but no consent", "email has an address but no consent"),
    ),
    "address_suppressed": Case(
        _profile("address_suppressed", push_token=None),
        ("email has an address and consent", "every address with consent was suppressed", "a later registration"),
    ),
    "zone_missing": Case(_profile("zone_missing", time_zone=None), ("no time zone", "unknown_zone")),
    "zone_invalid": Case(_profile("zone_invalid", time_zone="(GMT-08:00) Pacific"), ("'(GMT-08:00) Pacific'",)),
    "window_closed": Case(
        _step("window_closed", NIGHT, zone="Europe/Berlin", retry_at=dt.datetime(2026, 3, 28, 8)),
        ("open 09:00-21:00 Europe/Berlin", "Friday 21:14", "opens Saturday 09:00", "2026-03-28 08:00 UTC"),
    ),
    "triggered_outside_window": Case(
        _at_night, ("open 09:00-21:00 Europe/Berlin; it was Friday 21:14 there", "cart_abandoned e9")
    ),
    "superseded": Case(_step("superseded", evidence="e0ffee"), ("e0ffee went instead", "open until Friday 21:00")),
    "expired": Case(_step("expired", ENTERED + 25 * HOUR), ("expires at 2026-03-28 09:00 UTC", "1 hour before")),
    "expired_in_quiet_hours": Case(
        _step("expired_in_quiet_hours", NIGHT, zone="Europe/Berlin"), ("closed", "expires at 2026-03-28 09:00 UTC")
    ),
    "frequency_cap": Case(
        _capped, ("frequency_caps[0] was full: 2 counted", "2 per 1 day: 2 counted, full (promo of 2026-03-27 06:35, p")
    ),
    "guard_messages": Case(
        _step("guard_messages", rule="guard.max_messages", evidence="10000", observed=12_345),
        ("would have sent 12,345 messages in that tick, and its guard allows 10,000", "dbt-activate approve", "no time"),
    ),
    "control_group": Case(_step("control_group"), ("campaign's control group", "10% of people")),
    "global_control_group": Case(_global, ("global control group", "5% of people")),
    "ready": Case(_ready, ("message by push was decided", "accepted by the provider", "phone")),
}  # fmt: skip


def words_of(story: CampaignStory) -> str:
    """Everything that the story of one campaign says, as one text."""
    told = [story.headline]
    for entry in story.entries:
        told += [entry.because, *entry.notes]
        for step in entry.steps:
            told += [step.text, step.change or "", *(f"{found.gate}: {found.text}" for found in step.verdicts)]
    for refusal in story.refusals:
        told += [refusal.text, refusal.change, *refusal.also]
    return "\n".join(told)


def test_every_reason_of_the_vocabulary_has_a_case_and_a_phrase() -> None:
    assert set(CASES) == set(REASONS)
    assert set(PHRASES) == set(REASONS)


@pytest.mark.parametrize("reason", sorted(CASES))
def test_the_story_names_the_reason_and_its_figures(shop: Shop, reason: str) -> None:
    case = CASES[reason]
    case.write(shop)
    story = explain(shop.warehouse, shop.project, "ann", now=NOW, campaign=case.campaign)
    told = words_of(story.campaigns[0])
    for word in (*case.words, PHRASES[reason].meaning if reason != "ready" else "accepted", PHRASES[reason].change):
        assert word in told, told


@pytest.mark.parametrize("reason", [reason for reason in sorted(CASES) if reason not in ("trigger_too_late",)])
def test_the_gates_before_the_deciding_one_passed_and_those_after_were_not_asked(shop: Shop, reason: str) -> None:
    CASES[reason].write(shop)
    story = explain(shop.warehouse, shop.project, "ann", now=NOW, campaign=CASES[reason].campaign).campaigns[0]
    if story.refusals:
        assert story.refusals[0].gate == REASONS[reason].gate
        assert story.state == "refused"
        return
    answers = [verdict.answer for verdict in story.entries[0].steps[0].verdicts]
    decided = answers.index("decided")
    assert answers == ["passed"] * decided + ["decided"] + ["not_asked"] * (len(answers) - decided - 1)
    assert story.entries[0].steps[0].verdicts[decided].gate == REASONS[reason].gate
    assert all(verdict.text for verdict in story.entries[0].steps[0].verdicts[: decided + 1])


def test_a_guard_that_let_a_message_pass_is_told_with_the_approval_it_used(shop: Shop) -> None:
    _ready(shop)
    shop.campaigns = (changed(CART, guard={"max_messages": "5%"}), WELCOME)
    told = words_of(explain(shop.warehouse, shop.project, "ann", now=NOW).campaigns[0])
    assert "guard: the campaign's guard allows messages to 5% of the profiles in a tick" in told
    shop.state(
        APPROVALS, approval_id="a1", subject="campaign", name="abandoned_cart", kind="messages", ceiling=20_000,
        status="used", expires_at=NOW, run_id="r", recorded_at=DECIDED,
    )  # fmt: skip
    told = words_of(explain(shop.warehouse, shop.project, "ann", now=NOW).campaigns[0])
    assert "the approval a1 let up to 20,000 pass" in told


def test_a_cap_filled_by_a_message_that_a_guard_held_back_says_so(shop: Shop) -> None:
    _step("frequency_cap", outcome="suppress", rule="frequency_caps[0]", observed=2, evidence="m_held")(shop)
    told = words_of(explain(shop.warehouse, shop.project, "ann", now=NOW).campaigns[0])
    assert "m_held of the same tick, which ranks higher and was then held back by its campaign's guard" in told


def test_a_changed_rule_is_told_as_the_entry_followed_it(shop: Shop) -> None:
    _step("expired", ENTERED + 25 * HOUR)(shop)
    longer = changed(
        CART, steps=[{"wait": "30 minutes", "channels": ["push"], "template": "cart", "expires": "9 days"}]
    )
    shop.campaigns = (longer, WELCOME)
    told = words_of(explain(shop.warehouse, shop.project, "ann", now=NOW).campaigns[0])
    assert "expires at 2026-03-28 09:00 UTC" in told


def test_caps_are_those_of_the_policy_that_apply_to_the_candidate(shop: Shop) -> None:
    shop.policy = Policy.model_validate(
        {
            **POLICY.model_dump(by_alias=True, mode="json"),
            "frequency_caps": [{"limit": 1, "per": "1 day", "channel": "email"}],
        }
    )
    _ready(shop)
    told = words_of(explain(shop.warehouse, shop.project, "ann", now=NOW).campaigns[0])
    assert "no frequency cap applies" in told
