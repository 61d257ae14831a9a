"""dbt's connection settings open the warehouse that dbt itself would work on."""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlglot import exp

from activate.errors import SettingsError, WarehouseError
from activate.settings import Target
from activate.warehouses.registry import connect


def _one(warehouse: object, query: str) -> object:
    return warehouse.scalar(exp.maybe_parse(query))  # type: ignore[attr-defined]


def test_a_relative_path_starts_from_the_project_as_in_dbt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    project.mkdir()
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    connect(Target("duckdb", "dev", {"path": "shop.duckdb"}, project)).close()
    assert (project / "shop.duckdb").exists()
    assert not (elsewhere / "shop.duckdb").exists()


def test_a_duckdb_target_without_a_path_lives_in_memory(tmp_path: Path) -> None:
    warehouse = connect(Target("duckdb", "dev", {}, tmp_path))
    assert _one(warehouse, "SELECT 1 + 1") == 2
    assert list(tmp_path.iterdir()) == []


def test_settings_and_config_options_reach_duckdb(tmp_path: Path) -> None:
    settings = {"path": "x.duckdb", "settings": {"threads": 1}, "config_options": {"enable_external_access": True}}
    warehouse = connect(Target("duckdb", "dev", settings, tmp_path))
    assert _one(warehouse, "SELECT current_setting('threads')") == 1


def test_attached_databases_are_there_under_their_alias_or_file_name(tmp_path: Path) -> None:
    other = connect(Target("duckdb", "dev", {"path": "other.v1.duckdb"}, tmp_path))
    other.execute(exp.maybe_parse("CREATE TABLE t AS SELECT 7 AS x"))
    other.close()
    for entry, name in (
        ({"path": "other.v1.duckdb", "alias": "o", "read_only": True}, "o"),
        ({"path": "other.v1.duckdb"}, "other"),
    ):
        warehouse = connect(Target("duckdb", "dev", {"attach": [entry]}, tmp_path))
        assert _one(warehouse, f"SELECT x FROM {name}.t") == 7
        warehouse.close()


@pytest.mark.parametrize("entry", [{"path": "x.db", "type": "sqlite"}, {"alias": "x"}, "x.duckdb"])
def test_attachments_that_are_not_supported_are_refused(tmp_path: Path, entry: object) -> None:
    with pytest.raises(SettingsError, match="`attach` takes DuckDB files with path, alias, read_only"):
        connect(Target("duckdb", "dev", {"attach": [entry]}, tmp_path))


def test_a_remote_duckdb_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="`remote` is not supported"):
        connect(Target("duckdb", "dev", {"remote": {"host": "x"}}, tmp_path))


def test_a_file_that_is_no_database_is_a_settings_error(tmp_path: Path) -> None:
    (tmp_path / "x.duckdb").write_text("not a database, though it has a few characters more than DuckDB's header needs")
    with pytest.raises(SettingsError, match=r"cannot open the DuckDB file"):
        connect(Target("duckdb", "dev", {"path": "x.duckdb"}, tmp_path))


def test_an_unknown_adapter_is_told_what_there_is() -> None:
    with pytest.raises(SettingsError, match=r"supported: duckdb, postgres; did you mean 'postgres'\?"):
        connect(Target("postgresql", "dev", {}))


def test_a_missing_driver_comes_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "activate.warehouses.postgres", raising=False)
    monkeypatch.setitem(sys.modules, "adbc_driver_postgresql", None)
    monkeypatch.setitem(sys.modules, "adbc_driver_postgresql.dbapi", None)
    with pytest.raises(SettingsError, match=r"pip install 'dbt-activate\[postgres\]'"):
        connect(Target("postgres", "dev", {"host": "x", "user": "x", "dbname": "x"}))


@pytest.mark.parametrize("missing", ["host", "user", "dbname"])
def test_a_missing_postgres_setting_is_named(missing: str) -> None:
    settings = {"host": "x", "user": "x", "dbname": "x"}
    del settings[missing]
    with pytest.raises(SettingsError, match=f"`{missing}` is missing"):
        connect(Target("postgres", "dev", settings))


def test_an_unreachable_postgres_is_a_settings_error_without_the_password() -> None:
    settings = {"host": "127.0.0.1", "port": 1, "user": "me", "password": "s3cret", "dbname": "x", "connect_timeout": 2}
    with pytest.raises(WarehouseError, match="cannot reach PostgreSQL") as error:
        connect(Target("postgres", "dev", settings))
    assert "s3cret" not in str(error.value)
    assert "PostgreSQL at 127.0.0.1:1/x: " in str(error.value), "without the driver's own options"


def test_postgres_is_opened_with_dbts_names_and_odd_characters(postgres_server: str) -> None:
    address = urlsplit(postgres_server)
    admin = connect(_target(postgres_server, {}))
    admin.execute(exp.Command(this="CREATE", expression="ROLE \"o'dd us@r\" LOGIN PASSWORD 'p@ss/wörd:%'"))
    admin.execute(exp.Command(this="CREATE", expression='SCHEMA "my schema" AUTHORIZATION "o\'dd us@r"'))
    try:
        odd = {"user": "o'dd us@r", "pass": "p@ss/wörd:%", "search_path": '"my schema", public', "sslmode": "disable"}
        warehouse = connect(_target(postgres_server, odd))
        assert _one(warehouse, "SELECT current_user") == "o'dd us@r"
        assert _one(warehouse, "SELECT current_schema()") == "my schema"
        assert _one(warehouse, "SELECT current_database()") == address.path[1:]
        warehouse.close()
    finally:
        admin.execute(exp.Command(this="DROP", expression='OWNED BY "o\'dd us@r"'))
        admin.execute(exp.Command(this="DROP", expression='ROLE "o\'dd us@r"'))
        admin.close()


def test_postgres_takes_on_the_role_that_the_profile_names(postgres_server: str) -> None:
    admin = connect(_target(postgres_server, {}))
    admin.execute(exp.Command(this="CREATE", expression="ROLE reporting"))
    try:
        warehouse = connect(_target(postgres_server, {"role": "reporting"}))
        assert _one(warehouse, "SELECT current_user") == "reporting"
        warehouse.close()
    finally:
        admin.execute(exp.Command(this="DROP", expression="ROLE reporting"))
        admin.close()


def _target(uri: str, more: dict[str, object]) -> Target:
    address = urlsplit(uri)
    settings = {"host": address.hostname, "port": address.port, "user": address.username, "database": address.path[1:]}
    return Target("postgres", "test", {**settings, **more})
