"""Previews: what one person would get, without a trace."""

from __future__ import annotations

import dataclasses

import pytest
from post_office import NOON, MakeOffice, PostOffice, address, on_both

from activate.campaign import Campaign
from activate.deliver.preview import Preview, preview
from activate.errors import SettingsError
from activate.project import Model, Relation
from activate.record.deliveries import Outbox

SMTP = {
    "type": "smtp", "host": "h", "from": "a@example.com", "unsubscribe_url": "https://x.example.com/{token}",
    "unsubscribe_secret": "{{ env_var('NOT_SET') }}",
}  # fmt: skip


def _campaign(**more: object) -> Campaign:
    return Campaign.model_validate({
        "campaign": "hello", "enter": {"trigger": "carts"},
        "steps": [{"channels": ["push", "email"], "template": "hello"}], **more,
    })  # fmt: skip


def _office(make: MakeOffice, campaign: Campaign) -> PostOffice:
    office = make({"mail": SMTP}).people(2)
    office.sql("CREATE TABLE shop.carts (id TEXT, person TEXT, at TIMESTAMP, product TEXT)")
    office.sql("INSERT INTO shop.carts VALUES ('a', 'u0', TIMESTAMP '2026-01-01 00:00:00', 'Old tea')")
    office.sql("INSERT INTO shop.carts VALUES ('b', 'u0', TIMESTAMP '2026-02-01 00:00:00', 'New tea')")
    carts = Model("carts", Relation("shop", "carts"), "trigger", key="person", id="id", time="at",
                  columns={"id": "text", "person": "text", "at": "timestamp", "product": "text"})  # fmt: skip
    models = {**office.project.models, "carts": carts}
    office.project = dataclasses.replace(office.project, campaigns=(campaign,), models=models)
    return office


def _preview(office: PostOffice, user_id: str, **options: object) -> Preview:
    outbox = Outbox(office.warehouse.clone(), office.project, "preview", "preview")
    try:
        return preview(office.project, outbox, "hello", user_id, at=NOON, **options)  # type: ignore[arg-type]
    finally:
        outbox.close()


@on_both
def test_the_latest_entry_gives_the_context(make_office: MakeOffice) -> None:
    office = _office(make_office, _campaign()).queue([0])
    before = office.all_state()
    shown = _preview(office, "u0", channel="email")
    assert shown.content["text"] == "You have 0 points, Tea 0."
    assert (shown.template, shown.problem) == ("hello.email.j2", None)
    assert office.all_state() == before
    assert address(0) not in repr(shown)


@on_both
def test_without_an_entry_the_latest_row_of_the_trigger_does(make_office: MakeOffice) -> None:
    assert _preview(_office(make_office, _campaign()), "u0", channel="email").content["text"].endswith("New tea.")


def test_the_first_channel_that_reaches_the_person_is_shown(make_office: MakeOffice) -> None:
    office = _office(make_office, _campaign())
    assert _preview(office, "u0").channel == "push"
    office.sql("UPDATE shop.profiles SET push_token = NULL WHERE user_id = 'u0'")
    assert _preview(office, "u0").channel == "email"


def test_a_problem_is_told_beside_the_content(make_office: MakeOffice) -> None:
    office = _office(make_office, _campaign())
    office.sql("UPDATE shop.profiles SET email_consent = FALSE")
    shown = _preview(office, "u0", channel="email")
    assert shown.problem == "this person has given no consent on this channel"
    assert shown.content["subject"] == "Hello Ann0"
    assert _preview(office, "nobody").problem == "the profiles model has no row for this person"
    office.sql("UPDATE shop.profiles SET first_name = NULL")
    assert "first_name is null" in str(_preview(office, "u0", channel="push").problem)


def test_the_variant_is_the_persons_own(make_office: MakeOffice) -> None:
    campaign = _campaign(variants=[{"name": "a", "weight": 1}, {"name": "b", "weight": 3}])
    office = _office(make_office, campaign)
    # md5('hello:variant|u0') begins with 8a..., md5('hello:variant|u1') decides likewise; a quarter ends at 40...
    import hashlib

    for person in ("u0", "u1"):
        place = int(hashlib.md5(f"hello:variant|{person}".encode()).hexdigest(), 16) / 2**128
        assert _preview(office, person).variant == ("a" if place < 0.25 else "b")
    office.queue([0])
    office.sql("UPDATE activate.entries SET variant = 'a'")
    assert _preview(office, "u0").variant == "a"
    assert _preview(office, "u0", variant="b").variant == "b"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step": 2}, "no step 2; it has 1"),
        ({"channel": "pussh"}, "did you mean 'push'"),
        ({"variant": "x"}, "no variant 'x'"),
    ],
)
def test_a_wrong_name_is_told_with_what_there_is(
    duckdb_only: MakeOffice, options: dict[str, object], message: str
) -> None:
    office = _office(duckdb_only, _campaign())
    with pytest.raises(SettingsError, match=message):
        _preview(office, "u0", **options)
