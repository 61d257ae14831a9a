"""Putting right what a sync could not: dead letters tried again, members read back, a run undone, an approval given."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from activate.audience import Audience
from activate.audience_plan import AudienceReport
from activate.deliver.sync import Shipment, Sync
from activate.errors import SettingsError, nearest
from activate.expression import parse_where
from activate.project import Project
from activate.record import approvals, audiences, ledger
from activate.record.audiences import DEAD_LETTER
from activate.run import wall_clock
from activate.syncing import (
    OpenTarget,
    carrier_maker,
    carry_out,
    choose,
    compute,
    make_state,
    open_audience,
    plan_opened,
    read_back,
    refuse_the_past,
)
from activate.warehouses.base import Warehouse

_LONG = dt.timedelta(days=3650)


@dataclass(frozen=True)
class Undoing:
    """The inverse of a run: who is taken out and put back, and how many updates stay, since old values are nowhere kept."""

    audience: str
    run_id: str
    removals: int
    additions: int
    updates: int
    samples: Mapping[str, list[str]] = field(default_factory=dict)
    report: AudienceReport | None = None


def retry(
    warehouse: Warehouse, project: Project, chosen: Sequence[Audience], now: dt.datetime, *, where: str | None = None,
    wait_seconds: float = 30.0,
) -> dict[str, int]:  # fmt: skip
    """Release dead letters, so that the next sync sends them again; return how many, by audience.

    `where` narrows down over the columns audience, destination, user_id, member, change, error_code and recorded_at.
    Raises SettingsError for a condition that cannot be used.
    """
    condition = None
    if where is not None:
        try:
            condition = parse_where(where, columns=DEAD_LETTER, dialect=warehouse.dialect)
        except ValueError as error:
            raise SettingsError(f"--where: {error}") from None
    refuse_the_past(warehouse, project, chosen, now)
    make_state(warehouse, project, now)
    released = {}
    for audience in chosen:
        with open_audience(warehouse, project, audience, now, wait_seconds) as opened:
            held = opened.changes.held_query()
            released[audience.audience] = opened.book.release(held, condition, opened.position.last_wave + 1)
    return released


def reconcile(
    warehouse: Warehouse, project: Project, audience: Audience, now: dt.datetime, *, open_target: OpenTarget | None = None,
    wait_seconds: float = 30.0, heal: bool = True,
) -> tuple[Mapping[str, int], AudienceReport | None]:  # fmt: skip
    """Read the destination's members back and, unless `heal` is false, record the differences and send what mends them.

    Returns how many members are `missing` at the destination, `left` there though they were removed, and `foreign`: never
    sent by us, which are left alone. Raises SettingsError where the destination cannot be asked, DeliveryError where it
    does not answer.
    """
    refuse_the_past(warehouse, project, [audience], now)
    make_state(warehouse, project, now)
    with open_audience(warehouse, project, audience, now, wait_seconds) as opened:
        if not opened.destination.abilities.reads_back:
            hint = "; give it a `members_url`" if opened.destination.type == "webhook" else ""
            raise SettingsError(f"the destination {opened.destination.name!r} cannot be asked for its members{hint}")
        found = read_back(opened, open_target, record=heal)
        if not heal:
            return found, None
        compute(opened, False)
        return found, carry_out(opened, plan_opened(opened), open_target)


def undo(
    warehouse: Warehouse, project: Project, run_id: str, now: dt.datetime, *, open_target: OpenTarget | None = None,
    wait_seconds: float = 30.0, apply: bool = False, without_updates: bool = False, samples: int = 3,
) -> Undoing:  # fmt: skip
    """The inverse change set of a run: whoever it added is removed, whoever it removed is added.

    People whom a later sync has changed again are left alone. With `apply` it is sent, and the audience is put on hold:
    the segment still says what it said, so the next sync would do it all again. Updates cannot be undone, since old values
    are kept nowhere. Raises SettingsError for an unknown run, for one of which nothing can be undone, and for one with updates
    unless `without_updates` says that they may stay; then nothing was done.
    """
    make_state(warehouse, project, now)
    name = audiences.audience_of(warehouse, project, run_id)
    if name is None:
        known = audiences.last_runs(warehouse, project)
        raise SettingsError(f"no sync of an audience has the run id {run_id!r}{nearest(run_id, known)}")
    audience = choose(project, [name])[0]
    refuse_the_past(warehouse, project, [audience], now)
    with open_audience(warehouse, project, audience, now, wait_seconds) as opened:
        if opened.destination.abilities.replaces:
            raise SettingsError(
                f"the destination {opened.destination.name!r} takes the full set or nothing, and the members of before "
                "the run are nowhere kept: put the segment right and sync again"
            )
        book = opened.book
        book.make("audience.undo", audiences.WORK, opened.changes.undo(run_id), "The inverse change set.")
        verdicts = book.figures.verdicts()
        counts = {
            verdict: sum(n for (found, _), n in verdicts.items() if found == verdict)
            for verdict in ("add", "remove", "kept")
        }
        found = Undoing(name, run_id, counts["remove"], counts["add"], counts["kept"], book.figures.samples(samples))
        if not apply:
            return found
        if not (found.removals or found.additions):
            stays = f"; the updates it made ({found.updates:,}) cannot be undone, since old values are kept nowhere"
            raise SettingsError(
                f"of the run {run_id} there is nothing to undo: whom it added or removed was changed again since"
                f"{stays if found.updates else ''}"
            )
        if found.updates and not without_updates:
            raise SettingsError(
                f"the run {run_id} updated {found.updates:,} of the members, and their old values are kept nowhere: nothing was "
                "undone. Add --without-updates to undo its additions and removals and leave the updates, or put the segment "
                "right and sync again"
            )
        approvals.grant(
            warehouse, project, subject="audience", name=name, kind="hold", ceiling=0, granted_by=None, now=now,
            expires_at=now + _LONG,
        )  # fmt: skip
        started = wall_clock()
        phases = {phase: count for phase, count in (("remove", counts["remove"]), ("add", counts["add"])) if count}
        shipment = Shipment(
            name, opened.run_id, now, phases, tuple(opened.changes.fields), opened.position.last_wave + 1,
            opened.changes.instants,
        )  # fmt: skip
        sent = Sync(opened.destination, book, shipment, opened.warehouse, carrier_maker(opened, open_target)).run()
        told: dict[str, object] = {"outcomes": dict(sent.outcomes), "undoes": run_id}
        book.finish(
            opened.position, "stopped" if sent.error else "synced", told, sent.error, opened.position.mapping_version
        )
        ledger.record_run(
            opened.warehouse, project, run_id=opened.run_id, now=now, started_at=started, finished_at=wall_clock(),
            status="synced", counts={"audience": name, **told},
        )  # fmt: skip
        report = AudienceReport(
            name, audience.destination, None, dict(sent.outcomes), dict(sent.codes), sent.requests, error=sent.error
        )
        return Undoing(name, run_id, found.removals, found.additions, found.updates, found.samples, report)


def approve(
    warehouse: Warehouse, project: Project, subject: str, name: str, ceilings: Mapping[str, int], now: dt.datetime,
    *, lasting: dt.timedelta, granted_by: str | None, resume: bool = False,
) -> list[str]:  # fmt: skip
    """Record approvals, one for each kind; `resume` takes an audience off hold. Returns the approvals' ids.

    Raises SettingsError for an audience or campaign that the rules do not have.
    """
    known = (
        {audience.audience for audience in project.audiences}
        if subject == "audience"
        else {campaign.campaign for campaign in project.campaigns}
    )
    if name not in known:
        allowed = ", ".join(sorted(known)) or "none"
        raise SettingsError(f"no {subject} {name!r}; allowed: {allowed}{nearest(name, known)}")
    make_state(warehouse, project, now)
    with warehouse.transaction():
        if resume:
            approvals.revoke(warehouse, project, subject=subject, name=name, kind="hold", now=now)
        return [
            approvals.grant(
                warehouse, project, subject=subject, name=name, kind=kind, ceiling=ceiling, granted_by=granted_by, now=now,
                expires_at=now + lasting,
            )
            for kind, ceiling in ceilings.items()
        ]  # fmt: skip
