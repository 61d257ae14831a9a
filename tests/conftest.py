"""Fixtures that several test folders share: a real PostgreSQL server, and an empty database in it for each test."""

from __future__ import annotations

import gc
import getpass
import multiprocessing
import os
import shlex
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from activate.errors import WarehouseError
from tests.warm_dbt import WarmDbt

if TYPE_CHECKING:
    import adbc_driver_postgresql.dbapi as adbc

    from activate.warehouses.duckdb import DuckDB

# Tests that kill processes fork them from one that has imported everything; it has to be told before its first use.
multiprocessing.set_forkserver_preload([
    "activate.run", "activate.deliver.send", "activate.record.deliveries", "activate.providers.registry",
    "activate.warehouses.duckdb", "activate.warehouses.postgres", "pytest", "tests.decide.warm", "tests.audiences.killed",
])  # fmt: skip


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden SQL anew")


def pytest_collection_finish() -> None:
    """Syntax trees are many objects that soon go; looking through all modules for each few hundred is a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


def pytest_unconfigure() -> None:
    """What is frozen would be told of as leaked when the process ends."""
    gc.unfreeze()


def _bin() -> Path:
    elsewhere = shutil.which("initdb")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or ([Path(elsewhere)] if elsewhere else [])
    if not found:
        pytest.fail("PostgreSQL's server binaries are missing; on Debian: apt-get install postgresql")
    return found[-1].parent


def _as_server_user(command: list[str]) -> None:
    """PostgreSQL refuses to run as root, so root hands over to the user that the package made."""
    if getpass.getuser() == "root":
        command = ["su", "postgres", "-c", shlex.join(command)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/tmp")


@pytest.fixture(scope="session")
def postgres_admin() -> Iterator[str]:
    """The URI of a server's `postgres` database; the server belongs to this test session alone."""
    binaries = _bin()
    folder = Path(tempfile.mkdtemp(prefix="activate-pg-", dir="/tmp"))
    folder.chmod(0o777)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = folder / "data"
    _as_server_user([str(binaries / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N"])
    options = (
        f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off "
        "-c synchronous_commit=off -c full_page_writes=off -c max_connections=60 -c shared_buffers=256MB"
    )
    log = folder / "log"
    _as_server_user([str(binaries / "pg_ctl"), "-D", str(data), "-w", "-l", str(log), "-o", options, "start"])
    try:
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    finally:
        _as_server_user([str(binaries / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop"])
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def _postgres_connection(postgres_admin: str) -> Iterator[adbc.Connection]:
    """One connection for making databases: opening one takes as long as making a database."""
    import adbc_driver_postgresql.dbapi as adbc

    with adbc.connect(postgres_admin, autocommit=True) as connection:
        yield connection


@pytest.fixture
def postgres_server(postgres_admin: str, _postgres_connection: adbc.Connection) -> Iterator[str]:
    """The URI of an empty database, dropped after the test."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    with _postgres_connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    try:
        yield postgres_admin.rsplit("/", 1)[0] + f"/{name}"
    finally:
        with _postgres_connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def warm_dbt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmDbt]:
    """Runs dbt quickly, here and where Activate starts it; tests/airflow and the slow tests start it as users do."""
    directory = tmp_path_factory.getbasetemp()
    made = WarmDbt(directory.parent if "PYTEST_XDIST_WORKER" in os.environ else directory)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("activate.demo.dbt.subprocess", made)
        yield made
    made.close()


@pytest.fixture(scope="session", autouse=True)
def _duckdb_on_one_thread() -> Iterator[None]:
    """A table of ten rows is no work for two threads: handing it to them takes a sixth of the suite's time in DuckDB.

    Processes that tests start (dbt, the command, workers that are killed) keep all threads, as users have them.
    """
    import duckdb

    connect = duckdb.connect

    def connect_on_one(*args: Any, **kwargs: Any) -> duckdb.DuckDBPyConnection:
        connection = connect(*args, **kwargs)
        connection.execute("SET threads = 1")
        return connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duckdb, "connect", connect_on_one)
        yield


@pytest.fixture(scope="session")
def _one_duckdb(_duckdb_on_one_thread: None) -> Iterator[list[DuckDB]]:
    opened: list[DuckDB] = []
    yield opened
    for warehouse in opened:
        warehouse.close()


@pytest.fixture
def duckdb_in_memory(_one_duckdb: list[DuckDB]) -> Iterator[DuckDB]:
    """An empty DuckDB: one for all tests, emptied after each, since making one takes thirty times as long."""
    import duckdb

    from activate.warehouses.duckdb import DuckDB

    if not _one_duckdb:
        _one_duckdb.append(DuckDB.open(":memory:"))
    warehouse = _one_duckdb[0]
    yield warehouse
    try:
        made = warehouse.query(
            "SELECT schema_name AS name, 'SCHEMA' AS kind FROM duckdb_schemas() WHERE NOT internal "
            "AND schema_name <> 'main' UNION ALL SELECT table_name, 'TABLE' FROM duckdb_tables() WHERE NOT internal "
            "AND schema_name = 'main' UNION ALL SELECT view_name, 'VIEW' FROM duckdb_views() WHERE NOT internal "
            "AND schema_name = 'main'"
        ).to_pylist()
        for found in made:
            warehouse.execute(f'DROP {found["kind"]} "{found["name"]}" CASCADE')
    except (WarehouseError, duckdb.Error):  # closed by the test, or left within a transaction that failed
        _one_duckdb.clear()


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests see none of the caller's dbt or Activate settings."""
    for name in list(os.environ):
        if name.startswith(("DBT_", "ACTIVATE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("DO_NOT_TRACK", "1")  # dbt tells nobody of what the tests do, and waits for nobody's answer
