"""A fortnight of a real grocer's autumn on DuckDB: summer time ends twice, a month ends, a thousand are mailed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest

from .data_sets import complete_journey
from .proof import Proof, Replayed, TamperProof, replayed_with_facts
from .replay import replay
from .stage import set_stage

pytestmark = pytest.mark.xdist_group("real-complete-journey-duckdb")

FIRST, LAST = dt.datetime(2017, 10, 26), dt.datetime(2017, 11, 9)


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replayed]:
    folder = tmp_path_factory.mktemp("complete-journey")
    stage = set_stage(complete_journey(), folder / "project", str(folder / "real.duckdb"))
    with replayed_with_facts("grocer, DuckDB", stage, replay(stage, FIRST, LAST)) as done:
        yield done


class TestFortnight(Proof, TamperProof):
    """336 hourly ticks and one, on all there is of the year before them."""

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
