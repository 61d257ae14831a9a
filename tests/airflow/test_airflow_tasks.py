"""Tasks on a real warehouse, without Airflow around them: killed, tried again, in each other's way."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from airflow_world import LATER, SECRET, Gateway, Shop

from activate import run
from activate.airflow import (
    ActivateDecideOperator,
    ActivateDeliverOperator,
    ActivateProvidersOperator,
    ActivateReportOperator,
)

SECRETS = {"ACTIVATE_WEBHOOK_SECRET": "gateway.password", "ACTIVATE_WEBHOOK_URL": "gateway.address"}
DELIVER = """
import json, sys
from activate.airflow import ActivateDeliverOperator
ActivateDeliverOperator(task_id="deliver", **json.loads(sys.argv[1])).execute({})
"""
HOLD = """
import duckdb, sys, time
held = duckdb.connect(sys.argv[1])
print("held", flush=True)
time.sleep(float(sys.argv[2]))
"""


def at(instant: dt.datetime) -> dict[str, Any]:
    """The context of a DAG run about an instant."""
    return {"dag_run": SimpleNamespace(data_interval_end=instant.replace(tzinfo=dt.UTC))}


def decide(shop: Shop, **fields: Any) -> ActivateDecideOperator:
    """The task that decides."""
    return ActivateDecideOperator(task_id="decide", project_dir=str(shop.directory), **fields)


@pytest.fixture
def by_gateway(shop: Shop, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """The shop, whose e-mails go to a gateway that an Airflow connection tells about."""
    shop.by_gateway("email")
    connection = {"conn_type": "http", "password": SECRET, "extra": {"address": gateway.url}}
    monkeypatch.setenv("AIRFLOW_CONN_GATEWAY", json.dumps(connection))
    return shop


@contextlib.contextmanager
def held(shop: Shop, seconds: float) -> Iterator[None]:
    """Another process is in the DuckDB file for so long."""
    words = [sys.executable, "-c", HOLD, str(shop.file), str(seconds)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield
        finally:
            process.kill()


def test_the_same_instant_again_decides_nothing_again(shop: Shop) -> None:
    first = decide(shop).execute(at(LATER))
    before = shop.sql("SELECT * FROM activate.decisions ORDER BY ALL")
    again = decide(shop).execute(at(LATER))
    assert first["changed"] is True
    assert first["outcomes"]["send"] > 0
    assert again["changed"] is False
    assert again["outcomes"] == {}
    assert shop.sql("SELECT * FROM activate.decisions ORDER BY ALL") == before


def test_a_run_that_a_later_one_has_overtaken_is_skipped(shop: Shop) -> None:
    decide(shop).execute(at(LATER))
    earlier = LATER - dt.timedelta(minutes=10)
    with pytest.raises(AirflowSkipException, match="lies before the last tick"):
        decide(shop).execute(at(earlier))
    with pytest.raises(AirflowFailException, match="lies before the last tick"):
        decide(shop, now=earlier.isoformat()).execute(at(LATER))


def test_a_mistake_in_a_rule_fails_the_task_and_names_file_and_line(shop: Shop) -> None:
    shop.edit("rules/campaigns/winback.yml", "priority:", "priorty:")
    with pytest.raises(AirflowFailException, match=r"rules/campaigns/winback.yml:\d+: error: .*priorty"):
        decide(shop).execute(at(LATER))


def test_a_second_run_waits_until_the_first_is_out_of_the_warehouse(shop: Shop) -> None:
    with held(shop, 2):
        assert decide(shop, wait_seconds=60).execute(at(LATER))["changed"] is True


def test_a_second_run_leaves_it_to_its_retries_when_the_first_takes_too_long(shop: Shop) -> None:
    with held(shop, 60), pytest.raises(AirflowException, match="LeaseHeldError: another process holds") as told:
        decide(shop, wait_seconds=0.3).execute(at(LATER))
    assert type(told.value) is AirflowException
    assert decide(shop).execute(at(LATER))["changed"] is True


def test_a_delivery_that_is_killed_and_tried_again_sends_nothing_twice(by_gateway: Shop, gateway: Gateway) -> None:
    shop = by_gateway
    shop.edit("rules/activate.yml", "resend_unknown: transactional", "resend_unknown: never")
    fields: dict[str, Any] = {"project_dir": str(shop.directory), "now": LATER.isoformat(), "secrets": SECRETS}
    decide(shop).execute(at(LATER))
    assert "gateway" in ActivateProvidersOperator(task_id="providers", **fields).execute({})
    gateway.gate.clear()
    words = [sys.executable, "-c", DELIVER, json.dumps({**fields, "providers": "gateway"})]
    with subprocess.Popen(words) as process:
        assert gateway.reached.wait(120)
        process.kill()
    gateway.gate.set()
    posted = gateway.taken()
    assert posted
    assert shop.sql("SELECT COUNT(*) FROM activate.deliveries WHERE final AND provider = 'gateway'") == [(0,)]

    told = ActivateDeliverOperator(task_id="deliver", providers="gateway", **fields).execute({})

    final = dict(shop.sql("SELECT message_id, status FROM activate.deliveries WHERE final AND provider = 'gateway'"))
    assert gateway.taken() == dict.fromkeys((key for key, status in final.items() if status != "expired"), 1)
    assert {key for key, status in final.items() if status == "unknown"} == set(posted)
    assert told["gateway"]["left"] == 0
    looked = ActivateReportOperator(task_id="report", **fields).execute({})["needs_a_look"]
    assert any("may or may not have been taken" in line for line in looked)


def test_a_provider_that_refuses_fails_the_task_and_loses_nothing(by_gateway: Shop, gateway: Gateway) -> None:
    shop = by_gateway
    fields: dict[str, Any] = {"project_dir": str(shop.directory), "now": LATER.isoformat(), "secrets": SECRETS}
    decide(shop).execute(at(LATER))
    deliver = ActivateDeliverOperator(task_id="deliver", **fields)
    gateway.refusals = 1
    with pytest.raises(AirflowException, match="nothing could be handed over to gateway") as told:
        deliver.execute({})
    assert type(told.value) is AirflowException
    assert shop.written()  # the other provider was not kept from its messages
    assert not gateway.taken()
    deliver.execute({})
    assert gateway.taken() == dict.fromkeys(gateway.taken(), 1) != {}
    assert ActivateProvidersOperator(task_id="providers", **fields).execute({}) == []


@pytest.mark.parametrize(("now", "expected"), [("", None), ("2026-11-02T18:00:00Z", LATER)])
def test_messages_are_judged_by_the_clock_unless_a_moment_is_replayed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, now: str, expected: dt.datetime | None
) -> None:
    asked: list[object] = []

    def note(_warehouse: object, _project: object, at: object, **_: object) -> list[object]:
        asked.append(at)
        return []

    monkeypatch.setattr(run, "deliver", note)
    ActivateDeliverOperator(task_id="deliver", project_dir=str(shop.directory), now=now).execute({})
    assert asked == [expected]
