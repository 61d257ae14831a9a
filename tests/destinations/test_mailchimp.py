"""Mailchimp: who may be told how, what a batch operation's results mean, and what lint asks of an audience."""

from __future__ import annotations

import dataclasses
import datetime as dt
import gzip
import json
from typing import Any

import pyarrow as pa
import pytest

from activate.audience import Mapped
from activate.deliver.carriers import members
from activate.destinations.base import CHANGE, MEMBER, ROW, USER_ID, Changes, Pending, Verdict
from activate.destinations.mailchimp import Mailchimp
from activate.destinations.registry import check, create
from activate.providers.base import HttpAnswer, HttpRequest
from tests.destinations.vendors import SECRET
from tests.destinations.vendors.mailchimp import RESULTS, Peer

AT = dt.datetime(2026, 3, 2, 12)
MD5 = Mapped(column="email", normalise="email", hash="md5")


class Case:
    def __init__(self, **options: Any) -> None:
        self.peer = Peer()
        self.destination = create("mine", {"type": "mailchimp", **self.peer.section, **options})

    def changes(self, change: str, *numbers: int, **fields: Any) -> Changes:
        rows = []
        for n in numbers:
            row = {"fields": {**self.peer.fields(n), **fields}} if change != "remove" else {}
            rows.append({MEMBER: self.peer.member(n), USER_ID: f"u{n}", CHANGE: change, ROW: json.dumps(row)})
        schema = pa.schema([(name, pa.string()) for name in (MEMBER, USER_ID, CHANGE, ROW)])
        phase = "remove" if change == "remove" else "upsert"
        return Changes("vip", "run-1", phase, pa.RecordBatch.from_pylist(rows, schema))  # type: ignore[arg-type]

    def people(self, changes: Changes) -> list[dict[str, Any]]:
        request = self.destination.build(changes, AT)
        assert isinstance(request, HttpRequest)
        people: list[dict[str, Any]] = json.loads(request.body)["members"]
        return people

    def send(self, changes: Changes) -> Verdict:
        request = self.destination.build(changes, AT)
        for _ in range(5):
            assert isinstance(request, HttpRequest)
            told = self.destination.read(self.peer.answer(request), changes)
            if isinstance(told, Verdict):
                return told
            assert told.request is not None
            request = told.request
        raise AssertionError("the job does not end")

    def carry(self, request: HttpRequest) -> HttpAnswer:
        return self.peer.answer(request)


@pytest.fixture
def case() -> Case:
    return Case()


# -- additions and updates --------------------------------------------------------------------------------------------


def test_a_member_is_made_of_the_mapped_fields(case: Case) -> None:
    fields = {"language": "de", "vip": True, "tags": "one, two,VIP", "email_type": None}
    (person,) = case.people(case.changes("add", 1, **fields))
    assert person == {
        "email_address": "Person1@private.example.com", "language": "de", "vip": True, "status": "subscribed",
        "tags": ["one", "two", "VIP", "from dbt"], "merge_fields": {"FNAME": "Name 1", "ORDERS": 52_001, "CITY": ""},
    }  # fmt: skip


def test_an_update_leaves_subscription_and_the_additions_tags_alone(case: Case) -> None:
    case.send(case.changes("add", 1))
    case.peer.status[case.peer.member(1)] = "unsubscribed"
    (person,) = case.people(case.changes("update", 1))
    assert not {"status", "tags"} & set(person)
    assert case.send(case.changes("update", 1)) == Verdict()
    assert case.peer.status[case.peer.member(1)] == "unsubscribed"


def test_who_was_archived_is_subscribed_again(case: Case) -> None:
    for change, status in (("add", "subscribed"), ("remove", "archived"), ("add", "subscribed")):
        assert case.send(case.changes(change, 1)) == Verdict()
        assert case.peer.status == {case.peer.member(1): status}


def _refusals(*errors: Any, count: int | None = None) -> HttpAnswer:
    told = {"errors": list(errors), "error_count": len(errors) if count is None else count, "new_members": []}
    return HttpAnswer(200, {}, json.dumps(told).encode())


def test_refusals_are_matched_by_the_addresss_hash_and_keep_no_address(case: Case) -> None:
    text = "PERSON1@private.example.com is in a compliance state due to unsubscribe, bounce, or compliance review"
    told = case.destination.read(_refusals(
        {"email_address": " PERSON1@private.example.com", "error": text, "error_code": "ERROR_GENERIC"},
        {"email_address": "person3@private.example.com", "error": "x", "error_code": "ERROR_CONTACT_EXISTS"},
    ), case.changes("add", 1, 2, 3))  # fmt: skip
    assert isinstance(told, Verdict)
    assert told.status == "accepted"
    assert {place: (one.status, one.code) for place, one in told.but.items()} == {
        0: ("rejected", "compliance_state"), 2: ("rejected", "error_contact_exists"),
    }  # fmt: skip
    assert "private" not in repr(dataclasses.astuple(told))


@pytest.mark.parametrize(
    "answer",
    [
        _refusals({"email_address": "who@else.example.com", "error": "x"}),
        _refusals(None),
        _refusals(count=1),
        HttpAnswer(200, {}, b"{}"),
    ],
)
def test_refusals_that_cannot_be_told_apart_leave_a_doubt(case: Case, answer: HttpAnswer) -> None:
    told = case.destination.read(answer, case.changes("add", 1, 2))
    assert isinstance(told, Verdict)
    assert told.status == "unknown"


# -- removals ---------------------------------------------------------------------------------------------------------


def test_who_is_gone_or_cannot_be_archived_counts_as_removed(case: Case) -> None:
    case.peer.status = {
        case.peer.member(n): status for n, status in enumerate(["subscribed", "unsubscribed", "archived", "cleaned"])
    }
    assert case.send(case.changes("remove", 0, 1, 2, 3, 4)) == Verdict()
    assert set(case.peer.status.values()) == {"archived", "cleaned"}


def test_a_removal_that_fails_is_told_row_by_row(case: Case) -> None:
    case.send(case.changes("add", 1, 2, 3))
    case.peer.bad = {case.peer.member(2)}
    told = case.send(case.changes("remove", 1, 2, 3))
    assert {place: (one.status, one.code) for place, one in told.but.items()} == {1: ("rejected", "http_400")}
    assert case.peer.members == {case.peer.member(2)}


def test_results_that_lack_a_row_or_cannot_be_read_leave_a_doubt(case: Case) -> None:
    changes = case.changes("remove", 0, 1, 2)
    case.peer._results = [
        {"operation_id": "0", "status_code": 204}, {"operation_id": "2", "status_code": 503},
    ]  # fmt: skip
    archive = case.peer._archive()
    for body in (archive, gzip.decompress(archive)):  # unpacked on its way, or not
        told = case.destination.read(HttpAnswer(200, {}, body), changes)
        assert isinstance(told, Verdict)
        assert {place: one.status for place, one in told.but.items()} == {1: "unknown", 2: "failed"}
    told = case.destination.read(HttpAnswer(200, {}, archive[:60]), changes)
    assert isinstance(told, Verdict)
    assert {one.status for one in told.but.values()} == {"unknown"}
    assert len(told.but) == 3


def _job(**told: Any) -> HttpAnswer:
    return HttpAnswer(200, {}, json.dumps({"id": "123abc", "errored_operations": 0, **told}).encode())


def test_a_batch_operation_is_asked_for_until_it_is_finished(case: Case) -> None:
    changes = case.changes("remove", 0)
    for state in ("pending", "preprocessing", "started", "finalizing"):
        told = case.destination.read(_job(status=state), changes)
        assert isinstance(told, Pending)
        assert told.request is not None
        assert told.request.url == "https://us21.api.mailchimp.com/3.0/batches/123abc"
    assert case.destination.read(_job(status="finished"), changes) == Verdict()
    errored = _job(status="finished", errored_operations=1, response_body_url=RESULTS)
    told = case.destination.read(errored, changes)
    assert isinstance(told, Pending)
    assert told.request is not None
    assert told.request.url == RESULTS
    assert "Authorization" not in told.request.headers
    for odd in ("http://elsewhere.example.com/x", "file:///etc/passwd", None):
        told = case.destination.read(_job(status="finished", errored_operations=1, response_body_url=odd), changes)
        assert told == Verdict("unknown", "no_results")


# -- members ----------------------------------------------------------------------------------------------------------


def test_members_are_read_back_page_by_page_without_the_archived(case: Case) -> None:
    case.peer.status = {case.peer.member(n): "archived" if n % 10 == 0 else "subscribed" for n in range(2_345)}
    for _ in range(2):  # it begins anew each time
        pages = list(members(case.destination, case, "vip", 0))  # type: ignore[arg-type]
        assert len(pages) == 3
        assert {one for page in pages for one in page} == case.peer.members


# -- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("identify_by", "fields", "words"),
    [
        (MD5, {"email_address": Mapped(column="email")}, None),
        (Mapped(column="email", normalise="lower", hash="md5"), {"email_address": Mapped(column="email")}, None),
        (MD5, {}, "add people by their address"),
        (MD5, {"email_address": Mapped(column="email", hash="sha256")}, "the address itself"),
        (MD5, {"email_address": Mapped(column="work_email")}, "must name one column"),
        (Mapped(column="external_id"), {"email_address": Mapped(column="external_id")}, "MD5 of their address"),
        (MD5.model_copy(update={"hash": "sha256"}), {"email_address": Mapped(column="email")}, "MD5 of their address"),
        (MD5.model_copy(update={"normalise": None}), {"email_address": Mapped(column="email")}, "MD5 of their address"),
    ],
)
def test_lint_asks_for_the_hash_and_the_address(
    identify_by: Mapped, fields: dict[str, Mapped], words: str | None
) -> None:
    told = Mailchimp.audience_problems({}, identify_by, fields)
    assert len(told) == (words is not None)
    assert words is None or words.replace("add people", "adds people") in told[0]


def test_the_keys_end_names_the_data_centre_unless_an_address_is_written() -> None:
    section = {"type": "mailchimp", "list_id": "x"}
    assert "data centre" in check({**section, "api_key": SECRET}, resolved=True)[0]
    assert check({**section, "api_key": SECRET, "url": "http://localhost:1/3.0"}, resolved=True) == []
    assert check({**section, "api_key": f"{SECRET}-us9"}, resolved=True) == []
    assert check({**section, "api_key": "{{ env_var('KEY') }}"}) == []
