"""Reads where the state stands before a tick, and writes what only the end of a tick knows."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import pyarrow as pa
from sqlglot import exp

from activate.bookmarks import Bookmark, Bookmarks, StoredVersion
from activate.campaign import Campaign
from activate.project import Project, Relation
from activate.warehouses.base import Warehouse, literal
from activate.warehouses.constant import ask


def bookmarks(warehouse: Warehouse, project: Project, zones: Sequence[str]) -> Bookmarks:
    """Read the campaigns' positions, the versions that open entries follow, and the last tick's instant.

    `zones` are the valid zone names in use.
    """
    schema = project.policy.state.schema_
    scans = ask(
        warehouse,
        "SELECT s.campaign, MIN(s.scanned_to) AS launched_at, MAX(s.scanned_to) AS scanned_to, MAX(l.decided_at) AS "
        "decided_at, MIN(CASE WHEN s.decided_at = l.decided_at THEN s.live_from END) AS live_from FROM s "
        "JOIN (SELECT t.campaign, MAX(t.decided_at) AS decided_at FROM s AS t GROUP BY t.campaign) AS l "
        "ON l.campaign = s.campaign GROUP BY s.campaign",
        s=Relation(schema, "scans"),
    )
    marks = {
        row["campaign"]: Bookmark(row["launched_at"], row["scanned_to"], row["live_from"], row["decided_at"])
        for row in scans
    }
    last_now = max((mark.decided_at for mark in marks.values()), default=None)
    suppressed = _suppressed(warehouse, schema)
    found = Bookmarks(campaigns=marks, zones=tuple(zones), last_now=last_now, suppressed=suppressed)
    live_from = found.live_from
    if live_from is None:
        return found
    followed, oldest = _followed(warehouse, schema, live_from)
    stored = _versions(warehouse, schema)
    return dataclasses.replace(
        found,
        versions=tuple(version for key, version in stored.items() if key in followed),
        past=tuple(version for key, version in stored.items() if key not in followed),
        oldest_anchor=oldest,
    )


def _suppressed(warehouse: Warehouse, schema: str) -> frozenset[tuple[str, bool]]:
    rows = ask(
        warehouse,
        "SELECT DISTINCT s.channel, s.address_hash IS NULL AS by_person FROM s",
        s=Relation(schema, "suppressions"),
    )
    return frozenset((row["channel"], row["by_person"]) for row in rows)


def _followed(
    warehouse: Warehouse, schema: str, live_from: dt.datetime
) -> tuple[set[tuple[str, str]], dt.datetime | None]:
    rows = ask(
        warehouse,
        "SELECT e.campaign, e.campaign_version, MIN(e.entered_at) AS oldest FROM e "
        "WHERE e.recorded_at >= :live_from GROUP BY e.campaign, e.campaign_version",
        live_from=literal(live_from),
        e=Relation(schema, "entries"),
    )
    followed = {(row["campaign"], row["campaign_version"]) for row in rows}
    return followed, min((row["oldest"] for row in rows), default=None)


def _versions(warehouse: Warehouse, schema: str) -> dict[tuple[str, str], StoredVersion]:
    """Every version that was ever in force, by campaign and version."""
    rows = ask(
        warehouse,
        "SELECT DISTINCT v.campaign, v.campaign_version, v.definition FROM v",
        v=Relation(schema, "campaign_versions"),
    )
    return {
        (row["campaign"], row["campaign_version"]): StoredVersion(row["campaign_version"], _read(row["definition"]))
        for row in rows
    }


@lru_cache(maxsize=1024)  # a process that ticks again and again reads the same definitions
def _read(definition: str) -> Campaign:
    return Campaign.model_validate_json(definition)


def zones_in_use(warehouse: Warehouse, project: Project) -> list[str | None]:
    """The distinct texts in the profiles' time zone column."""
    profiles = project.policy.profiles
    if profiles.time_zone is None:
        return []
    model = project.models[profiles.model]
    column = exp.column(exp.to_identifier(profiles.time_zone, quoted=True))
    query = exp.select(exp.cast(column, "TEXT").as_("zone")).distinct().from_(model.relation.table())
    found: list[str | None] = warehouse.query(query).column(0).to_pylist()
    return found


def people(warehouse: Warehouse, project: Project) -> int:
    """How many rows the profiles model has."""
    profiles = project.models[project.policy.profiles.model].relation
    found = warehouse.scalar(exp.select(exp.Count(this=exp.Star())).from_(profiles.table()))
    return found if isinstance(found, int) else 0


def record_versions(warehouse: Warehouse, project: Project, run_id: str, now: dt.datetime) -> bool:
    """Store the definitions of campaign versions not seen before; return whether there were any."""
    relation = Relation(project.policy.state.schema_, "campaign_versions")
    known = {
        (row["campaign"], row["campaign_version"])
        for row in ask(warehouse, "SELECT DISTINCT v.campaign, v.campaign_version FROM v", v=relation)
    }
    rows = [
        {
            "campaign": campaign.campaign,
            "campaign_version": campaign.version,
            "definition": campaign.canonical(),
            "run_id": run_id,
            "recorded_at": now,
        }
        for campaign in project.campaigns
        if (campaign.campaign, campaign.version) not in known
    ]
    if rows:
        types = [("campaign", pa.string()), ("campaign_version", pa.string()), ("definition", pa.string())]
        schema = pa.schema([*types, ("run_id", pa.string()), ("recorded_at", pa.timestamp("us"))])
        warehouse.ingest(relation, pa.Table.from_pylist(rows, schema=schema))
    return bool(rows)


def record_run(
    warehouse: Warehouse,
    project: Project,
    *,
    run_id: str,
    now: dt.datetime,
    started_at: dt.datetime,
    finished_at: dt.datetime,
    status: str,
    counts: dict[str, object],
) -> None:
    """Append the run's row."""
    row = {
        "run_id": run_id,
        "now": now,
        "started_at": started_at,
        "finished_at": finished_at,
        "status": status,
        "rules_version": project.version,
        "counts": json.dumps(counts, sort_keys=True),
    }
    time = pa.timestamp("us")
    schema = pa.schema(
        [
            ("run_id", pa.string()), ("now", time), ("started_at", time), ("finished_at", time),
            ("status", pa.string()), ("rules_version", pa.string()), ("counts", pa.string()),
        ]
    )  # fmt: skip
    warehouse.ingest(Relation(project.policy.state.schema_, "runs"), pa.Table.from_pylist([row], schema=schema))


def runs_at(warehouse: Warehouse, project: Project, now: dt.datetime, status: str) -> dict[str, str]:
    """The runs about this `now` that ended with `status`: their rules version by run id."""
    rows = ask(
        warehouse,
        "SELECT r.run_id, r.rules_version FROM r WHERE r.now = :now AND r.status = :status",
        now=literal(now),
        status=literal(status),
        r=Relation(project.policy.state.schema_, "runs"),
    )
    return {str(row["run_id"]): str(row["rules_version"]) for row in rows}


@dataclass(frozen=True)
class Listing:
    """The providers that messages were ever queued for (but those that the rules no longer have, with nothing open).

    `to` is the latest `queued_at` that was looked at: the next listing looks through newer messages only, since ticks
    never go back.
    """

    names: tuple[str, ...]
    to: dt.datetime | None

    def note(self) -> dict[str, object]:
        """As it is kept in the counts of a delivery's run."""
        if self.to is None:
            return {}
        return {"listed": list(self.names), "listed_to": self.to.isoformat(sep=" ", timespec="microseconds")}


def outbox_providers(warehouse: Warehouse, project: Project) -> Listing:
    """The providers that messages were queued for, by name; one that the rules no longer have, if some are open."""
    schema = project.policy.state.schema_
    messages = Relation(schema, "messages")
    counts = ask(
        warehouse,
        "SELECT r.counts FROM r WHERE r.status = 'delivered' AND :mark IS NOT NULL ORDER BY r.now DESC, r.finished_at DESC LIMIT 1",
        r=Relation(schema, "runs"),
        mark=warehouse.json_text(exp.column("counts", table="r"), "listed_to"),
    )
    before = json.loads(counts[0]["counts"]) if counts else {}
    since = dt.datetime.fromisoformat(before["listed_to"]) if before else dt.datetime(1900, 1, 1)
    to = ask(warehouse, "SELECT MAX(m.queued_at) AS latest FROM m", m=messages)[0]["latest"]
    rows = ask(
        warehouse, "SELECT DISTINCT m.provider FROM m WHERE m.queued_at >= :since", m=messages, since=literal(since)
    )
    known = set(project.policy.providers) | {channel.provider for channel in project.policy.channels.values()}
    found = []
    for name in sorted({*before.get("listed", ()), *(str(row["provider"]) for row in rows)}):
        if name not in known and not open_messages(warehouse, project, name):
            continue
        found.append(name)
    return Listing(tuple(found), to)


def open_messages(warehouse: Warehouse, project: Project, provider: str) -> int:
    """How many messages of a provider have no final outcome."""
    schema = project.policy.state.schema_
    rows = ask(
        warehouse,
        "SELECT COUNT(*) AS messages FROM m LEFT JOIN (SELECT d.message_id FROM d WHERE d.final) AS f "
        "ON f.message_id = m.message_id WHERE m.provider = :name AND f.message_id IS NULL",
        m=Relation(schema, "messages"),
        d=Relation(schema, "deliveries"),
        name=literal(provider),
    )
    return int(rows[0]["messages"])
