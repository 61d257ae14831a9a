"""The reference project builds on both warehouses from the first day on, and late data ends up where it belongs."""

from __future__ import annotations

import datetime as dt

import pytest

from activate.demo.dbt import DbtFailed
from activate.demo.generate import Shop
from activate.tables import META, TABLES

from .conftest import INCREMENTAL, Grown

BROKEN = {
    "segment_without_keys": "select cast(null as varchar(9)) as user_id",
    "segment_with_doubles": "select 'ada' as user_id union all select 'ada' as user_id",
    "trigger_of_the_future": "select event_id, user_id, cast('2999-01-01' as timestamp) as occurred_at, "
    "cast('2999-01-01' as timestamp) as loaded_at from {{ ref('events') }}",
    "trigger_loaded_before": "select event_id, user_id, occurred_at, cast('2001-01-01' as timestamp) as loaded_at "
    "from {{ ref('events') }}",
    "trigger_with_doubles": "select * from {{ ref('app_opened') }} union all select * from {{ ref('app_opened') }}",
    "trigger_without_keys": "select event_id, cast(null as varchar(9)) as user_id, occurred_at, loaded_at "
    "from {{ ref('events') }}",
    "trigger_without_times": "select event_id, user_id, cast(null as timestamp) as occurred_at, loaded_at "
    "from {{ ref('events') }}",
}
CONTRACT = {
    "segment": "{kind: segment, key: user_id}",
    "trigger": "{kind: trigger, key: user_id, id: event_id, time: occurred_at, loaded: loaded_at}",
}


def test_the_first_build_makes_the_state_tables_as_the_engine_would(grown: Grown) -> None:
    wanted = {
        table.name: [(column.name, "YES" if column.nullable else "NO") for column in table.columns]
        for table in TABLES
        if table is not META  # it says which version the engine has made, so only the engine makes it
    }
    assert grown.made_on_the_first_day == wanted


@pytest.mark.parametrize("model", INCREMENTAL)
def test_days_taken_in_one_after_the_other_end_where_a_full_build_does(grown: Grown, model: str) -> None:
    assert len(grown.at_once[model]) > 100
    assert grown.step_by_step[model] == grown.at_once[model]


def test_a_log_in_that_is_loaded_late_hands_over_what_the_device_did(grown: Grown, shop: Shop) -> None:
    opened = ("a1", "ada", shop.replay_from - dt.timedelta(days=2) + dt.timedelta(seconds=5))
    assert grown.ada_before == [opened]
    # Visible from the moment when it was known whose it is, so that whoever scans by load time sees it.
    assert grown.ada_after == [opened, ("v1", "ada", shop.replay_from + dt.timedelta(days=1, hours=3))]


def test_consent_ends_where_people_and_providers_end_it(grown: Grown) -> None:
    found = grown.reference.ask("SELECT user_id, email_consent FROM analytics.profiles WHERE email LIKE '%.org'")
    assert dict(found) == {
        "agreed": "opted_in",
        "used_the_link": "unsubscribed",
        "bounced": "bounced",
        "shared": "unsubscribed",
        # The address was unsubscribed, whoever of the two did it.
        "shared_too": "unsubscribed",
    }


def test_every_event_has_a_person_and_stands_there_once(grown: Grown) -> None:
    [(rows, events, people)] = grown.reference.ask(
        "SELECT count(*), count(DISTINCT event_id), count(user_id) FROM analytics.events"
    )
    assert rows == events == people
    # Some came in twice, and some were found by their device.
    assert grown.reference.ask("SELECT count(*) > count(DISTINCT event_id) FROM analytics.stg_events") == [(True,)]
    assert grown.reference.ask("SELECT count(*) > 50 FROM analytics.events WHERE is_stitched") == [(True,)]


def test_a_model_that_breaks_its_contract_fails_its_test(grown: Grown, shop: Shop) -> None:
    folder = grown.reference.options.project_dir / "models" / "broken"
    folder.mkdir()
    entries = []
    for name, sql in BROKEN.items():
        (folder / f"{name}.sql").write_text(sql, "utf-8")
        kind = name.split("_")[0]
        entries.append(
            f"  - {{name: {name}, config: {{meta: {{activate: {CONTRACT[kind]}}}}}, "
            f"data_tests: [activate_{kind}_contract]}}\n"
        )
    (folder / "broken.yml").write_text("models:\n" + "".join(entries), "utf-8")
    with pytest.raises(DbtFailed) as failure:
        grown.reference.build(shop.replay_from, "--select", "path:models/broken")
    assert f"ERROR={len(BROKEN)}" in str(failure.value)
