"""HubSpot's CRM API v3: contacts in batches, and the memberships of a static list."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

from activate.providers.base import HttpAnswer, HttpRequest
from tests.destinations.vendors import SECRET

_LIST = "/crm/v3/lists/42/memberships"


class Peer:
    def __init__(self) -> None:
        self.section: dict[str, Any] = {"list_id": "42", "access_token": SECRET, "id_property": "customer_id"}
        self.audience = "vip"
        self.bad: set[str] = set()
        self.contacts: dict[str, dict[str, str]] = {}
        self.list: list[str] = []

    @property
    def members(self) -> set[str]:
        return {self.contacts[record]["customer_id"] for record in self.list}

    def member(self, n: int) -> str:
        return f"Customer-{n}-of-us"

    def fields(self, n: int) -> dict[str, Any]:
        return {"firstname": f"Name {n}", "lifetime_value": 10.5, "is_vip": True, "nickname": None}

    def answer(self, request: HttpRequest) -> HttpAnswer:
        place = urlsplit(request.url)
        assert place.netloc == "api.hubapi.com" or place.hostname == "127.0.0.1"
        assert request.headers["Authorization"] == f"Bearer {SECRET}"
        if request.method == "GET":
            assert place.path == _LIST
            return self._page(parse_qs(place.query))
        body = json.loads(request.body)
        if request.method == "PUT":
            assert all(isinstance(record, str) for record in body)
            return self._change(place.path, body)
        assert request.method == "POST"
        assert len(body["inputs"]) <= 100
        if place.path == "/crm/v3/objects/contacts/batch/upsert":
            return self._upsert(body["inputs"])
        assert place.path == "/crm/v3/objects/contacts/batch/read"
        return self._read(body)

    def _upsert(self, inputs: list[dict[str, Any]]) -> HttpAnswer:
        results, failed = [], []
        for one in inputs:
            assert set(one) == {"id", "idProperty", "properties"}
            assert one["idProperty"] == "customer_id"
            assert all(isinstance(value, str) for value in one["properties"].values())
            if one["id"] in self.bad:
                failed.append(one["id"])
                continue
            record = self._record(one["id"]) or str(51_000 + len(self.contacts))
            self.contacts.setdefault(record, {}).update({**one["properties"], "customer_id": one["id"]})
            results.append({"id": record, "properties": dict(self.contacts[record]), "new": False})
        told: dict[str, Any] = {"status": "COMPLETE", "results": results}
        if failed:
            told |= {"numErrors": 1, "errors": [{"status": "error", "category": "VALIDATION_ERROR",
                     "message": f"Property values were not valid: {failed}", "context": {"ids": failed}}]}  # fmt: skip
        return _answer(207 if failed else 200, told)

    def _read(self, body: dict[str, Any]) -> HttpAnswer:
        by = body.get("idProperty")
        assert body["properties"] == ["customer_id"]
        asked = [one["id"] for one in body["inputs"]]
        records = [self._record(name) if by == "customer_id" else name for name in asked]
        results = [{"id": record, "properties": {"customer_id": self.contacts[record]["customer_id"]}}
                   for record in records if record in self.contacts]  # fmt: skip
        return _answer(200 if len(results) == len(asked) else 207, {"status": "COMPLETE", "results": results})

    def _change(self, path: str, records: list[str]) -> HttpAnswer:
        added, removed = [], []
        if path == f"{_LIST}/add":
            added = [record for record in records if record in self.contacts and record not in self.list]
            self.list += added
        else:
            assert path == f"{_LIST}/remove"
            removed = [record for record in records if record in self.list]
            self.list = [record for record in self.list if record not in removed]
        missing = [record for record in records if record not in self.contacts]
        return _answer(200, {"recordsIdsAdded": added, "recordIdsRemoved": removed, "recordIdsMissing": missing})

    def _page(self, query: dict[str, list[str]]) -> HttpAnswer:
        start, size = int(query.get("after", ["0"])[0]), min(2, int(query["limit"][0]))
        results = [{"recordId": record, "membershipTimestamp": "2026-03-02T12:00:00Z"}
                   for record in self.list[start : start + size]]  # fmt: skip
        told: dict[str, Any] = {"results": results}
        if start + size < len(self.list):
            told["paging"] = {"next": {"after": str(start + size), "link": "https://elsewhere.example.com"}}
        return _answer(200, told)

    def _record(self, name: str) -> str | None:
        return next((record for record, one in self.contacts.items() if one["customer_id"] == name), None)


def _answer(status: int, body: Any) -> HttpAnswer:
    return HttpAnswer(status, {}, json.dumps(body).encode())
