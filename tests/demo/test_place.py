"""The demo runs in the reference project or in a copy of it, and in nobody else's."""

from __future__ import annotations

from pathlib import Path

import pytest

from activate.demo.place import COPY, demo_project
from activate.errors import SettingsError
from activate.scaffold.reference import PARTS, reference_project

ROOT = Path(__file__).parents[2]


def test_the_clone_itself_is_the_demo_project() -> None:
    assert demo_project(ROOT) == ROOT
    assert reference_project() == ROOT


def test_an_empty_directory_gets_a_copy_once(tmp_path: Path) -> None:
    copy = demo_project(tmp_path)
    assert copy == tmp_path / COPY
    assert sorted(path.name for path in copy.iterdir()) == sorted(PARTS)
    (copy / "rules" / "activate.yml").write_text("# mine now", "utf-8")
    assert demo_project(tmp_path) == copy
    assert (copy / "rules" / "activate.yml").read_text("utf-8") == "# mine now"


def test_somebody_elses_project_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "dbt_project.yml").write_text("name: their_shop\n", "utf-8")
    assert demo_project(tmp_path) == tmp_path / COPY
    assert (tmp_path / "dbt_project.yml").read_text("utf-8") == "name: their_shop\n"


def test_a_folder_that_is_no_copy_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / COPY).mkdir()
    with pytest.raises(SettingsError, match="is not a copy of the demo"):
        demo_project(tmp_path)
    assert list((tmp_path / COPY).iterdir()) == []
