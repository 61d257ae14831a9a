"""Who is in an audience and who is not: exclusions, consent, control, arms, priorities, modes, and what was foreign."""

from __future__ import annotations

from typing import Any

import pytest

from activate import mending, syncing
from activate.compile.rulebook import cut
from activate.errors import DeliveryError, SettingsError
from tests.audiences.town import Peer, Town, no_waiting, sha

PEOPLE = ["ada", "bob", "cid", "dan"]
MANY = [f"p{number:04}" for number in range(2_000)]


def put(town: Town, *users: str, **more: Any) -> None:
    town.put("people", *({"user_id": user, **more} for user in users))


def last_run(town: Town) -> str:
    found = town.rows(
        "SELECT run_id FROM state.audience_syncs ORDER BY recorded_at DESC, LENGTH(run_id) DESC, run_id DESC"
    )
    run: str = found[0]["run_id"]
    return run


# -- exclusions and consent -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["mirror", "upsert", "add_only"])
def test_whoever_is_excluded_never_comes_and_is_taken_out_in_every_mode(town: Town, peer: Peer, mode: str) -> None:
    town.segment("banned", ["ada"]).segment("staff", ["bob"])
    town.segment("vips", PEOPLE).audience(mode=mode, exclude=["banned", "staff"])
    plan = town.plan()
    assert (plan.figures.wanted, plan.figures.left_out) == (2, {"excluded": 2})
    town.sync()
    assert set(peer.members()) == {"cid", "dan"}
    town.segment("banned", ["cid"])
    plan = town.later().plan()
    assert (plan.figures.suppressed, plan.figures.removed, plan.figures.added) == (1, 0, 1)
    town.sync()
    assert set(peer.members()) == {"ada", "dan"}
    assert town.later().sync().outcomes == {}


@pytest.mark.parametrize("mode", ["mirror", "upsert", "add_only"])
def test_whoever_left_the_segment_and_is_excluded_is_taken_out_before_all_guards(
    town: Town, peer: Peer, mode: str
) -> None:
    town.segment("banned", ["zoe"])
    town.segment("vips", PEOPLE).audience(mode=mode, exclude=["banned"], guard={"max_removed": 0}).sync()
    town.segment("banned", ["ada"]).later().segment("vips", PEOPLE[2:])
    figures = town.plan().figures
    assert (figures.suppressed, figures.removed) == (1, 1 if mode == "mirror" else 0)
    assert (figures.wanted, figures.unchanged, figures.left_out) == (2, 2, {})
    assert town.sync().outcomes == {"accepted": 1}
    assert set(peer.members()) == {"bob", "cid", "dan"}
    assert town.later().sync().outcomes == {}


def test_whoever_withdrew_consent_and_left_the_segment_is_taken_out(town: Town, peer: Peer) -> None:
    put(town, *PEOPLE, email="x@x.org", email_consent="true")
    town.segment("vips", PEOPLE).audience(mode="upsert", consent="email").sync()
    town.run(f"UPDATE {town.schema}.people SET email_consent = FALSE WHERE user_id = 'ada'")
    town.later().segment("vips", PEOPLE[2:]).sync()
    assert set(peer.members()) == {"bob", "cid", "dan"}


def test_an_excluded_persons_old_identifier_goes_though_a_new_one_waits_for_a_word(town: Town, peer: Peer) -> None:
    for user in PEOPLE:
        put(town, user, email=f"{user}@x.org")
    town.segment("banned", ["zoe"])
    town.segment("vips", PEOPLE).audience(exclude=["banned"]).sync()
    town.segment("banned", ["ada"])
    identify = {"column": "email", "normalise": "email", "hash": "sha256"}
    town.audience(exclude=["banned"], identify_by=identify).later().sync()
    assert set(peer.members()) == {"bob", "cid", "dan"}


def test_consent_is_that_of_the_channel_and_needs_an_address(town: Town, peer: Peer) -> None:
    put(town, "ada", email="a@x.org", email_consent="true")
    put(town, "bob", email="b@x.org", email_consent="false")
    put(town, "cid", email="", email_consent="true")
    put(town, "dan", email="d@x.org")
    town.segment("vips", [*PEOPLE, "eve"]).audience(consent="email")
    assert town.plan().figures.left_out == {"no_consent": 4}
    town.sync()
    assert set(peer.members()) == {"ada"}
    town.run(f"UPDATE {town.schema}.people SET email_consent = FALSE WHERE user_id = 'ada'")
    assert town.later().plan().figures.suppressed == 1
    town.sync()
    assert peer.members() == {}


# -- by hash ----------------------------------------------------------------------------------------------------------


def test_the_control_group_is_a_share_and_the_same_at_every_sync(town: Town, peer: Peer) -> None:
    town.segment("vips", MANY).audience(control="10%")
    held_back = town.plan().figures.left_out["control_group"]
    assert 160 <= held_back <= 240  # three standard deviations of a fair draw are 40
    assert held_back == sum(_md5(f"audience|vips|{user}") < cut(0.1) for user in MANY)
    town.warehouse.execute(f"UPDATE {town.schema}.vips SET user_id = user_id")
    assert town.later().plan().figures.left_out["control_group"] == held_back


def _md5(text: str) -> str:
    import hashlib

    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def test_a_control_group_that_grows_takes_people_out_and_keeps_the_ones_it_had(town: Town, peer: Peer) -> None:
    people = MANY[:60]
    town.segment("vips", people).audience(control="10%").sync()
    before = set(peer.members())
    town.audience(control="50%").later().sync()
    assert set(peer.members()) < before
    town.audience().later().sync()
    assert set(peer.members()) == set(people)


def test_the_arms_of_a_split_share_everybody_out(town: Town, peer: Peer) -> None:
    people, arms = MANY[:90], {"a": 1, "b": 1, "c": 2}
    town.segment("vips", people)
    for arm in arms:
        town.audience(arm, segment="vips", split={"name": "spring", "arms": arms, "take": arm}).sync(arm)
    found = [set(peer.members(arm)) for arm in arms]
    assert sorted(user for arm in found for user in arm) == people
    assert len(found[2]) > len(found[0])
    town.audience("told", segment="vips", split={"name": "spring", "arms": arms, "field": "arm"}).sync("told")
    told = peer.members("told")
    assert {arm: {user for user in told if (told[user] or {})["arm"] == arm} for arm in arms} == dict(
        zip(arms, found, strict=True)
    )


# -- one list per person ----------------------------------------------------------------------------------------------


def test_a_person_is_in_the_first_audience_of_the_group_that_takes_them(town: Town, peer: Peer) -> None:
    town.segment("banned", ["bob"]).segment("gold", ["ada", "bob"]).segment("silver", PEOPLE)
    town.segment("bronze", [*PEOPLE, "eve"])
    town.audience("gold", priority=10, group="tier", exclude=["banned"])
    town.audience("silver", priority=5, group="tier").audience("bronze", priority=1, group="tier")
    town.audience("others", segment="bronze", priority=1, group="another").audience("all", segment="bronze")
    reports = syncing.sync(town.warehouse, town.project, list(town.audiences.values()), town.now, clock=no_waiting())
    assert [report.error for report in reports] == [None] * 5
    assert {name: sorted(peer.members(name)) for name in town.audiences} == {
        "gold": ["ada"], "silver": ["bob", "cid", "dan"], "bronze": ["eve"], "others": [*PEOPLE, "eve"], "all": [*PEOPLE, "eve"],
    }  # fmt: skip
    assert town.later().plan("bronze").figures.left_out == {"other_audience": 4}
    town.segment("gold", [])
    town.sync("gold")
    town.sync("silver")
    assert sorted(peer.members("silver")) == PEOPLE


# -- modes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("mirror", {"ada": {"x": 2}, "cid": {"x": 1}}),
        ("upsert", {"ada": {"x": 2}, "bob": {"x": 1}, "cid": {"x": 1}}),
        ("add_only", {"ada": {"x": 1}, "bob": {"x": 1}, "cid": {"x": 1}}),
    ],
)
def test_modes_say_what_is_told(town: Town, peer: Peer, mode: str, expected: dict[str, Any]) -> None:
    town.segment("vips", {"ada": {"x": 1}, "bob": {"x": 1}}, {"x": "bigint"})
    town.audience(mode=mode, fields={"x": "x"}).sync()
    town.later().segment("vips", {"ada": {"x": 2}, "cid": {"x": 1}}).sync()
    assert peer.members() == expected
    assert town.later().sync().outcomes == {}


def test_a_baseline_sends_nobody_and_goes_on_from_there(town: Town, peer: Peer) -> None:
    town.segment("vips", {user: {"x": 1} for user in PEOPLE}, {"x": "bigint"})
    town.audience(first_run="baseline", fields={"x": "x"})
    report = town.sync()
    assert (report.outcomes, report.plan and report.plan.baselined) == ({}, 4)
    assert peer.requests == []
    town.later().segment("vips", {"bob": {"x": 2}, "cid": {"x": 1}, "dan": {"x": 1}, "eve": {"x": 1}}).sync()
    assert sorted(peer.told) == [("vips", "add", "eve"), ("vips", "remove", "ada"), ("vips", "update", "bob")]


def test_full_sends_every_member_again(town: Town, peer: Peer) -> None:
    town.segment("vips", PEOPLE).audience().sync()
    peer.holds["vips"] = {"cid": {}, "stranger": {}}
    assert town.later().sync().outcomes == {}
    plan = town.plan(full=True)
    assert plan.figures.updated == 4
    town.later().sync(full=True)
    assert set(peer.members()) == {*PEOPLE, "stranger"}
    assert town.later().sync().outcomes == {}


def test_two_destinations_of_one_segment_do_not_mix(town: Town, peer: Peer) -> None:
    town.segment("vips", PEOPLE).audience().audience("others", segment="vips").sync()
    town.later().segment("vips", PEOPLE[1:]).sync("others")
    assert set(peer.members()) == set(PEOPLE)
    assert set(peer.members("others")) == set(PEOPLE[1:])


# -- what the destination really holds --------------------------------------------------------------------------------


def reconcile(town: Town, **more: Any) -> Any:
    return mending.reconcile(town.warehouse, town.project, town.audiences["vips"], town.later().now, **more)


def test_reconcile_mends_what_is_missing_and_left_and_leaves_what_is_foreign(town: Town, peer: Peer) -> None:
    town.segment("vips", [*PEOPLE, "eve"]).audience().sync()
    town.later().segment("vips", PEOPLE).sync()
    held = peer.members()
    del held["ada"], held["bob"]
    held["eve"] = held["stranger"] = held["neighbour"] = {}
    found, report = reconcile(town, heal=False)
    assert (found, report) == ({"missing": 2, "left": 1, "foreign": 2}, None)
    assert set(peer.members()) == {"cid", "dan", "eve", "stranger", "neighbour"}
    found, report = reconcile(town)
    assert found == {"missing": 2, "left": 1, "foreign": 2}, "a look records nothing"
    assert report.outcomes == {"accepted": 3}
    assert set(peer.members()) == {*PEOPLE, "stranger", "neighbour"}
    assert reconcile(town)[0] == {"missing": 0, "left": 0, "foreign": 2}
    assert town.later().sync().outcomes == {}


def test_who_was_refused_and_is_there_all_the_same_is_foreign(town: Town, peer: Peer) -> None:
    """Nothing that we sent put them there, so it is not ours to take them out."""
    town.segment("vips", PEOPLE).audience()
    peer.answer = lambda peer, changes: (200, {}, {"errors": [{"member": "ada"}]})
    town.sync()
    peer.answer = None
    peer.holds["vips"] = {user: {} for user in PEOPLE}
    town.later().segment("vips", PEOPLE[1:])
    assert reconcile(town)[0] == {"missing": 0, "left": 0, "foreign": 1}
    assert set(peer.members()) == set(PEOPLE)


def test_who_was_in_doubt_is_ours(town: Town, peer: Peer) -> None:
    town.segment("vips", ["ada"]).audience()

    def takes_and_hangs_up(peer: Peer, changes: Any) -> Any:
        peer.take("vips", changes)
        return 0, {}, {}

    peer.answer = takes_and_hangs_up
    town.sync()
    peer.answer = None
    town.later().segment("vips", [])
    assert reconcile(town)[0] == {"missing": 0, "left": 0, "foreign": 0}
    assert peer.members() == {}


def test_half_an_answer_is_none(town: Town, peer: Peer) -> None:
    town.segment("vips", PEOPLE).audience().sync()
    before = town.rows("SELECT COUNT(*) AS n FROM state.audience_changes")
    url = town.policy.destinations["crm"]["members_url"]
    for broken in (f"{peer.url}/nowhere", "http://127.0.0.1:9/members"):
        town.policy.destinations["crm"]["members_url"] = broken
        with pytest.raises(DeliveryError):
            reconcile(town)
    assert town.rows("SELECT COUNT(*) AS n FROM state.audience_changes") == before
    town.policy.destinations["crm"]["members_url"] = None
    with pytest.raises(SettingsError, match="members_url"):
        reconcile(town)
    town.policy.destinations["crm"]["members_url"] = url
    assert town.later().sync().outcomes == {}


# -- undone, and remembered -------------------------------------------------------------------------------------------


def test_undo_is_the_inverse_but_for_updates_and_what_changed_since(town: Town, peer: Peer) -> None:
    town.segment("vips", {user: {"x": 1} for user in PEOPLE}, {"x": "bigint"}).audience(fields={"x": "x"}).sync()
    town.later().segment("vips", {"bob": {"x": 2}, "cid": {"x": 1}, "eve": {"x": 1}, "fay": {"x": 1}}).sync()
    run = last_run(town)
    town.later().segment("vips", {"bob": {"x": 2}, "cid": {"x": 1}, "eve": {"x": 1}}).sync()  # fay has gone since
    before = town.rows("SELECT * FROM state.audience_changes ORDER BY wave, member, status"), dict(peer.members())
    with pytest.raises(SettingsError, match=r"updated 1 of the members.*nothing was undone.*--without-updates"):
        mending.undo(town.warehouse, town.project, run, town.later().now, apply=True)
    assert town.rows("SELECT * FROM state.audience_changes ORDER BY wave, member, status") == before[0]
    assert town.rows("SELECT * FROM state.approvals") == [], "it was not put on hold either"
    assert peer.members() == before[1]
    done = mending.undo(town.warehouse, town.project, run, town.now, apply=True, without_updates=True)
    assert (done.removals, done.additions, done.updates) == (1, 2, 1)
    assert set(peer.members()) == {"ada", "bob", "cid", "dan"}
    assert (peer.members()["bob"] or {})["x"] == 2, "old values are nowhere kept"
    assert town.later().sync().outcomes == {}, "on hold"
    with pytest.raises(SettingsError, match="no sync"):
        mending.undo(town.warehouse, town.project, "never", town.now)


def test_undo_brings_nobody_back_who_is_excluded_or_withdrew(town: Town, peer: Peer) -> None:
    put(town, *PEOPLE, email="x@x.org", email_consent="true")
    town.segment("banned", ["zoe"])
    town.segment("vips", PEOPLE).audience(exclude=["banned"], consent="email").sync()
    town.segment("banned", ["ada"])
    town.run(f"UPDATE {town.schema}.people SET email_consent = FALSE WHERE user_id = 'bob'")
    town.later().segment("vips", ["ada", "bob", "dan"]).sync()
    assert set(peer.members()) == {"dan"}
    done = mending.undo(town.warehouse, town.project, last_run(town), town.later().now, apply=True)
    assert (done.removals, done.additions) == (0, 1)
    assert set(peer.members()) == {"cid", "dan"}


def test_the_history_of_a_member_can_be_read(town: Town, peer: Peer) -> None:
    identify = {"column": "email", "normalise": "email", "hash": "sha256"}
    put(town, "ada", email="ada@x.org")
    town.segment("vips", {"ada": {"x": 1}}, {"x": "bigint"}).audience(identify_by=identify, fields={"x": "x"}).sync()
    town.later().segment("vips", {"ada": {"x": 2}}).sync()
    town.later().segment("vips", []).sync()
    found = town.rows(
        "SELECT member, change, status, wave, run_id, recorded_at FROM state.audience_changes WHERE user_id = 'ada' "
        "ORDER BY wave, status"
    )
    assert [(row["change"], row["status"], row["wave"]) for row in found] == [
        ("add", "accepted", 1), ("add", "claimed", 1), ("update", "accepted", 2), ("update", "claimed", 2),
        ("remove", "accepted", 3), ("remove", "claimed", 3),
    ]  # fmt: skip
    assert {row["member"] for row in found} == {sha("ada@x.org")}
    assert found[-1]["recorded_at"] == town.now
