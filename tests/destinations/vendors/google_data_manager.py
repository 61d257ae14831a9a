"""Google's Data Manager API v1: audienceMembers:ingest, :remove and requestStatus:retrieve."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

from activate.providers.base import HttpAnswer, HttpRequest
from tests.destinations.vendors import google


class Peer:
    def __init__(self) -> None:
        self.section: dict[str, Any] = {
            "customer_id": "1234567890", "user_list_id": "77", "ad_user_data": "granted", **google.CREDENTIALS,
        }  # fmt: skip
        self.audience = "vip"
        self.members: set[str] = set()
        self.bad: set[str] = set()
        self.requests: dict[str, list[str]] = {}

    def member(self, n: int) -> str:
        return google.member(n)

    def fields(self, n: int) -> dict[str, Any]:
        del n
        return {}

    def answer(self, request: HttpRequest) -> HttpAnswer:
        place = urlsplit(request.url)
        if place.path == "/token":
            return google.token(request)
        assert request.headers["Authorization"] == f"Bearer {google.TOKEN}"
        if place.path == "/v1/requestStatus:retrieve":
            assert request.method == "GET"
            left = self.requests[parse_qs(place.query)["requestId"][0]]
            return _answer(200, {"requestStatusPerDestination": [{"requestStatus": left.pop(0)}]})
        assert request.method == "POST"
        body = json.loads(request.body)
        assert body["destinations"] == [{"operatingAccount": {"accountType": "GOOGLE_ADS", "accountId": "1234567890"},
                                         "productDestinationId": "77"}]  # fmt: skip
        assert body["encoding"] == "HEX"
        assert len(body["audienceMembers"]) <= 10_000
        members = [one["userData"]["userIdentifiers"][0]["emailAddress"] for one in body["audienceMembers"]]
        for index, member in enumerate(members):
            if member in self.bad or not re.fullmatch("[0-9a-f]{64}", member):
                field = f"audience_members.audience_members[{index}].user_data.user_identifiers"
                bad = {"@type": "type.googleapis.com/google.rpc.BadRequest",
                       "fieldViolations": [{"field": field, "reason": "INVALID_HEX_ENCODING"}]}  # fmt: skip
                return _answer(400, {"error": {"code": 400, "status": "INVALID_ARGUMENT", "details": [bad]}})
        if place.path == "/v1/audienceMembers:ingest":
            assert body["termsOfService"] == {"customerMatchTermsOfServiceStatus": "ACCEPTED"}
            assert body["consent"] == {"adUserData": "CONSENT_GRANTED"}
            self.members |= set(members)
        else:
            assert place.path == "/v1/audienceMembers:remove"
            assert set(body) == {"destinations", "encoding", "audienceMembers"}
            self.members -= set(members)
        name = f"126365e1-16d0-4c81-9de9-{len(self.requests):012}"
        self.requests[name] = ["PROCESSING", "SUCCESS"]
        return _answer(200, {"requestId": name})


def _answer(status: int, body: Any) -> HttpAnswer:
    return HttpAnswer(status, {}, json.dumps(body).encode())
