"""The demo as a story: make a shop, build its models, replay its last days tick by tick, show what happened."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.text import Text

from activate import run
from activate.demo import audiences
from activate.demo.answers import answer
from activate.demo.dbt import dbt_build
from activate.demo.generate import Shop, generate
from activate.demo.load import load, make_room
from activate.demo.outcome import DemoResult, find_example, read_outcome, show
from activate.demo.place import demo_project
from activate.errors import SettingsError
from activate.load.rules import load_rules
from activate.policy import Policy
from activate.settings import Options, Target, find_options, load_target, resolve_provider
from activate.warehouses.registry import connect

HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)
# The tests have passed with the first build; the replay is about what the models say on the next days.
WITHOUT_TESTS = ("--exclude-resource-type", "test", "--exclude-resource-type", "unit_test")


def run_demo(
    project_dir: Path,
    *,
    days: int = 3,
    every_hours: int = 2,
    people: int = 5000,
    seed: int = 7,
    target: str | None = None,
    profiles_dir: Path | None = None,
    console: Console,
) -> DemoResult:
    """Run the demo in `project_dir` (in a copy of the reference project below it, if it is not that) and show it.

    `days` (at least 1) are replayed with a tick every so many hours (a divisor of 24). Raises SettingsError when dbt is
    missing or the warehouse holds data that no demo has made, DbtFailed when a model or test fails, and whatever a tick
    raises.
    """
    directory = demo_project(project_dir.resolve())
    options = find_options(directory, profiles_dir or directory, target)
    chosen = load_target(options)
    phases: dict[str, float] = {}
    with _phase(console, phases, "generate", f"Making up a shop with {people:,} people"):
        shop = generate(people, days, seed)
        _load_first(options, chosen, shop)
    with _phase(console, phases, "dbt build", "dbt builds and tests the models"):
        dbt_build(options, chosen, shop.replay_from)
    with _phase(console, phases, "audiences", "The audiences: planned, and applied"):
        moments = audiences.begin(options, shop.replay_from)
    for number in range(days):
        morning = shop.replay_from + number * DAY
        if number:
            with _phase(console, phases, "dbt build", f"{morning:%A %d %B}: dbt takes in the night's loads"):
                _load_day(chosen, shop, morning)
                dbt_build(options, chosen, morning, WITHOUT_TESTS)
        if number == days - 1 and number:
            with _phase(console, phases, "audiences", "The audiences: changed, guarded, released"):
                moments += audiences.go_on(options, morning)
        with _phase(console, phases, "ticks", f"{morning:%A %d %B}: {24 // every_hours} ticks"):
            _replay_day(options, morning, every_hours)
    result = _result(options, shop, days, every_hours, people, phases)
    audiences.show(console, moments)
    console.print()
    show(console, result)
    return result


def _load_first(options: Options, target: Target, shop: Shop) -> None:
    policy = load_rules(options.project_dir).policy
    if policy is None:
        raise SettingsError("rules/activate.yml cannot be used; `dbt-activate lint` says why")
    warehouse = connect(target)
    try:
        audiences.clear(warehouse)
        again = make_room(warehouse, shop, str(target.settings.get("schema") or "main"), policy.state.schema_)
        load(warehouse, shop, None, shop.replay_from + DAY)
    finally:
        warehouse.close()
    if again:
        _clear_outbox(options, policy, shop)


def _clear_outbox(options: Options, policy: Policy, shop: Shop) -> None:
    """Delete what an earlier demo wrote for the same days: the same messages are about to be written again."""
    for name, section in policy.providers.items():
        if section.get("type") == "file":
            path = str(resolve_provider(name, section, options.secrets)["path"])
            day = shop.replay_from
            while day < shop.replay_until and "{date}" in path:
                (options.project_dir / path.replace("{date}", f"{day:%Y-%m-%d}")).unlink(missing_ok=True)
                day += DAY


def _load_day(target: Target, shop: Shop, morning: dt.datetime) -> None:
    warehouse = connect(target)
    try:
        load(warehouse, shop, morning, morning + DAY)
    finally:
        warehouse.close()


def _replay_day(options: Options, morning: dt.datetime, every_hours: int) -> None:
    project, warehouse = run.open_project(options)
    try:
        for hour in range(0, 24, every_hours):
            now = morning + hour * HOUR
            run.decide(warehouse, project, now)
            run.deliver(warehouse, project, now)
            answer(warehouse, project, now)
    finally:
        warehouse.close()


def _result(
    options: Options, shop: Shop, days: int, every_hours: int, people: int, phases: dict[str, float]
) -> DemoResult:
    project, warehouse = run.open_project(options)
    try:
        return DemoResult(
            project_dir=options.project_dir,
            start=shop.replay_from,
            end=shop.replay_until,
            people=people,
            rows=sum(rows.num_rows for rows in shop.tables.values()),
            ticks=24 // every_hours * days,
            every_hours=every_hours,
            campaigns=read_outcome(warehouse, project),
            phases=phases,
            example=find_example(warehouse, project),
        )
    finally:
        warehouse.close()


@contextmanager
def _phase(console: Console, phases: dict[str, float], name: str, words: str) -> Iterator[None]:
    """Say what is going on, and add the time it takes to the phase's."""
    began = time.perf_counter()
    with console.status(words):
        yield
    took = time.perf_counter() - began
    phases[name] = phases.get(name, 0.0) + took
    console.print(Text.assemble(("✓ ", "green"), words, (f" ({took:.1f} s)", "dim")))
