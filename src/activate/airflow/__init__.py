"""Airflow 3: the operators that `dags/activation.py` is made of."""

from activate.airflow.audiences import ActivateAudiencesOperator, ActivateSyncOperator
from activate.airflow.dbt import DbtBuildOperator
from activate.airflow.operators import (
    ActivateDecideOperator,
    ActivateDeliverOperator,
    ActivateProvidersOperator,
    ActivateReportOperator,
)

__all__ = [
    "ActivateAudiencesOperator",
    "ActivateDecideOperator",
    "ActivateDeliverOperator",
    "ActivateProvidersOperator",
    "ActivateReportOperator",
    "ActivateSyncOperator",
    "DbtBuildOperator",
]
