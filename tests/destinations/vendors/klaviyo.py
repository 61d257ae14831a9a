"""Klaviyo's list: import jobs with their errors, profiles by filter, and the list's own profiles."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

from activate.providers.base import HttpAnswer, HttpRequest
from tests.destinations.vendors import SECRET


class Peer:
    def __init__(self, url: str = "https://a.klaviyo.com") -> None:
        self.url = url
        self.section: dict[str, Any] = {"url": url, "api_key": SECRET, "list_id": "Y6nRLr"}
        self.audience = "vips"
        self.members: set[str] = set()
        self.bad: set[str] = set()
        self.properties: dict[str, dict[str, Any]] = {}
        self._ids: dict[str, str] = {}
        self._jobs: dict[str, dict[str, Any]] = {}

    def member(self, n: int) -> str:
        return f"klaviyo person {n}"

    def fields(self, n: int) -> dict[str, Any]:
        return {"first_name": f"Name {n}", "lifetime_value": 98765.25}

    def answer(self, request: HttpRequest) -> HttpAnswer:
        assert request.headers["Authorization"] == f"Klaviyo-API-Key {SECRET}"
        assert request.headers["revision"] == "2026-07-15"
        parts = urlsplit(request.url)
        query = parse_qs(parts.query)
        if (request.method, parts.path) == ("POST", "/api/profile-bulk-import-jobs"):
            return self._imported(json.loads(request.body)["data"])
        if (request.method, parts.path) == ("GET", "/api/profiles"):
            return self._profiles(query)
        if (request.method, parts.path) == ("DELETE", "/api/lists/Y6nRLr/relationships/profiles"):
            return self._taken_off(json.loads(request.body)["data"])
        if (request.method, parts.path) == ("GET", "/api/lists/Y6nRLr/profiles"):
            return self._listed(query)
        found = re.fullmatch(r"/api/profile-bulk-import-jobs/(job-\d+)(/import-errors)?", parts.path)
        assert request.method == "GET"
        assert found
        return self._errors(found[1]) if found[2] else self._job(found[1])

    def _imported(self, data: dict[str, Any]) -> HttpAnswer:
        assert data["type"] == "profile-bulk-import-job"
        assert data["relationships"] == {"lists": {"data": [{"type": "list", "id": "Y6nRLr"}]}}
        profiles = data["attributes"]["profiles"]["data"]
        assert 1 <= len(profiles) <= 10_000
        name = f"job-{len(self._jobs)}"
        self._jobs[name] = {"profiles": profiles, "asked": 0, "failed": []}
        return self._shown(name, "queued", 202)

    def _job(self, name: str) -> HttpAnswer:
        job = self._jobs[name]
        job["asked"] += 1
        if job["asked"] == 1:
            return self._shown(name, "processing")
        if job["asked"] == 2:
            for at, profile in enumerate(job["profiles"]):
                known = profile["attributes"]["external_id"]
                if known in self.bad:
                    job["failed"].append(at)
                    continue
                self._ids.setdefault(known, f"01GD{len(self._ids):04}")
                self.properties[known] = {**profile["attributes"], **profile["attributes"].pop("properties")}
                self.members.add(known)
        return self._shown(name, "complete")

    def _shown(self, name: str, status: str, code: int = 200) -> HttpAnswer:
        job = self._jobs[name]
        attributes = {"status": status, "created_at": "2026-03-02T12:00:00+00:00", "total_count": len(job["profiles"]),
                      "completed_count": 0, "failed_count": len(job["failed"])}  # fmt: skip
        data = {"type": "profile-bulk-import-job", "id": name, "attributes": attributes}
        return HttpAnswer(code, {}, json.dumps({"data": data}).encode())

    def _errors(self, name: str) -> HttpAnswer:
        job = self._jobs[name]
        errors = [{"type": "import-error", "id": str(at), "attributes": {
            "code": "invalid", "title": "Invalid input", "detail": "not valid", "original_payload": None,
            "source": {"pointer": f"/data/attributes/profiles/data/{at}/attributes/external_id"}}} for at in job["failed"]]  # fmt: skip
        return HttpAnswer(200, {}, json.dumps({"data": errors[:100], "links": {"self": self.url}}).encode())

    def _profiles(self, query: dict[str, list[str]]) -> HttpAnswer:
        assert query["fields[profile]"] == ["external_id"]
        assert query["page[size]"] == ["100"]
        asked = re.fullmatch(r"any\(external_id,(\[.*\])\)", query["filter"][0])
        assert asked
        wanted = json.loads(asked[1])
        assert len(wanted) <= 100
        data = [
            {"type": "profile", "id": self._ids[one], "attributes": {"external_id": one}}
            for one in wanted
            if one in self._ids
        ]
        return HttpAnswer(200, {}, json.dumps({"data": data, "links": {"self": self.url}}).encode())

    def _taken_off(self, named: list[dict[str, Any]]) -> HttpAnswer:
        assert 1 <= len(named) <= 1_000
        assert all(set(one) == {"type", "id"} and one["type"] == "profile" for one in named)
        ids = {one["id"] for one in named}
        self.members -= {known for known, own in self._ids.items() if own in ids}
        return HttpAnswer(204, {}, b"")

    def _listed(self, query: dict[str, list[str]]) -> HttpAnswer:
        start = int(query.get("page[cursor]", ["0"])[0])
        names = sorted(self.members)
        data = [
            {"type": "profile", "id": self._ids[one], "attributes": {"external_id": one}}
            for one in names[start : start + 2]
        ]
        links: dict[str, str | None] = {"self": self.url, "next": None}
        if start + 2 < len(names):
            links["next"] = (
                f"{self.url}/api/lists/Y6nRLr/profiles?fields%5Bprofile%5D=external_id&page%5Bcursor%5D={start + 2}"
            )
        return HttpAnswer(200, {}, json.dumps({"data": data, "links": links}).encode())
