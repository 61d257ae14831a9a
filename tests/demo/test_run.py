"""`dbt-activate demo`, for real: a shop, its models, two days with a tick every third hour, and what may not happen in them."""

from __future__ import annotations

import datetime as dt
import io
import json
from collections import Counter
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, available_timezones

import duckdb
import pytest
from rich.console import Console

from activate.demo.outcome import DemoResult
from activate.demo.run import run_demo

from ..warm_dbt import WarmDbt


class Demo(NamedTuple):
    """What the demo returned, printed and left behind."""

    result: DemoResult
    printed: str
    lines: list[dict[str, Any]]

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.result.project_dir / "shop.duckdb"), read_only=True) as connection:
            return connection.execute(sql).fetchall()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, warm_dbt: WarmDbt) -> Demo:
    printed = io.StringIO()
    result = run_demo(
        tmp_path_factory.mktemp("demo"), days=2, every_hours=3, people=700, console=Console(file=printed, width=100)
    )
    lines = [
        json.loads(line)
        for file in sorted((result.project_dir / "outbox").glob("*.jsonl"))
        for line in file.read_text("utf-8").splitlines()
    ]
    return Demo(result, printed.getvalue(), lines)


def test_every_third_hour_of_the_days_was_decided(demo: Demo) -> None:
    instants = [now for (now,) in demo.ask("SELECT now FROM activate.runs WHERE status = 'decided' ORDER BY now")]
    assert len(instants) == demo.result.ticks == 16
    assert instants[0] == dt.datetime(2026, 11, 1)
    assert instants[-1] == dt.datetime(2026, 11, 2, 21)


def test_every_message_is_in_the_outbox_once(demo: Demo) -> None:
    queued = {message for (message,) in demo.ask("SELECT message_id FROM activate.messages")}
    assert len(queued) > 100
    statuses = Counter(
        dict(demo.ask("SELECT message_id, max(status) FROM activate.deliveries WHERE final GROUP BY 1")).values()
    )
    assert Counter(line["message_id"] for line in demo.lines) == Counter(queued) - Counter(
        message
        for (message,) in demo.ask("SELECT message_id FROM activate.deliveries WHERE final AND status <> 'accepted'")
    )
    assert statuses["accepted"] == len(demo.lines)
    assert all(line["content"] and all(line["content"].values()) for line in demo.lines)


def test_the_figures_shown_are_those_of_the_state(demo: Demo) -> None:
    sent = dict(demo.ask("SELECT campaign, count(*) FROM activate.messages GROUP BY 1"))
    assert {each.campaign: each.sent for each in demo.result.campaigns if each.sent} == sent
    for name, count in sent.items():
        [row] = [line for line in demo.printed.splitlines() if line.strip().startswith(f"{name} ")]
        assert f" {count:,} " in row
    person, campaign = demo.result.example or ("", "")
    assert f"dbt-activate explain {person} --campaign {campaign}" in demo.printed
    assert demo.ask(
        f"SELECT count(*) > 0 FROM activate.decisions WHERE user_id = '{person}' AND campaign = '{campaign}'"
    )


def test_all_outcomes_happen_and_most_campaigns_send(demo: Demo) -> None:
    outcomes = {outcome for (outcome,) in demo.ask("SELECT DISTINCT outcome FROM activate.decisions")}
    assert outcomes == {"send", "defer", "suppress", "withhold"}
    assert sum(1 for each in demo.result.campaigns if each.sent) >= 8
    assert {"exception_event", "not_in_audience", "no_consent"} <= {
        reason for each in demo.result.campaigns for reason in each.suppressed
    }


def test_nobody_was_woken_up_also_on_the_night_when_the_clocks_changed(demo: Demo) -> None:
    asked = demo.ask(
        "SELECT m.queued_at, p.time_zone FROM activate.messages m JOIN analytics.profiles p USING (user_id) "
        "WHERE m.class = 'marketing' AND m.campaign NOT IN "
        "('app_greeting', 'click_thanks', 'weekend_evening', 'store_arrival', 'winback')"
    )
    zones = available_timezones()
    for queued, zone in asked:
        local = queued.replace(tzinfo=dt.UTC).astimezone(ZoneInfo(zone if zone in zones else "Europe/Berlin"))
        assert 9 <= local.hour < 21, (queued, zone)
    assert len(asked) > 20


def test_no_cap_was_broken(demo: Demo) -> None:
    assert demo.ask(
        "SELECT a.user_id, a.queued_at, count(*) FROM activate.messages a JOIN activate.messages b "
        "ON b.user_id = a.user_id AND b.queued_at <= a.queued_at AND b.queued_at > a.queued_at - INTERVAL 1 DAY "
        "WHERE a.counts_toward_caps AND b.counts_toward_caps GROUP BY ALL HAVING count(DISTINCT b.message_id) > 2"
    ) == []  # fmt: skip


def test_bought_carts_are_not_nudged(demo: Demo) -> None:
    assert demo.ask(
        "SELECT m.message_id FROM activate.messages m JOIN activate.entries e USING (entry_id) "
        "JOIN analytics.events x ON x.user_id = m.user_id AND x.event_name = 'purchase' AND x.cart_id = e.match_key "
        "AND x.occurred_at >= e.entered_at AND x.occurred_at <= m.queued_at AND x.loaded_at <= m.queued_at "
        "WHERE m.campaign = 'abandoned_cart'"
    ) == []  # fmt: skip


def test_people_answered_and_answers_became_triggers(demo: Demo) -> None:
    [(answers,)] = demo.ask("SELECT count(*) FROM raw.engagement e JOIN activate.messages m USING (message_id)")
    assert answers >= len(demo.lines)
    [(ignored,)] = demo.ask("SELECT count(*) FROM analytics.message_ignored")
    assert ignored > 0


def test_no_address_was_written_down(demo: Demo) -> None:
    addresses = {line["address"] for line in demo.lines if "address" in line}
    assert addresses == set()
    for (table,) in demo.ask("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'activate'"):
        assert demo.ask(f"SELECT count(*) FROM activate.{table} AS t WHERE t::VARCHAR LIKE '%@example.com%'") == [(0,)]
