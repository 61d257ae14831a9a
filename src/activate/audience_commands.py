"""What the verbs about audiences do: sync, approve, retry, reconcile, undo."""

from __future__ import annotations

import argparse
import datetime as dt
import getpass
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from activate import mending, run, syncing
from activate.audience_plan import AudiencePlan, AudienceReport
from activate.errors import DeliveryError, SettingsError
from activate.opening import instant, not_ahead, opened, options
from activate.report.audience_view import show_plans, show_reports, show_undo
from activate.report.console import make_console
from activate.report.progress import progress
from activate.report.text import plural, to_data, to_json

_CEILINGS = ("added", "updated", "removed", "suppressed", "messages", "stale", "untested")


def plans_data(plans: Sequence[AudiencePlan]) -> list[dict[str, Any]]:
    """Plans as plain data, without their SQL."""
    return [{key: value for key, value in to_data(plan).items() if key != "statements"} for plan in plans]


def reports_data(reports: Sequence[AudienceReport]) -> list[dict[str, Any]]:
    """Reports as plain data, with their plans."""
    found = []
    for report in reports:
        data = to_data(report)
        data["plan"] = plans_data([report.plan])[0] if report.plan is not None else None
        found.append(data)
    return found


def sync_code(reports: Sequence[AudienceReport]) -> int:
    """The exit code of a sync: 7 when a destination could not be used."""
    broken = [report.audience for report in reports if report.unusable]
    if not broken:
        return 0
    print(f"dbt-activate: could not sync {', '.join(broken)}; what is left is sent by the next sync", file=sys.stderr)
    return DeliveryError.exit_code


def _sync(args: argparse.Namespace) -> int:
    now = instant(args)
    with opened(args) as (project, warehouse), progress(args.quiet) as told:
        chosen = syncing.choose(project, args.audience, args.schedule)
        if args.dry_run:
            plans = syncing.plan(warehouse, project, chosen, now, samples=args.samples, full=args.full)
            _tell(args, {"now": now, "audiences": plans_data(plans)}, lambda console: show_plans(console, plans))
            return 0
        syncing.refuse_the_past(warehouse, project, chosen, not_ahead(now))
        reports = syncing.sync(
            warehouse, project, chosen, now, open_target=run.target_opener(options(args), args.wait), full=args.full,
            wait_seconds=args.wait, on_progress=told.audience, time_limit=args.time_limit,
        )  # fmt: skip
    _tell(args, {"now": now, "audiences": reports_data(reports)}, lambda console: show_reports(console, reports))
    return sync_code(reports)


def _approve(args: argparse.Namespace) -> int:
    subject, colon, name = args.subject.partition(":")
    if not colon or subject not in ("audience", "campaign"):
        raise SettingsError(f"{args.subject!r} is not what a guard withholds; write audience:NAME or campaign:NAME")
    kinds = ("messages",) if subject == "campaign" else tuple(kind for kind in _CEILINGS if kind != "messages")
    given = {kind: value for kind in _CEILINGS if (value := getattr(args, kind)) is not None}
    wrong = [kind for kind in given if kind not in kinds]
    if wrong or (args.resume and subject == "campaign"):
        raise SettingsError(
            f"--{wrong[0] if wrong else 'resume'} does not go with {subject}:{name}; allowed: {', '.join('--' + kind for kind in kinds)}"
        )
    if not given and not args.resume:
        raise SettingsError(f"say what may pass, and how many at most: {', '.join(f'--{kind} N' for kind in kinds)}")
    now = instant(args)
    with opened(args) as (project, warehouse):
        ids = mending.approve(
            warehouse, project, subject, name, given, now, lasting=dt.timedelta(seconds=args.lasting),
            granted_by=args.by or getpass.getuser(), resume=args.resume,
        )  # fmt: skip
    until = now + dt.timedelta(seconds=args.lasting)
    lines = [
        f"Once until {until:%Y-%m-%d %H:%M} UTC, up to {value:,} {kind} of {subject} {name} may pass."
        for kind, value in given.items()
    ]
    lines += [f"The audience {name} is no longer on hold."] if args.resume else []
    _tell(args, {"approvals": ids, "ceilings": given, "expires_at": until, "resumed": args.resume}, "\n".join(lines))
    return 0


def _retry(args: argparse.Namespace) -> int:
    with opened(args) as (project, warehouse):
        chosen = syncing.choose(project, args.audience) if args.audience else list(project.audiences)
        released = mending.retry(warehouse, project, chosen, instant(args), where=args.where, wait_seconds=args.wait)
    total = sum(released.values())
    text = (
        f"{plural(total, 'dead letter')} released; the next sync sends them again." if total else "No dead letter fits."
    )
    _tell(args, {"released": released}, text)
    return 0


def _reconcile(args: argparse.Namespace) -> int:
    with opened(args) as (project, warehouse):
        audience = syncing.choose(project, [args.audience])[0]
        found, report = mending.reconcile(
            warehouse, project, audience, instant(args), open_target=run.target_opener(options(args), args.wait),
            wait_seconds=args.wait, heal=not args.dry_run,
        )  # fmt: skip
    told = {"differences": found, "report": reports_data([report])[0] if report else None}

    def show(console: Any) -> None:
        differences = (
            f"{plural(found['missing'], 'member')} missing at the destination, {found['left']:,} left there "
            f"though they were removed, {found['foreign']:,} that were never sent from here (left alone)."
        )
        console.print(
            f"{args.audience}: {differences if any(found.values()) else 'the destination holds whom it acknowledged.'}"
        )
        show_reports(console, [report] if report else [])

    _tell(args, told, show)
    return sync_code([report] if report else [])


def _undo(args: argparse.Namespace) -> int:
    with opened(args) as (project, warehouse):
        found = mending.undo(
            warehouse, project, args.run_id, instant(args), open_target=run.target_opener(options(args), args.wait),
            wait_seconds=args.wait, apply=args.apply, without_updates=args.without_updates, samples=3,
        )  # fmt: skip
    figures = {"removals": found.removals, "additions": found.additions, "updates": found.updates}
    report = found.report

    def show(console: Any) -> None:
        show_undo(console, found.audience, found.run_id, figures, found.samples, done=args.apply)
        show_reports(console, [report] if report else [])

    told = {"audience": found.audience, "run_id": found.run_id, **figures, "samples": found.samples,
            "report": reports_data([report])[0] if report else None}  # fmt: skip
    _tell(args, told, show)
    return sync_code([report] if report else [])


def _tell(args: argparse.Namespace, data: Mapping[str, Any], text: str | Callable[[Any], None]) -> None:
    if args.json:
        print(to_json(dict(data)))
    elif isinstance(text, str):
        print(text)
    else:
        text(make_console(sys.stdout))


VERBS: dict[str, Callable[[argparse.Namespace], int]] = {
    "sync": _sync,
    "approve": _approve,
    "retry": _retry,
    "reconcile": _reconcile,
    "undo": _undo,
}
