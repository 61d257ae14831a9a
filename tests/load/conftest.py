"""A small shop as files: a project in a temporary directory whose files a test can change before it reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from activate.errors import Mistake
from activate.load.project import Reading, read_project
from activate.settings import Options

POLICY = """\
profiles: {model: profiles, key: user_id, time_zone: time_zone}
events: {model: events, id: event_id, key: user_id, name: event_name, time: occurred_at, properties: properties}
channels:
  push: {address: push_token, consent: push_consent, provider: outbox}
  email: {address: email, consent: email_consent, provider: outbox}
providers:
  outbox: {type: file, path: outbox.jsonl}
"""
CAMPAIGN = """\
campaign: abandoned_cart
description: A nudge
owner: growth
tags: [promotion]
enter:
  trigger: cart_abandoned
  where: "cart_value > 100"
exceptions:
  - {event: purchase, match: cart_id}
steps:
  - wait: 30 minutes
    channels: [push]
    template: cart
"""
TEMPLATE = "{% block title %}{{ profile.first_name }}, {{ context.cart_value }}{% endblock %}"

COLUMNS: Mapping[str, Mapping[str, str]] = {
    "profiles": {
        "user_id": "varchar",
        "first_name": "varchar",
        "time_zone": "varchar",
        "push_token": "varchar",
        "push_consent": "boolean",
        "email": "varchar",
        "email_consent": "varchar",
    },
    "events": {
        "event_id": "varchar",
        "user_id": "varchar",
        "event_name": "varchar",
        "occurred_at": "timestamp",
        "properties": "json",
    },
    "cart_abandoned": {
        "event_id": "varchar",
        "user_id": "varchar",
        "occurred_at": "timestamp",
        "loaded_at": "timestamp",
        "cart_id": "varchar",
        "cart_value": "decimal(10,2)",
    },
    "lapsed": {"user_id": "varchar", "ltv": "double"},
}
CONTRACTS: Mapping[str, Mapping[str, str]] = {
    "cart_abandoned": {
        "kind": "trigger",
        "key": "user_id",
        "id": "event_id",
        "time": "occurred_at",
        "loaded": "loaded_at",
    },
    "lapsed": {"kind": "segment", "key": "user_id"},
}


def node(name: str, columns: Mapping[str, str], contract: object = None, **more: Any) -> dict[str, Any]:
    """A model as dbt-core 1.11 writes it into manifest.json, as far as anybody reads it."""
    meta = {"activate": contract} if contract is not None else {}
    found = {
        "resource_type": "model",
        "package_name": "shop",
        "unique_id": f"model.shop.{name}",
        "name": name,
        "alias": name,
        "database": "shop",
        "schema": "main",
        "relation_name": f'"shop"."main"."{name}"',
        "original_file_path": f"models/{name}.sql",
        "patch_path": "shop://models/models.yml",
        "version": None,
        "latest_version": None,
        "meta": meta,
        "config": {"enabled": True, "materialized": "table", "meta": meta, "contract": {"enforced": True}},
        "columns": {column: {"name": column, "data_type": kind} for column, kind in columns.items()},
    }
    return {**found, **more}


class Shop:
    """The project's files, with all that lint says about them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.nodes = {name: node(name, columns, CONTRACTS.get(name)) for name, columns in COLUMNS.items()}
        self.sources: dict[str, Any] = {}
        self.adapter = "duckdb"
        self.write("dbt_project.yml", "name: shop\nprofile: shop\n")
        self.write("rules/activate.yml", POLICY)
        self.write("rules/campaigns/abandoned_cart.yml", CAMPAIGN)
        self.write("rules/templates/cart.push.j2", TEMPLATE)

    @property
    def options(self) -> Options:
        return Options(self.directory)

    def write(self, file: str, text: str | bytes) -> None:
        path = self.directory / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    def policy(self, more: str, **replaced: str) -> None:
        """The policy with some texts replaced and more lines at the end."""
        self.write("rules/activate.yml", _replaced(POLICY, replaced) + more)

    def campaign(self, more: str = "", **replaced: str) -> None:
        """The campaign with the lines of some keys replaced and more lines at the end."""
        self.write("rules/campaigns/abandoned_cart.yml", _replaced(CAMPAIGN, replaced) + more)

    def save_manifest(self) -> None:
        manifest = {
            "metadata": {"adapter_type": self.adapter, "project_name": "shop", "dbt_version": "1.11.0"},
            "nodes": {found["unique_id"]: found for found in self.nodes.values()},
            "sources": self.sources,
        }
        self.write("target/manifest.json", json.dumps(manifest))

    def read(self, **more: Any) -> Reading:
        self.save_manifest()
        return read_project(self.options, **more)

    def mistakes(self, **more: Any) -> list[Mistake]:
        return list(self.read(**more).mistakes)

    def lint(self, **more: Any) -> list[str]:
        """All mistakes as lint prints them."""
        return [str(mistake) for mistake in self.mistakes(**more)]

    def only(self, **more: Any) -> str:
        """The one mistake there must be."""
        found = self.lint(**more)
        assert len(found) == 1, found
        return found[0]


def _replaced(text: str, replaced: Mapping[str, str]) -> str:
    for key, line in replaced.items():
        lines = text.splitlines()
        at = [
            number for number, written in enumerate(lines) if written.strip().removeprefix("- ").startswith(f"{key}:")
        ]
        assert len(at) == 1, f"{key} is on {len(at)} lines"
        indent = lines[at[0]][: len(lines[at[0]]) - len(lines[at[0]].lstrip())]
        dash = "- " if lines[at[0]].lstrip().startswith("- ") else ""
        lines[at[0]] = f"{indent}{dash}{key}: {line}" if line else ""
        text = "\n".join(lines) + "\n"
    return text


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)
