"""Keeps a Customer Match list of Google Ads equal to a segment, through jobs of the Google Ads API."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from activate.destinations.answers import members_of, verdict_of
from activate.destinations.base import Changes, Pending, Refusal, Verdict
from activate.destinations.google import MATCHING, OAUTH, CustomerMatch, digits, error_of, failures
from activate.providers.base import HttpAnswer, HttpRequest, Limits, Unusable
from activate.providers.json_api import api_url, json_object, json_request
from activate.providers.options import Option

_FIELDS: Mapping[str, str] = {"email": "hashedEmail", "phone": "hashedPhoneNumber", "user_id": "thirdPartyUserId"}
_JOB = re.compile(r"customers/\d+/offlineUserDataJobs/\d+")
_POLL_SECONDS = 30.0
# OfflineUserDataJobError and others that are about the account or the list, whatever the rows (v26).
_ACCOUNT = frozenset({
    "invalid_user_list_id", "invalid_user_list_type", "not_on_allowlist_for_user_id", "incompatible_upload_key_type",
    "customer_not_accepted_customer_data_terms", "customer_not_allowlisted_for_this_feature", "remove_not_supported",
    "operation_level_consent_provided", "operations_for_customer_match_not_allowed",
})  # fmt: skip


class GoogleAds(CustomerMatch):
    """A job of each batch: create, addOperations, run; then googleAds:search for its status.

    Names of requests and fields are those of google.ads.googleads.v26; the limits (100,000 identifiers in a request, 20 for a
    user, 10,000 in a request recommended) those of developers.google.com/google-ads/api/docs/remarketing/
    audience-segments/customer-match and OfflineUserDataJobError.TOO_MANY_USER_IDENTIFIERS.
    """

    type = "google_ads"
    summary = "Keeps a Customer Match list equal to a segment through jobs of the Google Ads API."
    example: ClassVar[Mapping[str, Any]] = {
        "customer_id": "1234567890", "user_list_id": "9876543210",
        "developer_token": "{{ env_var('GOOGLE_ADS_DEVELOPER_TOKEN') }}",
        "client_id": "example.apps.googleusercontent.com", "client_secret": "{{ env_var('GOOGLE_ADS_CLIENT_SECRET') }}",
        "refresh_token": "{{ env_var('GOOGLE_ADS_REFRESH_TOKEN') }}", "ad_user_data": "granted",
        "ad_personalization": "granted",
    }  # fmt: skip
    declared = (
        Option("customer_id", "The account's id, digits only.", required=True, check=digits),
        Option("user_list_id", "The list's id, digits only.", required=True, check=digits),
        Option("developer_token", "The developer token.", required=True, secret=True),
        Option("login_customer_id", "The manager account through which the account is reached.", check=digits),
        *OAUTH,
        *MATCHING,
        Option("version", "The Google Ads API's version; Google ends each after some 12 months.", default="v26",
               check=lambda value: None if re.fullmatch(r"v\d+", value) else "write e.g. v26"),
        api_url("https://googleads.googleapis.com"),
        Option("batch", "Rows per job.", "whole", default=10_000, low=1, high=100_000),
    )  # fmt: skip
    defaults: ClassVar[Limits] = Limits(batch=10_000, concurrency=4, timeout_seconds=120.0)
    notes = """\
**Since 1 April 2026 Google takes Customer Match through this API only from developer tokens that used it between October 2025
and March 2026** (error CUSTOMER_NOT_ALLOWLISTED_FOR_THIS_FEATURE); for all others there is `google_data_manager`.

Make the list first (a CRM-based user list), and write one destination for each:

```yaml
identify_by: {column: email, normalise: email, hash: sha256}                            # key: email
identify_by: {column: phone, normalise: phone, country_code: "+49", hash: sha256}       # key: phone
identify_by: external_id                                                                # key: user_id
```

Dots of Gmail addresses stay (they are removed for Campaign Manager 360 only). Each person has one identifier, since a removal
must name what was added: for addresses and phone numbers, sync two audiences into the same list through two destinations.

Each batch is a job: created, filled, run, and asked for every 30 seconds until `wait` is over. Consent is told of the job; people of the
European Economic Area are matched only where both are `granted`. Members cannot be read back.

| answer | meaning |
|---|---|
| job SUCCESS | taken |
| job FAILED | `unknown`, code `job_failed`: Google does not say how far it went; sent again at the next sync, or removed |
| job still PENDING or RUNNING after `wait` | accepted, code `job_running`: it takes Google some minutes, and up to a day. If it fails later, nobody is told: a longer `wait` sees it |
| an error of an operation (`partialFailureError`) | that row is rejected, the others go on |
| 400, 401, 403, 404; errors about the list, the token or the terms | we are refused: the sync stops |
| 429, 5xx | not taken; tried again |"""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        super().__init__(name, options)
        self._customer = f"{self.options['url']}/{self.options['version']}/customers/{self.options['customer_id']}"
        self._headers = {"developer-token": self.options["developer_token"]}
        if manager := self.options["login_customer_id"]:
            self._headers["login-customer-id"] = manager

    def build(self, changes: Changes, at: dt.datetime) -> HttpRequest:
        del changes, at
        metadata: dict[str, Any] = {
            "userList": f"customers/{self.options['customer_id']}/userLists/{self.options['user_list_id']}"
        }
        if consent := self.consent():
            metadata["consent"] = consent
        job = {"type": "CUSTOMER_MATCH_USER_LIST", "customerMatchUserListMetadata": metadata}
        return self._post(f"{self._customer}/offlineUserDataJobs:create", {"job": job})

    def read(self, answer: HttpAnswer | None, changes: Changes) -> Verdict | Pending:
        """The answer to `create`: the job, to be filled."""
        assert answer is not None
        told = self._document(answer)
        if isinstance(told, Verdict):
            return told
        job = told.get("resourceName")
        if not isinstance(job, str) or not _JOB.fullmatch(job):
            return Verdict("failed", "no_job")  # at worst an empty job that never runs
        return Pending(self._fill(job, changes), 0.0, step=True, reader=partial(self._filled, job))

    def _fill(self, job: str, changes: Changes) -> HttpRequest:
        field, verb = _FIELDS[self.options["key"]], "remove" if changes.phase == "remove" else "create"
        operations = [{verb: {"userIdentifiers": [{field: member}]}} for member in members_of(changes)]
        return self._post(self._named(job, ":addOperations"), {"operations": operations, "enablePartialFailure": True})

    def _filled(self, job: str, answer: HttpAnswer, changes: Changes) -> Verdict | Pending:
        told = self._document(answer)
        if isinstance(told, Verdict):
            return told
        partly = told.get("partialFailureError")
        but: dict[int, Refusal] = {}
        for index, code in failures(partly) if isinstance(partly, dict) else ():
            if code in _ACCOUNT:
                raise _refused(code)
            if index is None or not 0 <= index < len(changes):
                return Verdict("failed", code)  # the job has not run
            but.setdefault(index, Refusal("rejected", code))
        if partly and not but:
            return Verdict("failed", "not_told")
        if len(but) == len(changes):
            return Verdict("rejected", next(iter(but.values())).code, but=but)
        run = self._post(self._named(job, ":run"), {})
        return Pending(run, 0.0, step=True, reader=partial(self._started, job), but=but)

    def _started(self, job: str, answer: HttpAnswer, changes: Changes) -> Verdict | Pending:
        del changes
        told = json_object(answer)
        if not (answer.status == 400 and error_of(told) == "job_already_started"):
            told_or_verdict = self._document(answer)
            if isinstance(told_or_verdict, Verdict):
                return told_or_verdict
        query = (
            "SELECT offline_user_data_job.resource_name, offline_user_data_job.status, "
            f"offline_user_data_job.failure_reason FROM offline_user_data_job WHERE offline_user_data_job.resource_name = '{job}'"
        )
        patience = float(self.options["wait"])
        return Pending(self._post(f"{self._customer}/googleAds:search", {"query": query}), min(_POLL_SECONDS, patience),
                       reader=self._stands, patience=patience, otherwise=Verdict("accepted", "job_running"))  # fmt: skip

    def _stands(self, answer: HttpAnswer, changes: Changes) -> Verdict | Pending:
        del changes
        rows = json_object(answer).get("results")
        first = rows[0] if isinstance(rows, list) and rows else None
        job = first.get("offlineUserDataJob") if isinstance(first, dict) else None
        status = job.get("status") if isinstance(job, dict) else None
        if status == "SUCCESS":
            return Verdict()
        if status == "FAILED":
            return Verdict("unknown", "job_failed", "Google does not say how far the job went")
        return Pending(None, _POLL_SECONDS)

    def _document(self, answer: HttpAnswer) -> dict[str, Any] | Verdict:
        """The answer's document, or what its status means. Raises Unusable where Google refuses us as a whole."""
        told = json_object(answer)
        if 200 <= answer.status < 300:
            return told
        code = error_of(told) if "error" in told else f"http_{answer.status}"
        if answer.status in (400, 409, 413, 422) and code != "concurrent_modification":
            raise _refused(code)  # errors of rows are told in an answer of 200
        return verdict_of(answer, code) if code != "concurrent_modification" else Verdict("failed", code)

    def splits(self, answer: HttpAnswer | None) -> bool:
        del answer
        return False  # no request names rows before the job is filled, whose answer names them

    def _named(self, job: str, verb: str) -> str:
        return f"{self.options['url']}/{self.options['version']}/{job}{verb}"

    def _post(self, url: str, body: Any) -> HttpRequest:
        return json_request(url, self._headers, body)


def _refused(code: str) -> Unusable:
    return Unusable(code, f"Google Ads refuses us ({code}); see the notes on google_ads in docs/destinations.md")
