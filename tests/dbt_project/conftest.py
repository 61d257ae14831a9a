"""The reference project on each warehouse. dbt takes seconds to start, so what can be asked of one build is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest

from activate.demo.generate import Shop, generate
from activate.demo.place import demo_project
from activate.settings import find_options, load_target

from ..warm_dbt import WarmDbt
from .reference import Reference

INCREMENTAL = ("events", "cart_abandoned", "product_category_browsed")
WITHOUT_UNIT_TESTS = ("--exclude-resource-type", "unit_test")
WITHOUT_TESTS = ("--exclude-resource-type", "test", *WITHOUT_UNIT_TESTS)


@pytest.fixture(scope="session")
def shop() -> Shop:
    """A small shop whose last two days are to be taken in one after the other."""
    return generate(people=260, days=2, seed=11)


# dbt builds the project three times on each warehouse: half a minute on DuckDB, more on PostgreSQL.
@pytest.fixture(scope="module", params=["duckdb", pytest.param("postgres", marks=pytest.mark.slow)])
def reference(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, shop: Shop, warm_dbt: WarmDbt
) -> Iterator[Reference]:
    directory = demo_project(tmp_path_factory.mktemp(request.param))
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "postgres":
            uri = urlsplit(request.getfixturevalue("postgres_admin"))
            for name, value in (
                ("HOST", uri.hostname),
                ("PORT", uri.port),
                ("USER", "postgres"),
                ("DATABASE", "postgres"),
            ):
                patch.setenv(f"PG{name}", str(value))
        options = find_options(directory, directory, request.param)
        yield Reference(options, load_target(options), shop)


@dataclass
class Grown:
    """What the models held after each of two builds, and after a full one."""

    reference: Reference
    made_on_the_first_day: dict[str, list[tuple[Any, ...]]]
    ada_before: list[tuple[Any, ...]]
    ada_after: list[tuple[Any, ...]]
    step_by_step: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    at_once: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def grown(reference: Reference, shop: Shop) -> Grown:
    """Build with nothing there, then after a first and a second load with late rows in it, then from scratch."""
    now = shop.replay_from
    # The unit tests bring their own rows: once is enough, on DuckDB with the demo's first build (tests/demo/test_run.py).
    reference.build(now, *WITHOUT_UNIT_TESTS)
    made = {
        table: reference.ask(
            "SELECT column_name, is_nullable FROM information_schema.columns "
            f"WHERE table_schema = 'activate' AND table_name = '{table}' ORDER BY ordinal_position"
        )
        for (table,) in reference.ask(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'activate'"
        )
    }
    reference.load(None, now + dt.timedelta(days=1))
    reference.fill(**before_the_log_in(now), **consents_and_reports(now))
    # With every test: the generated shop breaks none of them.
    reference.build(now, *(WITHOUT_UNIT_TESTS if reference.target.name == "duckdb" else ()))
    ada = "SELECT event_id, user_id, loaded_at FROM analytics.events WHERE user_id = 'ada' ORDER BY event_id"
    before = reference.ask(ada)
    reference.load(now + dt.timedelta(days=1), now + dt.timedelta(days=2))
    reference.fill(identities=[late_log_in(now)])
    reference.build(now, *WITHOUT_TESTS)
    found = Grown(reference, made, before, reference.ask(ada))
    found.step_by_step = _contents(reference)
    reference.build(now, "--full-refresh", *WITHOUT_TESTS)
    found.at_once = _contents(reference)
    return found


def before_the_log_in(now: dt.datetime) -> dict[str, list[dict[str, Any]]]:
    """Ada in the app, and somebody on a tablet in a browser."""
    view = {"event_name": "product_viewed", "properties": '{"product_category": "lamps"}'}
    opened = {"event_name": "app_opened", "properties": "{}", "user_id": "ada"}
    return {
        "web_events": [
            {"event_id": "v1", "anonymous_id": "tablet", "occurred_at": now - dt.timedelta(days=20), **view}
        ],
        "app_events": [{"event_id": "a1", "device_id": "phone", "occurred_at": now - dt.timedelta(days=2), **opened}],
    }


def late_log_in(now: dt.datetime) -> dict[str, Any]:
    """It was Ada, as is known only three weeks later."""
    at = now - dt.timedelta(days=20) + dt.timedelta(minutes=5)
    return {"source": "web", "device_id": "tablet", "user_id": "ada", "identified_at": at,
            "loaded_at": now + dt.timedelta(days=1, hours=3)}  # fmt: skip


def consents_and_reports(now: dt.datetime) -> dict[str, list[dict[str, Any]]]:
    """Five people who agreed; what became of it shows in their names. The two who share have one address."""
    users = ("agreed", "used_the_link", "bounced", "shared", "shared_too")
    mails = {user: f"{user}@example.org" for user in users} | {"shared_too": "Shared@Example.org"}
    year_ago, month_ago = now - dt.timedelta(days=365), now - dt.timedelta(days=30)
    report = {"channel": "email", "occurred_at": month_ago, "is_machine": False}
    return {
        "profiles": [
            {"user_id": user, "email": mail, "signed_up_at": year_ago, "updated_at": year_ago}
            for user, mail in mails.items()
        ],
        "consents": [
            {"consent_id": f"yes-{user}", "channel": "email", "address": mails[user], "state": "opted_in",
             "occurred_at": year_ago}
            for user in users[:4]
        ] + [{"consent_id": "no", "channel": "email", "address": mails["shared"], "state": "unsubscribed",
              "occurred_at": month_ago}],
        "engagement": [
            {"engagement_id": "r1", "message_id": "m1", "address": mails["used_the_link"], "kind": "unsubscribed",
             **report},
            {"engagement_id": "r2", "message_id": "m2", "address": mails["bounced"], "kind": "bounced",
             "bounce_type": "hard", **report},
        ],
    }  # fmt: skip


def _contents(reference: Reference) -> dict[str, list[tuple[Any, ...]]]:
    return {name: reference.ask(f"SELECT * FROM analytics.{name} ORDER BY event_id") for name in INCREMENTAL}
