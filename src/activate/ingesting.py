"""The story of providers' events: taken from files or the listener, loaded into the warehouse, told."""

from __future__ import annotations

import datetime as dt
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import pyarrow as pa

from activate.engagement import Row, table_of
from activate.errors import SettingsError, nearest
from activate.ingest.fetch import Fetcher
from activate.ingest.files import requests
from activate.ingest.spool import Spool
from activate.ingest.take import take_or_keep
from activate.ingest.web import Listener
from activate.message import IngestReport
from activate.project import Project
from activate.providers.unsubscribe import read_token
from activate.record import ledger
from activate.record.engagements import load
from activate.record.migrate import migrate
from activate.settings import resolve_section, spool_folder
from activate.sources.base import Source
from activate.sources.registry import SOURCES, create
from activate.warehouses.base import Warehouse

Clock = Callable[[], dt.datetime]
_REJECTED, _ROWS = 1_000, 100_000


def source_of(project: Project, name: str) -> Source:
    """The source of this name in `ingest:`, with its secrets. Raises SettingsError."""
    sections = project.policy.ingest
    if name not in sections:
        known = ", ".join(sections) or "none"
        raise SettingsError(
            f"there is no source {name!r} in `ingest:` of rules/activate.yml; there: {known}{nearest(name, sections)}"
        )
    return create(name, resolve_section("ingest", name, sections[name], project.secrets), Fetcher())


def bare_source(project: Project, name: str) -> Source:
    """The source of this name or, where `ingest:` has none, of this type: to read what is not verified."""
    section = project.policy.ingest.get(name, {})
    kind = section.get("type", name)
    if kind not in SOURCES:
        raise SettingsError(
            f"there is no source type {kind!r}; allowed: {', '.join(SOURCES)}{nearest(str(kind), SOURCES)}"
        )
    made = SOURCES[kind]
    plain = {option.name: section.get(option.name, option.default) for option in made.declared if not option.secret}
    return made(name, plain)


def ingest_files(
    warehouse: Warehouse,
    project: Project,
    name: str,
    files: Sequence[str],
    *,
    signed: bool = True,
    clock: Clock,
    wait_seconds: float = 30.0,
) -> IngestReport:
    """Load captured requests (`-`: standard input) of one source; memory does not grow with them.

    The same file again changes nothing. Each 100,000 events or so are one transaction. Raises SettingsError, LeaseHeldError
    and WarehouseError; what was loaded before stays.
    """
    source = source_of(project, name) if signed else bare_source(project, name)
    report, spool, at = IngestReport(name), Spool(spool_folder(project.directory)), clock()
    found = Counter[str]()

    def tables() -> Iterator[pa.Table]:
        rows: list[Row] = []
        rejected: list[tuple[str, Any]] = []

        def keep() -> None:
            spool.reject(name, rejected, at)
            report.rejected_to = str(spool.folder / "rejected")
            rejected.clear()

        for request in chain.from_iterable(requests(file, at, raw=not signed) for file in files):
            if isinstance(request, bytes):
                rejected.append(("not_a_request", request.decode("utf-8", "replace")))
                found["rejected not_a_request"] += 1
            else:
                taken = take_or_keep(source, request, signed=signed)
                found.update(taken.counts)
                rejected += taken.rejected
                rows += taken.rows
            if len(rejected) >= _REJECTED:
                keep()
            while len(rows) >= _ROWS:
                yield table_of(rows[:_ROWS])
                del rows[:_ROWS]
        if rejected:
            keep()
        if rows:
            yield table_of(rows)

    _load(warehouse, project, report, ((table,) for table in tables()), clock, wait_seconds)
    report.counts = dict(sorted(found.items()))
    return report


def load_spool(
    warehouse: Warehouse, project: Project, *, clock: Clock, wait_seconds: float = 30.0
) -> IngestReport | None:
    """Load what the listener has taken; None if it has taken nothing. A file is removed once its rows are committed."""
    spool = Spool(spool_folder(project.directory))
    segments = spool.segments()
    if not segments:
        return None
    report = IngestReport("spool")

    def files() -> Iterator[Iterable[pa.Table]]:
        for segment in segments:
            if segment.exists():  # another loader may have been here before us
                yield spool.tables(segment)
                segment.unlink()

    _load(warehouse, project, report, files(), clock, wait_seconds)
    return report


def _load(
    warehouse: Warehouse,
    project: Project,
    report: IngestReport,
    parts: Iterable[Iterable[pa.Table]],
    clock: Clock,
    wait_seconds: float,
) -> None:
    """Load each part in a transaction, and then go on to the next. One ingestion at a time."""
    began, started_at, schema = time.perf_counter(), clock(), project.policy.state.schema_
    run_id = f"{started_at:%Y%m%dT%H%M%S.%f}Z-ingest"
    with warehouse.lock(f"ingest.{schema}", wait_seconds):
        with warehouse.transaction():
            migrate(warehouse, schema, started_at)
        for part in parts:
            with warehouse.transaction():
                for table in part:
                    loaded = load(warehouse, project, table, run_id, clock())
                    report.events += loaded.events
                    report.duplicates += table.num_rows - loaded.events
                    report.suppressions += loaded.suppressions
        if report.events:
            counts: dict[str, object] = {
                "source": report.source, "events": report.events, "duplicates": report.duplicates,
                "suppressions": report.suppressions,
            }  # fmt: skip
            with warehouse.transaction():
                ledger.record_run(
                    warehouse, project, run_id=run_id, now=started_at, started_at=started_at, finished_at=clock(),
                    status="ingested", counts=counts,
                )  # fmt: skip
    report.seconds = time.perf_counter() - began


def listener(project: Project, clock: Clock) -> Listener:
    """The HTTP application for every source of `ingest:`, and for unsubscribe links. Raises SettingsError."""
    sources = {name: source_of(project, name) for name in project.policy.ingest}
    return Listener(sources, _token_reader(project), Spool(spool_folder(project.directory)), clock)


def _token_reader(project: Project) -> Callable[[str], tuple[str, str]]:
    policy = project.policy
    known: list[tuple[str, str]] = []
    lists: Mapping[str, str] = {name: name for name in policy.channels}
    for name, section in policy.providers.items():
        if section.get("unsubscribe_secret"):
            resolved = resolve_section("providers", name, {"secret": section["unsubscribe_secret"]}, project.secrets)
            known.append((name, resolved["secret"]))
            mine = [channel for channel, made in policy.channels.items() if made.provider == name]
            if section.get("unsubscribe_list") and mine:
                lists = {**lists, section["unsubscribe_list"]: mine[0]}

    def read(token: str) -> tuple[str, str]:
        for _, secret in known:
            try:
                user_id, list_name = read_token(token, secret)
            except ValueError:
                continue
            return user_id, lists.get(list_name, "email")
        raise ValueError("not an unsubscribe token")

    return read
