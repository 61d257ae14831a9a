"""HubSpot's lists and Intercom's tags: who is not there, what is refused on the way, and how members are read back."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from activate.deliver.carriers import members
from activate.destinations.base import Changes, Destination, Pending, Phase, Verdict
from activate.destinations.registry import create
from activate.providers.base import HttpAnswer, HttpRequest, Unusable
from tests.destinations.test_ads import answer, changes, request
from tests.destinations.vendors import PeerLike, hubspot, intercom


def made(kind: str, vendor: PeerLike, **options: Any) -> Destination:
    return create("mine", {"type": kind, **vendor.section, **options})


def finish(destination: Destination, vendor: PeerLike, batch: Changes) -> tuple[Verdict, list[str]]:
    """The verdict of a batch, and the requests that it took."""
    posted = [request(destination, batch)]
    found = destination.read(vendor.answer(posted[0]), batch)
    while isinstance(found, Pending):
        assert found.request is not None
        posted.append(found.request)
        found = destination.resume(found, vendor.answer(found.request), batch)
    return found, [f"{one.method} {one.url.partition('.com')[2] or one.url.partition('.io')[2]}" for one in posted]


def after_first(destination: Destination, vendor: PeerLike, batch: Changes, then: HttpAnswer) -> Verdict | Pending:
    """What the second answer of a batch means."""
    found = destination.read(vendor.answer(request(destination, batch)), batch)
    assert isinstance(found, Pending)
    return destination.resume(found, then, batch)


class Wire:
    def __init__(self, vendor: PeerLike) -> None:
        self._vendor = vendor

    def carry(self, request: HttpRequest) -> HttpAnswer:
        return self._vendor.answer(request)


def held(destination: Destination, vendor: PeerLike) -> list[str]:
    pages = members(destination, cast("Any", Wire(vendor)), "vip", 0)
    return sorted(member for page in pages for member in page)


# -- HubSpot --------------------------------------------------------------------------------------------------------------


def test_contacts_are_upserted_then_listed() -> None:
    vendor = hubspot.Peer()
    batch = changes("ada", "bob", fields={"firstname": "Name", "orders": 5, "is_vip": False, "nickname": None})
    verdict, paths = finish(made("hubspot", vendor), vendor, batch)
    assert verdict == Verdict()
    assert paths == ["POST /crm/v3/objects/contacts/batch/upsert", "PUT /crm/v3/lists/42/memberships/add"]
    assert next(iter(vendor.contacts.values())) == {
        "customer_id": "ada", "firstname": "Name", "orders": "5", "is_vip": "false", "nickname": "",
    }  # fmt: skip


def test_a_contact_that_hubspot_does_not_know_has_left_already() -> None:
    vendor = hubspot.Peer()
    destination = made("hubspot", vendor)
    verdict, paths = finish(destination, vendor, changes("ada", phase="remove"))
    assert (verdict, len(paths)) == (Verdict(), 1)
    finish(destination, vendor, changes("bob"))
    verdict, paths = finish(destination, vendor, changes("ada", "bob", phase="remove"))
    assert (verdict, len(paths), vendor.list) == (Verdict(), 2, [])


def test_with_hubspots_own_record_ids_one_request_is_enough() -> None:
    vendor = hubspot.Peer()
    vendor.contacts = {"101": {"customer_id": "ada"}, "102": {"customer_id": "bob"}}
    destination = made("hubspot", vendor, id_property="hs_object_id", batch=1000)
    verdict, paths = finish(destination, vendor, changes("101", "999", "102"))
    assert paths == ["PUT /crm/v3/lists/42/memberships/add"]
    assert {at: (odd.status, odd.code) for at, odd in verdict.but.items()} == {1: ("rejected", "record_missing")}
    assert vendor.list == ["101", "102"]
    assert held(destination, vendor) == ["101", "102"]
    assert finish(destination, vendor, changes("101", "999", phase="remove"))[0] == Verdict()


def test_an_address_as_the_unique_property_may_be_written_in_capitals() -> None:
    results = [{"id": "101", "properties": {"email_sha256": "AB12"}}]
    destination = made("hubspot", hubspot.Peer(), id_property="email_sha256")
    found = destination.read(answer(200, {"status": "COMPLETE", "results": results}), changes("ab12"))
    assert isinstance(found, Pending)
    assert found.request is not None
    assert json.loads(found.request.body) == ["101"]


@pytest.mark.parametrize("phase", ["upsert", "remove"])
def test_a_list_that_is_not_static_stops_the_sync(phase: Phase) -> None:
    vendor = hubspot.Peer()
    destination = made("hubspot", vendor)
    finish(destination, vendor, changes("ada"))
    with pytest.raises(Unusable, match="MANUAL or SNAPSHOT"):
        after_first(destination, vendor, changes("ada", phase=phase), answer(400, {"category": "VALIDATION_ERROR"}))


@pytest.mark.parametrize(("status", "expected"), [(500, "failed"), (502, "unknown"), (429, "failed")])
def test_a_list_that_is_not_changed_is_no_success(status: int, expected: str) -> None:
    vendor = hubspot.Peer()
    found = after_first(made("hubspot", vendor), vendor, changes("ada"), answer(status, {}))
    assert isinstance(found, Verdict)
    assert found.status == expected


def test_members_without_our_key_are_somebody_elses() -> None:
    vendor = hubspot.Peer()
    destination = made("hubspot", vendor)
    finish(destination, vendor, changes(*"abcde"))
    vendor.contacts[vendor.list[2]]["customer_id"] = ""
    assert held(destination, vendor) == ["a", "b", "d", "e"]


# -- Intercom -------------------------------------------------------------------------------------------------------------


def test_a_contact_is_made_once_and_then_updated() -> None:
    vendor = intercom.Peer()
    destination = made("intercom", vendor)
    assert finish(destination, vendor, changes("ada", fields={"name": "A", "lifetime_value": 1}))[1] == [
        "POST /contacts/search", "POST /contacts", "POST /contacts/6762f0dd1bb69f9f2193bb00/tags",
    ]  # fmt: skip
    assert finish(destination, vendor, changes("ada", fields={"name": "B"}))[1] == [
        "POST /contacts/search", "PUT /contacts/6762f0dd1bb69f9f2193bb00", "POST /contacts/6762f0dd1bb69f9f2193bb00/tags",
    ]  # fmt: skip
    assert len(finish(destination, vendor, changes("ada"))[1]) == 2, "nothing to update"
    assert vendor.contacts["6762f0dd1bb69f9f2193bb00"]["name"] == "B"


def test_the_tag_of_somebody_who_is_not_there_is_gone() -> None:
    vendor = intercom.Peer()
    destination = made("intercom", vendor)
    assert finish(destination, vendor, changes("ada", phase="remove"))[0].status == "accepted"
    finish(destination, vendor, changes("ada"))
    vendor.tagged.clear()  # somebody took it away by hand
    assert finish(destination, vendor, changes("ada", phase="remove"))[0].status == "accepted"


def test_all_pages_of_a_tags_contacts_are_read() -> None:
    vendor = intercom.Peer()
    destination = made("intercom", vendor)
    for member in "abcde":
        finish(destination, vendor, changes(member))
    assert held(destination, vendor) == list("abcde")


def test_only_the_contact_with_the_very_key_is_meant() -> None:
    """Search is told to be exact; were it not, a stranger would be tagged."""
    found = {"type": "list", "data": [{"id": "6762f0dd1bb69f9f2193bb00", "external_id": "adam"}]}
    told = made("intercom", intercom.Peer()).read(answer(200, found), changes("ada"))
    assert isinstance(told, Pending)
    assert told.request is not None
    assert told.request.url.endswith("/contacts")


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [(409, "conflict", "failed"), (404, "not_found", "failed"), (422, "parameter_invalid", "rejected"),
     (500, "server_error", "failed"), (429, "rate_limit_exceeded", "failed")],
)  # fmt: skip
def test_what_intercom_says_to_a_new_contact(status: int, code: str, expected: str) -> None:
    vendor = intercom.Peer()
    refusal = answer(status, {"type": "error.list", "errors": [{"code": code, "message": "ada exists"}]})
    told = after_first(made("intercom", vendor), vendor, changes("ada"), refusal)
    assert isinstance(told, Verdict)
    assert told.status == expected
    assert "ada" not in repr(told)
