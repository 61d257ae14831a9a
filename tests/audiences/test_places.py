"""Audiences synced into tables and files, from the segment to the place."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest

from activate import mending
from activate.destinations import registry
from activate.destinations.file import AudienceFile
from activate.errors import SettingsError
from activate.warehouses.base import Warehouse
from tests.audiences.town import Town

COLUMNS = {"ltv": "bigint", "city": "text"}


@pytest.fixture(autouse=True)
def _files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.DESTINATIONS, "file", AudienceFile)  # type: ignore[index]


def _town(warehouse: Warehouse, directory: Path, **crm: Any) -> Town:
    town = Town(warehouse, directory, {"crm": crm})
    town.segment("vips", {"ada": {"ltv": 10, "city": "Bonn"}, "bob": {"ltv": 20, "city": 'a "b", c'}}, COLUMNS)
    return town.audience(fields={"value": "ltv", "city": "city"})


def _next(town: Town) -> None:
    town.later().segment("vips", {"bob": {"ltv": 21, "city": "Ulm"}, "cid": {"ltv": 30, "city": None}})


def test_a_table_follows_its_segment(warehouse: Warehouse, tmp_path: Path) -> None:
    town = _town(warehouse, tmp_path, type="table", table="crm.{audience}")
    assert (report := town.sync()).outcomes == {"accepted": 2}, report.error
    _next(town)
    assert (report := town.sync()).outcomes == {"accepted": 3}, report.error
    assert warehouse.query("SELECT user_id, value, city FROM crm.vips ORDER BY user_id").to_pylist() == [
        {"user_id": "bob", "value": 21, "city": "Ulm"}, {"user_id": "cid", "value": 30, "city": None},
    ]  # fmt: skip
    warehouse.execute("DELETE FROM crm.vips WHERE user_id = 'cid'")
    warehouse.execute("INSERT INTO crm.vips (user_id) VALUES ('eve')")
    assert town.later().sync(full=True).error is None
    found = warehouse.query("SELECT user_id FROM crm.vips ORDER BY user_id").to_pylist()
    assert [row["user_id"] for row in found] == ["bob", "cid", "eve"]  # whoever we never sent is not ours to remove


def test_a_value_that_a_table_refuses_is_rejected_alone(warehouse: Warehouse, tmp_path: Path) -> None:
    town = _town(warehouse, tmp_path, type="table", table="crm.vips")
    warehouse.execute("CREATE SCHEMA crm")
    warehouse.execute("CREATE TABLE crm.vips (user_id text, value integer, city integer)")
    town.segment("vips", {str(n): {"ltv": n, "city": "poison" if n == 77 else str(n)} for n in range(100)})
    assert town.sync().outcomes == {"accepted": 99, "rejected": 1}
    assert warehouse.query("SELECT COUNT(*) AS n FROM crm.vips").to_pylist() == [{"n": 99}]


def test_files_of_changes_tell_what_happened(warehouse: Warehouse, tmp_path: Path) -> None:
    town = _town(warehouse, tmp_path, type="file", path="out/{audience}/{run_id}.csv", content="changes")
    assert (report := town.sync()).outcomes == {"accepted": 2}, report.error
    _next(town)
    assert (report := town.sync()).outcomes == {"accepted": 3}, report.error
    files = sorted((tmp_path / "out" / "vips").iterdir())
    told = [list(csv.reader(file.read_text().splitlines())) for file in files]
    assert told[0] == [
        ["user_id", "change", "value", "city"],
        ["ada", "add", "10", "Bonn"],
        ["bob", "add", "20", 'a "b", c'],
    ]
    assert told[1][:2] == [["user_id", "change", "value", "city"], ["ada", "remove", "", ""]]
    assert sorted(told[1][2:]) == [["bob", "update", "21", "Ulm"], ["cid", "add", "30", ""]]
    assert town.later().sync().outcomes == {}
    assert len(list((tmp_path / "out" / "vips").iterdir())) == 2
    assert town.later().sync(full=True).error is None


def test_a_whole_file_holds_the_segment(warehouse: Warehouse, tmp_path: Path) -> None:
    town = _town(warehouse, tmp_path, type="file", path="out/{audience}.parquet")
    assert (report := town.sync()).outcomes == {"accepted": 2}, report.error
    _next(town)
    assert (report := town.sync()).outcomes == {"accepted": 3}, report.error
    table: pa.Table = pa_parquet.read_table(tmp_path / "out" / "vips.parquet").sort_by("user_id")
    assert table.to_pylist() == [
        {"user_id": "bob", "value": 21, "city": "Ulm"}, {"user_id": "cid", "value": 30, "city": None},
    ]  # fmt: skip
    town.later().segment("vips", {})
    report = town.sync(full=True)
    assert report.error is None


def test_a_file_of_everybody_holds_those_whose_mapping_was_taken_for_right(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    town = _town(warehouse, tmp_path, type="file", path="out/{audience}.jsonl")
    assert town.sync().error is None
    town.audience(fields={"value": "ltv"}, on_new_mapping="rebaseline")
    _next(town)
    assert (report := town.sync()).error is None, report.error
    rows = [json.loads(line) for line in (tmp_path / "out" / "vips.jsonl").read_text().splitlines()]
    assert sorted(rows, key=lambda row: row["user_id"]) == [
        {"user_id": "bob", "value": 21}, {"user_id": "cid", "value": 30},
    ]  # fmt: skip


def test_a_run_cannot_be_undone_where_the_full_set_is_written(warehouse: Warehouse, tmp_path: Path) -> None:
    town = _town(warehouse, tmp_path, type="file", path="out/{audience}.jsonl")
    town.sync()
    run_id = warehouse.query(f"SELECT run_id FROM {town.state}.audience_syncs").to_pylist()[0]["run_id"]
    before = (tmp_path / "out" / "vips.jsonl").read_text()
    with pytest.raises(SettingsError, match="full set or nothing"):
        mending.undo(town.warehouse, town.project, run_id, town.now, apply=True)
    assert (tmp_path / "out" / "vips.jsonl").read_text() == before


def test_a_file_of_everybody_leaves_out_who_cannot_be_sent_and_takes_them_in_again(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    town = _town(warehouse, tmp_path, type="file", path="out/{audience}.jsonl")

    def held() -> list[str]:
        text = (tmp_path / "out" / "vips.jsonl").read_text()
        return sorted(json.loads(line)["user_id"] for line in text.splitlines())

    town.sync()
    assert held() == ["ada", "bob"]
    town.later().put("vips", {"user_id": "ada", "ltv": 1, "city": "twice"})
    assert (report := town.sync()).error is None, report.error
    assert held() == ["bob"]
    town.later().segment("vips", {"ada": {"ltv": 10, "city": "Bonn"}, "bob": {"ltv": 20, "city": 'a "b", c'}})
    assert town.sync().outcomes == {"accepted": 1}
    assert held() == ["ada", "bob"]
    assert town.later().sync().outcomes == {}
