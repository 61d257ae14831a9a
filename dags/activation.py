"""The tick as a DAG: dbt build → decide → deliver, provider by provider → report; and beside that, after dbt build: the
audiences, each a task of its own that syncs it with its destination.

How to run it, and what to do when something goes wrong: docs/airflow.md.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from airflow.sdk import DAG, Param

from activate.airflow import (
    ActivateAudiencesOperator,
    ActivateDecideOperator,
    ActivateDeliverOperator,
    ActivateProvidersOperator,
    ActivateReportOperator,
    ActivateSyncOperator,
    DbtBuildOperator,
)

EVERY = "*/10 * * * *"

# How many providers are delivered to at the same time. A DuckDB file lets in one process at a time; on a server, set
# this to the number of your providers.
DELIVERIES_AT_ONCE = 1

# How many audiences are synced at the same time; on a server, set this to the number of your destinations.
SYNCS_AT_ONCE = 1

# Which audiences this DAG syncs: those with this `schedule` in their files; None: those without one.
AUDIENCE_SCHEDULE: str | None = None

# What profiles.yml and rules/activate.yml ask for with env_var(), and where it comes from: "connection id.field".
# A variable that is not listed here is taken from the environment of the worker.
WAREHOUSE_SECRETS: dict[str, str] = {}  # e.g. {"PGPASSWORD": "activate_warehouse.password"}
PROVIDER_SECRETS: dict[str, str] = {}  # e.g. {"ACTIVATE_WEBHOOK_SECRET": "activate_gateway.password"}
DESTINATION_SECRETS: dict[str, str] = {}  # e.g. {"CRM_SECRET": "activate_crm.password"}

# The dbt project that this file lies in. A copy elsewhere leaves it to the parameter, or to DBT_PROJECT_DIR.
_ABOVE = Path(__file__).resolve().parents[1]
PROJECT_DIR = str(_ABOVE) if (_ABOVE / "dbt_project.yml").is_file() else ""

project = {
    "project_dir": "{{ params.project_dir }}",
    "profiles_dir": "{{ params.profiles_dir }}",
    "target": "{{ params.target }}",
    "now": "{{ params.now }}",
    "vars": "{{ params.vars | tojson }}",
}

with DAG(
    dag_id="activation",
    description="dbt build, decide for everybody who is due, deliver, sync audiences, report",
    doc_md=__doc__,
    schedule=EVERY,
    start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    catchup=False,  # the next tick sees everything that a missed one would have seen
    max_active_runs=1,
    dagrun_timeout=dt.timedelta(hours=1),
    tags=["activate", "messaging", "audiences"],
    default_args={
        "owner": "activate",
        "retries": 3,
        "retry_delay": dt.timedelta(seconds=30),
        "retry_exponential_backoff": 2,
        "max_retry_delay": dt.timedelta(minutes=5),
    },
    params={
        "project_dir": Param(PROJECT_DIR, type="string", description="The dbt project; empty: DBT_PROJECT_DIR."),
        "profiles_dir": Param("", type="string", description="Where profiles.yml is; empty: where dbt looks for it."),
        "target": Param("", type="string", description="The target in profiles.yml; empty: its default."),
        "now": Param("", type="string", description="Replay this moment, e.g. 2026-11-01T08:00:00Z; empty: the run's."),
        "vars": Param({}, type="object", description="dbt's --vars."),
    },
) as dag:
    build = DbtBuildOperator(
        task_id="dbt_build",
        # Unit tests are about the code and not about today's data: they belong into CI.
        arguments=["--exclude-resource-type", "unit_test"],
        retries=1,
        secrets=WAREHOUSE_SECRETS,
        **project,
    )
    decide = ActivateDecideOperator(task_id="decide", secrets=WAREHOUSE_SECRETS, **project)
    # Also when `decide` was skipped: what an earlier tick has queued is to go out.
    providers = ActivateProvidersOperator(
        task_id="providers", trigger_rule="none_failed", secrets=WAREHOUSE_SECRETS, **project
    )
    deliver = ActivateDeliverOperator.partial(
        task_id="deliver",
        max_active_tis_per_dag=DELIVERIES_AT_ONCE,
        map_index_template="{{ task.providers }}",
        secrets={**WAREHOUSE_SECRETS, **PROVIDER_SECRETS},
        **project,
    ).expand(providers=providers.output)
    audiences = ActivateAudiencesOperator(
        task_id="audiences", schedule=AUDIENCE_SCHEDULE, secrets=WAREHOUSE_SECRETS, **project
    )
    # One that fails stops neither the others nor the messages.
    sync = ActivateSyncOperator.partial(
        task_id="sync",
        max_active_tis_per_dagrun=SYNCS_AT_ONCE,
        map_index_template="{{ task.audience }}",
        secrets={**WAREHOUSE_SECRETS, **DESTINATION_SECRETS},
        **project,
    ).expand(audience=audiences.output)
    # A teardown runs whatever has happened, and leaves it to the tasks before it whether the run has failed.
    report = ActivateReportOperator(task_id="report", secrets=WAREHOUSE_SECRETS, **project).as_teardown()

    build >> decide >> providers >> deliver >> report
    build >> audiences >> sync >> report
