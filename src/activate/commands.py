"""What each verb of the command line does: open the project, call `run`, print the answer."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from activate import questions, run
from activate.decision import Tick
from activate.errors import DeliveryError, SettingsError, nearest
from activate.message import ProviderReport
from activate.project import Project
from activate.report.console import make_console
from activate.report.delivery_view import show_delivery
from activate.report.lint_view import show_mistakes
from activate.report.preview_view import show_preview
from activate.report.progress import progress
from activate.report.status_view import show_status
from activate.report.story_view import show_story
from activate.report.text import to_json
from activate.report.tick_view import show_sql, show_tick
from activate.settings import Options, find_options
from activate.warehouses.base import Warehouse


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


def _options(args: argparse.Namespace) -> Options:
    variables: Any = {}
    if args.vars:
        import yaml  # noqa: PLC0415  # only with --vars

        try:
            variables = yaml.safe_load(args.vars)
        except yaml.YAMLError:
            variables = None
        if not isinstance(variables, dict):
            raise SettingsError("--vars must be a YAML mapping, e.g. '{schema: marketing}'")
    return find_options(args.project_dir, args.profiles_dir, args.target, args.profile, variables=variables)


@contextmanager
def _opened(args: argparse.Namespace) -> Iterator[tuple[Project, Warehouse]]:
    project, warehouse = run.open_project(_options(args), wait_seconds=args.wait)
    with closing(warehouse):
        yield project, warehouse


def _now(args: argparse.Namespace) -> dt.datetime:
    """The instant to decide about: the only place where a command reads the clock for it."""
    now: dt.datetime = getattr(args, "now", None) or run.wall_clock().replace(microsecond=0)
    return now


def _print_json(data: Any) -> None:
    print(to_json(data))


# -- run, plan, deliver, migrate --------------------------------------------------------------------------------------


def _run(args: argparse.Namespace) -> int:
    now = _now(args)
    with _opened(args) as (project, warehouse), progress(args.quiet) as told:
        providers = _providers(project, args.provider)
        tick = run.decide(warehouse, project, now, wait_seconds=args.wait, on_progress=told.step)
        reports: Sequence[ProviderReport] | None = None
        if not args.no_deliver:
            reports = run.deliver(
                warehouse, project, args.now, providers=providers, wait_seconds=args.wait, on_progress=told.provider
            )
    if args.json:
        _print_json(_tick_data(tick) | ({} if reports is None else {"delivery": reports}))
    else:
        console = make_console(sys.stdout)
        show_tick(console, tick, planned=False)
        if reports is not None:
            show_delivery(console, reports)
    return _delivery_code(reports or ())


def _plan(args: argparse.Namespace) -> int:
    now = _now(args)
    with _opened(args) as (project, warehouse), progress(args.quiet) as told:
        # The SQL comes along with the samples, so at least one is asked for.
        tick = run.decide(
            warehouse, project, now, commit=False, wait_seconds=args.wait, samples=max(args.samples, 1),
            on_progress=told.step,
        )  # fmt: skip
        dialect = warehouse.dialect
    if not args.samples:
        tick = Tick(**{**vars(tick), "samples": {}})
    if args.json:
        data = _tick_data(tick) | {"samples": _samples(tick)}
        _print_json(data | ({"statements": [{"name": n, "sql": s} for n, s in tick.statements]} if args.sql else {}))
        return 0
    console = make_console(sys.stdout)
    if args.sql:
        show_sql(console, tick.statements, dialect)
    else:
        show_tick(console, tick, planned=True)
    return 0


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


def _deliver(args: argparse.Namespace) -> int:
    with _opened(args) as (project, warehouse), progress(args.quiet) as told:
        providers = _providers(project, args.provider)
        reports = run.deliver(
            warehouse, project, args.now, providers=providers, wait_seconds=args.wait, on_progress=told.provider
        )
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
    with _opened(args) as (project, warehouse):
        changed = run.migrate_state(warehouse, project, _now(args), wait_seconds=args.wait)
        schema = project.policy.state.schema_
    if args.json:
        _print_json({"schema": schema, "changed": changed})
    else:
        print(f"The state tables in {schema!r} {'were made or updated' if changed else 'are up to date'}.")
    return 0


# -- questions that change nothing ------------------------------------------------------------------------------------


def _status(args: argparse.Namespace) -> int:
    with _opened(args) as (project, warehouse):
        found = questions.status(warehouse, project, _now(args))
    if args.json:
        _print_json(found)
    else:
        show_status(make_console(sys.stdout), found)
    return 0


def _explain(args: argparse.Namespace) -> int:
    with _opened(args) as (project, warehouse):
        story = questions.explain(warehouse, project, args.person, now=_now(args), campaign=args.campaign)
    if args.json:
        _print_json(story)
    else:
        show_story(make_console(sys.stdout), story)
    return 0


def _preview(args: argparse.Namespace) -> int:
    with _opened(args) as (project, warehouse):
        found = questions.preview(
            warehouse, project, args.campaign, args.person, now=_now(args), step=args.step, channel=args.channel,
            variant=args.variant,
        )  # fmt: skip
    if args.json:
        _print_json(found)
    else:
        show_preview(make_console(sys.stdout), found)
    return 0


def _lint(args: argparse.Namespace) -> int:
    mistakes = questions.lint(_options(args), now=_now(args), wait_seconds=args.wait)
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

    changes = init(_options(args), dry_run=args.dry_run)
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
        _options(args), Path(args.file), now=_now(args), dry_run=args.dry_run, force=args.force,
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
        Path(args.project_dir or "."), days=args.days, people=args.people, seed=args.seed, target=args.target,
        profiles_dir=Path(args.profiles_dir) if args.profiles_dir else None,
        console=make_console(sys.stdout),
    )  # fmt: skip
    return 0


def _exposures(args: argparse.Namespace) -> int:
    options = _options(args)
    text, file = questions.exposures(options)
    if not args.write:
        sys.stdout.write(text)
        return 0
    (options.project_dir / file).write_text(text, "utf-8")
    print(file)
    return 0


_VERBS: dict[str, Callable[[argparse.Namespace], int]] = {
    "run": _run,
    "plan": _plan,
    "status": _status,
    "explain": _explain,
    "preview": _preview,
    "lint": _lint,
    "request": _request,
    "init": _init,
    "demo": _demo,
    "deliver": _deliver,
    "migrate": _migrate,
    "exposures": _exposures,
    "schema": _schema,
}
