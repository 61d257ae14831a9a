"""What the advertising platforms are sent, and what their answers mean, beyond the contract."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pyarrow as pa
import pytest

from activate.audience import Mapped
from activate.destinations.base import CHANGE, MEMBER, ROW, USER_ID, Changes, Destination, Pending, Phase, Verdict
from activate.destinations.registry import DESTINATIONS, check, create
from activate.providers.base import HttpAnswer, HttpRequest, Unusable
from tests.destinations.vendors import google_ads, peer

AT = dt.datetime(2026, 3, 2, 12)
META = Path(__file__).parents[3] / "shared" / "api" / "meta_CustomAudience.json"
HASH = {"hash": "sha256"}


def made(kind: str, **options: Any) -> Destination:
    return create("mine", {"type": kind, **peer(kind).section, **options})


def changes(*members: str, phase: Phase = "upsert", fields: dict[str, Any] | None = None) -> Changes:
    rows = [
        {MEMBER: member, USER_ID: member, CHANGE: "add", ROW: json.dumps({"member": member, "fields": fields or {}})}
        for member in members
    ]
    schema = pa.schema([(name, pa.string()) for name in (MEMBER, USER_ID, CHANGE, ROW)])
    return Changes("vip", "run-1", phase, pa.RecordBatch.from_pylist(rows, schema))


def request(destination: Destination, batch: Changes) -> HttpRequest:
    found = destination.build(batch, AT)
    assert isinstance(found, HttpRequest)
    return found


def answer(status: int, body: Any) -> HttpAnswer:
    return HttpAnswer(status, {}, json.dumps(body).encode())


def told(destination: Destination, status: int, body: Any, batch: Changes) -> str:
    """The status of a batch after this first answer; `stopped` where the destination refuses us, `halves`."""
    found = answer(status, body)
    if destination.splits(found):
        return "halves"
    try:
        verdict = destination.read(found, batch)
    except Unusable:
        return "stopped"
    assert isinstance(verdict, Verdict)
    return verdict.status


# -- Meta -----------------------------------------------------------------------------------------------------------------


def _form(posted: HttpRequest) -> dict[str, Any]:
    return {name: values[0] for name, values in parse_qs(posted.body.decode(), strict_parsing=True).items()}


@pytest.mark.skipif(not META.exists(), reason="the vendors' API descriptions are not here")
@pytest.mark.parametrize(("phase", "method"), [("upsert", "POST"), ("remove", "DELETE")])
def test_meta_is_sent_the_parameters_that_its_sdk_describes(phase: Phase, method: str) -> None:
    described = {
        (call["method"], call["endpoint"]): {one["name"] for one in call["params"]}
        for call in json.loads(META.read_text())["apis"]
        if "endpoint" in call
    }
    posted = request(made("meta"), changes("a" * 64, phase=phase))
    assert posted.method == method
    assert posted.url.endswith("/23850000000000000/users")
    # The proof is a parameter of every call of the Graph API ("Securing Graph API calls").
    assert set(_form(posted)) - {"appsecret_proof"} <= described[(method, "users")]
    assert "access_token" not in posted.url + posted.body.decode()


def test_meta_is_sent_several_keys_of_each_person_and_blanks_where_one_is_not_known() -> None:
    destination = made("meta", key="extern_id")
    batch = changes("ada", fields={"EMAIL": "e" * 64, "PHONE": None, "LOOKALIKE_VALUE": 44.5})
    payload = json.loads(_form(request(destination, batch))["payload"])
    assert payload == {
        "schema": ["EXTERN_ID", "EMAIL", "LOOKALIKE_VALUE", "PHONE"], "data": [["ada", "e" * 64, 44.5, ""]],
    }  # fmt: skip


def test_without_an_app_secret_there_is_no_proof() -> None:
    section = {key: value for key, value in peer("meta").section.items() if key != "app_secret"}
    posted = request(create("mine", {"type": "meta", **section}), changes("a" * 64))
    assert set(_form(posted)) == {"payload", "session"}


@pytest.mark.parametrize(
    ("status", "error", "outcome"),
    [
        (400, {"code": 190, "error_subcode": 463, "type": "OAuthException"}, "stopped"),  # the token has expired
        (400, {"code": 102}, "stopped"),
        (403, {"code": 10}, "stopped"),
        (403, {"code": 200}, "stopped"),
        (400, {"code": 270}, "stopped"),
        (400, {"code": 2650}, "stopped"),
        (400, {"code": 100, "error_subcode": 33}, "stopped"),  # no such audience for us
        (400, {"code": 100, "error_subcode": 1713230}, "stopped"),  # the audience is restricted
        (400, {"code": 100}, "halves"),
        (400, {"code": 17}, "failed"),
        (400, {"code": 4}, "failed"),
        (400, {"code": 613}, "failed"),
        (400, {"code": 80003}, "failed"),
        (400, {"code": 9999, "is_transient": True}, "failed"),
        (500, {"code": 2, "is_transient": True}, "failed"),
        (500, {"code": 1}, "failed"),
        (200, {"code": 5555}, "unknown"),
    ],
)
def test_metas_errors_are_told_apart(status: int, error: dict[str, Any], outcome: str) -> None:
    body = {"error": {"message": "as documented", **error}}
    assert told(made("meta"), status, body, changes("a" * 64, "b" * 64)) == outcome


@pytest.mark.parametrize(
    ("received", "invalid", "status", "halves"),
    [
        (10_000, 0, "accepted", False),
        (10_000, 1, "unknown", True),
        (10_000, 20, "unknown", True),
        (10_000, 21, "unknown", False),  # to find that many by halves would take hundreds of requests
        (10_000, 9_999, "unknown", False),
        (10_000, 10_000, "rejected", False),
        (9_999, 0, "unknown", False),
    ],
)
def test_metas_counts_are_never_taken_for_rows(received: int, invalid: int, status: str, halves: bool) -> None:
    batch = changes(*(f"{n:064x}" for n in range(10_000)))
    found = made("meta").read(answer(200, {"num_received": received, "num_invalid_entries": invalid}), batch)
    assert isinstance(found, Verdict)
    assert (found.status, found.halves, found.but) == (status, halves, {})


# -- Google ---------------------------------------------------------------------------------------------------------------


def test_google_ads_requests_are_messages_of_its_own_library() -> None:
    """Every name is a field of google.ads.googleads.v26, and every word one of its enumerations'."""
    services = pytest.importorskip("google.ads.googleads.v26.services.types.offline_user_data_job_service")
    searches = pytest.importorskip("google.ads.googleads.v26.services.types.google_ads_service")
    json_format = pytest.importorskip("google.protobuf.json_format")
    messages = {
        "create": services.CreateOfflineUserDataJobRequest,
        "addOperations": services.AddOfflineUserDataJobOperationsRequest,
        "run": services.RunOfflineUserDataJobRequest,
        "search": searches.SearchGoogleAdsRequest,
    }
    seen = set()
    for key in ("email", "phone", "user_id"):
        for phase in ("upsert", "remove"):
            for posted in _conversation("google_ads", changes("a" * 64, phase=phase), key=key):
                verb = posted.url.rpartition(":")[2]
                json_format.Parse(posted.body, messages[verb].pb(messages[verb]()))
                seen.add(verb)
    assert seen == set(messages)
    with pytest.raises(json_format.ParseError):  # or else the library would know nothing
        json_format.Parse(b'{"job": {"typo": 1}}', messages["create"].pb(messages["create"]()))


def test_data_manager_requests_are_messages_of_its_own_library() -> None:
    types = pytest.importorskip("google.ads.datamanager_v1.types")
    json_format = pytest.importorskip("google.protobuf.json_format")
    for key in ("email", "phone", "user_id"):
        for phase, message in (
            ("upsert", types.IngestAudienceMembersRequest),
            ("remove", types.RemoveAudienceMembersRequest),
        ):
            destination = made("google_data_manager", key=key, login_customer_id="99", ad_personalization="denied")
            json_format.Parse(request(destination, changes("a" * 64, phase=phase)).body, message.pb(message()))  # type: ignore[arg-type]


def _conversation(kind: str, batch: Changes, **options: Any) -> list[HttpRequest]:
    """All requests of a batch whose answers are good."""
    destination = made(kind, **options)
    job = "customers/1234567890/offlineUserDataJobs/5"
    answers: list[Any] = [{"resourceName": job}, {}, {"name": "customers/1234567890/operations/1"}]
    posted = [request(destination, batch)]
    found = destination.read(answer(200, answers[0]), batch)
    for body in answers[1:]:
        assert isinstance(found, Pending)
        assert found.request is not None
        posted.append(found.request)
        found = destination.resume(found, answer(200, body), batch)
    assert isinstance(found, Pending)
    assert found.request is not None
    return [*posted, found.request]


def test_a_manager_account_is_named_only_where_there_is_one() -> None:
    section = {key: value for key, value in peer("google_ads").section.items() if key != "login_customer_id"}
    posted = request(create("mine", {"type": "google_ads", **section}), changes("a" * 64))
    assert "login-customer-id" not in posted.headers


def test_consent_is_told_of_the_job_and_only_where_it_was_said() -> None:
    section = {key: value for key, value in peer("google_ads").section.items() if not key.startswith("ad_")}
    body = json.loads(request(create("mine", {"type": "google_ads", **section}), changes("a" * 64)).body)
    assert "consent" not in body["job"]["customerMatchUserListMetadata"]


def test_the_first_operation_is_known_though_json_leaves_its_index_out() -> None:
    destination, batch = made("google_ads"), changes("a" * 64, "b" * 64)
    begun = destination.read(answer(200, {"resourceName": "customers/1234567890/offlineUserDataJobs/5"}), batch)
    assert isinstance(begun, Pending)
    error = {"errorCode": {"offlineUserDataJobError": "MISSING_USER_IDENTIFIER"},
             "location": {"fieldPathElements": [{"fieldName": "operations"}, {"fieldName": "create"}]}}  # fmt: skip
    found = destination.resume(begun, answer(200, {"partialFailureError": {"details": [{"errors": [error]}]}}), batch)
    assert isinstance(found, Pending)
    assert {at: odd.code for at, odd in found.but.items()} == {0: "missing_user_identifier"}


@pytest.mark.parametrize("body", [{}, {"resourceName": "customers/1/campaigns/5"}, {"resourceName": 5}, []])
def test_a_job_without_a_name_is_not_taken(body: Any) -> None:
    """Nothing was in it, so nothing was taken."""
    assert told(made("google_ads"), 200, body, changes("a" * 64)) == "failed"


@pytest.mark.parametrize(
    ("status", "code", "outcome"),
    [
        (401, {"authenticationError": "OAUTH_TOKEN_EXPIRED"}, "stopped"),
        (403, {"authorizationError": "USER_PERMISSION_DENIED"}, "stopped"),
        (400, {"offlineUserDataJobError": "INVALID_USER_LIST_ID"}, "stopped"),
        (400, {"offlineUserDataJobError": "CUSTOMER_NOT_ACCEPTED_CUSTOMER_DATA_TERMS"}, "stopped"),
        (429, {"quotaError": "RESOURCE_EXHAUSTED"}, "failed"),
        (400, {"databaseError": "CONCURRENT_MODIFICATION"}, "failed"),
        (500, {"internalError": "INTERNAL_ERROR"}, "failed"),
        (503, {"internalError": "TRANSIENT_ERROR"}, "failed"),
    ],
)
def test_google_ads_errors_are_told_apart(status: int, code: dict[str, str], outcome: str) -> None:
    found = google_ads.failure(status, code)
    assert told(made("google_ads"), status, json.loads(found.body), changes("a" * 64)) == outcome


# -- TikTok ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (0, "accepted"), (20001, "unknown"), (40001, "stopped"), (40002, "halves"), (40011, "halves"), (40007, "stopped"),
        (40016, "failed"), (40100, "failed"), (40133, "failed"), (40102, "stopped"), (40104, "stopped"), (40105, "stopped"),
        (50000, "failed"), (51004, "failed"), ("0", "unknown"), (None, "unknown"), (True, "unknown"),
    ],
)  # fmt: skip
def test_tiktoks_codes_count_and_its_statuses_do_not(code: Any, outcome: str) -> None:
    assert told(made("tiktok"), 200, {"code": code, "message": "as documented"}, changes("a" * 64)) == outcome


# -- what fits ------------------------------------------------------------------------------------------------------------

EMAIL = {"column": "email", "normalise": "email", "hash": "sha256"}
PHONE = {"column": "phone", "normalise": "phone", "hash": "sha256"}
DIGITS = {"column": "phone", "normalise": "phone_digits", "hash": "sha256"}
GMAIL = {**EMAIL, "normalise": "email_gmail"}
KEY = {"column": "external_id"}


def problems(kind: str, by: dict[str, Any], fields: dict[str, Any], **options: Any) -> list[str]:
    mapped = {name: Mapped.model_validate(value) for name, value in fields.items()}
    return DESTINATIONS[kind].audience_problems(options, Mapped.model_validate(by), mapped)


@pytest.mark.parametrize(
    ("kind", "options", "by", "fields"),
    [
        ("meta", {}, EMAIL, {}),
        ("meta", {}, EMAIL, {"LOOKALIKE_VALUE": {"column": "ltv"}}),
        ("meta", {"key": "phone"}, DIGITS, {}),
        ("meta", {"key": "extern_id"}, KEY, {"EMAIL": EMAIL, "phone": DIGITS, "MADID": {"column": "idfa"}}),
        ("google_ads", {}, EMAIL, {}),
        ("google_ads", {"key": "phone"}, PHONE, {}),
        ("google_ads", {"key": "user_id"}, KEY, {}),
        ("google_data_manager", {}, GMAIL, {}),
        ("tiktok", {}, EMAIL, {}),
        ("tiktok", {"key": "phone"}, PHONE, {}),
        ("tiktok", {"key": "phone"}, DIGITS, {}),
        ("hubspot", {"id_property": "customer_id"}, KEY, {"firstname": {"column": "first_name"}}),
        ("intercom", {}, KEY, {"Plan name": {"column": "plan"}}),
    ],
)
def test_an_audience_that_fits_is_let_be(
    kind: str, options: dict[str, Any], by: dict[str, Any], fields: dict[str, Any]
) -> None:
    assert problems(kind, by, fields, **options) == []


@pytest.mark.parametrize(
    ("kind", "options", "by", "fields", "told"),
    [
        ("meta", {}, PHONE, {}, "`normalise: email`"),
        ("meta", {}, {**EMAIL, "hash": "md5"}, {}, "`hash: sha256`"),
        ("meta", {"key": "phone"}, PHONE, {}, "`normalise: phone_digits`"),
        ("meta", {"key": "extern_id"}, EMAIL, {}, "`identify_by: external_id`"),
        ("meta", {"key": "extern_id"}, KEY, {"EMAIL": {"column": "email"}}, "takes EMAIL hashed only"),
        ("meta", {"key": "extern_id"}, KEY, {"TWITTER": {"column": "x"}}, "no further key 'TWITTER'"),
        ("meta", {}, EMAIL, {"PHONE": DIGITS}, "matched by PHONE: use `key: extern_id`"),
        ("meta", {}, EMAIL, {"email": EMAIL}, "no further key 'email'"),
        ("google_ads", {}, GMAIL, {}, "`normalise: email`"),
        ("google_ads", {"key": "user_id"}, EMAIL, {}, "`identify_by: external_id`"),
        ("google_ads", {}, EMAIL, {"phone": PHONE}, "one identifier for each person"),
        ("google_data_manager", {}, EMAIL, {}, "`normalise: email_gmail`"),
        ("tiktok", {}, PHONE, {}, "`normalise: email`"),
        ("tiktok", {}, EMAIL, {"x": {"column": "x"}}, "leave `fields` out"),
        ("hubspot", {}, {"column": "email"}, {}, "a removal tells the person's key only"),
        ("hubspot", {}, KEY, {"First name": {"column": "x"}}, "not a contact property"),
        ("hubspot", {"id_property": "customer_id"}, KEY, {"customer_id": {"column": "x"}}, "not a contact property"),
        ("hubspot", {"batch": 500}, KEY, {"firstname": {"column": "x"}}, "`batch` is 100 or less"),
        ("intercom", {}, {"column": "email"}, {}, "by their external id"),
        ("intercom", {}, KEY, {"role": {"column": "x"}}, "'role' cannot be set"),
    ],
)
def test_an_audience_that_cannot_be_kept_there_is_told(
    kind: str, options: dict[str, Any], by: dict[str, Any], fields: dict[str, Any], told: str
) -> None:
    (problem,) = problems(kind, by, fields, **options)
    assert told in problem


@pytest.mark.parametrize(
    ("kind", "options", "hashed"),
    [
        ("meta", {}, True), ("meta", {"key": "extern_id"}, False), ("google_ads", {}, True),
        ("google_ads", {"key": "user_id"}, False), ("google_data_manager", {}, True), ("tiktok", {}, True),
    ],
)  # fmt: skip
def test_identifiers_are_hashed_but_for_our_own_keys(kind: str, options: dict[str, Any], hashed: bool) -> None:
    abilities = DESTINATIONS[kind].abilities_of(options)
    assert (abilities.needs_hash, abilities.reads_back) == (hashed, False)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"type": "meta", "audience_id": "act_1"}, "digits only"),
        ({"type": "meta", "version": "25"}, "write e.g. v25.0"),
        ({"type": "meta", "key": "mail"}, "did you mean 'email'"),
        ({"type": "google_ads", "customer_id": "123-456-7890"}, "without dashes"),
        ({"type": "google_ads", "version": "26"}, "write e.g. v26"),
        ({"type": "google_ads", "batch": 100_001}, "from 1 to 100000"),
        ({"type": "hubspot", "id_property": "customer_id", "batch": 101}, "at most 100"),
        ({"type": "hubspot", "id_property": "Customer ID"}, "internal name"),
        ({"type": "intercom", "tag_id": "VIP"}, "digits only"),
    ],
)
def test_wrong_options_are_told(section: dict[str, Any], message: str) -> None:
    assert message in "\n".join(check({**peer(section["type"]).section, **section}, resolved=True))
