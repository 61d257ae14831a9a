"""Intercom's API 2.15: contacts, their search, and their tags."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlsplit

from activate.providers.base import HttpAnswer, HttpRequest
from tests.destinations.vendors import SECRET

TAG = "7522907"


class Peer:
    def __init__(self) -> None:
        self.section: dict[str, Any] = {"tag_id": TAG, "access_token": SECRET}
        self.audience = "vip"
        self.bad: set[str] = set()
        self.contacts: dict[str, dict[str, Any]] = {}
        self.tagged: list[str] = []

    @property
    def members(self) -> set[str]:
        return {self.contacts[contact]["external_id"] for contact in self.tagged}

    def member(self, n: int) -> str:
        return f"Customer-{n}-of-us"

    def fields(self, n: int) -> dict[str, Any]:
        return {"name": f"Name {n}", "lifetime_value": 9000.25 + n}

    def answer(self, request: HttpRequest) -> HttpAnswer:
        place = urlsplit(request.url)
        assert place.netloc == "api.intercom.io" or place.hostname == "127.0.0.1"
        assert request.headers["Authorization"] == f"Bearer {SECRET}"
        assert request.headers["Intercom-Version"] == "2.15"
        body = json.loads(request.body) if request.body else None
        if (request.method, place.path) == ("POST", "/contacts/search"):
            return self._search(body)
        if (request.method, place.path) == ("POST", "/contacts"):
            assert body["role"] == "user"
            return self._keep(f"6762f0dd1bb69f9f2193bb{len(self.contacts):02x}", body)
        found = re.fullmatch(r"/contacts/([0-9a-f]{24,})(/tags(/\d+)?)?", place.path)
        assert found
        if found[1] not in self.contacts:
            return _error(404, "not_found", "User Not Found")
        if request.method == "PUT":
            assert found[2] is None
            return self._keep(found[1], body)
        if request.method == "POST":
            assert (found[2], body) == ("/tags", {"id": TAG})
            self.tagged += [found[1]] if found[1] not in self.tagged else []
        else:
            assert (request.method, found[3]) == ("DELETE", f"/{TAG}")
            if found[1] not in self.tagged:
                return _error(404, "not_found", "Resource Not Found")
            self.tagged.remove(found[1])
        return _answer(200, {"type": "tag", "id": TAG, "name": "VIP", "applied_at": 1663597223})

    def _keep(self, contact: str, body: dict[str, Any]) -> HttpAnswer:
        named = body.get("external_id") or self.contacts[contact]["external_id"]
        if named in self.bad:
            return _error(400, "parameter_invalid", f"{named} is not valid")
        custom = body.get("custom_attributes", {})
        assert set(body) <= {"role", "external_id", "name", "custom_attributes"}
        assert set(custom) <= {"lifetime_value"}
        self.contacts.setdefault(contact, {"external_id": named}).update(body)
        return _answer(200, {"type": "contact", "id": contact, **self.contacts[contact]})

    def _search(self, body: dict[str, Any]) -> HttpAnswer:
        query, pagination = body["query"], body["pagination"]
        assert query["operator"] == "="
        if query["field"] == "external_id":
            found = [contact for contact, one in self.contacts.items() if one["external_id"] == query["value"]]
        else:
            assert (query["field"], query["value"]) == ("tag_id", TAG)
            found = self.tagged
        start, size = int(pagination.get("starting_after", "0")), min(2, pagination["per_page"])
        pages: dict[str, Any] = {"type": "pages", "page": 1, "per_page": size, "total_pages": 1}
        if start + size < len(found):
            pages["next"] = {"per_page": size, "starting_after": str(start + size)}
        data = [{"type": "contact", "id": contact, **self.contacts[contact]} for contact in found[start : start + size]]
        return _answer(200, {"type": "list", "data": data, "total_count": len(found), "pages": pages})


def _error(status: int, code: str, message: str) -> HttpAnswer:
    return _answer(status, {"type": "error.list", "request_id": "x", "errors": [{"code": code, "message": message}]})


def _answer(status: int, body: Any) -> HttpAnswer:
    return HttpAnswer(status, {}, json.dumps(body).encode())
