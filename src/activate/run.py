"""The story: load → compile → decide → deliver → record → report. This module alone joins the verbs."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import time
from collections.abc import Callable, Iterator, Sequence

from activate import ingesting
from activate.bookmarks import Bookmarks
from activate.compile.clock import zones
from activate.compile.pipeline import compile_tick
from activate.decide import execute
from activate.decision import Tick
from activate.deliver import hand_over, send
from activate.deliver.pace import Paces
from activate.errors import SettingsError, TimeOrderError
from activate.load.project import inspect, load_project
from activate.message import ProviderReport
from activate.plan import Plan
from activate.project import Project
from activate.providers.base import Provider
from activate.providers.registry import create
from activate.record import ledger
from activate.record.approvals import open_approvals
from activate.record.deliveries import Outbox
from activate.record.migrate import migrate
from activate.record.reservations import Reservations
from activate.settings import Options, load_target, resolve_provider
from activate.warehouses.base import Warehouse
from activate.warehouses.registry import connect

Clock = Callable[[], dt.datetime]


def wall_clock() -> dt.datetime:
    """The machine's time, naive UTC: for what is recorded about a run, never for what it decides."""
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)


def open_project(options: Options, *, wait_seconds: float = 30.0) -> tuple[Project, Warehouse]:
    """Load the rules and the dbt manifest, connect, and check the rules against the models' real columns.

    Raises RulesError with every mistake, SettingsError when the project, the profile, the manifest or the warehouse
    cannot be used, LeaseHeldError when another process holds a DuckDB file for `wait_seconds`.
    """
    target = load_target(options)
    project = load_project(options, target)
    warehouse = connect(target, wait_seconds)
    try:
        warehouse.require_schema_name(project.policy.state.schema_)
        return dataclasses.replace(inspect(project, warehouse), secrets=options.secrets), warehouse
    except BaseException:
        warehouse.close()
        raise


def target_opener(options: Options, wait_seconds: float = 30.0) -> Callable[[str], Warehouse]:
    """Return what opens another target of the same dbt profile by its name; it raises as `open_project` does."""

    def open_target(name: str) -> Warehouse:
        return connect(load_target(dataclasses.replace(options, target=name)), wait_seconds)

    return open_target


def migrate_state(warehouse: Warehouse, project: Project, now: dt.datetime, *, wait_seconds: float = 30.0) -> bool:
    """Make the state tables where they are missing; return whether anything was done."""
    schema = project.policy.state.schema_
    with warehouse.lock(f"tick.{schema}", wait_seconds), warehouse.transaction():
        return migrate(warehouse, schema, now)


class RolledBack(Exception):
    """Leaves a transaction whose work is not to be kept."""


def decide(
    warehouse: Warehouse,
    project: Project,
    now: dt.datetime,
    *,
    commit: bool = True,
    wait_seconds: float = 30.0,
    samples: int = 0,
    check: Callable[[Tick], None] | None = None,
    on_progress: execute.OnProgress | None = None,
    clock: Clock = wall_clock,
) -> Tick:
    """Decide one tick: everything in one transaction, under the project's lease; events that wait are loaded before it.

    `now` is naive UTC. With `commit=False` the same work is done and rolled back: the result is a plan. `samples` is
    the number of person keys to return per outcome; `check` may refuse the tick by raising, which rolls it back. The same `now` again, with nothing new to see, changes nothing.

    Raises LeaseHeldError if another tick holds the lease for `wait_seconds`, TimeOrderError if `now` lies before the
    last tick, WarehouseError (nothing recorded) if a statement fails.
    """
    started, began = clock(), time.perf_counter()
    if commit:
        ingesting.load_spool(warehouse, project, clock=clock, wait_seconds=wait_seconds)
    tick: Tick | None = None
    with warehouse.lock(f"tick.{project.policy.state.schema_}", wait_seconds):
        try:
            with warehouse.transaction():
                tick = _decide(warehouse, project, now, commit, samples, on_progress, started, clock)
                if check is not None:
                    check(tick)
                if not (commit and tick.changed):
                    raise RolledBack
        except RolledBack:
            pass
    if tick is None:
        raise AssertionError("a transaction that ends without an error has decided")
    return Tick(**{**vars(tick), "seconds": time.perf_counter() - began})


def _decide(
    warehouse: Warehouse,
    project: Project,
    now: dt.datetime,
    commit: bool,
    samples: int,
    on_progress: execute.OnProgress | None,
    started: dt.datetime,
    clock: Clock,
) -> Tick:
    migrate(warehouse, project.policy.state.schema_, now)
    marks = ledger.bookmarks(warehouse, project, zones(ledger.zones_in_use(warehouse, project)))
    _check_order(marks, now)
    marks = _with_guards(marks, warehouse, project, now)
    earlier = ledger.runs_at(warehouse, project, now, "decided")
    run_id = name_run(now, len(earlier))
    new_version = ledger.record_versions(warehouse, project, run_id, now)
    plan = compile_tick(project, warehouse, now, marks, run_id)
    constants = execute.execute(warehouse, plan, on_progress)
    tick = _result(warehouse, project, plan, run_id, now, samples)
    changed = tick.changed or new_version or project.version not in earlier.values()
    if commit and changed:
        ledger.record_run(
            warehouse, project, run_id=run_id, now=now, started_at=started, finished_at=clock(), status="decided",
            counts=_summary(tick),
        )  # fmt: skip
    execute.clean_up(warehouse, plan, constants)
    launched = tuple(campaign.campaign for campaign in project.campaigns if campaign.campaign not in marks.campaigns)
    return Tick(**{**vars(tick), "changed": changed, "committed": commit and changed, "launched": launched})


def _with_guards(marks: Bookmarks, warehouse: Warehouse, project: Project, now: dt.datetime) -> Bookmarks:
    """What the campaigns' guards ask about, read only where there are some."""
    guards = [campaign.guard for campaign in project.campaigns if campaign.guard is not None]
    if not guards:
        return marks
    given = open_approvals(warehouse, project, now, "campaign")
    ceilings = {name: approval for (name, kind), approval in given.items() if kind == "messages"}
    people = ledger.people(warehouse, project) if any(guard.is_share for guard in guards) else 0
    return dataclasses.replace(marks, people=people, approvals=ceilings)


def name_run(now: dt.datetime, number: int) -> str:
    """A run's id: its instant, and a number when it is not the first run of that instant."""
    text = now.strftime("%Y%m%dT%H%M%S") + (f".{now.microsecond:06d}" if now.microsecond else "") + "Z"
    return text if number == 0 else f"{text}-{number + 1}"


def _check_order(marks: Bookmarks, now: dt.datetime) -> None:
    if marks.last_now is not None and now < marks.last_now:
        raise TimeOrderError(
            f"now = {now:%Y-%m-%d %H:%M:%S} lies before the last tick ({marks.last_now:%Y-%m-%d %H:%M:%S}), and what that "
            "tick decided cannot be taken back; to replay the past, use a target (or a state schema) of its own"
        )


def _result(warehouse: Warehouse, project: Project, plan: Plan, run_id: str, now: dt.datetime, samples: int) -> Tick:
    schema = project.policy.state.schema_
    written = execute.written(warehouse, schema, run_id, now)
    return Tick(
        run_id=run_id,
        now=now,
        counts=written.counts,
        entered=written.entered,
        samples=execute.samples(warehouse, schema, run_id, now, samples) if samples else {},
        invalid=written.unusable,
        statements=tuple(plan.script()),
        changed=bool(written.counts or written.entered or written.others),
    )


def _summary(tick: Tick) -> dict[str, object]:
    return {
        "entered": tick.entered,
        "invalid": tick.invalid,
        "decisions": [
            [count.campaign, count.outcome, count.gate, count.reason, count.channel, count.people]
            for count in tick.counts
        ],
    }


def deliver(
    warehouse: Warehouse,
    project: Project,
    now: dt.datetime | None,
    *,
    providers: Sequence[str] | None = None,
    wait_seconds: float = 30.0,
    on_progress: send.Progress | None = None,
    clock: Clock = wall_clock,
    time_limit: float | None = None,
) -> list[ProviderReport]:
    """Deliver the outbox, provider by provider and side by side; one that fails never stops another.

    `now` is the instant that expiries are judged by (a replay); None: the clock's. `providers` narrows down to some,
    by their names in rules/activate.yml; all otherwise. After `time_limit` seconds (None: as `delivery.time_limit` says)
    nothing more is begun.

    Raises LeaseHeldError when another delivery of a provider runs for longer than `wait_seconds`.
    """
    at = now or clock()
    with warehouse.transaction():
        migrate(warehouse, project.policy.state.schema_, at)
    number = len(ledger.runs_at(warehouse, project, at, "delivered"))
    made: dict[str, Provider] = {}
    broken: list[ProviderReport] = []
    listing = ledger.outbox_providers(warehouse, project)
    for name in listing.names:
        if providers is None or name in providers:
            try:
                made[name] = _provider(project, name)
            except SettingsError as error:
                broken.append(
                    ProviderReport(name, error=str(error), left=ledger.open_messages(warehouse, project, name))
                )

    def open_outbox(name: str) -> Outbox:
        return Outbox(warehouse.clone(), project, name, f"{name_run(at, number)}-{name}", listing.note())

    with shared_paces(warehouse, project) as paces:
        reports = send.deliver(
            project, made, open_outbox, now=now, wait_seconds=wait_seconds, on_progress=on_progress, paces=paces,
            make_carrier=lambda provider: send.carrier_for(provider, warehouse.clone),
            time_limit=project.policy.delivery.time_limit if time_limit is None else time_limit,
        )  # fmt: skip
    return sorted([*reports, *broken], key=lambda report: report.provider)


@contextlib.contextmanager
def shared_paces(warehouse: Warehouse, project: Project, clock: hand_over.Clock | None = None) -> Iterator[Paces]:
    """The paces of accounts: kept in the warehouse where several processes can use it, in memory elsewhere."""
    clock = clock or hand_over.Clock()
    if warehouse.one_process:
        yield Paces(clock.monotonic, clock.sleep)
        return
    with contextlib.closing(Reservations(warehouse.clone, project.policy.state.schema_)) as reservations:
        yield Paces(clock.monotonic, clock.sleep, reservations.reserve)


def _provider(project: Project, name: str) -> Provider:
    section = project.policy.providers.get(name, {"type": name})
    return create(name, resolve_provider(name, section, project.secrets), project.directory)


def tick(
    options: Options, now: dt.datetime, *, wait_seconds: float = 30.0, at: dt.datetime | None = None
) -> tuple[Tick, list[ProviderReport]]:
    """Open the project, decide about `now` and deliver; `at` is `deliver`'s `now` (None: the clock's)."""
    project, warehouse = open_project(options, wait_seconds=wait_seconds)
    with contextlib.closing(warehouse):
        decided = decide(warehouse, project, now, wait_seconds=wait_seconds)
        return decided, deliver(warehouse, project, at, wait_seconds=wait_seconds)
