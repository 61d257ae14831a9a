"""Braze's `/users/track` with attribute objects: a custom attribute marks who is in the audience."""

from __future__ import annotations

import json
from typing import Any

from activate.providers.base import HttpAnswer, HttpRequest
from tests.destinations.vendors import SECRET


class Peer:
    def __init__(self) -> None:
        self.section: dict[str, Any] = {
            "url": "https://rest.fra-01.braze.eu", "api_key": SECRET, "attribute": "in_{audience}",
        }  # fmt: skip
        self.audience = "vips"
        self.profiles: dict[str, dict[str, Any]] = {}
        self.bad: set[str] = set()

    @property
    def members(self) -> set[str]:
        return {known for known, profile in self.profiles.items() if profile.get("in_vips") is True}

    def member(self, n: int) -> str:
        return f"braze person {n}"

    def fields(self, n: int) -> dict[str, Any]:
        return {"first_name": f"Name {n}", "lifetime_value": 10.5}

    def answer(self, request: HttpRequest) -> HttpAnswer:
        assert (request.method, request.url) == ("POST", "https://rest.fra-01.braze.eu/users/track")
        assert request.headers["Authorization"] == f"Bearer {SECRET}"
        attributes = json.loads(request.body)["attributes"]
        assert len(attributes) <= 75
        errors = []
        for at, told in enumerate(attributes):
            known, existing = told.pop("external_id"), told.pop("_update_existing_only", False)
            if known in self.bad:
                errors.append({"type": "not valid", "input_array": "attributes", "index": at})
            elif known in self.profiles or not existing:
                profile = self.profiles.setdefault(known, {})
                profile.update(told)
                for name in [name for name, value in profile.items() if value is None]:
                    del profile[name]
        body = {"message": "success", "attributes_processed": len(attributes) - len(errors)}
        return HttpAnswer(201, {}, json.dumps({**body, **({"errors": errors} if errors else {})}).encode())
