"""The DAG file: what it costs to parse, and what it is made of."""

from __future__ import annotations

import datetime as dt
import inspect
import json
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from airflow.sdk import DAG, TriggerRule
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow_world import ROOT

from activate import airflow as package
from activate.airflow.operators import ProjectOperator

FILE = ROOT / "dags" / "activation.py"
HEAVY = ("duckdb", "sqlglot", "pyarrow", "requests", "dbt", "rich", "adbc_driver_manager", "adbc_driver_postgresql")

# Runs in a process of its own, where heavy modules, sockets and child processes are refused.
PARSE = """
import json, runpy, socket, subprocess, sys, time
import airflow.sdk.exceptions, airflow.sdk.log
from airflow.sdk import DAG, BaseOperator, Connection, Param, TriggerRule

DAG("empty", schedule="@daily")  # what any DAG costs is not this one's
heavy = sys.argv[2:]

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in heavy:
            raise AssertionError(f"{name} is imported while the DAG file is parsed")

def refuse(*args, **kwargs):
    raise AssertionError("the DAG file reaches out while it is parsed")

before = set(sys.modules)
sys.meta_path.insert(0, Refuse())
socket.socket.connect = subprocess.Popen.__init__ = refuse
began = time.process_time()
runpy.run_path(sys.argv[1])
print(json.dumps({"seconds": time.process_time() - began, "modules": sorted(set(sys.modules) - before)}))
"""


def load(file: Path = FILE) -> DAG:
    """The DAG that a file makes."""
    found = runpy.run_path(str(file))["dag"]
    assert isinstance(found, DAG)
    return found


@pytest.fixture(scope="module")
def dag() -> DAG:
    return load()


def test_parsing_reaches_out_to_nothing_imports_nothing_heavy_and_takes_no_time() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PARSE, str(FILE), *HEAVY], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    ours = {name for name in found["modules"] if name.split(".")[0] == "activate"}
    assert {name for name in ours if not name.startswith("activate.airflow")} == {"activate", "activate.errors"}
    assert found["seconds"] < 1  # seconds of processor time; some 0.15


def test_the_tasks_follow_one_another(dag: DAG) -> None:
    assert {task.task_id: sorted(task.upstream_task_ids) for task in dag.tasks} == {
        "dbt_build": [],
        "decide": ["dbt_build"],
        "providers": ["decide"],
        "deliver": ["providers"],
        "audiences": ["dbt_build"],
        "sync": ["audiences"],
        "report": ["deliver", "sync"],
    }


def test_one_run_at_a_time_and_no_catching_up(dag: DAG) -> None:
    assert dag.max_active_runs == 1
    assert dag.catchup is False
    assert dag.schedule == "*/10 * * * *"
    assert dag.tags == {"activate", "audiences", "messaging"}
    assert dag.doc_md


@pytest.mark.parametrize("name", ["decide", "providers", "deliver", "audiences", "sync", "report"])
def test_tasks_are_tried_again_after_ever_longer_waits(dag: DAG, name: str) -> None:
    task = dag.get_task(name)
    assert task.retries == 3
    assert task.retry_exponential_backoff == 2
    assert task.max_retry_delay == dt.timedelta(minutes=5)


def test_delivery_is_mapped_over_the_providers_and_one_at_a_time(dag: DAG) -> None:
    deliver = dag.get_task("deliver")
    assert isinstance(deliver, MappedOperator)
    assert [task.task_id for task in deliver.iter_mapped_dependencies()] == ["providers"]
    assert deliver.max_active_tis_per_dag == 1


def test_audiences_are_mapped_each_a_task_of_its_own_and_one_at_a_time(dag: DAG) -> None:
    sync = dag.get_task("sync")
    assert isinstance(sync, MappedOperator)
    assert [task.task_id for task in sync.iter_mapped_dependencies()] == ["audiences"]
    assert sync.max_active_tis_per_dagrun == 1
    assert dag.get_task("audiences").schedule is None


def test_what_was_queued_is_delivered_when_deciding_was_skipped(dag: DAG) -> None:
    assert dag.get_task("providers").trigger_rule == TriggerRule.NONE_FAILED


def test_the_report_is_always_written_and_never_hides_a_failure(dag: DAG) -> None:
    report = dag.get_task("report")
    assert report.is_teardown
    assert not report.on_failure_fail_dagrun


def test_a_copy_elsewhere_is_told_where_the_project_is(tmp_path: Path) -> None:
    elsewhere = tmp_path / "dags" / FILE.name
    elsewhere.parent.mkdir()
    shutil.copy2(FILE, elsewhere)
    assert load().params["project_dir"] == str(ROOT)
    assert load(elsewhere).params["project_dir"] == ""


@pytest.mark.parametrize("kind", [getattr(package, name) for name in package.__all__], ids=package.__all__)
def test_every_field_of_an_operator_can_be_a_template(kind: type[ProjectOperator]) -> None:
    fields = {
        name
        for base in kind.__mro__[: kind.__mro__.index(ProjectOperator) + 1]
        for name, parameter in inspect.signature(base.__init__).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    assert fields - {"wait_seconds"} == set(kind.template_fields)
