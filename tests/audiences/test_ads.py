"""Whole syncs into advertising platforms over loopback: jobs that are polled, that fail, that are lost; removals first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from activate.providers.base import HttpAnswer, HttpRequest
from activate.warehouses.duckdb import DuckDB
from tests.audiences import killed
from tests.audiences.test_kill import Place
from tests.audiences.town import Town, no_waiting, sha
from tests.audiences.vendor_server import Vendor, serve
from tests.destinations.vendors import google_ads, google_data_manager, meta

EMAIL = {"column": "email", "normalise": "email", "hash": "sha256"}
NAMES = ("ada", "bob", "cid", "dan", "eve")


def _section(vendor: Vendor, kind: str, **options: Any) -> dict[str, Any]:
    section = {"type": kind, **vendor.peer.section, "url": vendor.url, "batch": 2, "concurrency": 1, **options}
    return section | ({"token_url": f"{vendor.url}/token"} if kind.startswith("google") else {})


def _people(town: Town, *names: str) -> Town:
    return town.put("people", *({"user_id": name, "email": f" {name.title()}@X.org"} for name in names))


def _hashes(*names: str) -> set[str]:
    return {sha(f"{name}@x.org") for name in names}


@pytest.fixture
def google() -> Iterator[Vendor]:
    with serve(google_ads.Peer()) as vendor:
        yield vendor


@pytest.fixture
def town(google: Vendor, duckdb_in_memory: DuckDB, tmp_path: Path) -> Town:
    return _people(Town(duckdb_in_memory, tmp_path, {"crm": _section(google, "google_ads")}), *NAMES, "zoe")


def jobs(vendor: Vendor) -> google_ads.Peer:
    assert isinstance(vendor.peer, google_ads.Peer)
    return vendor.peer


def test_a_list_of_customers_is_kept_through_jobs(town: Town, google: Vendor) -> None:
    town.segment("vips", NAMES).audience(identify_by=EMAIL)
    report = town.sync()
    assert (report.error, report.outcomes) == (None, {"accepted": 5})
    assert google.peer.members == _hashes(*NAMES)
    assert len(jobs(google).jobs) == 3
    assert google.paths.count("POST /token") == 1, "one token for the whole sync"
    assert sum(path.endswith("googleAds:search") for path in google.paths) == 9, (
        "each job is asked for until it is done"
    )
    google.paths.clear()
    assert town.later().sync().outcomes == {}
    assert google.paths == []


def test_removals_are_a_job_of_their_own_before_additions(town: Town, google: Vendor) -> None:
    town.segment("vips", NAMES).audience(identify_by=EMAIL).sync()
    jobs(google).requests.clear()
    town.later().segment("vips", ["ada", "bob", "zoe"])
    assert town.sync().outcomes == {"accepted": 4}
    assert google.peer.members == _hashes("ada", "bob", "zoe")
    told = [next(iter(operation)) for path, body in jobs(google).requests if path.endswith(":addOperations")
            for operation in body["operations"]]  # fmt: skip
    assert told == ["remove"] * 3 + ["create"]


def test_a_job_that_fails_leaves_its_people_in_doubt_and_the_next_sync_sends_them_again(
    town: Town, google: Vendor
) -> None:
    town.segment("vips", ["ada", "bob"]).audience(identify_by=EMAIL)
    jobs(google).next_statuses = ["RUNNING", "FAILED"]
    report = town.sync()
    assert (report.outcomes, report.codes) == ({"unknown": 2}, {"job_failed": 2})
    assert len(jobs(google).jobs) == 1, "it is not tried again at once"
    jobs(google).next_statuses = ["SUCCESS"]
    assert town.later().sync().outcomes == {"accepted": 2}
    assert google.peer.members == _hashes("ada", "bob")


def test_who_leaves_after_a_job_that_failed_is_removed_all_the_same(town: Town, google: Vendor) -> None:
    town.segment("vips", ["ada", "bob"]).audience(identify_by=EMAIL)
    jobs(google).next_statuses = ["FAILED"]
    town.sync()
    google.peer.members = _hashes("ada")  # it had got that far
    jobs(google).next_statuses = ["SUCCESS"]
    town.later().segment("vips", ["bob"])
    town.sync()
    assert google.peer.members == _hashes("bob")


def test_a_job_that_outlasts_our_patience_counts_as_taken(town: Town, google: Vendor) -> None:
    town.segment("vips", ["ada", "bob"]).audience(identify_by=EMAIL)
    jobs(google).next_statuses = ["PENDING", *["RUNNING"] * 99]
    clock = no_waiting()
    assert town.sync(clock=clock).outcomes == {"accepted": 2}
    assert 600 <= clock.monotonic() <= 660
    assert town.later().sync().outcomes == {}


def test_an_operation_that_is_refused_harms_no_other(town: Town, google: Vendor) -> None:
    town.segment("vips", NAMES).audience(identify_by=EMAIL)
    google.peer.bad = _hashes("ada", "eve")
    report = town.sync()
    assert (report.outcomes, report.codes) == ({"accepted": 3, "rejected": 2}, {"invalid_encoding": 2})
    assert google.peer.members == _hashes("bob", "cid", "dan")
    google.paths.clear()
    assert town.later().sync().outcomes == {}
    assert google.paths == [], "dead letters wait until their row changes"


def test_a_developer_token_that_is_not_allowed_stops_the_sync_and_blames_nobody(town: Town, google: Vendor) -> None:
    town.segment("vips", NAMES).audience(identify_by=EMAIL)
    code = {"authorizationError": "CUSTOMER_NOT_ALLOWLISTED_FOR_THIS_FEATURE"}
    google.meddle = lambda request: None if request.url.endswith("token") else google_ads.failure(403, code)
    report = town.sync()
    assert report.outcomes == {"aborted": 5}
    assert "customer_not_allowlisted_for_this_feature" in str(report.error)
    google.meddle = None
    assert town.later().sync().outcomes == {"accepted": 5}


@pytest.mark.parametrize("step", [":create", ":addOperations", ":run", ":search"])
def test_an_answer_that_is_lost_at_any_step_is_made_good(town: Town, google: Vendor, step: str) -> None:
    town.segment("vips", ["ada", "bob"]).audience(identify_by=EMAIL)
    left = [step]

    def lose(request: HttpRequest) -> HttpAnswer | None:
        if not left or not request.url.endswith(left[0]):
            return None
        left.clear()
        google.peer.answer(request)
        return HttpAnswer(0, {}, b"")

    google.meddle = lose
    town.sync()
    town.later().sync()
    assert google.peer.members == _hashes("ada", "bob")
    assert town.later().sync().outcomes == {}


@pytest.mark.parametrize("status", [429, 500])
@pytest.mark.parametrize("step", [":create", ":addOperations", ":run", ":search"])
def test_a_step_that_is_not_taken_is_tried_again(town: Town, google: Vendor, step: str, status: int) -> None:
    town.segment("vips", ["ada", "bob"]).audience(identify_by=EMAIL)
    left = [step]

    def refuse(request: HttpRequest) -> HttpAnswer | None:
        if not left or not request.url.endswith(left[0]):
            return None
        left.clear()
        return HttpAnswer(status, {"Retry-After": "3"}, b"{}")

    google.meddle = refuse
    outcomes = town.sync().outcomes
    assert outcomes == ({"unknown": 2} if (step, status) == (":search", 500) else {"accepted": 2})
    town.later().sync()
    assert google.peer.members == _hashes("ada", "bob")


def test_a_platform_that_asks_for_an_hour_in_the_middle_of_a_job_is_left_alone(town: Town, google: Vendor) -> None:
    town.segment("vips", NAMES).audience(identify_by=EMAIL)
    google.meddle = lambda request: (
        HttpAnswer(429, {"Retry-After": "3600"}, b"{}") if request.url.endswith(":addOperations") else None
    )
    report = town.sync()
    assert report.outcomes == {"aborted": 5}, "nobody's attempt is used up: no job has run"
    assert "3600 seconds" in str(report.error)
    google.meddle = None
    assert town.later().sync().outcomes == {"accepted": 5}
    assert google.peer.members == _hashes(*NAMES)


@pytest.mark.slow
def test_a_sync_killed_between_the_steps_of_a_job_is_made_good_by_the_next(google: Vendor, tmp_path: Path) -> None:
    uri = str(tmp_path / "town.duckdb")
    opened = killed.connect(uri)
    town = _people(Town(opened, tmp_path, {"crm": _section(google, "google_ads", batch=10)}), *NAMES)
    opened.close()
    place = Place("duckdb", uri, town)
    with place.open() as town:
        town.segment("vips", ["ada", "bob"]).audience(identify_by=EMAIL)
    for post in range(1, 6):  # the token, create, addOperations, run, search
        place.killed_at(f"after post {post}")
    with place.open() as town:
        town.later().segment("vips", ["bob", "cid"])
        assert town.sync().error is None
    assert google.peer.members == _hashes("bob", "cid")


def test_the_data_manager_is_asked_until_a_request_is_done(duckdb_in_memory: DuckDB, tmp_path: Path) -> None:
    with serve(google_data_manager.Peer()) as vendor:
        town = _people(Town(duckdb_in_memory, tmp_path, {"crm": _section(vendor, "google_data_manager")}), *NAMES)
        town.segment("vips", NAMES).audience(identify_by=EMAIL)
        assert town.sync().outcomes == {"accepted": 5}
        town.later().segment("vips", ["ada"])
        assert town.sync().outcomes == {"accepted": 4}
        assert vendor.peer.members == _hashes("ada")
        vendor.peer.bad = _hashes("bob")
        town.later().segment("vips", NAMES)
        report = town.sync()
        assert (report.outcomes, report.codes) == ({"accepted": 3, "rejected": 1}, {"http_400": 1})
        assert vendor.peer.members == _hashes("ada", "cid", "dan", "eve")


# -- Meta -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def facebook() -> Iterator[Vendor]:
    with serve(meta.Peer()) as vendor:
        yield vendor


@pytest.fixture
def fan_town(facebook: Vendor, duckdb_in_memory: DuckDB, tmp_path: Path) -> Town:
    return _people(Town(duckdb_in_memory, tmp_path, {"crm": _section(facebook, "meta", batch=10)}), *NAMES, "zoe")


def test_who_is_suppressed_is_taken_out_before_anybody_is_added(fan_town: Town, facebook: Vendor) -> None:
    town = fan_town.segment("banned", ["zoe"]).segment("vips", ["ada", "bob", "cid", "zoe"])
    town.audience(identify_by=EMAIL, exclude=["banned"])
    town.sync()
    assert facebook.peer.members == _hashes("ada", "bob", "cid"), "who is excluded is never added"
    facebook.paths.clear()
    town.later().segment("banned", ["zoe", "bob"]).segment("vips", ["ada", "bob", "dan"])
    assert town.sync().outcomes == {"accepted": 3}
    assert [path.partition(" ")[0] for path in facebook.paths] == ["DELETE", "DELETE", "POST"]
    assert facebook.peer.members == _hashes("ada", "dan")


def test_an_invalid_entry_that_meta_only_counts_is_found_by_halves(fan_town: Town, facebook: Vendor) -> None:
    town = fan_town.segment("vips", NAMES).audience(identify_by=EMAIL)
    facebook.peer.bad = _hashes("dan")
    report = town.sync()
    assert (report.outcomes, report.codes) == ({"accepted": 4, "rejected": 1}, {"invalid_entry": 1})
    assert facebook.peer.members == _hashes("ada", "bob", "cid", "eve")


def test_where_a_half_is_not_taken_its_people_are_in_doubt_since_the_first_request_had_them(
    fan_town: Town, facebook: Vendor
) -> None:
    town = fan_town.segment("vips", NAMES).audience(identify_by=EMAIL)
    facebook.peer.bad = _hashes("dan")
    facebook.meddle = lambda request: None if len(facebook.paths) == 1 else HttpAnswer(503, {}, b"")
    assert town.sync().outcomes == {"unknown": 5}
    facebook.meddle, facebook.peer.bad = None, set()
    town.later().segment("vips", ["dan"])
    town.sync()
    assert facebook.peer.members == _hashes("dan"), "those in doubt are removed"


def test_neither_address_nor_secret_travels_in_an_address_of_a_request(fan_town: Town, facebook: Vendor) -> None:
    seen: list[HttpRequest] = []
    facebook.meddle = seen.append  # type: ignore[assignment]
    fan_town.segment("vips", ["ada"]).audience(identify_by=EMAIL).sync()
    (request,) = seen
    assert "?" not in request.url
    assert meta.APP_SECRET not in str(request.headers) + request.body.decode()
    assert b"ada" not in request.body.lower()
    assert set(parse_qs(request.body.decode())) == {"payload", "session", "appsecret_proof"}
