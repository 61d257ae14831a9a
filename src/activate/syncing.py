"""The story of an audience: load → compile its change set → guard it → send → record. `run`'s sibling for audiences."""

from __future__ import annotations

import contextlib
import datetime as dt
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from activate.audience import Audience
from activate.audience_plan import KINDS, AudiencePlan, AudienceReport, Faults, Figures
from activate.compile.audience import WANTED, ChangeSet, Held, Step
from activate.deliver import carriers
from activate.deliver.audience_line import TIME_IS_UP, AudienceCarrier
from activate.deliver.hand_over import Clock
from activate.deliver.pace import Paces
from activate.deliver.sync import Progress, Sent, Shipment, Sync
from activate.destinations.base import Destination
from activate.destinations.registry import create
from activate.errors import ActivateError, RulesError, SettingsError, TimeOrderError, nearest
from activate.guards import Guard
from activate.heap import set_aside
from activate.project import Project
from activate.record import approvals, ledger
from activate.record.audiences import AudienceBook, Position, last_syncs
from activate.record.migrate import migrate
from activate.run import RolledBack, name_run, shared_paces, wall_clock
from activate.settings import resolve_destination
from activate.warehouses.base import Warehouse

OpenTarget = Callable[[str], Warehouse]
"""Opens a connection to another target of the dbt profile, by its name."""


@dataclass
class Opened:
    """One audience with its state open on a connection of its own, and its change set computed."""

    project: Project
    audience: Audience
    destination: Destination
    warehouse: Warehouse
    book: AudienceBook
    position: Position
    changes: ChangeSet
    run_id: str
    now: dt.datetime


def choose(project: Project, names: Sequence[str] | None = None, schedule: str | None = None) -> list[Audience]:
    """The audiences to sync: those named; else those with the schedule; else those without one.

    Raises SettingsError for a name or schedule that no audience has.
    """
    known = {audience.audience: audience for audience in project.audiences}
    for name in names or ():
        if name not in known:
            raise SettingsError(f"no audience {name!r}; allowed: {', '.join(known) or 'none'}{nearest(name, known)}")
    if names:
        return [known[name] for name in dict.fromkeys(names)]
    schedules = {audience.schedule for audience in project.audiences if audience.schedule}
    if schedule is not None and schedule not in schedules:
        allowed = ", ".join(sorted(schedules)) or "none"
        raise SettingsError(
            f"no audience has the schedule {schedule!r}; allowed: {allowed}{nearest(schedule, schedules)}"
        )
    return [audience for audience in project.audiences if audience.schedule == schedule]


def refuse_the_past(warehouse: Warehouse, project: Project, audiences: Sequence[Audience], now: dt.datetime) -> None:
    """Raise TimeOrderError for an instant before the last sync of an audience, which saw all that this one would see."""
    known = last_syncs(warehouse, project)
    for audience in audiences:
        last = known.get((audience.audience, audience.destination))
        if last is not None and now < last:
            raise TimeOrderError(
                f"now = {now:%Y-%m-%d %H:%M:%S} lies before the last sync of {audience.audience} ({last:%Y-%m-%d %H:%M:%S})"
            )


def plan(
    warehouse: Warehouse, project: Project, audiences: Sequence[Audience], now: dt.datetime, *, samples: int = 0,
    full: bool = False,
) -> list[AudiencePlan]:  # fmt: skip
    """What a sync of each audience would do, without sending or recording anything: not even the state tables stay."""
    found = []
    for audience in audiences:
        try:
            found.append(_planned(warehouse, project, audience, now, samples, full))
        except ActivateError as error:
            found.append(
                AudiencePlan(audience.audience, audience.destination, audience.segment, Figures(), error=str(error))
            )
    return found


def _planned(
    warehouse: Warehouse, project: Project, audience: Audience, now: dt.datetime, samples: int, full: bool
) -> AudiencePlan:
    """One audience's plan, made in a transaction that is rolled back."""
    made: list[AudiencePlan] = []
    connection = warehouse.clone()
    with contextlib.closing(connection), contextlib.suppress(RolledBack), connection.transaction():
        migrate(connection, project.policy.state.schema_, now)
        opened = _open(connection, project, audience, now, full, False)
        _release_remapped(opened, full)
        made.append(replace(plan_opened(opened, samples), statements=_statements(opened)))
        raise RolledBack
    return made[0]


def sync(
    warehouse: Warehouse,
    project: Project,
    audiences: Sequence[Audience],
    now: dt.datetime,
    *,
    open_target: OpenTarget | None = None,
    full: bool = False,
    wait_seconds: float = 30.0,
    check: Callable[[AudiencePlan], None] | None = None,
    on_progress: Progress | None = None,
    clock: Clock | None = None,
    time_limit: float | None = None,
) -> list[AudienceReport]:
    """Sync the audiences, destination by destination and side by side; one that fails never stops another.

    After `time_limit` seconds (None: as `delivery.time_limit` says) nothing more is begun; what is under way is finished and
    recorded, a file that is not whole by then is not published, and the rest waits for the next sync.

    What goes wrong is in an audience's report. `full` sends every member again, and reads the destination's members
    back first where it can. `check` may refuse a plan by raising. The same `now` again sends nothing that was acknowledged.
    """
    limit = project.policy.delivery.time_limit if time_limit is None else time_limit
    deadline = None if limit is None else (clock or Clock()).monotonic() + limit
    make_state(warehouse, project, now)
    lanes: dict[str, list[Audience]] = {}
    for audience in audiences:
        lanes.setdefault(audience.destination, []).append(audience)

    if not lanes:
        return []
    with (
        set_aside(),
        shared_paces(warehouse, project, clock) as paces,
        ThreadPoolExecutor(min(8, len(lanes)), thread_name_prefix="audience") as pool,
    ):

        def lane(members: list[Audience]) -> list[AudienceReport]:
            return [
                _sync_one(
                    warehouse, project, audience, now, open_target, full, wait_seconds, check, on_progress, clock, paces,
                    deadline,
                )
                for audience in members
            ]  # fmt: skip

        reports = [report for found in pool.map(lane, lanes.values()) for report in found]
    order = {audience.audience: place for place, audience in enumerate(audiences)}
    return sorted(reports, key=lambda report: order[report.audience])


def _sync_one(
    warehouse: Warehouse, project: Project, audience: Audience, now: dt.datetime, open_target: OpenTarget | None,
    full: bool, wait_seconds: float, check: Callable[[AudiencePlan], None] | None, on_progress: Progress | None,
    clock: Clock | None, paces: Paces, deadline: float | None,
) -> AudienceReport:  # fmt: skip
    began = time.perf_counter()
    if deadline is not None and (clock or Clock()).monotonic() >= deadline:
        return AudienceReport(audience.audience, audience.destination, stopped=TIME_IS_UP)
    try:
        with open_audience(warehouse, project, audience, now, wait_seconds, full) as opened:
            _release_remapped(opened, full)
            if full and opened.destination.abilities.reads_back:
                read_back(opened, open_target)
                compute(opened, full)
            planned = plan_opened(opened, 0)
            if check is not None:
                check(planned)
            report = carry_out(opened, planned, open_target, on_progress, clock, paces, deadline)
    except ActivateError as error:
        is_mistake = isinstance(error, RulesError | SettingsError)
        report = AudienceReport(audience.audience, audience.destination, error=str(error), is_mistake=is_mistake)
    return replace(report, seconds=time.perf_counter() - began)


@contextlib.contextmanager
def open_audience(
    warehouse: Warehouse, project: Project, audience: Audience, now: dt.datetime, wait_seconds: float = 30.0,
    full: bool = False,
) -> Iterator[Opened]:  # fmt: skip
    """Hold an audience's lease and compute its change set on a connection of its own.

    Raises LeaseHeldError when another sync of it runs for longer than `wait_seconds`, SettingsError for a destination
    that cannot be made, WarehouseError.
    """
    connection = warehouse.clone()
    lease = f"audience.{project.policy.state.schema_}.{audience.audience}"
    with contextlib.closing(connection), connection.lock(lease, wait_seconds), connection.sparing():
        opened = _open(connection, project, audience, now, full, True)
        try:
            yield opened
        finally:
            opened.book.close()


def make_state(warehouse: Warehouse, project: Project, now: dt.datetime) -> None:
    """Make the state tables where they are missing."""
    with warehouse.transaction():
        migrate(warehouse, project.policy.state.schema_, now)


def _open(
    warehouse: Warehouse, project: Project, audience: Audience, now: dt.datetime, full: bool, may_compact: bool
) -> Opened:
    section = project.policy.destinations[audience.destination]
    destination = create(
        audience.destination, resolve_destination(audience.destination, section, project.secrets), project.directory
    )
    earlier = [
        run for run in ledger.runs_at(warehouse, project, now, "synced") if run.endswith(f"-{audience.audience}")
    ]
    run_id = f"{name_run(now, len(earlier))}-{audience.audience}"
    book = AudienceBook(warehouse, project, audience, run_id, now)
    changes = ChangeSet(project, warehouse, audience, Held())
    opened = Opened(project, audience, destination, warehouse, book, Position(), changes, run_id, now)
    compute(opened, full, may_compact)
    return opened


def compute(opened: Opened, full: bool, may_compact: bool = True) -> None:
    """(Again) make the temporary tables of the change set.

    Where many changes have come since the last copy of the members, they are summed up first (`may_compact`): reading them
    is needed anyway.
    """
    book = opened.book
    opened.position = book.position()
    if opened.position.has_later:
        changes = _changes(opened, full)
        _make(opened, changes.touched())
        if may_compact:
            opened.position = book.compact(opened.position, changes.held_query())
    changes = opened.changes = _changes(opened, full)
    made = [_make(opened, step) for step in changes.wanted()]
    rows = made[0] if made else book.figures.source_rows(opened.project.models[opened.audience.segment])
    tells_keys = changes.counts_tell_doubles and opened.audience.by_key
    keys = 0 if tells_keys else _make(opened, changes.doubled_keys())
    if not (changes.counts_tell_doubles and _compare(opened, rows, bool(keys))):
        keys = _make(opened, changes.doubled_keys()) if tells_keys else keys
        members = sum(_make(opened, step) for step in changes.doubled_members())
        for step in changes.work(bool(keys), bool(members)):
            _make(opened, step)
    book.drop(WANTED)


def _make(opened: Opened, step: Step) -> int:
    return opened.book.make(step.name, step.creates or "", step.sql, step.doc)


def _release_remapped(opened: Opened, full: bool) -> None:
    """Under a new mapping, let what was refused under an old one be tried again, and compute the change set anew."""
    position, audience = opened.position, opened.audience
    if position.mapping_version in (None, audience.mapping_version) or _is_new_identity(audience, position):
        return
    if opened.book.release_remapped(opened.changes.held_query(), position.last_wave + 1):
        compute(opened, full, False)


def _compare(opened: Opened, rows: int, has_doubled_keys: bool) -> bool:
    """Make the change set as if of so many rows no two had one identifier; tell whether that was so."""
    changed, work = opened.changes.work(has_doubled_keys, False)
    _make(opened, changed)
    if opened.book.figures.has_doubles(rows, opened.changes.held_query()):
        return False
    _make(opened, work)
    return True


def _changes(opened: Opened, full: bool) -> ChangeSet:
    position = opened.position
    held = Held(position.generation, position.first_wave, position.has_later)
    keep = opened.destination.abilities.replaces
    return ChangeSet(opened.project, opened.warehouse, opened.audience, held, full=full, keep_unchanged=keep)


# -- the plan ---------------------------------------------------------------------------------------------------------


def plan_opened(opened: Opened, samples: int = 0) -> AudiencePlan:
    """What a sync of an opened audience would do."""
    audience, book, position = opened.audience, opened.book, opened.position
    figures = _figures(opened)
    is_first = position.syncs == 0
    given = approvals.open_approvals(opened.warehouse, opened.project, opened.now, "audience")
    mine = {kind: found for (name, kind), found in given.items() if name == audience.audience}
    faults = opened.project.faults.get(audience.segment, Faults())
    guard = Guard(audience, figures, {kind: ceiling for kind, (_, ceiling) in mine.items()})
    withheld = guard.withheld(
        faults, is_first=is_first, replaces=opened.destination.abilities.replaces,
        new_identity=_is_new_identity(audience, position), on_hold="hold" in mine,
    )  # fmt: skip
    baselined = figures.added if _is_baseline(audience, position) else 0
    if baselined:
        withheld = tuple(part for part in withheld if part.kind != "added")
    if audience.on_new_mapping == "rebaseline" and not _is_new_identity(audience, position):
        baselined += figures.remapped
    planned = AudiencePlan(
        audience.audience, audience.destination, audience.segment, figures, withheld, is_first, baselined,
        samples=book.figures.samples(samples), approvals=tuple(mine[kind][0] for kind in guard.used),
    )  # fmt: skip
    people = sum(_counts(planned).values())
    limits = opened.destination.limits
    requests = math.ceil(people / limits.batch) if people else 0
    seconds = requests / limits.per_second if limits.per_second else None
    return replace(planned, requests=requests, seconds=seconds)


def _statements(opened: Opened) -> tuple[tuple[str, str], ...]:
    """The change set as SQL, to be shown: printing it takes longer than a small sync."""
    return tuple((step.name, opened.warehouse.sql(step.sql, pretty=True)) for step in opened.changes.steps())


def _figures(opened: Opened) -> Figures:
    book, position = opened.book, opened.position
    verdicts = book.figures.verdicts()

    def people(verdict: str) -> int:
        return sum(count for (found, _), count in verdicts.items() if found == verdict)

    def by_reason(verdict: str) -> dict[str, int]:
        return {str(reason): count for (found, reason), count in sorted(verdicts.items(), key=str) if found == verdict}

    held = book.figures.held(opened.changes.held_query()) if position.has_later else position.copied
    barred = sum(verdicts.get(("remove", reason), 0) for reason in ("excluded", "no_consent"))
    left_out = by_reason("left_out")
    for reason, count in book.figures.left_out_before().items():
        left_out[reason] = left_out.get(reason, 0) + count
    source = book.figures.source_rows(opened.project.models[opened.audience.segment])
    invalid = by_reason("invalid")
    wanted = source - sum(invalid.values()) - sum(left_out.values())
    known = people("add") + people("update") + people("remapped")
    refused = people("refused")
    return Figures(
        held=held, wanted=wanted, added=people("add"), updated=people("update"), removed=people("remove") - barred,
        suppressed=barred, unchanged=max(0, wanted - known - book.figures.refused_wanted()), refused=refused,
        remapped=people("remapped"), invalid=invalid, left_out=left_out,
    )  # fmt: skip


def _is_baseline(audience: Audience, position: Position) -> bool:
    """Whether nothing was ever recorded, and what is found is to be taken for sent. Once: a first sync may be killed."""
    return audience.first_run == "baseline" and position.syncs == 0 and position.last_wave == 0


def _is_new_identity(audience: Audience, position: Position) -> bool:
    """Whether `identify_by` was changed since the last sync, and nobody has said to send everybody anew."""
    before = position.mapping_version
    if before is None or audience.on_new_mapping == "resend" or not position.last_wave:
        return False
    return before.split(".")[0] != audience.mapping_version.split(".")[0]


def _counts(planned: AudiencePlan) -> dict[str, int]:
    """The phases of the sync in order, with how many changes each has; what is withheld is left out."""
    figures = planned.figures
    passes = {verdict: not planned.is_withheld(kind) for verdict, kind in KINDS.items()}
    added = 0 if planned.is_first and planned.baselined else figures.added
    counts = {"suppress": 0 if planned.is_withheld("suppressed") else figures.suppressed,
              "remove": figures.removed if passes["remove"] else 0}  # fmt: skip
    if passes["add"] and passes["update"] and added:
        counts["upsert"] = added + figures.updated
    else:
        counts["add"] = added if passes["add"] else 0
        counts["update"] = figures.updated if passes["update"] else 0
    return {phase: count for phase, count in counts.items() if count}


# -- carrying it out --------------------------------------------------------------------------------------------------


def carry_out(
    opened: Opened, planned: AudiencePlan, open_target: OpenTarget | None = None, on_progress: Progress | None = None,
    clock: Clock | None = None, paces: Paces | None = None, deadline: float | None = None,
) -> AudienceReport:  # fmt: skip
    """Send what the plan lets pass, record everything, and sum the state up where it has grown."""
    book, position, audience = opened.book, opened.position, opened.audience
    started = wall_clock()
    wave = position.last_wave + 1
    baseline = [verdict for verdict, holds in (
        ("add", _is_baseline(audience, position)), ("remapped", audience.on_new_mapping == "rebaseline"),
    ) if holds]  # fmt: skip
    if planned.baselined:
        book.baseline(baseline, wave)
        wave += 1
    if planned.figures.invalid:
        book.record_invalid(wave)
        wave += 1
    counts = _counts(planned)
    sent = Sent()
    if counts:
        for approval in planned.approvals:
            approvals.record_use(opened.warehouse, opened.project, approval, run_id=opened.run_id, now=opened.now)
        shipment = Shipment(
            audience.audience, opened.run_id, opened.now, counts, tuple(opened.changes.fields), wave,
            opened.changes.instants,
        )  # fmt: skip
        destination = opened.destination
        pace = paces.of(destination.account, destination.limits.per_second) if paces else None
        sent = Sync(
            destination,
            book,
            shipment,
            opened.warehouse,
            carrier_maker(opened, open_target),
            clock,
            on_progress,
            pace,
            deadline,
        ).run()
        if set(sent.outcomes) <= {"aborted"}:
            for approval in planned.approvals:
                approvals.renew(opened.warehouse, opened.project, approval, run_id=opened.run_id, now=opened.now)
    if (
        counts
        or planned.baselined
        or (planned.withheld and book.withheld_now() != _withheld(planned))
        or planned.is_first
        or position.mapping_version != _last_mapping(opened, planned)
    ):
        finish(opened, planned, sent, started)
    return AudienceReport(
        audience.audience,
        audience.destination,
        planned,
        dict(sent.outcomes),
        dict(sent.codes),
        sent.requests,
        error=sent.error,
        stopped=sent.stopped,
    )


def _last_mapping(opened: Opened, planned: AudiencePlan) -> str:
    """The mapping that counts as acknowledged from here on: the old one, while its rows wait for a word."""
    asked = planned.is_withheld("remapped") or _is_new_identity(opened.audience, opened.position)
    return opened.position.mapping_version or "" if asked else opened.audience.mapping_version


def finish(opened: Opened, planned: AudiencePlan, sent: Sent, started: dt.datetime) -> None:
    book, outcomes = opened.book, sent.outcomes
    odd = planned.withheld or any(outcomes[status] for status in ("rejected", "failed", "unknown", "aborted"))
    status = "stopped" if sent.error else "partial" if odd else "synced"
    figures = planned.figures
    counts: dict[str, object] = {
        "outcomes": dict(outcomes), "codes": dict(sent.codes), "requests": sent.requests, "baselined": planned.baselined,
        "added": figures.added, "updated": figures.updated, "removed": figures.removed, "suppressed": figures.suppressed,
        "invalid": dict(figures.invalid), "left_out": dict(figures.left_out), "refused": figures.refused,
        "held": figures.held, "wanted": figures.wanted,
        "withheld": _withheld(planned),
    }  # fmt: skip
    book.finish(opened.position, status, counts, sent.error, _last_mapping(opened, planned))
    ledger.record_run(
        opened.warehouse, opened.project, run_id=opened.run_id, now=opened.now, started_at=started,
        finished_at=wall_clock(), status="synced", counts={"audience": opened.audience.audience, **counts},
    )  # fmt: skip


def _withheld(planned: AudiencePlan) -> list[list[object]]:
    return [[part.kind, part.people, part.reason, part.release] for part in planned.withheld]


def carrier_maker(opened: Opened, open_target: OpenTarget | None) -> Callable[[], AudienceCarrier]:
    """What makes connections to the audience's destination, one per thread."""

    def open_warehouse(target: str | None) -> Warehouse:
        if target is None:
            return opened.warehouse.clone()
        if open_target is None:
            raise SettingsError(f"destination {opened.destination.name!r}: no way to open the target {target!r}")
        return open_target(target)

    return lambda: carriers.carrier_for(opened.destination, open_warehouse)


def read_back(opened: Opened, open_target: OpenTarget | None, record: bool = True) -> Mapping[str, int]:
    """Ask the destination for its members, and `record` where they are not as acknowledged; see `AudienceBook.observe`."""
    carrier = carrier_maker(opened, open_target)()
    try:
        at = int(wall_clock().replace(tzinfo=dt.UTC).timestamp())
        pages = carriers.members(opened.destination, carrier, opened.audience.audience, at)
        return opened.book.observe(pages, opened.changes.held_query(), opened.position.last_wave + 1, record)
    finally:
        carrier.close()
