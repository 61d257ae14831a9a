"""What operators do about errors, instants, secrets and a dbt that has to be stopped. No Airflow is running."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pendulum
import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from airflow.sdk.log import redact
from airflow_world import SECRET

from activate.airflow import DbtBuildOperator
from activate.airflow.connections import ConnectionSecrets
from activate.airflow.failures import told_to_airflow
from activate.airflow.instants import asked_for, of_run
from activate.airflow.variables import read_variables
from activate.errors import (
    DeliveryError,
    LeaseHeldError,
    Mistake,
    RulesError,
    SettingsError,
    TimeOrderError,
    WarehouseError,
)

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


def run_at(end: dt.datetime | None, logical: dt.datetime | None, after: dt.datetime = NOON) -> dict[str, Any]:
    """The part of a task's context that tells its instant."""
    return {"dag_run": SimpleNamespace(data_interval_end=end, logical_date=logical, run_after=after)}


def raised(error: Exception, is_replay: bool = False) -> Exception:
    """What Airflow gets to see for an error."""
    with pytest.raises(Exception) as caught, told_to_airflow(is_replay):
        raise error
    return caught.value


# -- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [RulesError([Mistake("rules/activate.yml", 3, "no")]), SettingsError("no target")])
def test_what_a_person_must_mend_fails_without_a_retry(error: Exception) -> None:
    told = raised(error)
    assert isinstance(told, AirflowFailException)
    assert str(error) in str(told)


@pytest.mark.parametrize("kind", [LeaseHeldError, WarehouseError, DeliveryError])
def test_what_may_pass_is_left_to_the_retries(kind: type[Exception]) -> None:
    told = raised(kind("not now"))
    assert type(told) is AirflowException
    assert "not now" in str(told)


def test_an_instant_that_was_overtaken_is_skipped_unless_a_person_asked_for_it() -> None:
    assert isinstance(raised(TimeOrderError("before the last tick")), AirflowSkipException)
    assert isinstance(raised(TimeOrderError("before the last tick"), is_replay=True), AirflowFailException)


def test_other_errors_go_through_as_they_are() -> None:
    error = ZeroDivisionError()
    assert raised(error) is error


def test_the_cause_of_an_error_is_not_told() -> None:
    try:
        try:
            raise ValueError(SECRET)
        except ValueError as cause:
            raise WarehouseError("refused") from cause
    except WarehouseError as error:
        told = raised(error)
    assert told.__cause__ is None
    assert told.__suppress_context__


# -- instants ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "logical", "expected"),
    [
        (NOON, NOON - dt.timedelta(minutes=10), dt.datetime(2026, 3, 1, 12)),
        (None, NOON - dt.timedelta(minutes=10), dt.datetime(2026, 3, 1, 11, 50)),
        (None, None, dt.datetime(2026, 3, 1, 12)),
    ],
)
def test_a_run_is_about_the_end_of_its_interval_else_its_date_else_its_start(
    end: dt.datetime | None, logical: dt.datetime | None, expected: dt.datetime
) -> None:
    found = of_run(run_at(end, logical))
    assert found == expected
    assert type(found) is dt.datetime
    assert found.tzinfo is None


def test_airflows_own_datetimes_become_plain_ones_without_losing_a_microsecond() -> None:
    berlin = pendulum.datetime(2026, 3, 29, 3, 30, 0, 123456, tz="Europe/Berlin")
    found = of_run(run_at(berlin, None))
    assert type(found) is dt.datetime
    assert found == dt.datetime(2026, 3, 29, 1, 30, 0, 123456)


@pytest.mark.parametrize("text", ["2026-03-01T13:00:00+01:00", " 2026-03-01T12:00:00Z ", "2026-03-01 12:00"])
def test_an_instant_written_down_is_utc_unless_it_says_otherwise(text: str) -> None:
    assert asked_for(text) == dt.datetime(2026, 3, 1, 12)


@pytest.mark.parametrize("text", ["", "  ", None])
def test_no_instant_written_down_is_none(text: str | None) -> None:
    assert asked_for(text) is None


def test_an_instant_that_is_none_is_a_mistake() -> None:
    with pytest.raises(SettingsError, match=r"now: 'tomorrow' is not a date or time"):
        asked_for("tomorrow")


# -- variables --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ['{"days": 3}', "days: 3", "{days: 3}", {"days": 3}])
def test_variables_are_read_as_dbt_reads_them(written: Any) -> None:
    assert read_variables(written) == {"days": 3}


@pytest.mark.parametrize("written", ["[1, 2]", "{broken", "3"])
def test_variables_that_are_no_mapping_are_a_mistake(written: str) -> None:
    with pytest.raises(SettingsError, match="vars: write a mapping"):
        read_variables(written)


# -- secrets ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection `gate` with a password and an extra."""
    content = {"conn_type": "http", "host": "gate.example.com", "port": 8443, "password": SECRET,
               "extra": {"signing": "key-of-the-gate"}}  # fmt: skip
    monkeypatch.setenv("AIRFLOW_CONN_GATE", json.dumps(content))


@pytest.mark.usefixtures("connection")
def test_variables_come_from_a_connections_fields_and_its_extra() -> None:
    sources = {"HOST": "gate.host", "PORT": "gate.port", "KEY": "gate.password", "SIGNING": "gate.signing"}
    assert dict(ConnectionSecrets(sources)) == {
        "HOST": "gate.example.com", "PORT": "8443", "KEY": SECRET, "SIGNING": "key-of-the-gate",
    }  # fmt: skip


@pytest.mark.usefixtures("connection")
def test_secrets_are_masked_from_when_they_are_looked_up_and_hosts_are_not() -> None:
    found = dict(ConnectionSecrets({"HOST": "gate.host", "KEY": "gate.password", "X": "gate.signing"}))
    assert redact(" ".join(found.values())) == "gate.example.com *** ***"
    assert SECRET not in repr(ConnectionSecrets({"KEY": "gate.password"}))


@pytest.mark.usefixtures("connection")
def test_only_connections_that_are_asked_for_are_looked_up() -> None:
    secrets = ConnectionSecrets({"KEY": "gate.password", "OTHER": "of_nobody.password"})
    assert secrets["KEY"] == SECRET
    assert secrets.get("UNLISTED", "from the environment") == "from the environment"
    with pytest.raises(SettingsError, match=r"OTHER comes from the connection 'of_nobody', which does not exist"):
        secrets["OTHER"]


@pytest.mark.usefixtures("connection")
def test_a_missing_field_is_told_with_the_nearest_and_without_values() -> None:
    with pytest.raises(
        SettingsError, match=r"has no 'pasword'; it has: .*password.*; did you mean 'password'\?"
    ) as told:
        ConnectionSecrets({"KEY": "gate.pasword"})["KEY"]
    assert SECRET not in str(told.value)


@pytest.mark.parametrize("source", ["gate", ".password", "gate."])
def test_a_source_has_a_connection_and_a_field(source: str) -> None:
    with pytest.raises(SettingsError, match=r"KEY: .* is not a connection's id, a dot and a field"):
        ConnectionSecrets({"KEY": source})


# -- dbt --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def fake_dbt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, str]]:
    """Makes an executable of a Python body, and a project; returns an operator's arguments."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dbt_project.yml").write_text("name: x\nprofile: x\n")
    (tmp_path / "profiles.yml").write_text("x: {}\n")

    def make(body: str) -> dict[str, str]:
        file = tmp_path / "fake-dbt"
        file.write_text(f"#!{sys.executable}\nimport os, signal, sys, time\n{textwrap.dedent(body)}")
        file.chmod(0o755)
        return {"project_dir": str(tmp_path), "dbt": str(file)}

    return make


Fake = Callable[[str], dict[str, str]]


def test_dbt_gets_the_options_and_its_output_goes_to_the_log(fake_dbt: Fake, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = fake_dbt("print('words:', *sys.argv[1:], 'in', os.getcwd())")
    task = DbtBuildOperator(
        task_id="build",
        target="prod",
        vars={"days": 3},
        now="2026-03-01T12:00:00Z",
        arguments=["--fail-fast"],
        **arguments,
    )
    task.execute({})
    directory = arguments["project_dir"]
    assert (
        f"words: build --no-use-colors --project-dir {directory} --profiles-dir {directory} --target prod "
        '--vars {"days": 3, "activate_now": "2026-03-01T12:00:00"} --fail-fast '
        f"in {directory}"
    ) in capfd.readouterr().out


def test_without_an_instant_dbt_gets_no_variables_so_that_it_need_not_parse_anew(
    fake_dbt: Fake, capfd: pytest.CaptureFixture[str]
) -> None:
    DbtBuildOperator(task_id="build", vars="{}", **fake_dbt("print(sys.argv)")).execute({})
    printed = capfd.readouterr().out
    assert "'build'" in printed
    assert "--vars" not in printed


@pytest.mark.usefixtures("connection")
def test_dbt_gets_secrets_in_its_environment_and_nowhere_else(
    fake_dbt: Fake, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    body = f"open({str(tmp_path / 'seen')!r}, 'w').write(os.environ['KEY']); print(*sys.argv)"
    DbtBuildOperator(task_id="build", secrets={"KEY": "gate.password"}, **fake_dbt(body)).execute({})
    assert (tmp_path / "seen").read_text() == SECRET
    assert SECRET not in capfd.readouterr().out


def test_a_failing_model_fails_the_task(fake_dbt: Fake, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = fake_dbt("print('test unique_profiles failed'); sys.stderr.write('and more'); sys.exit(1)")
    with pytest.raises(AirflowException, match="exit code 1"):
        DbtBuildOperator(task_id="build", **arguments).execute({})
    printed = capfd.readouterr().out
    assert "test unique_profiles failed" in printed
    assert "and more" in printed


def test_a_dbt_that_is_not_there_is_a_mistake(fake_dbt: Fake) -> None:
    arguments = fake_dbt("") | {"dbt": "/nowhere/bin/dbt"}
    with pytest.raises(AirflowFailException, match="/nowhere/bin/dbt is not there"):
        DbtBuildOperator(task_id="build", **arguments).execute({})


@pytest.mark.parametrize("stubborn", [False, True])
def test_a_killed_task_takes_dbt_along(
    fake_dbt: Fake, tmp_path: Path, stubborn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activate.airflow.dbt._GRACE_SECONDS", 0.5)
    ignore = "signal.signal(signal.SIGINT, signal.SIG_IGN)" if stubborn else ""
    body = f"{ignore}\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)"
    task = DbtBuildOperator(task_id="build", **fake_dbt(body))

    def kill() -> None:
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGUSR1)

    # As Airflow does it: the signal's handler, in the main thread, calls on_kill.
    before = signal.signal(signal.SIGUSR1, lambda *_: task.on_kill())
    try:
        began = time.monotonic()
        threading.Thread(target=kill, daemon=True).start()
        with pytest.raises(SystemExit):
            task.execute({})
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert time.monotonic() - began < 40  # left alone it would sleep for a minute
    done = subprocess.run(["ps", "-p", (tmp_path / "pid").read_text()], capture_output=True, check=False)
    assert done.returncode == 1
