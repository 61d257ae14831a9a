"""Mailchimp's side of a list (its OpenAPI description; mailchimp.com/developer/marketing/guides, batch endpoint)."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import re
import tarfile
from typing import Any
from urllib.parse import parse_qs, urlsplit

from activate.providers.base import HttpAnswer, HttpRequest
from tests.destinations.vendors import SECRET

BASE = "https://us21.api.mailchimp.com/3.0"
RESULTS = "https://mailchimp-api-batch.example.com/results.tar.gz?signature=abc"


def _json(told: Any, status: int = 200) -> HttpAnswer:
    return HttpAnswer(status, {}, json.dumps(told).encode())


class Peer:
    def __init__(self) -> None:
        self.section: dict[str, Any] = {"api_key": f"{SECRET}-us21", "list_id": "ab12cd34ef", "tags": "VIP, from dbt"}
        self.audience = "vip"
        self.bad: set[str] = set()
        self.status: dict[str, str] = {}
        self.people: dict[str, dict[str, Any]] = {}
        self.asked = 0
        self._results: list[dict[str, Any]] = []

    @property
    def members(self) -> set[str]:
        return {member for member, status in self.status.items() if status != "archived"}

    def member(self, n: int) -> str:
        return hashlib.md5(f"person{n}@private.example.com".encode(), usedforsecurity=False).hexdigest()

    def fields(self, n: int) -> dict[str, Any]:
        return {
            "email_address": f"Person{n}@private.example.com",
            "FNAME": f"Name {n}",
            "ORDERS": 52_000 + n,
            "CITY": None,
        }

    def answer(self, request: HttpRequest) -> HttpAnswer:
        if request.url == RESULTS:
            assert "Authorization" not in request.headers  # our key is not for that host
            return HttpAnswer(200, {}, self._archive())
        key = base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode()
        assert key.partition(":")[2] == f"{SECRET}-us21"
        path = request.url.removeprefix(BASE)
        if (request.method, path) == ("POST", "/batches"):
            return self._start(json.loads(request.body)["operations"])
        if (request.method, path) == ("GET", "/batches/123abc"):
            return self._stand()
        if (request.method, path) == ("POST", "/lists/ab12cd34ef?skip_merge_validation=true"):
            return self._add(json.loads(request.body))
        found = urlsplit(path)
        assert (request.method, found.path) == ("GET", "/lists/ab12cd34ef/members")
        return self._page(parse_qs(found.query))

    def _add(self, body: dict[str, Any]) -> HttpAnswer:
        assert body["update_existing"] is True
        assert 1 <= len(body["members"]) <= 500
        errors, new, updated = [], 0, 0
        for person in body["members"]:
            address = person["email_address"]
            member = hashlib.md5(address.lower().encode(), usedforsecurity=False).hexdigest()
            assert set(person["merge_fields"]) == {"FNAME", "ORDERS", "CITY"}
            if member in self.bad:
                text = f"{address} looks fake or invalid, please enter a real email address."
                errors.append({"email_address": address, "error": text, "error_code": "ERROR_GENERIC"})
                continue
            if member not in self.status and "status" not in person:
                errors.append({"email_address": address, "error": "status is required", "error_code": "ERROR_GENERIC"})
                continue
            updated, new = updated + (member in self.status), new + (member not in self.status)
            # An API does not subscribe somebody who unsubscribed, and is told nothing of it.
            if self.status.get(member) != "unsubscribed":
                self.status[member] = person.get("status") or self.status[member]
            self.people[member] = person
        told = {"new_members": [], "updated_members": [], "errors": errors, "total_created": new,
                "total_updated": updated, "error_count": len(errors), "_links": []}  # fmt: skip
        return _json(told)

    def _start(self, operations: list[dict[str, Any]]) -> HttpAnswer:
        self._results, self.asked = [], 0
        for operation in operations:
            found = re.fullmatch(r"/lists/ab12cd34ef/members/([0-9a-f]{32})", operation["path"])
            assert operation["method"] == "DELETE"
            assert found
            status = self.status.get(found[1])
            code = 404 if status is None else 405 if status in ("archived", "cleaned", "pending") else 204
            if found[1] in self.bad:
                code = 400
            if code == 204:
                self.status[found[1]] = "archived"
            self._results.append({"status_code": code, "operation_id": operation["operation_id"], "response": ""})
        return _json(self._job("pending"))

    def _job(self, status: str) -> dict[str, Any]:
        done = status == "finished"
        errored = sum(result["status_code"] >= 400 for result in self._results)
        return {"id": "123abc", "status": status, "total_operations": len(self._results),
                "finished_operations": len(self._results) if done else 0, "errored_operations": errored if done else 0,
                "response_body_url": RESULTS if done else ""}  # fmt: skip

    def _stand(self) -> HttpAnswer:
        self.asked += 1
        return _json(self._job("started" if self.asked == 1 else "finished"))

    def _archive(self) -> bytes:
        body = io.BytesIO()
        with tarfile.open(fileobj=body, mode="w") as archive:
            folder = tarfile.TarInfo("./")
            folder.type = tarfile.DIRTYPE
            archive.addfile(folder)
            half = len(self._results) // 2
            for number, part in enumerate((self._results[:half], self._results[half:])):
                entry = tarfile.TarInfo(f"./{number}.json")
                content = json.dumps(part).encode()
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        return gzip.compress(body.getvalue())

    def _page(self, asked: dict[str, list[str]]) -> HttpAnswer:
        assert asked["fields"] == ["members.id,members.status,total_items"]
        count, offset = int(asked["count"][0]), int(asked["offset"][0])
        assert count <= 1000
        held = sorted(self.status.items())
        page = [{"id": member, "status": status} for member, status in held[offset : offset + count]]
        return _json({"members": page, "total_items": len(held)})
