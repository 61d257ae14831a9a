"""An Airflow of its own for these tests, and a shop that has been built and launched once.

There is no `__init__.py` here on purpose: tests/ is on the import path, and a package tests/airflow would hide Airflow.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow_world import LATER, LAUNCH, ROOT, Airflow, Gateway, Shop, install, running_gateway
from tests.warm_dbt import WarmDbt

from activate import run
from activate.demo.dbt import dbt_build
from activate.demo.generate import generate
from activate.demo.load import load, make_room
from activate.demo.place import PARTS
from activate.settings import find_options, load_target
from activate.warehouses.registry import connect

# Airflow reads its configuration, and writes a file of it, when it is first imported.
_HOME = tempfile.mkdtemp(prefix="activate-airflow-")
os.environ |= {
    "AIRFLOW_HOME": _HOME,
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
    "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
    "AIRFLOW__API_AUTH__JWT_SECRET": "only-for-these-tests-0123456789abcdef",
}


@pytest.fixture(scope="session", autouse=True)
def _airflow_home() -> Iterator[None]:
    yield
    shutil.rmtree(_HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def launched_shop(tmp_path_factory: pytest.TempPathFactory, warm_dbt: WarmDbt) -> Path:
    """Made once: raw tables, dbt's models, and a first tick, after which campaigns see what happens."""
    directory = tmp_path_factory.mktemp("shop") / "project"
    directory.mkdir()
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy2
        copy(ROOT / part, directory / part)
    options = find_options(directory, directory)
    target = load_target(options)
    made = generate(people=400, days=1, seed=11)
    assert made.replay_from == LAUNCH
    warehouse = connect(target)
    make_room(warehouse, made, "analytics", "activate")
    load(warehouse, made, None, made.replay_until)
    warehouse.close()
    # The models are those of LATER; a tick at LAUNCH sees of the triggers only what was loaded by then.
    dbt_build(options, target, LATER, ("--exclude-resource-type", "unit_test", "test"))
    project, warehouse = run.open_project(options)
    run.decide(warehouse, project, LAUNCH)
    warehouse.close()
    return directory


@pytest.fixture
def shop(launched_shop: Path, tmp_path: Path) -> Shop:
    """A copy for one test."""
    return Shop(Path(shutil.copytree(launched_shop, tmp_path / "project")))


@pytest.fixture(scope="session")
def migrated_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An Airflow home with an empty database."""
    home = tmp_path_factory.mktemp("airflow") / "home"
    home.mkdir()
    env = {**os.environ, "AIRFLOW_HOME": str(home)}
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], env=env, check=True, capture_output=True)
    return home


@pytest.fixture
def airflow(migrated_home: Path, tmp_path: Path) -> Airflow:
    """An Airflow for one test."""
    return install(migrated_home, tmp_path)


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """A gateway for one test."""
    with running_gateway() as made:
        yield made
