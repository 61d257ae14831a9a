"""Google Ads API v26: OfflineUserDataJobService and GoogleAdsService over REST."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlsplit

from activate.providers.base import HttpAnswer, HttpRequest
from tests.destinations.vendors import SECRET, google

_FAILURE = "type.googleapis.com/google.ads.googleads.v26.errors.GoogleAdsFailure"


class Peer:
    def __init__(self) -> None:
        self.section: dict[str, Any] = {
            "customer_id": "1234567890", "user_list_id": "77", "developer_token": SECRET, "login_customer_id": "99",
            "ad_user_data": "granted", "ad_personalization": "denied", **google.CREDENTIALS,
        }  # fmt: skip
        self.audience = "vip"
        self.members: set[str] = set()
        self.bad: set[str] = set()
        self.jobs: dict[str, list[dict[str, Any]]] = {}
        self.statuses: dict[str, list[str]] = {}
        self.next_statuses = ["PENDING", "RUNNING", "SUCCESS"]
        self.requests: list[tuple[str, Any]] = []

    def member(self, n: int) -> str:
        return google.member(n)

    def fields(self, n: int) -> dict[str, Any]:
        del n
        return {}

    def answer(self, request: HttpRequest) -> HttpAnswer:
        place = urlsplit(request.url)
        if place.path == "/token":
            return google.token(request)
        assert request.method == "POST"
        assert request.headers["Authorization"] == f"Bearer {google.TOKEN}"
        assert request.headers["developer-token"] == SECRET
        assert request.headers["login-customer-id"] == "99"
        body = json.loads(request.body)
        self.requests.append((place.path, body))
        if place.path == "/v26/customers/1234567890/offlineUserDataJobs:create":
            return self._create(body)
        if place.path == "/v26/customers/1234567890/googleAds:search":
            return self._search(body)
        found = re.fullmatch(r"/v26/(customers/1234567890/offlineUserDataJobs/\d+):(addOperations|run)", place.path)
        assert found
        return self._add(found[1], body) if found[2] == "addOperations" else self._run(found[1])

    def _create(self, body: dict[str, Any]) -> HttpAnswer:
        assert body == {"job": {"type": "CUSTOMER_MATCH_USER_LIST", "customerMatchUserListMetadata": {
            "userList": "customers/1234567890/userLists/77",
            "consent": {"adUserData": "GRANTED", "adPersonalization": "DENIED"},
        }}}  # fmt: skip
        name = f"customers/1234567890/offlineUserDataJobs/{len(self.jobs) + 1}"
        self.jobs[name] = []
        return _answer({"resourceName": name})

    def _add(self, name: str, body: dict[str, Any]) -> HttpAnswer:
        assert body["enablePartialFailure"] is True
        errors: list[dict[str, Any]] = []
        assert len(body["operations"]) <= 100_000
        assert len({verb for operation in body["operations"] for verb in operation}) == 1, "one kind of work in a job"
        for index, operation in enumerate(body["operations"]):
            ((verb, user),) = operation.items()
            assert verb in ("create", "remove")
            ((field, value),) = user["userIdentifiers"][0].items()
            assert field == "hashedEmail"
            if value in self.bad or not re.fullmatch("[0-9a-f]{64}", value):
                element = {"fieldName": "operations"} | ({"index": index} if index else {})
                errors.append({"errorCode": {"offlineUserDataJobError": "INVALID_ENCODING"}, "message": f"bad: {value}",
                               "trigger": {"stringValue": value}, "location": {"fieldPathElements": [element]}})  # fmt: skip
            else:
                self.jobs[name].append({verb: value})
        if not errors:
            return _answer({})
        return _answer({"partialFailureError": {"code": 3, "message": "Multiple errors in 'details'.", "details": [
            {"@type": _FAILURE, "errors": errors, "requestId": "x"}]}})  # fmt: skip

    def _run(self, name: str) -> HttpAnswer:
        if name in self.statuses:
            return failure(400, {"offlineUserDataJobError": "JOB_ALREADY_STARTED"})
        self.statuses[name] = list(self.next_statuses)
        if self.statuses[name][-1] == "SUCCESS":
            for operation in self.jobs[name]:
                ((verb, value),) = operation.items()
                (self.members.add if verb == "create" else self.members.discard)(value)
        return _answer({"name": "customers/1234567890/operations/1", "metadata": {}})

    def _search(self, body: dict[str, Any]) -> HttpAnswer:
        asked = re.fullmatch(r"SELECT .* FROM offline_user_data_job WHERE offline_user_data_job.resource_name = '(.*)'",
                             body["query"])  # fmt: skip
        assert asked
        left = self.statuses[asked[1]]
        status = left.pop(0) if len(left) > 1 else left[0]
        return _answer({"results": [{"offlineUserDataJob": {"resourceName": asked[1], "status": status}}],
                        "fieldMask": "offlineUserDataJob.status"})  # fmt: skip


def failure(status: int, code: dict[str, str], word: str = "INVALID_ARGUMENT") -> HttpAnswer:
    """An error of the Google Ads API."""
    errors = [{"errorCode": code, "message": "as documented"}]
    return _answer({"error": {"code": status, "message": "Request contains an invalid argument.", "status": word,
                              "details": [{"@type": _FAILURE, "errors": errors}]}}, status)  # fmt: skip


def _answer(body: Any, status: int = 200) -> HttpAnswer:
    return HttpAnswer(status, {}, json.dumps(body).encode())
