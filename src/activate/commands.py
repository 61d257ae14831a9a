"""What each verb of the command line does: open the project, call `run`, print the answer."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from activate import audience_commands, feed_commands, ingesting, planfile, questions, run, syncing
from activate.audience_plan import AudiencePlan, AudienceReport
from activate.decision import Tick
from activate.errors import DeliveryError, SettingsError, UsageError, nearest
from activate.ingest.web import MAX_BODY
from activate.load.project import load_project
from activate.message import IngestReport, ProviderReport
from activate.opening import instant, opened, options
from activate.project import Project
from activate.report.audience_view import show_plans, show_reports
from activate.report.console import make_console
from activate.report.delivery_view import show_delivery
from activate.report.ingest_view import show_ingested
from activate.report.lint_view import show_mistakes
from activate.report.preview_view import show_preview
from activate.report.progress import progress
from activate.report.status_view import show_status
from activate.report.story_view import show_story
from activate.report.text import to_json
from activate.report.tick_view import show_sql, show_tick
from activate.settings import load_target


def execute(args: argparse.Namespace) -> int:
    """Do what was typed and return the exit code; errors are raised."""
    _set_up_logging(args.verbose)
    return _VERBS[args.verb](args)


def _set_up_logging(verbose: bool) -> None:
    # Warnings of libraries are for developers: they go the way of the log.
    logging.captureWarnings(True)
    handler: logging.Handler = logging.StreamHandler(sys.stderr) if verbose else logging.NullHandler()
    logging.basicConfig(
        level=logging.INFO if verbose else logging.ERROR,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        handlers=[handler],
    )


def _print_json(data: Any) -> None:
    print(to_json(data))


# -- run, plan, deliver, migrate --------------------------------------------------------------------------------------


def _run(args: argparse.Namespace) -> int:
    now = instant(args)
    with opened(args) as (project, warehouse), progress(args.quiet) as told:
        providers = _providers(project, args.provider)
        audiences = [] if args.no_deliver or args.no_sync else syncing.choose(project)
        syncing.refuse_the_past(warehouse, project, audiences, now)
        tick = run.decide(warehouse, project, now, wait_seconds=args.wait, on_progress=told.step)
        reports: Sequence[ProviderReport] | None = None
        synced: list[AudienceReport] = []
        if not args.no_deliver:
            reports = run.deliver(
                warehouse, project, args.now, providers=providers, wait_seconds=args.wait, on_progress=told.provider,
                time_limit=args.time_limit,
            )  # fmt: skip
        if audiences:
            opener = run.target_opener(options(args), args.wait)
            synced = syncing.sync(
                warehouse, project, audiences, now, open_target=opener, wait_seconds=args.wait,
                on_progress=told.audience, time_limit=args.time_limit,
            )  # fmt: skip
    if args.json:
        delivered: dict[str, Any] = {} if reports is None else {"delivery": reports}
        _print_json(_tick_data(tick) | delivered | {"audiences": audience_commands.reports_data(synced)})
    else:
        console = make_console(sys.stdout)
        show_tick(console, tick, planned=False)
        if reports is not None:
            show_delivery(console, reports)
        show_reports(console, synced)
    return _delivery_code(reports or ()) or audience_commands.sync_code(synced)


def _plan(args: argparse.Namespace) -> int:
    now = instant(args)
    with opened(args) as (project, warehouse), progress(args.quiet) as told:
        # The SQL comes along with the samples, so at least one is asked for.
        tick = run.decide(
            warehouse, project, now, commit=False, wait_seconds=args.wait, samples=max(args.samples, 1),
            on_progress=told.step,
        )  # fmt: skip
        plans = syncing.plan(warehouse, project, syncing.choose(project), now, samples=args.samples)
        dialect = warehouse.dialect
        if args.out:
            target = load_target(options(args)).name
            planfile.write(Path(args.out), project, target, now, run.wall_clock(), tick, plans)
    if not args.samples:
        tick = Tick(**{**vars(tick), "samples": {}})
    statements = [*tick.statements, *(statement for plan in plans for statement in plan.statements)]
    if args.json:
        data = _tick_data(tick) | {"samples": _samples(tick), "audiences": audience_commands.plans_data(plans)}
        _print_json(data | ({"statements": [{"name": n, "sql": s} for n, s in statements]} if args.sql else {}))
        return 0
    console = make_console(sys.stdout)
    if args.sql:
        show_sql(console, statements, dialect)
        return 0
    show_tick(console, tick, planned=True)
    show_plans(console, plans, as_next=False)
    if args.out:
        console.print(f"The plan is in {args.out}; `dbt-activate apply {args.out}` does it, if it still holds.")
    return 0


def _apply(args: argparse.Namespace) -> int:
    with opened(args) as (project, warehouse), progress(args.quiet) as told:
        opener = run.target_opener(options(args), args.wait)
        made_since = run.wall_clock() - dt.timedelta(seconds=args.max_age)
        body = planfile.read(Path(args.plan), project, load_target(options(args)).name, made_since)
        now, promised = body["now"], body["figures"]
        audiences = syncing.choose(project)
        # Everything is looked at before anything is done.
        syncing.refuse_the_past(warehouse, project, audiences, now)
        foreseen = syncing.plan(warehouse, project, audiences, now)
        planfile.compare(promised, planfile.figures(None, foreseen), "audience ", args.tolerance)
        tick = run.decide(
            warehouse, project, now, wait_seconds=args.wait, on_progress=told.step,
            check=lambda found: planfile.compare(promised, planfile.figures(found, ()), "campaign ", args.tolerance),
        )  # fmt: skip
        reports = run.deliver(warehouse, project, None, wait_seconds=args.wait, on_progress=told.provider)

        def check(plan: AudiencePlan) -> None:
            planfile.compare(promised, planfile.figures(None, [plan]), f"audience {plan.audience} ", args.tolerance)

        synced = syncing.sync(
            warehouse, project, audiences, now, open_target=opener, wait_seconds=args.wait, check=check,
            on_progress=told.audience,
        )  # fmt: skip
    if args.json:
        _print_json(_tick_data(tick) | {"delivery": reports, "audiences": audience_commands.reports_data(synced)})
    else:
        console = make_console(sys.stdout)
        show_tick(console, tick, planned=False)
        show_delivery(console, reports)
        show_reports(console, synced)
    return _delivery_code(reports) or audience_commands.sync_code(synced)


def _tick_data(tick: Tick) -> dict[str, Any]:
    return {
        "run_id": tick.run_id,
        "now": tick.now,
        "changed": tick.changed,
        "committed": tick.committed,
        "seconds": round(tick.seconds, 3),
        "entered": tick.entered,
        "totals": {outcome: tick.total(outcome) for outcome in ("send", "defer", "suppress", "withhold")},
        "counts": tick.counts,
        "invalid": tick.invalid,
    }


def _samples(tick: Tick) -> list[dict[str, Any]]:
    return [
        {"campaign": campaign, "outcome": outcome, "reason": reason, "people": people}
        for (campaign, outcome, reason), people in sorted(tick.samples.items())
    ]


def _providers(project: Project, names: Sequence[str] | None) -> Sequence[str] | None:
    for name in names or ():
        if name not in project.policy.providers:
            allowed = ", ".join(project.policy.providers) or "none"
            raise SettingsError(f"no provider {name!r}; allowed: {allowed}{nearest(name, project.policy.providers)}")
    return names


def _ingest(args: argparse.Namespace) -> int:
    if bool(args.source) + args.spool + bool(args.listen) != 1 or bool(args.source) != bool(args.files):
        raise UsageError("say SOURCE and FILES, or --spool, or --listen HOST:PORT (see dbt-activate ingest --help)")
    if args.listen:
        return _listen(args)
    with opened(args) as (project, warehouse):
        if args.spool:
            found = ingesting.load_spool(warehouse, project, clock=run.wall_clock, wait_seconds=args.wait)
            report = found or IngestReport("spool")
        else:
            report = ingesting.ingest_files(
                warehouse, project, args.source, args.files, signed=not args.unsigned, clock=run.wall_clock,
                wait_seconds=args.wait,
            )  # fmt: skip
    if args.json:
        _print_json(report)
    else:
        show_ingested(make_console(sys.stdout), report)
    return SettingsError.exit_code if report.refused and not report.events and not report.duplicates else 0


def _listen(args: argparse.Namespace) -> int:
    host, _, port = args.listen.rpartition(":")
    if not port.isdecimal():
        raise UsageError("--listen: write HOST:PORT, e.g. 127.0.0.1:8080")
    from activate.feed.serve import open_server, require_server  # noqa: PLC0415  # heavy, and for this verb only

    require_server()
    target = load_target(options(args))
    application = ingesting.listener(load_project(options(args), target), run.wall_clock)
    server = open_server(application, host or "127.0.0.1", int(port), args.threads, MAX_BODY)
    print(f"Listening on {args.listen}; Ctrl-C ends.", file=sys.stderr)
    try:
        server.run()
    finally:
        server.close()
    return 0


def _deliver(args: argparse.Namespace) -> int:
    with opened(args) as (project, warehouse), progress(args.quiet) as told:
        providers = _providers(project, args.provider)
        reports = run.deliver(
            warehouse, project, args.now, providers=providers, wait_seconds=args.wait, on_progress=told.provider,
            time_limit=args.time_limit,
        )  # fmt: skip
    if args.json:
        _print_json({"now": args.now, "delivery": reports})
    else:
        show_delivery(make_console(sys.stdout), reports)
    return _delivery_code(reports)


def _delivery_code(reports: Sequence[ProviderReport]) -> int:
    broken = [report.provider for report in reports if report.unusable]
    if not broken:
        return 0
    print(f"dbt-activate: could not deliver by {', '.join(broken)}; the messages wait in the outbox", file=sys.stderr)
    return DeliveryError.exit_code


def _migrate(args: argparse.Namespace) -> int:
    with opened(args) as (project, warehouse):
        changed = run.migrate_state(warehouse, project, instant(args), wait_seconds=args.wait)
        schema = project.policy.state.schema_
    if args.json:
        _print_json({"schema": schema, "changed": changed})
    else:
        print(f"The state tables in {schema!r} {'were made or updated' if changed else 'are up to date'}.")
    return 0


# -- questions that change nothing ------------------------------------------------------------------------------------


def _status(args: argparse.Namespace) -> int:
    with opened(args) as (project, warehouse):
        found = questions.status(warehouse, project, instant(args))
    if args.json:
        _print_json(found)
    else:
        show_status(make_console(sys.stdout), found)
    return 0


def _explain(args: argparse.Namespace) -> int:
    with opened(args) as (project, warehouse):
        story = questions.explain(warehouse, project, args.person, now=instant(args), campaign=args.campaign)
    if args.json:
        _print_json(story)
    else:
        show_story(make_console(sys.stdout), story)
    # The story of a campaign that nobody knows says so, with the nearest name; a script is to notice as well.
    unknown = any(found.absence and found.absence.why == "campaign_unknown" for found in story.campaigns)
    return SettingsError.exit_code if unknown else 0


def _preview(args: argparse.Namespace) -> int:
    with opened(args) as (project, warehouse):
        found = questions.preview(
            warehouse, project, args.campaign, args.person, now=instant(args), step=args.step, channel=args.channel,
            variant=args.variant,
        )  # fmt: skip
    if args.json:
        _print_json(found)
    else:
        show_preview(make_console(sys.stdout), found)
    return 0


def _lint(args: argparse.Namespace) -> int:
    from activate.ask.lint import lint_requests  # noqa: PLC0415  # only for this verb

    place, now = options(args), instant(args)
    found = [
        *questions.lint(place, now=now, wait_seconds=args.wait),
        *lint_requests(place, now=now, wait_seconds=args.wait),
    ]
    mistakes = sorted(set(found))
    errors = sum(mistake.severity == "error" for mistake in mistakes)
    if args.json:
        _print_json({"errors": errors, "warnings": len(mistakes) - errors, "mistakes": mistakes})
    else:
        show_mistakes(make_console(sys.stdout), mistakes)
    return 2 if errors else 0


def _schema(args: argparse.Namespace) -> int:
    schemas = questions.schemas()
    if args.name and args.name not in schemas:
        raise SettingsError(f"no schema {args.name!r}; allowed: {', '.join(schemas)}{nearest(args.name, schemas)}")
    chosen = {args.name: schemas[args.name]} if args.name else schemas
    if not args.out:
        print(json.dumps(chosen[args.name] if args.name else chosen, indent=2))
        return 0
    folder = Path(args.out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, schema in chosen.items():
            file = folder / f"{name}.schema.json"
            file.write_text(json.dumps(schema, indent=2) + "\n", "utf-8")
            print(file)
    except OSError as error:
        raise SettingsError(f"cannot write to {folder}: {error.strerror}") from None
    return 0


def _init(args: argparse.Namespace) -> int:
    from activate.scaffold.init import init  # noqa: PLC0415  # only for this verb

    changes = init(options(args), dry_run=args.dry_run)
    if args.json:
        _print_json({"dry_run": args.dry_run, "changes": changes})
        return 0
    for change in changes:
        print(change)
    return 0


def _request(args: argparse.Namespace) -> int:
    from activate.ask.answer import answer  # noqa: PLC0415  # only for this verb
    from activate.ask.view import show_answer  # noqa: PLC0415

    found = answer(
        options(args), Path(args.file), now=instant(args), dry_run=args.dry_run, force=args.force,
        allow_unseen=args.allow_unseen, wait_seconds=args.wait,
    )  # fmt: skip
    if args.json:
        _print_json(found)
    else:
        show_answer(make_console(sys.stdout), found, dry_run=args.dry_run)
    return 0


def _demo(args: argparse.Namespace) -> int:
    from activate.demo.run import run_demo  # noqa: PLC0415  # only for this verb; needs dbt

    run_demo(
        Path(args.project_dir or "."), days=args.days, every_hours=args.every_hours, people=args.people,
        seed=args.seed, target=args.target,
        profiles_dir=Path(args.profiles_dir) if args.profiles_dir else None,
        console=make_console(sys.stdout),
    )  # fmt: skip
    return 0


def _exposures(args: argparse.Namespace) -> int:
    place = options(args)
    text, file = questions.exposures(place)
    if not args.write:
        sys.stdout.write(text)
        return 0
    (place.project_dir / file).write_text(text, "utf-8")
    print(file)
    return 0


_VERBS: dict[str, Callable[[argparse.Namespace], int]] = {
    "run": _run,
    "plan": _plan,
    "apply": _apply,
    **audience_commands.VERBS,
    **feed_commands.VERBS,
    "status": _status,
    "explain": _explain,
    "preview": _preview,
    "lint": _lint,
    "request": _request,
    "init": _init,
    "demo": _demo,
    "deliver": _deliver,
    "ingest": _ingest,
    "migrate": _migrate,
    "exposures": _exposures,
    "schema": _schema,
}
