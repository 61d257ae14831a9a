"""Customer.io's v2 batch of attributes and v1 manual segments (Track API), and a segment's members (App API)."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

from activate.providers.base import HttpAnswer, HttpRequest
from tests.destinations.vendors import SECRET


class Peer:
    """With attributes; `SegmentPeer` is the other way."""

    def __init__(self) -> None:
        self.section: dict[str, Any] = {"site_id": "site", "track_key": SECRET, "attribute": "in_{audience}"}
        self.audience = "vips"
        self.profiles: dict[str, dict[str, Any]] = {}
        self.bad: set[str] = set()

    @property
    def members(self) -> set[str]:
        return {known for known, profile in self.profiles.items() if profile.get("in_vips") is True}

    def member(self, n: int) -> str:
        return f"cio person {n}"

    def fields(self, n: int) -> dict[str, Any]:
        return {"first_name": f"Name {n}", "plan": "premium"}

    def answer(self, request: HttpRequest) -> HttpAnswer:
        assert (request.method, request.url) == ("POST", "https://track.customer.io/api/v2/batch")
        assert request.headers["Authorization"] == "Basic " + base64.b64encode(f"site:{SECRET}".encode()).decode()
        assert len(request.body) < 500_000
        errors = []
        for at, item in enumerate(json.loads(request.body)["batch"]):
            assert (item["type"], item["action"], set(item["identifiers"])) == ("person", "identify", {"id"})
            known, attributes = item["identifiers"]["id"], item["attributes"]
            existing = attributes.pop("_update", False)
            if known in self.bad:
                errors.append(
                    {"batch_index": at, "reason": "invalid", "field": "id", "message": f"{known} is not valid"}
                )
            elif known in self.profiles or not existing:
                self.profiles.setdefault(known, {}).update(attributes)
        if errors:
            return HttpAnswer(207, {}, json.dumps({"errors": errors}).encode())
        return HttpAnswer(200, {}, b"{}")


class SegmentPeer(Peer):
    """With a manual segment, whose members can be read back, two a page."""

    def __init__(self) -> None:
        super().__init__()
        self.section = {"site_id": "site", "track_key": SECRET, "segment_id": 7, "app_key": SECRET}
        self.held: set[str] = set()

    @property
    def members(self) -> set[str]:
        return self.held

    def fields(self, n: int) -> dict[str, Any]:
        return {}

    def answer(self, request: HttpRequest) -> HttpAnswer:
        parts = urlsplit(request.url)
        if request.method == "GET":
            return self._membership(request)
        assert parts.netloc == "track.customer.io"
        assert request.headers["Authorization"] == "Basic " + base64.b64encode(f"site:{SECRET}".encode()).decode()
        ids = json.loads(request.body)["ids"]
        assert 1 <= len(ids) <= 1_000
        if parts.path == "/api/v1/segments/7/add_customers":
            self.held |= set(ids)
        else:
            assert parts.path == "/api/v1/segments/7/remove_customers"
            self.held -= set(ids)
        return HttpAnswer(200, {}, b"{}")

    def _membership(self, request: HttpRequest) -> HttpAnswer:
        parts = urlsplit(request.url)
        assert (parts.netloc, parts.path) == ("api.customer.io", "/v1/segments/7/membership")
        assert request.headers["Authorization"] == f"Bearer {SECRET}"
        start = int(parse_qs(parts.query).get("start", ["0"])[0])
        names = sorted(self.held)
        shown = names[start : start + 2]
        body = {"identifiers": [{"email": "", "id": name, "cio_id": "a30000"} for name in shown], "ids": shown,
                "next": str(start + 2) if start + 2 < len(names) else ""}  # fmt: skip
        return HttpAnswer(200, {}, json.dumps(body).encode())
