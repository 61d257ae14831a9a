"""Braze, Customer.io, Iterable and Klaviyo beyond the contract: other ways, jobs, row failures, fitness at lint."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from activate.audience import Mapped
from activate.destinations.base import Destination, Pending, Refusal, Verdict
from activate.destinations.engagement import Unreadable
from activate.destinations.registry import DESTINATIONS, check, create
from activate.providers.base import HttpAnswer, Unusable
from tests.destinations import test_contract as contract
from tests.destinations.test_contract import AT, Case
from tests.destinations.vendors import SECRET
from tests.destinations.vendors.customerio import SegmentPeer


def case(kind: str, **options: Any) -> Case:
    found = Case(kind)
    found.destination = create("mine", {"type": kind, **found.peer.section, **options})
    return found


def answered(status: int, told: Any = None, **headers: str) -> HttpAnswer:
    return HttpAnswer(status, headers, b"" if told is None else json.dumps(told).encode())


def read(found: Case, answer: HttpAnswer, phase: Any = "upsert", count: int = 3) -> Verdict | Pending:
    return found.destination.read(answer, found.changes(phase, range(count)))


def told(found: Case, phase: Any = "upsert", count: int = 1) -> Any:
    request = found.destination.build(found.changes(phase, range(count)), AT)
    return json.loads(request.body)  # type: ignore[union-attr]


# -- Braze ------------------------------------------------------------------------------------------------------------


def test_braze_marks_members_with_a_flag_and_makes_nobody_to_take_them_out() -> None:
    found = case("braze")
    assert told(found) == {"attributes": [
        {"first_name": "Name 0", "lifetime_value": 10.5, "external_id": "braze person 0", "in_vips": True}]}  # fmt: skip
    assert told(found, "remove") == {"attributes": [
        {"external_id": "braze person 0", "in_vips": None, "_update_existing_only": True}]}  # fmt: skip


def test_braze_keeps_several_audiences_in_one_array() -> None:
    found = case("braze", membership="list", attribute="audiences", create_people=False)
    [one] = told(found)["attributes"]
    assert (one["audiences"], one["_update_existing_only"]) == ({"add": ["vips"]}, True)
    [gone] = told(found, "remove")["attributes"]
    assert gone["audiences"] == {"remove": ["vips"]}


@pytest.mark.parametrize(
    ("options", "several"),
    [({}, True), ({"attribute": "vip"}, False), ({"attribute": "in_{audience}"}, True),
     ({"attribute": "vip", "membership": "list"}, True)],
)  # fmt: skip
def test_braze_tells_audiences_apart_by_the_attributes_name_or_value(options: dict[str, Any], several: bool) -> None:
    assert DESTINATIONS["braze"].holds_several(options) is several


def test_braze_errors_without_a_position_leave_the_others_in_doubt() -> None:
    found = case("braze")
    verdict = read(found, answered(201, {"attributes_processed": 1, "errors": [{"type": "x", "index": 1}, "odd"]}))
    assert verdict == Verdict("unknown", "told_error", but={1: Refusal("rejected", "refused")})
    assert read(found, answered(201, {"attributes_processed": 3, "errors": ["odd"]})) == Verdict()


def test_braze_tells_when_its_window_ends() -> None:
    noon = int(AT.replace(tzinfo=dt.UTC).timestamp())
    answer = HttpAnswer(429, {"x-ratelimit-reset": str(noon + 2)}, b"")
    assert case("braze").destination.asked_wait(answer, AT) == 2
    assert case("klaviyo").destination.asked_wait(answer, AT) is None


# -- Customer.io ------------------------------------------------------------------------------------------------------


@pytest.fixture
def segment() -> Case:
    found = Case("customerio")
    found.peer = SegmentPeer()
    found.destination = create("mine", {"type": "customerio", **found.peer.section})
    return found


def test_a_manual_segment_holds_exactly_who_was_added_and_not_removed(segment: Case) -> None:
    assert segment.send(segment.changes("upsert", range(5))) == Verdict()
    assert segment.send(segment.changes("remove", [1])) == Verdict()
    assert segment.peer.members == {segment.peer.member(n) for n in (0, 2, 3, 4)}
    assert segment.held() == sorted(segment.peer.members)
    assert segment.destination.limits.batch == 1_000


@pytest.mark.parametrize(
    "term",
    [
        contract.test_the_same_twice_leaves_the_same_set,
        contract.test_the_same_changes_make_the_same_request,
        contract.test_a_request_shows_neither_member_nor_field_nor_secret,
        contract.test_being_told_to_wait_is_not_final,
        contract.test_refused_credentials_blame_no_row,
        contract.test_neither_member_nor_secret_reaches_a_verdict,
        contract.test_its_members_are_read_back,
    ],
    ids=lambda term: term.__name__,
)
def test_a_manual_segment_keeps_the_contract(segment: Case, term: Callable[[Case, range], None]) -> None:
    term(segment, range(3))


def test_a_manual_segment_takes_a_thousand_people_at_once(segment: Case) -> None:
    assert segment.send(segment.changes("upsert", range(1_000))) == Verdict()
    assert len(segment.peer.members) == 1_000


def test_members_without_this_kind_of_identifier_are_not_shown(segment: Case) -> None:
    page = segment.destination.read_members(answered(200, {"identifiers": [{"id": ""}, {"email": "x"}, {"id": "7"}]}))
    assert (page.members, page.more) == (["7"], None)


def test_attributes_are_kept_in_small_batches_and_cannot_be_read_back() -> None:
    found = case("customerio")
    assert found.destination.limits.batch == 200
    assert found.destination.ask_members("vips") is None
    [item] = told(found)["batch"]
    assert item["attributes"] == {"first_name": "Name 0", "plan": "premium", "in_vips": True}
    [gone] = told(found, "remove")["batch"]
    assert gone["attributes"] == {"in_vips": False, "_update": True}


def test_a_person_with_more_than_32_kilobytes_spoils_only_itself() -> None:
    found = case("customerio")
    found.peer.fields = lambda n: {"story": "x" * 32_000}  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="32 KB"):
        found.destination.build(found.changes("upsert", [0]), AT)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({}, "either 'segment_id' or 'attribute'"),
        ({"segment_id": 7, "attribute": "vip"}, "either 'segment_id' or 'attribute'"),
        ({"attribute": "vip", "batch": 201}, "at most 200"),
    ],
)
def test_customerio_options_that_cannot_work_are_told(options: dict[str, Any], part: str) -> None:
    section = {"type": "customerio", "site_id": "s", "track_key": SECRET, **options}
    assert part in "\n".join(check(section, resolved=True))


# -- Iterable ---------------------------------------------------------------------------------------------------------


def test_iterable_rows_are_rejected_by_the_list_that_names_them() -> None:
    found = case("iterable")
    found.peer.fields = lambda n: {"email": f"Person{n}@e.com"}  # type: ignore[method-assign]
    failed = {"forgottenUserIds": ["iterable person 1"], "invalidEmails": ["person2@e.com"], "notFoundUserIds": ["x"]}
    verdict = read(found, answered(200, {"failCount": 2, "failedUpdates": failed}))
    assert verdict == Verdict(but={1: Refusal("rejected", "forgottenUserIds"), 2: Refusal("rejected", "invalidEmails")})


def test_iterable_failures_that_are_not_listed_leave_a_doubt() -> None:
    verdict = read(case("iterable"), answered(200, {"failCount": 2, "failedUpdates": {}}))
    assert verdict == Verdict("unknown", "failures_not_listed")


def test_who_is_not_on_the_list_is_removed() -> None:
    found = case("iterable")
    failed = {"notFoundUserIds": [found.peer.member(0)], "forgottenUserIds": [found.peer.member(1)]}
    verdict = read(found, answered(200, {"failCount": 2, "failedUpdates": failed}), "remove")
    assert verdict == Verdict(but={1: Refusal("rejected", "forgottenUserIds")})


def test_iterable_makes_people_only_if_told() -> None:
    one = told(case("iterable"))
    assert one["subscribers"][0]["preferUserId"] is True
    assert one["updateExistingUsersOnly"] is False
    other = told(case("iterable", create_people=False))
    assert other["subscribers"][0]["preferUserId"] is False
    assert other["updateExistingUsersOnly"] is True


def test_a_list_that_was_cut_off_is_not_taken_for_a_whole() -> None:
    found = case("iterable").destination
    page = found.read_members(HttpAnswer(200, {}, b"a b@e.com\nc@e.com\n"))
    assert page.members == ["a b@e.com", "c@e.com"]
    with pytest.raises(Unreadable):
        found.read_members(HttpAnswer(200, {}, b"x" * 1_000_001))
    with pytest.raises(Unusable):
        found.read_members(HttpAnswer(503, {}, b""))


# -- Klaviyo ----------------------------------------------------------------------------------------------------------


def test_klaviyo_fields_are_the_profiles_own_or_properties() -> None:
    body = told(case("klaviyo"))["data"]
    assert body["attributes"]["profiles"]["data"] == [{"type": "profile", "attributes": {
        "first_name": "Name 0", "properties": {"lifetime_value": 98765.25}, "external_id": "klaviyo person 0"}}]  # fmt: skip


def test_klaviyo_takes_people_off_a_hundred_at_a_time() -> None:
    found = case("klaviyo")
    assert (found.destination.batch_of("upsert"), found.destination.batch_of("remove")) == (1_000, 100)
    assert found.send(found.changes("upsert", range(150))) == Verdict()
    assert found.send(found.changes("remove", range(100))) == Verdict()
    assert found.peer.members == {found.peer.member(n) for n in range(100, 150)}


def test_klaviyo_people_whom_nobody_knows_need_not_be_taken_off() -> None:
    found = case("klaviyo")
    assert found.send(found.changes("remove", range(3))) == Verdict()


def test_klaviyo_keys_with_quotes_are_asked_for_as_they_are() -> None:
    found = case("klaviyo")
    found.peer.member = lambda n: f'a"b\\{n}'  # type: ignore[method-assign]
    found.send(found.changes("upsert", [1]))
    assert found.send(found.changes("remove", [1])) == Verdict()
    assert found.peer.members == set()


def _errors(*parts: dict[str, Any], following: str | None = None) -> HttpAnswer:
    items = [{"type": "import-error", "id": "1", "attributes": {"code": "invalid", **part}} for part in parts]
    return answered(200, {"data": items, "links": {"next": following}})


@pytest.mark.parametrize(
    "part",
    [
        {"source": {"pointer": "/data/attributes/profiles/data/1/attributes/email"}},
        {"source": {"pointer": "/data"}, "original_payload": {"external_id": "klaviyo person 1"}},
        {"source": {"pointer": "/data"}, "original_payload": {"attributes": {"external_id": "klaviyo person 1"}}},
    ],
)
def test_klaviyo_import_errors_are_joined_to_their_rows(part: dict[str, Any]) -> None:
    assert read(case("klaviyo"), _errors(part)) == Verdict(but={1: Refusal("rejected", "invalid_profile")})


@pytest.mark.parametrize(
    ("errors", "but"),
    [
        (_errors({"source": {"pointer": "/data"}}), {}),
        (_errors({"source": None, "original_payload": {"external_id": ["x"]}}), {}),
        (_errors({"source": {"pointer": "/data/attributes/profiles/data/99"}}), {}),
        (_errors(), {}),
        (
            _errors({"source": {"pointer": "/data/attributes/profiles/data/2"}}, following="https://a.klaviyo.com/x"),
            {2},
        ),
    ],
)
def test_klaviyo_errors_that_are_not_all_told_leave_a_doubt(errors: HttpAnswer, but: Sequence[int]) -> None:
    verdict = read(case("klaviyo"), errors)
    assert verdict == Verdict(
        "unknown", "errors_not_told", but={at: Refusal("rejected", "invalid_profile") for at in but}
    )


@pytest.mark.parametrize(
    ("status", "kind"), [("queued", Pending), ("processing", Pending), ("surprise", Pending), ("cancelled", Verdict)]
)
def test_klaviyo_jobs_are_asked_until_they_are_complete(status: str, kind: type) -> None:
    found = read(case("klaviyo"), answered(202, {"data": {"id": "job", "attributes": {"status": status}}}))
    assert type(found) is kind
    if isinstance(found, Verdict):
        assert (found.status, found.code) == ("failed", "job_cancelled")


def test_klaviyos_key_is_sent_to_no_other_host() -> None:
    found = case("klaviyo").destination
    with pytest.raises(Unreadable):
        found.read_members(answered(200, {"data": [], "links": {"next": "https://evil.example.com/api"}}))
    page = found.read_members(
        answered(200, {"data": [{"attributes": {"external_id": None}}], "links": {"next": "/api/more"}})
    )
    assert page.members == []
    assert page.more is not None
    assert page.more.url == "https://a.klaviyo.com/api/more"  # type: ignore[union-attr]


# -- fitness at lint --------------------------------------------------------------------------------------------------

BY_KEY = Mapped(column="external_id")


@pytest.mark.parametrize(
    ("kind", "options", "fields", "part"),
    [
        ("braze", {}, ("first_name", "external_id"), "'external_id' for itself"),
        ("customerio", {"segment_id": 7}, ("first_name",), "take no fields"),
        ("customerio", {"attribute": "vip"}, ("id",), "'id' for itself"),
        ("iterable", {}, ("userId",), "'userId' for itself"),
        ("klaviyo", {}, ("email", "external_id"), "'external_id' for itself"),
    ],
)
def test_lint_tells_which_fields_cannot_be_kept(
    kind: str, options: dict[str, Any], fields: tuple[str, ...], part: str
) -> None:
    [problem] = DESTINATIONS[kind].audience_problems(options, BY_KEY, dict.fromkeys(fields, BY_KEY))
    assert part in problem


@pytest.mark.parametrize("kind", ["braze", "customerio", "iterable", "klaviyo"])
def test_lint_lets_other_fields_pass(kind: str) -> None:
    assert DESTINATIONS[kind].audience_problems({}, BY_KEY, dict.fromkeys(("email", "first_name"), BY_KEY)) == []


def test_other_destinations_take_every_mapping() -> None:
    assert Destination.audience_problems({}, BY_KEY, {"email": BY_KEY}) == []
