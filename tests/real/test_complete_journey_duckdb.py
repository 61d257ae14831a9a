"""A real grocer's autumn on DuckDB: summer time ends twice, a month ends, a thousand households are mailed."""

from __future__ import annotations

import datetime as dt
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from ..warm_dbt import WarmDbt
from .data_sets import complete_journey
from .proof import Proof, Replayed, TamperProof, replayed_with_facts
from .replay import replay
from .stage import set_stage


@contextmanager
def _replayed(
    paths: pytest.TempPathFactory,
    name: str,
    first: dt.datetime,
    last: dt.datetime,
    dbt_each_day: bool = False,
    run_dbt: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run,
) -> Iterator[Replayed]:
    folder = paths.mktemp("complete-journey")
    stage = set_stage(complete_journey(), folder / "project", str(folder / "real.duckdb"), run_dbt)
    figures = replay(stage, first, last, dbt_each_day=dbt_each_day)
    with replayed_with_facts(name, stage, figures) as done:
        yield done


class TestDay(Proof, TamperProof):
    """12 hourly ticks and one, over the end of summer time in America, on all there is of the year before them."""

    @pytest.fixture(scope="class")
    def replayed(self, tmp_path_factory: pytest.TempPathFactory, warm_dbt: WarmDbt) -> Iterator[Replayed]:
        first, last = dt.datetime(2017, 11, 5, 6), dt.datetime(2017, 11, 5, 18)
        with _replayed(tmp_path_factory, "grocer, half a day", first, last, run_dbt=warm_dbt.run) as done:
            yield done


@pytest.mark.slow
@pytest.mark.timeout(3600)
class TestFortnight(Proof, TamperProof):
    """336 hourly ticks and one, over the end of summer time in Europe and in America."""

    @pytest.fixture(scope="class")
    def replayed(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replayed]:
        first, last = dt.datetime(2017, 10, 26), dt.datetime(2017, 11, 9)
        with _replayed(tmp_path_factory, "grocer, DuckDB", first, last) as done:
            yield done

    def test_every_rule_had_something_to_decide(self, replayed: Replayed) -> None:
        assert {reason for _, _, reason in replayed.figures.decisions} >= {
            "ready", "trigger_too_late", "not_in_audience", "already_waiting", "not_re_eligible", "restarted",
            "exception_event", "left_segment", "no_profile", "duplicate_profile", "unreachable", "no_consent",
            "zone_missing", "zone_invalid", "window_closed", "superseded", "expired", "expired_in_quiet_hours",
            "frequency_cap", "control_group", "global_control_group", "campaign_ended",
        }  # fmt: skip
        rules = replayed.database.rows("SELECT DISTINCT rule FROM activate.decisions WHERE gate = 'caps'")
        assert {rule for (rule,) in rules} == {f"frequency_caps[{number}]" for number in range(7)}
        sent = replayed.database.rows("SELECT DISTINCT campaign, step FROM activate.messages WHERE run_id <> 'history'")
        assert set(sent) == set(replayed.database.rows("SELECT campaign, step FROM facts.steps"))
        assert replayed.figures.deliveries["aborted"] > 0

    def test_local_times_were_kept_across_the_end_of_summer_time(self, replayed: Replayed) -> None:
        """Ten o'clock in New York is 14:00 UTC until 4 November 2017 and 15:00 from the 5th on."""
        due = replayed.database.rows(
            "SELECT DISTINCT cast(due_at AS date) > DATE '2017-11-04', extract(hour FROM due_at) "
            "FROM activate.decisions WHERE campaign = 'category_welcome' AND step = 1 AND zone = 'America/New_York'"
        )
        assert sorted((after, int(hour)) for after, hour in due) == [(False, 14), (True, 15)]


@pytest.mark.slow
@pytest.mark.timeout(3600)
class TestBuiltEachDay(Proof):
    """The segments built by dbt itself for each morning, as a nightly job would, not views that follow the clock."""

    @pytest.fixture(scope="class")
    def replayed(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replayed]:
        first, last = dt.datetime(2017, 11, 2), dt.datetime(2017, 11, 5)
        with _replayed(tmp_path_factory, "grocer, dbt each day", first, last, dbt_each_day=True) as done:
            yield done
