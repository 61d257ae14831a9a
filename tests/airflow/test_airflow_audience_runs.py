"""Audiences in the DAG for real, by `airflow dags test`: one destination is dead, one refuses rows, the others go on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
from airflow_world import LATER, Airflow, Shop, install
from tests.audiences.town import SECRET, Peer, peer_server

DATE = "2026-11-02T18:00:00+00:00"
# By the order of the files: the place of each audience among the mapped tasks.
BROWSERS, LOYAL, READERS = "sync[0]", "sync[1]", "sync[2]"

# A run of the whole DAG takes half a minute, and these are four; tests/airflow/test_airflow_runs.py has the one of every day.
pytestmark = pytest.mark.slow


# What docs/airflow.md tells to do for audiences of another schedule.
NIGHTLY = {
    r'dag_id="activation"': 'dag_id="nightly"',
    r"^EVERY = .*$": 'EVERY = "0 3 * * *"',
    r"^AUDIENCE_SCHEDULE.*$": 'AUDIENCE_SCHEDULE = "nightly"',
    r"^    build = (?:.*\n)+?(?=    audiences = )": "",
    r"^    build >> (?:.*\n)+": "    audiences >> sync >> report\n",
}


@dataclass
class Synced:
    """What was left by the first run, and by the same run once more, when the dead destination has come back."""

    shop: Shop
    peer: Peer
    printed: list[str]
    states: list[dict[str, str]]
    returned: list[dict[str, list[Any]]]
    tries: dict[int, int]
    requests: int
    stored: bytes

    def lines(self, audience: str) -> list[str]:
        """What the first run's log says of an audience."""
        return [line for line in self.printed[0].splitlines() if f"{audience}: " in line or f"{audience} → " in line]


def write(shop: Shop, alive: str, readers: str) -> None:
    """Three audiences at three destinations, one of them a table in another target of the profile."""
    shop.without_audiences()
    shop.edit("profiles.yml", "    postgres:\n", "    lists: {type: duckdb, path: lists.duckdb}\n    postgres:\n")
    secret = "{{ env_var('CRM_SECRET') }}"
    shop.destination("ads", type="webhook", url=f"{alive}/changes", secret=secret)
    shop.destination("crm", type="webhook", url=f"{readers}/changes", secret=secret)
    shop.destination("lists", type="table", target="lists", table="crm.{audience}")
    fields = {"mail": "email", "call": "phone"}
    shop.audience("browsers", "recent_browsers_no_purchase", "ads", fields=fields, guard={"max_rejected": "10%"})
    shop.audience("loyal", "loyal_customers", "lists", fields=fields)
    shop.audience("readers", "newsletter_engaged", "crm", fields=fields)
    shop.audience("slow", "lapsed_vip", "crm", schedule="nightly")


def refuse_some(_peer: Peer, changes: list[dict[str, Any]]) -> tuple[int, dict[str, str], Any] | None:
    """Reject every second row that has a phone number, with words that quote it; take the rest."""
    bad = [at for at, change in enumerate(changes) if at % 2]
    told = [{"index": at, "code": "bad_phone", "message": f"{changes[at]['fields']} of {changes[at]}"} for at in bad]
    return 200, {}, {"errors": told}


@pytest.fixture(scope="module")
def synced(launched_shop: Path, migrated_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Synced]:
    """The DAG without dbt build, whose models are there; then the same run again."""
    directory = tmp_path_factory.mktemp("synced")
    shop = Shop(Path(shutil.copytree(launched_shop, directory / "project")))
    airflow = install(migrated_home, directory)
    airflow.edit(r"^DESTINATION_SECRETS: .*$", "DESTINATION_SECRETS = {'CRM_SECRET': 'crm.password'}")
    airflow.edit(r"timedelta\(seconds=30\)", "timedelta(seconds=1)")
    airflow.edit(r'"retries": 3', '"retries": 1')
    airflow.env["AIRFLOW_CONN_CRM"] = json.dumps({"conn_type": "http", "password": SECRET})
    with peer_server() as peer:
        peer.answer = refuse_some
        write(shop, peer.url, "http://127.0.0.1:9")
        conf = {"project_dir": str(shop.directory), "profiles_dir": str(shop.directory), "now": LATER.isoformat()}
        printed, states, returned = [], [], []
        tries: dict[int, int] = {}
        for _ in range(2):
            printed.append(airflow.run_dag("activation", DATE, skip="dbt_build", **conf))
            states.append(airflow.states())
            returned.append(airflow.returned())
            found = dict(airflow.sql("SELECT map_index, try_number FROM task_instance WHERE task_id = 'sync'"))
            tries = tries or found
            if len(printed) == 1:
                requests, peer.answer = len(peer.requests), None
                shop.edit("rules/activate.yml", "http://127.0.0.1:9", peer.url)
        yield Synced(shop, peer, printed, states, returned, tries, requests, airflow.everything_stored())


def test_one_dead_destination_stops_neither_the_others_nor_the_messages(synced: Synced) -> None:
    states = synced.states[0]
    assert states[READERS] == states[BROWSERS] == "failed", synced.printed[0][-10_000:]
    done = ("dbt_build", "decide", "providers", "deliver[0]", "audiences", LOYAL, "report")
    assert {name: states[name] for name in done} == dict.fromkeys(done, "success")
    assert synced.returned[0]["audiences"] == [["browsers", "loyal", "readers"]]
    (loyal,) = synced.returned[0]["sync"]
    assert loyal["outcomes"] == {"accepted": 108}
    with duckdb.connect(str(synced.shop.directory / "lists.duckdb")) as connection:
        assert connection.execute("SELECT COUNT(*), COUNT(mail) > 50 FROM crm.loyal").fetchall() == [(108, True)]


def test_the_dead_one_was_tried_again_and_its_log_says_why(synced: Synced) -> None:
    assert synced.tries[2] == 2
    told = "\n".join(synced.lines("readers"))
    assert "readers: to send: 104 added" in told
    assert "readers: 104 rows: not_connected" in told
    assert "readers: the destination took nothing (the last answer: not_connected)" in told


def test_the_one_that_refused_too_much_was_not_tried_again_and_its_log_says_which_and_why(synced: Synced) -> None:
    assert synced.tries[0] == 1
    told = "\n".join(synced.lines("browsers"))
    assert "browsers: 25 rows: bad_phone" in told
    assert "browsers: ads refused 25 of 51 changes (49%), more than max_rejected allows (10%): bad_phone: 25" in told


def test_the_report_names_what_needs_a_look(synced: Synced) -> None:
    (report,) = synced.returned[0]["report"]
    assert report["audiences"]["browsers"]["refused"] == 25
    assert report["audiences"]["readers"]["open"] == 104
    assert report["audiences"]["loyal"] == {"status": "synced", "withheld": 0, "refused": 0, "open": 0}
    assert any(line.startswith("browsers: 25 dead letters, refused by ads") for line in report["needs_a_look"])


def test_the_same_run_again_sends_only_what_was_not_taken(synced: Synced) -> None:
    states = synced.states[1]
    assert {state for name, state in states.items() if name.startswith("sync")} == {"success"}, synced.printed[1][
        -9000:
    ]
    told = {found["audience"]: found["outcomes"] for found in synced.returned[1]["sync"]}
    assert told == {"browsers": {}, "loyal": {}, "readers": {"accepted": 104}}
    later = [change["member"] for changes in synced.peer.requests[synced.requests :] for change in changes]
    assert sorted(later) == sorted(synced.peer.members("readers"))


def test_a_copy_of_the_dag_syncs_the_audiences_of_another_schedule(synced: Synced, airflow: Airflow) -> None:
    for pattern, replacement in NIGHTLY.items():
        airflow.edit(pattern, replacement)
    airflow.edit(r"^DESTINATION_SECRETS: .*$", "DESTINATION_SECRETS = {'CRM_SECRET': 'crm.password'}")
    airflow.env["AIRFLOW_CONN_CRM"] = json.dumps({"conn_type": "http", "password": SECRET})
    conf = {"project_dir": str(synced.shop.directory), "profiles_dir": str(synced.shop.directory)}
    with peer_server() as peer:
        synced.shop.edit("rules/activate.yml", synced.peer.url, peer.url)
        printed = airflow.run_dag("nightly", "2026-11-03T03:00:00+00:00", **conf)
        assert airflow.states() == dict.fromkeys(("audiences", "sync[0]", "report"), "success"), printed[-9000:]
        assert airflow.returned()["audiences"] == [["slow"]]
        assert len(peer.members("slow")) == 17


def test_airflow_keeps_nobodys_key_and_nobodys_address(synced: Synced) -> None:
    stored = synced.stored + "".join(synced.printed).encode()
    assert [word for word in [SECRET, *synced.shop.personal()] if word.encode() in stored] == []
