"""Keeps a Customer Match list equal to a segment through Google's Data Manager API."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote

from activate.destinations.answers import members_of, verdict_of, word
from activate.destinations.base import Changes, Pending, Verdict
from activate.destinations.google import MATCHING, OAUTH, CustomerMatch, digits, error_of
from activate.providers.base import HttpAnswer, HttpRequest, Limits
from activate.providers.json_api import USER_AGENT, api_url, json_object, json_request
from activate.providers.options import Option

_FIELDS: Mapping[str, str] = {"email": "emailAddress", "phone": "phoneNumber"}
_REQUEST = re.compile(r"[A-Za-z0-9_\-=.:]{1,200}")
_POLL_SECONDS = 30.0


class GoogleDataManager(CustomerMatch):
    """One audienceMembers:ingest or :remove per batch, then requestStatus:retrieve.

    Names, and the limit of 10,000 members in a request, are those of google.ads.datamanager.v1
    (developers.google.com/data-manager/api/reference/rest/v1/audienceMembers/ingest).
    """

    type = "google_data_manager"
    summary = "Keeps a Customer Match list equal to a segment through Google's Data Manager API."
    example: ClassVar[Mapping[str, Any]] = {
        "customer_id": "1234567890", "user_list_id": "9876543210",
        "client_id": "example.apps.googleusercontent.com", "client_secret": "{{ env_var('GOOGLE_CLIENT_SECRET') }}",
        "refresh_token": "{{ env_var('GOOGLE_REFRESH_TOKEN') }}", "ad_user_data": "granted",
        "ad_personalization": "granted",
    }  # fmt: skip
    declared = (
        Option("customer_id", "The account that holds the list, digits only.", required=True, check=digits),
        Option("user_list_id", "The list's id, digits only.", required=True, check=digits),
        Option("product", "What the account is of.", choices=("GOOGLE_ADS", "DISPLAY_VIDEO_ADVERTISER",
               "DISPLAY_VIDEO_PARTNER"), default="GOOGLE_ADS"),
        Option("login_customer_id", "The manager account through which the account is reached.", check=digits),
        *OAUTH,
        *MATCHING,
        api_url("https://datamanager.googleapis.com"),
        Option("batch", "Rows per request.", "whole", default=10_000, low=1, high=10_000),
    )  # fmt: skip
    defaults: ClassVar[Limits] = Limits(batch=10_000, concurrency=4, timeout_seconds=60.0)
    normalised: ClassVar[Mapping[str, str]] = {"email": "email_gmail", "phone": "phone"}
    notes = """\
Google's way to Customer Match for new users since April 2026; it needs no developer token. The refresh token is for the scope
`https://www.googleapis.com/auth/datamanager`. Consent and `wait` are as with `google_ads`; so is `identify_by`, but
that addresses are made uniform by `email_gmail`: this API wants Gmail's dots and what follows a `+` gone (Format user data; Google's
library google-ads-datamanager-util). By syncing you tell Google that the account's owner has accepted the Customer Match terms of service.

| answer | meaning |
|---|---|
| request SUCCESS | taken |
| request FAILED | `failed`; sent again at the next sync |
| request PARTIAL_SUCCESS | `unknown`, code as Google's reason: it tells how many, not which |
| still PROCESSING after `wait` | accepted, code `job_running` |
| 400 | the batch is halved until the row is found |
| 401, 403, 404 | we are refused: the sync stops |
| 429, 5xx | not taken; tried again |"""

    def build(self, changes: Changes, at: dt.datetime) -> HttpRequest:
        del at
        place: dict[str, Any] = {
            "operatingAccount": {"accountType": self.options["product"], "accountId": self.options["customer_id"]},
            "productDestinationId": self.options["user_list_id"],
        }
        if manager := self.options["login_customer_id"]:
            place["loginAccount"] = {"accountType": "GOOGLE_ADS", "accountId": manager}
        body: dict[str, Any] = {
            "destinations": [place],
            "audienceMembers": [self._member(member) for member in members_of(changes)],
            "encoding": "HEX",
        }
        if changes.phase != "remove":
            body["termsOfService"] = {"customerMatchTermsOfServiceStatus": "ACCEPTED"}
            body["consent"] = {name: f"CONSENT_{value}" for name, value in self.consent().items()}
        verb = "remove" if changes.phase == "remove" else "ingest"
        return json_request(f"{self.options['url']}/v1/audienceMembers:{verb}", {}, body)

    def _member(self, member: str) -> dict[str, Any]:
        key = self.options["key"]
        if key == "user_id":
            return {"userIdData": {"userId": member}}
        return {"userData": {"userIdentifiers": [{_FIELDS[key]: member}]}}

    def read(self, answer: HttpAnswer | None, changes: Changes) -> Verdict | Pending:
        del changes
        assert answer is not None
        told = json_object(answer)
        if not 200 <= answer.status < 300:
            return verdict_of(answer, error_of(told) if "error" in told else None)
        name = told.get("requestId")
        if not isinstance(name, str) or not _REQUEST.fullmatch(name):
            return Verdict("unknown", "no_request_id")
        url = f"{self.options['url']}/v1/requestStatus:retrieve?requestId={quote(name, safe='')}"
        patience = float(self.options["wait"])
        return Pending(HttpRequest("GET", url, {"Accept": "application/json", "User-Agent": USER_AGENT}, b""),
                       min(_POLL_SECONDS, patience), reader=_stands, patience=patience,
                       otherwise=Verdict("accepted", "job_running"))  # fmt: skip


def _stands(answer: HttpAnswer, changes: Changes) -> Verdict | Pending:
    del changes
    places = json_object(answer).get("requestStatusPerDestination")
    first = places[0] if isinstance(places, list) and places else None
    told = first if isinstance(first, dict) else {}
    match told.get("requestStatus"):
        case "SUCCESS":
            return Verdict()
        case "FAILED":
            return Verdict("failed", _reason(told))
        case "PARTIAL_SUCCESS":
            return Verdict("unknown", _reason(told), "some were refused, and Google does not say which")
    return Pending(None, _POLL_SECONDS)


def _reason(told: Mapping[str, Any]) -> str:
    info = told.get("errorInfo")
    counts = info.get("errorCounts") if isinstance(info, dict) else None
    first = counts[0] if isinstance(counts, list) and counts else None
    return word(first.get("reason") if isinstance(first, dict) else None, default="partly_refused")
