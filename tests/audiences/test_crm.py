"""Whole syncs into HubSpot and Intercom over loopback, read back and mended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from activate import mending
from activate.providers.base import HttpAnswer, HttpRequest
from activate.warehouses.duckdb import DuckDB
from tests.audiences.town import Town
from tests.audiences.vendor_server import Vendor, serve
from tests.destinations.vendors import hubspot, intercom

NAMES = ("ada", "bob", "cid", "dan", "eve")


@pytest.fixture(params=[hubspot.Peer, intercom.Peer], ids=["hubspot", "intercom"])
def vendor(request: pytest.FixtureRequest) -> Iterator[Vendor]:
    with serve(request.param()) as found:
        yield found


@pytest.fixture
def town(vendor: Vendor, duckdb_in_memory: DuckDB, tmp_path: Path) -> Town:
    kind = "hubspot" if isinstance(vendor.peer, hubspot.Peer) else "intercom"
    section = {"type": kind, **vendor.peer.section, "url": vendor.url, "concurrency": 1}
    return Town(duckdb_in_memory, tmp_path, {"crm": section})


def _contact(vendor: Vendor, name: str) -> tuple[list[str], str, dict[str, Any]]:
    """Who is in the list, or has the tag; and somebody's contact."""
    peer: Any = vendor.peer
    key = "customer_id" if isinstance(peer, hubspot.Peer) else "external_id"
    contact = next(contact for contact, one in peer.contacts.items() if one[key] == name)
    return peer.list if isinstance(peer, hubspot.Peer) else peer.tagged, contact, peer.contacts[contact]


def test_people_and_what_is_known_of_them_are_kept_there(town: Town, vendor: Vendor) -> None:
    town.segment("vips", {name: {"label": name.title()} for name in NAMES}, {"label": "text"})
    town.audience(fields={"firstname" if isinstance(vendor.peer, hubspot.Peer) else "name": "label"})
    assert town.sync().outcomes == {"accepted": 5}
    assert vendor.peer.members == set(NAMES)
    assert "Ada" in _contact(vendor, "ada")[2].values()
    town.later().segment("vips", {"ada": {"label": "Ada L."}, "bob": {"label": "Bob"}}, {"label": "text"})
    assert town.sync().outcomes == {"accepted": 4}, "three leave, one changes"
    assert vendor.peer.members == {"ada", "bob"}
    assert "Ada L." in _contact(vendor, "ada")[2].values()
    assert town.later().sync().outcomes == {}


def test_what_somebody_changed_by_hand_is_found_and_mended(town: Town, vendor: Vendor) -> None:
    town.segment("vips", NAMES).audience().sync()
    held, contact, _ = _contact(vendor, "cid")
    held.remove(contact)
    found, report = mending.reconcile(town.warehouse, town.project, town.audiences["vips"], town.later().now)
    assert found == {"missing": 1, "left": 0, "foreign": 0}
    assert report is not None
    assert vendor.peer.members == set(NAMES)


def test_a_row_that_is_refused_harms_no_other(town: Town, vendor: Vendor) -> None:
    vendor.peer.bad = {"cid"}
    town.segment("vips", NAMES).audience()
    assert town.sync().outcomes == {"accepted": 4, "rejected": 1}
    assert vendor.peer.members == set(NAMES) - {"cid"}


def test_a_second_step_that_is_refused_for_all_stops_the_sync_and_blames_nobody(town: Town, vendor: Vendor) -> None:
    def refuse(request: HttpRequest) -> HttpAnswer | None:
        return HttpAnswer(403, {}, b"{}") if "/memberships/" in request.url or request.url.endswith("/tags") else None

    vendor.meddle = refuse
    town.segment("vips", NAMES).audience()
    report = town.sync()
    assert (report.outcomes, bool(report.error)) == ({"aborted": 5}, True)
    vendor.meddle = None
    assert town.later().sync().outcomes == {"accepted": 5}
    assert vendor.peer.members == set(NAMES)
