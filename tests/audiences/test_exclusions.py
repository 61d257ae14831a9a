"""Exclusion lists always win: by the person's key, and by the identifier that the destination knows people by."""

from __future__ import annotations

import random
from typing import Any

import pytest

from activate.compile.audience import ChangeSet, Held
from activate.warehouses.dialect import DIALECTS
from tests.audiences.town import Peer, Town, sha

HASHED = {"column": "email", "normalise": "email", "hash": "sha256"}
SHARED = "family@example.com"


def people(town: Town, **emails: str | None) -> Town:
    """Profiles with these addresses."""
    return town.put("people", *({"user_id": user, "email": email} for user, email in emails.items()))


@pytest.mark.parametrize("mode", ["mirror", "upsert", "add_only"])
def test_a_hash_that_a_member_shares_with_somebody_excluded_is_not_sent(town: Town, peer: Peer, mode: str) -> None:
    people(town, ada=SHARED, bob="bob@example.com", eve=" Family@Example.com")
    town.segment("vips", ["ada", "bob"]).segment("bars", ["eve"])  # eve is not in the segment
    town.audience(identify_by=HASHED, exclude=["bars"], mode=mode)
    assert town.plan().figures.left_out == {"excluded": 1}
    town.sync()
    assert set(peer.members()) == {sha("bob@example.com")}


@pytest.mark.parametrize("mode", ["mirror", "upsert", "add_only"])
def test_who_was_sent_is_taken_out_when_somebody_with_the_same_hash_is_excluded(
    town: Town, peer: Peer, mode: str
) -> None:
    people(town, ada=SHARED, bob="bob@example.com", eve=SHARED)
    town.segment("vips", ["ada", "bob"]).segment("bars", [])
    town.audience(identify_by=HASHED, exclude=["bars"], mode=mode, guard={"max_removed": 0}).sync()
    town.later().segment("bars", ["eve"])
    plan = town.plan()
    assert (plan.figures.suppressed, plan.withheld) == (1, ())
    town.sync()
    assert set(peer.members()) == {sha("bob@example.com")}
    assert town.later().sync().outcomes == {}


@pytest.mark.parametrize("mode", ["upsert", "add_only"])
def test_who_left_the_segment_is_taken_out_by_the_hash_too(town: Town, peer: Peer, mode: str) -> None:
    people(town, ada=SHARED, eve=SHARED)
    town.segment("vips", ["ada"]).segment("bars", [])
    town.audience(identify_by=HASHED, exclude=["bars"], mode=mode).sync()
    town.later().segment("vips", []).segment("bars", ["eve"])
    town.sync()
    assert peer.members() == {}


def test_a_list_of_addresses_needs_no_person(town: Town, peer: Peer) -> None:
    people(town, ada=SHARED, bob="bob@example.com", cyd="cyd@example.com")
    town.segment("vips", ["ada", "bob", "cyd"])
    columns = {"email": "text"}
    town.segment("bars", {"": {"email": "FAMILY@example.com"}, "x": {"email": sha("bob@example.com")}}, columns)
    town.audience(identify_by=HASHED, exclude=["bars"]).sync()
    assert set(peer.members()) == {sha("cyd@example.com")}, "what is a hash already is compared as one"


def test_the_list_counts_by_its_own_address_and_by_the_one_of_the_profile(town: Town, peer: Peer) -> None:
    people(town, ada="old@example.com", bob="new@example.com", eve="old@example.com", cyd="cyd@example.com")
    town.segment("vips", ["ada", "bob", "cyd"]).segment(
        "bars", {"eve": {"email": "new@example.com"}}, {"email": "text"}
    )
    town.audience(identify_by=HASHED, exclude=["bars"]).sync()
    assert set(peer.members()) == {sha("cyd@example.com")}


def test_addresses_that_cannot_be_used_bar_nobody(town: Town, peer: Peer) -> None:
    people(town, ada="ada@example.com", bob=None, eve=None, fay="", gus="nowhere")
    town.segment("vips", ["ada", "bob"]).segment("bars", ["eve", "fay", "gus"])
    town.audience(identify_by=HASHED, exclude=["bars"])
    assert town.plan().figures.invalid == {"no_identifier": 1}
    town.sync()
    assert set(peer.members()) == {sha("ada@example.com")}


@pytest.mark.parametrize("mode", ["mirror", "upsert"])
def test_an_address_that_is_sent_as_it_is_bars_too(town: Town, peer: Peer, mode: str) -> None:
    people(
        town, ada=SHARED, bob="bob@example.com", cyd="Cyd@example.com", dan="cyd@example.com", eve="FAMILY@example.com"
    )
    town.segment("vips", ["ada", "bob", "cyd"]).segment("bars", ["eve"])
    town.audience(identify_by={"column": "email", "normalise": "email"}, exclude=["bars"], mode=mode).sync()
    assert set(peer.members()) == {"bob", "cyd"}
    town.later().segment("vips", ["ada", "bob"]).segment("bars", ["eve", "dan"])
    town.sync()
    assert set(peer.members()) == {"bob"}, "cyd has left, and somebody with her address is excluded"


def test_an_audience_of_a_lower_priority_takes_whom_the_higher_one_must_not_have(town: Town, peer: Peer) -> None:
    people(town, ada=SHARED, eve=SHARED)
    town.segment("vips", ["ada"]).segment("bars", ["eve"])
    town.audience("first", segment="vips", identify_by=HASHED, exclude=["bars"], priority=9)
    town.audience("second", segment="vips", priority=1)
    town.sync("first")
    town.sync("second")
    assert (set(peer.members("first")), set(peer.members("second"))) == (set(), {"ada"})


def test_whoever_is_barred_is_not_brought_back_by_undoing(town: Town, peer: Peer) -> None:
    from activate import mending

    people(town, ada=SHARED, eve=SHARED)
    town.segment("vips", ["ada"]).segment("bars", [])
    town.audience(identify_by=HASHED, exclude=["bars"]).sync()
    town.later().segment("vips", []).sync()
    town.later().segment("bars", ["eve"])
    run_id = town.rows("SELECT MAX(run_id) AS run_id FROM state.audience_syncs")[0]["run_id"]
    found = mending.undo(town.warehouse, town.project, run_id, town.now)
    assert (found.additions, found.removals) == (0, 0)


def test_exclusions_agree_with_plain_python(town: Town, peer: Peer) -> None:
    """Random people, addresses and lists: what is held is what the segment has, without the addresses of the excluded."""
    chance = random.Random(11)
    users = [f"p{number}" for number in range(12)]
    emails = {user: chance.choice([None, "", *(f"{letter}@example.com" for letter in "abcdefgh")]) for user in users}
    people(town, **emails)
    town.segment("vips", []).segment("bars", []).audience(identify_by=HASHED, exclude=["bars"])
    for _ in range(6):
        members, excluded = (set(chance.sample(users, chance.randint(0, size))) for size in (12, 4))
        town.later().segment("vips", sorted(members)).segment("bars", sorted(excluded)).sync()
        addresses = {emails[user] for user in members - excluded} - {emails[user] for user in excluded} - {None, ""}
        assert set(peer.members()) == {sha(str(address)) for address in addresses}


@pytest.mark.parametrize(
    "keys", [{"identify_by": HASHED}, {"exclude": ["bars"]}, {"identify_by": HASHED, "consent": "email"}]
)
def test_who_excludes_nobody_or_goes_by_the_key_pays_nothing(town: Town, keys: dict[str, Any]) -> None:
    town.segment("vips", []).segment("bars", []).audience(**keys)
    for held in (Held(), Held(1, 2, True)):
        steps = ChangeSet(town.project, DIALECTS["duckdb"], town.audiences["vips"], held).steps()
        assert not any("identifier" in step.sql.sql("duckdb").replace("duplicate_identifier", "").replace("no_identifier", "")
                       for step in steps)  # fmt: skip
