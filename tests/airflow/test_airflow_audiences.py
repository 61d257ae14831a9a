"""Tasks that sync audiences, without Airflow around them: what fails, what is tried again, and what the log says."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from airflow_world import LATER, Shop
from tests.audiences.town import SECRET, Peer, peer_server

from activate.airflow import ActivateAudiencesOperator, ActivateReportOperator, ActivateSyncOperator
from activate.airflow.audiences import is_yes
from activate.errors import SettingsError

ASKED_FOR = "{{ env_var('CRM_SECRET') }}"
SECRETS = {"CRM_SECRET": "crm.password"}
Printed = pytest.CaptureFixture[str]


@pytest.fixture
def peer() -> Iterator[Peer]:
    """A service that holds audiences."""
    with peer_server() as found:
        yield found


@pytest.fixture
def shop(shop: Shop) -> Shop:
    """The shop without audiences of its own."""
    shop.without_audiences()
    return shop


@pytest.fixture
def crm(shop: Shop, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """The shop with an audience of 108 people at the peer, whose secret an Airflow connection has."""
    monkeypatch.setenv("AIRFLOW_CONN_CRM", json.dumps({"conn_type": "http", "password": SECRET}))
    shop.destination("crm", type="webhook", url=f"{peer.url}/changes", secret=ASKED_FOR, batch=20, concurrency=1)
    shop.audience("loyal", "loyal_customers", "crm", fields={"mail": "email", "orders": "orders"})
    return shop


def sync(shop: Shop, at: dt.datetime = LATER, audience: str = "loyal", **fields: Any) -> dict[str, Any]:
    """Run the task for an instant."""
    fields = {"project_dir": str(shop.directory), "secrets": SECRETS, **fields}
    task = ActivateSyncOperator(task_id="sync", audience=audience, **fields)
    return task.execute({"dag_run": SimpleNamespace(data_interval_end=at.replace(tzinfo=dt.UTC))})


def audiences(shop: Shop, schedule: str | None = None) -> list[str]:
    """The names of the audiences to sync."""
    task = ActivateAudiencesOperator(task_id="audiences", schedule=schedule, project_dir=str(shop.directory))
    return task.execute({})


def refuse(peer: Peer, share: int, code: str = "bad_field") -> None:
    """Let the peer reject every `share`-th row."""

    def answer(_peer: Peer, changes: list[dict[str, Any]]) -> tuple[int, dict[str, str], Any]:
        bad = [at for at, change in enumerate(changes) if int(change["member"][1:]) % share == 0]
        return 200, {}, {"errors": [{"index": at, "code": code} for at in bad]}

    peer.answer = answer


def answer_always(peer: Peer, status: int) -> None:
    """Let the peer answer everything with a status."""
    peer.answer = lambda _peer, _changes: (status, {}, {})


def assert_nobody_is_named(shop: Shop, *texts: object) -> None:
    """No text holds a person's key or address."""
    told = "\n".join(str(text) for text in texts)
    assert [word for word in shop.personal() if word in told] == []


# -- which audiences --------------------------------------------------------------------------------------------------


def test_audiences_are_named_by_their_schedule(crm: Shop) -> None:
    crm.audience("readers", "newsletter_engaged", "crm", schedule="nightly")
    assert audiences(crm) == ["loyal"]
    assert audiences(crm, "") == ["loyal"]
    assert audiences(crm, "nightly") == ["readers"]
    with pytest.raises(AirflowFailException, match="no audience has the schedule 'nihgtly'.*did you mean 'nightly'"):
        audiences(crm, "nihgtly")


def test_naming_them_does_not_wait_for_the_warehouse(crm: Shop) -> None:
    words = [
        sys.executable,
        "-c",
        f"import duckdb; c = duckdb.connect({str(crm.file)!r}); print(1, flush=True); input()",
    ]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"1\n"
        assert audiences(crm) == ["loyal"]
        process.kill()


def test_a_project_without_audiences_has_none_to_sync(shop: Shop) -> None:
    assert audiences(shop) == []


# -- what is sent -----------------------------------------------------------------------------------------------------


def test_a_sync_tells_what_it_did_and_the_same_again_sends_nothing(crm: Shop, peer: Peer, capfd: Printed) -> None:
    first = sync(crm)
    assert first["outcomes"] == {"accepted": 108}
    assert first["wanted"] == len(peer.members("loyal")) == 108
    told = len(peer.told)
    assert sync(crm)["outcomes"] == {}
    assert sync(crm, LATER + dt.timedelta(minutes=10))["outcomes"] == {}
    assert len(peer.told) == told
    printed = capfd.readouterr().out
    assert "loyal: to send: 108 added; 0 unchanged" in printed
    assert "loyal → crm: 108 accepted, in 6 requests" in printed
    assert "loyal: to send: nothing; 108 unchanged" in printed
    assert "loyal → crm: nothing sent" in printed
    assert_nobody_is_named(crm, printed, first)


def test_full_sends_every_member_again(crm: Shop, peer: Peer) -> None:
    sync(crm)
    peer.requests.clear()
    assert sync(crm, full="True")["outcomes"] == {"accepted": 108}
    assert sum(len(changes) for changes in peer.requests) == 108


@pytest.mark.parametrize(("written", "expected"), [(True, True), ("true", True), ("False", False), ("", False)])
def test_full_may_come_out_of_a_template(written: bool | str, expected: bool) -> None:
    assert is_yes("full", written) is expected
    with pytest.raises(SettingsError, match="full: 'perhaps' is neither true nor false"):
        is_yes("full", "perhaps")


def test_another_target_of_the_profile_can_hold_an_audience(shop: Shop) -> None:
    shop.edit(
        "profiles.yml", "    postgres:\n", "    elsewhere: {type: duckdb, path: elsewhere.duckdb}\n    postgres:\n"
    )
    shop.destination("lists", type="table", target="elsewhere", table="crm.{audience}")
    shop.audience("loyal", "loyal_customers", "lists")
    assert sync(shop, profiles_dir=str(shop.directory))["outcomes"] == {"accepted": 108}
    with duckdb.connect(str(shop.directory / "elsewhere.duckdb")) as connection:
        assert connection.execute("SELECT COUNT(*) FROM crm.loyal").fetchall() == [(108,)]


# -- what is refused --------------------------------------------------------------------------------------------------


def refused(shop: Shop) -> int:
    """How many of the audience a peer rejects that refuses every fourth."""
    rows = shop.sql("SELECT user_id FROM analytics.loyal_customers")
    return sum(int(user[1:]) % 4 == 0 for (user,) in rows)


def test_too_many_refusals_fail_the_task_for_good_and_it_says_which_and_why(
    crm: Shop, peer: Peer, capfd: Printed
) -> None:
    refuse(peer, 4)
    with pytest.raises(AirflowFailException) as told:
        sync(crm)
    count = refused(crm)
    assert f"loyal: crm refused {count} of 108 changes ({count / 1.08:.3g}%)" in str(told.value)
    assert "more than max_rejected allows (5%): bad_field" in str(told.value)
    rows = crm.sql(
        "SELECT COUNT(*) FROM activate.audience_changes WHERE audience = 'loyal' "
        "and recorded_at = '2026-11-02 18:00:00.000000' AND status = 'rejected'"
    )
    assert rows == [(count,)]
    assert "audience = 'loyal' and recorded_at = '2026-11-02 18:00:00.000000'" in str(told.value)
    printed = capfd.readouterr().out
    assert f"loyal: {count} rows: bad_field" in printed
    assert_nobody_is_named(crm, printed, told.value)


@pytest.mark.parametrize(
    ("of_task", "of_file", "fails"),
    [
        (None, "50%", False),
        ("10%", "50%", True),
        pytest.param("50%", None, False, marks=pytest.mark.slow),
        pytest.param("", "50%", False, marks=pytest.mark.slow),
        pytest.param("100%", "1%", False, marks=pytest.mark.slow),
    ],
)
def test_how_much_may_be_refused_is_said_by_the_task_else_by_the_file(
    crm: Shop, peer: Peer, of_task: str | None, of_file: str | None, fails: bool
) -> None:
    refuse(peer, 4)
    crm.audience("loyal", "loyal_customers", "crm", guard={"max_rejected": of_file} if of_file else {})
    expected = pytest.raises(AirflowFailException, match="max_rejected") if fails else contextlib.nullcontext()
    with expected:
        assert sync(crm, max_rejected=of_task)["codes"] == {"bad_field": refused(crm)}


def test_a_limit_that_cannot_be_read_is_a_mistake_before_anything_is_sent(crm: Shop, peer: Peer) -> None:
    with pytest.raises(AirflowFailException, match="max_rejected: '0.05' is not a share"):
        sync(crm, max_rejected="0.05")
    assert peer.requests == []


def test_what_a_guard_withholds_fails_nothing_and_is_told_with_its_release(
    crm: Shop, peer: Peer, capfd: Printed
) -> None:
    crm.audience("loyal", "loyal_customers", "crm", guard={"max_added": 100})
    assert sync(crm)["withheld"] == {"added": 108}
    assert peer.requests == []
    line = "108 added withheld: over max_added: 100"
    assert f"loyal: {line}; to release: dbt-activate approve audience:loyal --added 108" in capfd.readouterr().out
    report = ActivateReportOperator(task_id="report", project_dir=str(crm.directory), now=LATER.isoformat()).execute({})
    assert report["audiences"]["loyal"]["withheld"] == 108
    assert any(line in told for told in report["needs_a_look"])


def test_values_that_a_table_refuses_are_told_by_a_code_and_not_quoted(shop: Shop, capfd: Printed) -> None:
    with duckdb.connect(str(shop.file)) as connection:
        connection.execute("CREATE SCHEMA crm")
        connection.execute("CREATE TABLE crm.loyal (user_id INTEGER, mail INTEGER)")
    shop.destination("lists", type="table", table="crm.{audience}")
    shop.audience("loyal", "loyal_customers", "lists", fields={"mail": "email"})
    with pytest.raises(
        AirflowFailException, match="lists refused 50 of 50 changes .*duckdb_conversion: 50.*refuses every row"
    ) as told:
        sync(shop)
    assert_nobody_is_named(shop, capfd.readouterr().out, told.value)


# -- what is tried again ----------------------------------------------------------------------------------------------


def test_a_destination_that_is_gone_is_left_to_the_retries_and_the_retry_sends(
    crm: Shop, peer: Peer, capfd: Printed
) -> None:
    crm.edit("rules/activate.yml", peer.url, "http://127.0.0.1:9")
    with pytest.raises(AirflowException, match="loyal: .*not_connected") as told:
        sync(crm)
    assert type(told.value) is AirflowException
    assert_nobody_is_named(crm, capfd.readouterr().out, told.value)
    crm.edit("rules/activate.yml", "http://127.0.0.1:9", peer.url)
    assert sync(crm)["outcomes"] == {"accepted": 108}


def test_a_small_sync_that_a_dead_destination_does_not_take_fails_too(crm: Shop, peer: Peer) -> None:
    crm.edit("rules/activate.yml", f'"{peer.url}/changes"', '"http://127.0.0.1:9/changes"')
    crm.audience("loyal", "onboarding_incomplete", "crm")
    with pytest.raises(AirflowException, match="loyal: the destination took nothing .*not_connected") as told:
        sync(crm)
    assert type(told.value) is AirflowException


def test_a_destination_that_never_says_what_it_took_fails_too(crm: Shop, peer: Peer) -> None:
    answer_always(peer, 504)
    crm.audience("loyal", "onboarding_incomplete", "crm")
    with pytest.raises(AirflowException, match=r"loyal: crm acknowledged nothing \(http_504: 10\)") as told:
        sync(crm)
    assert type(told.value) is AirflowException


@pytest.mark.parametrize(
    ("status", "says"), [(401, "the endpoint answered 401"), (503, "the last(:| answer:) http_503")]
)
def test_a_destination_that_refuses_us_or_is_busy_is_left_to_the_retries(
    crm: Shop, peer: Peer, status: int, says: str
) -> None:
    answer_always(peer, status)
    with pytest.raises(AirflowException, match=f"loyal: .*{says}") as told:
        sync(crm)
    assert type(told.value) is AirflowException


def test_an_attempt_that_the_destination_answered_with_a_failure_is_not_spent_again_at_once(
    crm: Shop, peer: Peer
) -> None:
    answer_always(peer, 500)
    with pytest.raises(AirflowFailException, match="more than max_rejected allows .*http_500"):
        sync(crm)
    peer.answer = None
    assert sync(crm, LATER + dt.timedelta(minutes=10))["outcomes"] == {"accepted": 108}


def test_a_secret_that_is_missing_fails_at_once(crm: Shop) -> None:
    with pytest.raises(AirflowFailException, match="loyal: .*destinations.crm.secret .*'CRM_SECRET'"):
        sync(crm, secrets={})


def test_an_instant_before_the_last_sync_is_skipped_unless_a_person_asked_for_it(crm: Shop, peer: Peer) -> None:
    sync(crm)
    earlier = LATER - dt.timedelta(minutes=10)
    with pytest.raises(AirflowSkipException, match="lies before the last sync of loyal"):
        sync(crm, earlier)
    with pytest.raises(AirflowFailException, match="lies before the last sync of loyal"):
        sync(crm, now=earlier.isoformat())


def test_a_killed_task_begins_no_other_page_and_the_next_one_sends_what_is_not_recorded(
    crm: Shop, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activate.deliver.sync.PAGE", 20)
    reached, gate = threading.Event(), threading.Event()

    def answer(_peer: Peer, _changes: list[dict[str, Any]]) -> None:
        reached.set()
        gate.wait(60)

    peer.answer = answer
    task = ActivateSyncOperator(
        task_id="sync", audience="loyal", project_dir=str(crm.directory), now=LATER.isoformat(), secrets=SECRETS
    )

    def kill() -> None:
        reached.wait(60)
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(0.5)
        gate.set()

    # As Airflow does it: the signal's handler, in the main thread, calls on_kill.
    before = signal.signal(signal.SIGUSR1, lambda *_: task.on_kill())
    try:
        threading.Thread(target=kill, daemon=True).start()
        with pytest.raises(SystemExit):
            task.execute({})
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert len(peer.requests) <= 2  # a page is posted while the one before is recorded
    assert crm.sql("SELECT COUNT(*) FROM activate.audience_changes WHERE status = 'accepted'") == [(20,)]
    assert sync(crm)["outcomes"] == {"accepted": 88}
    assert len(peer.members("loyal")) == 108
