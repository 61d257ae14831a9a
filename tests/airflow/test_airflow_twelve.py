"""Twelve tasks of Airflow that start together, for the same providers on the same warehouse: everything goes out once."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from airflow_world import LATER, SECRET, Gateway, Shop

from activate.airflow import ActivateDecideOperator

SECRETS = {"ACTIVATE_WEBHOOK_SECRET": "gateway.password", "ACTIVATE_WEBHOOK_URL": "gateway.address"}
TASK = """
import json, sys
from activate.airflow import ActivateDeliverOperator
mapped = ActivateDeliverOperator(task_id="deliver", **json.loads(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
print(json.dumps(mapped.execute({})), flush=True)
"""


@pytest.mark.slow  # a minute: twelve processes import Airflow
def test_twelve_mapped_tasks_deliver_everything_once(
    shop: Shop, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.by_gateway("email")
    connection = {"conn_type": "http", "password": SECRET, "extra": {"address": gateway.url}}
    monkeypatch.setenv("AIRFLOW_CONN_GATEWAY", json.dumps(connection))
    fields: dict[str, Any] = {"project_dir": str(shop.directory), "now": LATER.isoformat(), "secrets": SECRETS}
    instant = SimpleNamespace(data_interval_end=LATER)
    ActivateDecideOperator(task_id="decide", **fields).execute({"dag_run": instant})
    providers = ["gateway", "outbox", ["gateway", "outbox"]] * 4
    words = [json.dumps({**fields, "providers": names, "wait_seconds": 120}) for names in providers]
    tasks = [
        subprocess.Popen([sys.executable, "-c", TASK, one], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for one in words
    ]
    try:
        for task in tasks:
            assert task.stdout is not None
            while "ready" not in (line := task.stdout.readline()):
                assert line, "the task ended before it began"
        for task in tasks:  # all at once
            assert task.stdin is not None
            task.stdin.write("go\n")
            task.stdin.flush()
        told = [task.communicate(timeout=300)[0] for task in tasks]
    finally:
        for task in tasks:
            task.kill()
    assert [task.returncode for task in tasks] == [0] * 12
    accepted = [sum(part["counts"].get("accepted", 0) for part in json.loads(_last(one)).values()) for one in told]
    queued = [message for (message,) in shop.sql("SELECT message_id FROM activate.messages")]
    final = dict(shop.sql("SELECT message_id, status FROM activate.deliveries WHERE final"))
    sent = {message: 1 for message, status in final.items() if status == "accepted"}
    assert sorted(final) == sorted(queued)
    assert gateway.taken() + shop.written() == sent
    assert gateway.taken()
    assert sum(accepted) == len(sent)
    doubled = "SELECT COUNT(*) - COUNT(DISTINCT message_id) FROM activate.deliveries WHERE status = 'claimed'"
    assert shop.sql(doubled) == [(0,)]


def _last(printed: str) -> str:
    return printed.strip().splitlines()[-1]
