"""A small project with `ingest:`, on a stage whose ticks are also put to the oracle."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from activate import ingesting, run
from activate.ingest.web import Listener
from activate.message import IngestReport
from activate.project import Project, Relation
from activate.sources.base import Captured
from activate.tables import ENGAGEMENTS, SUPPRESSIONS
from activate.testing.scenario import POLICY, Scenario
from activate.testing.worlds_stage import append, read
from activate.warehouses.base import Warehouse
from tests.ingest.vectors import NOON, SECTIONS, line

UNSUBSCRIBE = "an unsubscribe secret of enough length"


class EventShop:
    """A stage with the channels push, email and sms; `push_at` says when a token was registered."""

    def __init__(self, warehouse: Warehouse, directory: Path) -> None:
        channels = {**POLICY["channels"], "push": {**POLICY["channels"]["push"], "registered": "push_at"}}
        providers = {"mails": {"type": "smtp", "unsubscribe_secret": UNSUBSCRIBE}}
        self.warehouse = warehouse
        self.directory = directory
        self.stage = Scenario(warehouse, {"channels": channels, "ingest": SECTIONS, "providers": providers})
        run.migrate_state(warehouse, self.stage.profile("u0").project(), dt.datetime(2026, 3, 1))
        self.now = NOON

    @property
    def project(self) -> Project:
        return dataclasses.replace(self.stage.project(), directory=self.directory)

    def sent(self, message_id: str, user_id: str, channel: str, provider_message_id: str | None = None) -> None:
        """Put a message there that was delivered."""
        message = {
            "message_id": message_id, "entry_id": f"e{message_id}", "campaign": "hello", "step": 1, "user_id": user_id,
            "channel": channel, "provider": "mail", "class": "marketing", "tags": "[]", "expires_at": NOON,
            "run_id": "tick", "queued_at": dt.datetime(2026, 3, 1), "counts_toward_caps": False, "template": "hello",
            "priority": 50,
        }  # fmt: skip
        delivery = {
            "message_id": message_id, "attempt": 1, "status": "accepted", "provider": "mail", "run_id": "delivery",
            "provider_message_id": provider_message_id, "recorded_at": dt.datetime(2026, 3, 1), "final": True,
        }  # fmt: skip
        from activate.tables import DELIVERIES, MESSAGES

        for table, row in ((MESSAGES, message), (DELIVERIES, delivery)):
            types = {column.name: column.type.lower() for column in table.columns}
            append(self.warehouse, Relation(self.stage.state_schema, table.name), types, [row])

    def file(self, *requests: Captured | str, name: str = "events.jsonl") -> str:
        path = self.directory / name
        path.write_text("".join(each if isinstance(each, str) else line(each) for each in requests))
        return str(path)

    def ingest(self, source: str, *requests: Captured | str, signed: bool = True) -> IngestReport:
        """Load a file with these requests."""
        return self.load(source, [self.file(*requests)], signed)

    def load(self, source: str, files: Sequence[str], signed: bool = True) -> IngestReport:
        report = ingesting.ingest_files(
            self.warehouse, self.project, source, files, signed=signed, clock=lambda: self.now
        )
        self.stage.suppressions = self.suppressions()
        return report

    def load_spool(self) -> IngestReport | None:
        report = ingesting.load_spool(self.warehouse, self.project, clock=lambda: self.now)
        self.stage.suppressions = self.suppressions()
        return report

    def listener(self) -> Listener:
        return ingesting.listener(self.project, lambda: self.now)

    def engagements(self) -> list[dict[str, Any]]:
        rows = read(self.warehouse, Relation(self.stage.state_schema, "engagements"), ENGAGEMENTS.names)
        return sorted(rows, key=lambda row: (row["provider"], row["event_id"]))

    def suppressions(self) -> list[dict[str, Any]]:
        rows = read(self.warehouse, Relation(self.stage.state_schema, "suppressions"), SUPPRESSIONS.names)
        return sorted(rows, key=lambda row: (row["provider"], row["occurred_at"], str(row["address_hash"])))
