"""The DAG run for real, by `airflow dags test`: a provider refuses once; a run is killed in the middle."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from airflow_world import LATER, SECRET, Airflow, Gateway, Shop, install, running_gateway

DATE = "2026-11-02T18:00:00+00:00"


@dataclass
class Ran:
    """What was left by a run."""

    airflow: Airflow
    gateway: Gateway
    shop: Shop
    printed: str


@pytest.fixture(scope="module")
def ran(launched_shop: Path, migrated_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """One run from dbt build to report: push by the gateway, which refuses at first, everything else into files."""
    directory = tmp_path_factory.mktemp("ran")
    shop = Shop(Path(shutil.copytree(launched_shop, directory / "project")))
    shop.by_gateway("push")
    airflow = install(migrated_home, directory)
    with running_gateway() as gateway:
        gateway.refusals = 1
        airflow.send_by(gateway)
        airflow.edit(r"timedelta\(seconds=30\)", "timedelta(seconds=1)")
        conf = {"project_dir": str(shop.directory), "now": LATER.isoformat(), "target": "duckdb"}
        printed = airflow.run_dag("activation", DATE, **conf)
        yield Ran(airflow, gateway, shop, printed)


def test_every_task_succeeds_in_the_end(ran: Ran) -> None:
    assert ran.airflow.sql("SELECT state FROM dag_run") == [("success",)], ran.printed[-10_000:]
    tasks = ("dbt_build", "decide", "providers", "deliver[0]", "deliver[1]", "audiences", "report")
    synced = ("sync[0]", "sync[1]", "sync[2]")
    assert ran.airflow.states() == dict.fromkeys((*tasks, *synced), "success")


def test_dbt_builds_as_of_the_replayed_moment(ran: Ran) -> None:
    manifest = json.loads((ran.shop.directory / "target" / "run_results.json").read_text("utf-8"))
    assert manifest["args"]["vars"] == {"activate_now": LATER.isoformat()}
    assert {result["status"] for result in manifest["results"]} <= {"success", "pass", "no-op"}


def test_messages_are_decided_and_each_is_delivered_once(ran: Ran) -> None:
    queued = ran.shop.sql("SELECT message_id, provider FROM activate.messages")
    final = ran.shop.sql("SELECT message_id, provider FROM activate.deliveries WHERE final")
    accepted = {
        message for (message,) in ran.shop.sql("SELECT message_id FROM activate.deliveries WHERE status = 'accepted'")
    }
    assert {provider for _, provider in queued} == {"gateway", "outbox"}
    assert sorted(queued) == sorted(final)
    assert ran.gateway.taken() + ran.shop.written() == dict.fromkeys(accepted, 1)


def test_the_provider_that_refused_was_tried_again_by_airflow(ran: Ran) -> None:
    tries = dict(ran.airflow.sql("SELECT map_index, try_number FROM task_instance WHERE task_id = 'deliver'"))
    assert tries == {0: 2, 1: 1}
    assert "nothing could be handed over to gateway" in ran.printed
    assert ran.gateway.taken()


def test_what_tasks_return_is_small_and_says_what_happened(ran: Ran) -> None:
    told = ran.airflow.returned()
    sent = ran.shop.sql(
        "SELECT COUNT(*) FROM activate.decisions WHERE outcome = 'send' AND run_id = '20261102T180000Z'"
    )
    (decided,) = told["decide"]
    assert decided["run_id"] == "20261102T180000Z"
    assert decided["now"] == "2026-11-02T18:00:00"
    assert decided["outcomes"]["send"] == sent[0][0] > 0
    assert told["providers"] == [["gateway", "outbox"]]
    assert told["deliver"][0] == {"gateway": {"counts": {"accepted": ran.gateway.taken().total()}, "left": 0}}
    assert told["report"][0]["outbox"] == {}
    assert told["report"][0]["needs_a_look"] == []
    assert max(len(value) for (value,) in ran.airflow.sql("SELECT value FROM xcom")) < 1000


def test_the_report_is_in_the_log(ran: Ran) -> None:
    lines = [line for line in ran.printed.splitlines() if "ActivateReportOperator" in line]
    assert any(re.search(rf"\bgateway +{ran.gateway.taken().total()}\b", line) for line in lines), lines


def test_the_signing_key_came_from_the_connection(ran: Ran) -> None:
    for body, headers in ran.gateway.posts:
        text = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        signature = base64.b64encode(hmac.digest(SECRET.encode(), text, hashlib.sha256)).decode()
        assert headers["webhook-signature"] == f"v1,{signature}"


def test_airflow_keeps_no_secret_and_no_address(ran: Ran) -> None:
    stored = ran.airflow.everything_stored() + ran.printed.encode()
    addresses = ran.shop.sql("SELECT UNNEST([email, phone, push_token]) FROM analytics.profiles")
    words = [SECRET, ran.gateway.url, *(address for (address,) in addresses if address)]
    assert len(words) > 500
    assert [word for word in words if word.encode() in stored] == []
    assert b"gateway.password" in stored  # where it comes from is no secret


def test_the_reference_audiences_are_where_they_belong(ran: Ran) -> None:
    told = {found["audience"]: found for found in ran.airflow.returned()["sync"]}
    assert sorted(told) == ["loyal_customers", "newsletter_readers", "winback_ads"]
    for name in ("loyal_customers", "newsletter_readers"):
        (held,) = ran.shop.sql(f"SELECT COUNT(*) FROM crm.{name}")
        assert held == (told[name]["outcomes"]["accepted"],) == (told[name]["wanted"],)


@pytest.mark.slow
def test_a_run_killed_in_the_middle_of_a_delivery_and_run_again_sends_nothing_twice(
    airflow: Airflow, gateway: Gateway, shop: Shop
) -> None:
    shop.by_gateway("push")
    airflow.send_by(gateway)
    gateway.gate.clear()
    conf: dict[str, Any] = {"project_dir": str(shop.directory), "now": LATER.isoformat()}
    words = ("dags", "test", "activation", DATE, "--conf", json.dumps(conf), "--mark-success-pattern", "dbt_build")
    process = airflow.popen(*words, log=airflow.home / "killed.log")
    assert gateway.reached.wait(300), (airflow.home / "killed.log").read_text("utf-8")[-10_000:]
    process.send_signal(signal.SIGKILL)
    process.wait()
    gateway.gate.set()
    decided = shop.sql("SELECT * FROM activate.decisions ORDER BY ALL")
    posted = gateway.taken()
    assert shop.sql("SELECT COUNT(*) FROM activate.deliveries WHERE final AND provider = 'gateway'") == [(0,)]

    printed = airflow.run_dag("activation", DATE, skip="dbt_build", **conf)

    assert airflow.sql("SELECT state FROM dag_run") == [("success",)], printed[-10_000:]
    assert shop.sql("SELECT * FROM activate.decisions ORDER BY ALL") == decided
    assert gateway.taken() == posted == dict.fromkeys(posted, 1)
    final = dict(shop.sql("SELECT message_id, status FROM activate.deliveries WHERE final"))
    assert {message for message, status in final.items() if status == "unknown"} == set(posted)
    assert shop.written() == {message: 1 for message, status in final.items() if status == "accepted"} != {}
    assert sorted(final) == sorted(message for (message,) in shop.sql("SELECT message_id FROM activate.messages"))
    (line,) = airflow.returned()["report"][0]["needs_a_look"]
    assert "may or may not have been taken" in line
