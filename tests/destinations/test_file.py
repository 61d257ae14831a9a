"""Audiences in files on this machine: what stands in them, and that a file is whole or not there."""

from __future__ import annotations

import csv
import datetime as dt
import decimal
import json
import os
import re
import resource
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest

from activate.deliver.carry import NotTaken, Refused
from activate.deliver.objects import PartCarrier
from activate.destinations.base import Changes
from activate.destinations.file import AudienceFile
from activate.destinations.webhook import AudienceWebhook
from activate.providers.base import Unusable
from activate.providers.options import check_options, read_options
from activate.providers.webhook import Webhook

NOW = dt.datetime(2026, 11, 22, 10)
FORMATS = ["csv", "jsonl", "parquet"]


def file(path: object, **options: Any) -> AudienceFile:
    given = {"path": str(path), **options}
    assert check_options(AudienceFile.all_options(), given, resolved=True) + AudienceFile.conflicts(given) == []
    return AudienceFile("export", read_options(AudienceFile.all_options(), given))


def batch(
    rows: dict[str, Any], change: str = "add", run_id: str = "20261122T100000Z", audience: str = "vip"
) -> Changes:
    members = rows["_member"]
    columns = {"_member": pa.array(members, pa.string()), "_user_id": pa.array([f"u{n}" for n in range(len(members))]),
               "_change": pa.array([change] * len(members), pa.string())}  # fmt: skip
    columns |= {name: value if isinstance(value, pa.Array | pa.ExtensionArray) else pa.array(value)
                for name, value in rows.items() if name != "_member"}  # fmt: skip
    phase: Any = "remove" if change == "remove" else "upsert"
    return Changes(audience, run_id, phase, pa.RecordBatch.from_pydict(columns))


def write(destination: AudienceFile, *batches: Changes) -> None:
    carrier = PartCarrier()
    for changes in batches:
        carrier.carry(destination.build(changes, NOW))
    carrier.finish()
    carrier.close()


def members(destination: AudienceFile, audience: str = "vip") -> list[str]:
    found = PartCarrier().members(destination.ask_members(audience))
    return sorted(member for batch in found for member in batch)


AWKWARD = [
    "plain",
    'quo"te',
    "comma,semi;",
    "line\nbreak\r\nend",
    "tab\t\\back",
    "Köln 😀",
    "",
    "=1+1",
    "null",
    " spaces ",
]


def _rows() -> dict[str, Any]:
    count = len(AWKWARD)
    numbers: list[float | None] = [0.1, 1e300, float("nan"), float("inf"), None, -0.0, 1.0, 2.5, 1e-7, 3.0]
    decimals = [decimal.Decimal("12345678901234567890.123456789"), decimal.Decimal("0.000000001"), None]
    return {
        "_member": [f"m{n},\"'\n" for n in range(count)],
        "text": [*AWKWARD[:-1], None],
        "number": numbers,
        "amount": pa.array([*decimals, *[decimal.Decimal("1.5")] * (count - 3)], pa.decimal128(38, 9)),
        "seen": [dt.datetime(2026, 1, 2, 3, 4, 5, 678901)] * (count - 1) + [None],
        "zoned": pa.array([dt.datetime(2026, 7, 2, 3, 4, 5)] * count, pa.timestamp("us", "Europe/Berlin")),
        "day": [dt.date(2026, 1, 2)] * count,
        "flag": [True, False, None] + [True] * (count - 3),
        "whole": [2**62] * count,
        "tags": [["a", 'b"']] * (count - 1) + [None],
        "Spälte \"1\", 'x'": ["x"] * count,
        "kind": pa.array(["low"] * count).dictionary_encode(),
        "bytes": [b"\x00\xff"] * count,
    }


def test_csv_holds_every_value_as_rfc_4180_says(tmp_path: Path) -> None:
    rows = _rows()
    write(file(tmp_path / "{audience}.csv"), batch(rows))
    raw = (tmp_path / "vip.csv").read_bytes().decode()
    assert raw.startswith('"user_id","text","number","amount","seen","zoned","day","flag","whole","tags",')
    lines = list(csv.DictReader(raw.splitlines(keepends=True)))
    assert [line["user_id"] for line in lines] == rows["_member"]
    assert [line["text"] for line in lines] == [*AWKWARD[:-1], ""]
    assert ',"",' in raw  # an empty text
    assert '"m9,""\'\n",,' in raw  # a missing one
    assert [line["number"] for line in lines] == ["0.1", "1e+300", "", "", "", "-0", "1", "2.5", "1e-7", "3"]
    assert decimal.Decimal(lines[0]["amount"]) == decimal.Decimal("12345678901234567890.123456789")
    assert lines[2]["amount"] == ""
    first = lines[0]
    assert first["seen"] == "2026-01-02T03:04:05.678901Z"
    assert first["zoned"] == "2026-07-02T03:04:05.000000Z"
    assert (first["day"], first["flag"], first["whole"], first["kind"]) == ("2026-01-02", "true", str(2**62), "low")
    assert json.loads(first["tags"]) == ["a", 'b"']
    assert (first["bytes"], first["Spälte \"1\", 'x'"]) == ("AP8=", "x")


def test_json_lines_hold_every_value(tmp_path: Path) -> None:
    rows = _rows() | {
        "numeric": pa.ExtensionArray.from_storage(
            pa.opaque(pa.string(), "numeric", "PostgreSQL"), pa.array(["12.25", "NaN", *["1"] * 8])
        ),
        "document": pa.ExtensionArray.from_storage(pa.json_(), pa.array(['{"a":\n[1, 2.5]}', *[None] * 9])),
        "nothing": pa.nulls(10),
    }
    write(file(tmp_path / "{audience}.jsonl"), batch(rows))
    text = (tmp_path / "vip.jsonl").read_text()
    lines = [
        json.loads(line, parse_constant=pytest.fail, parse_float=decimal.Decimal) for line in text.split("\n")[:-1]
    ]
    assert list(lines[0]) == ["user_id", *(name for name in rows if name != "_member")]
    assert [line["user_id"] for line in lines] == rows["_member"]
    assert [line["text"] for line in lines] == [*AWKWARD[:-1], None]
    assert [line["number"] and float(line["number"]) for line in lines] == [
        0.1,
        1e300,
        None,
        None,
        None,
        0,
        1,
        2.5,
        1e-7,
        3,
    ]
    assert lines[0]["amount"] == decimal.Decimal("12345678901234567890.123456789")
    assert (lines[0]["numeric"], lines[1]["numeric"]) == (decimal.Decimal("12.25"), None)
    assert lines[0]["document"] == {"a": [1, decimal.Decimal("2.5")]}
    told = {
        name: lines[0][name] for name in ("seen", "zoned", "day", "flag", "whole", "tags", "kind", "bytes", "nothing")
    }
    assert told == {
        "seen": "2026-01-02T03:04:05.678901Z", "zoned": "2026-07-02T03:04:05.000000Z", "day": "2026-01-02", "flag": True,
        "whole": 2**62, "tags": ["a", 'b"'], "kind": "low", "bytes": "AP8=", "nothing": None,
    }  # fmt: skip
    assert lines[9]["tags"] is None


def test_parquet_keeps_the_types(tmp_path: Path) -> None:
    rows = _rows()
    write(file(tmp_path / "{audience}.parquet"), batch(rows), batch(rows))
    table = pa_parquet.read_table(tmp_path / "vip.parquet")
    assert table.num_rows == 2 * len(AWKWARD)
    assert table["user_id"].to_pylist()[:10] == rows["_member"]
    assert table["amount"].type == pa.decimal128(38, 9)
    assert table["seen"].to_pylist()[0] == rows["seen"][0]
    assert table.schema.names == ["user_id", *(name for name in rows if name != "_member")]


@pytest.mark.parametrize("kind", FORMATS)
def test_awkward_members_are_read_back(tmp_path: Path, kind: str) -> None:
    destination = file(tmp_path / "x [1]*" / f"{{audience}}.{kind}", key="Key, 'the' \"one\"")
    assert members(destination) == []
    write(destination, batch({"_member": AWKWARD, "n": list(range(10))}))
    assert members(destination) == sorted(AWKWARD)
    assert members(destination, "another") == []


@pytest.mark.parametrize("kind", FORMATS)
def test_changes_are_folded_in_the_order_of_the_runs(tmp_path: Path, kind: str) -> None:
    destination = file(tmp_path / "{date}" / f"{{audience}}-{{run_id}}.{kind}", content="changes")
    runs = [
        "20261122T095959Z",
        "20261122T100000Z",
        "20261122T100000Z-2",
        "20261122T100000Z-10",
        "20261122T100000.500000Z",
    ]

    def sync(run: int, remove: list[str], add: list[str]) -> None:
        write(
            destination,
            batch({"_member": remove, "n": pa.nulls(len(remove), pa.int64())}, "remove", runs[run]),
            batch({"_member": add, "n": pa.array(range(len(add)), pa.int64())}, "add", runs[run]),
        )

    sync(4, [], ["e"])
    sync(3, ["b"], [])
    sync(2, [], ["b"])
    sync(1, ["a"], ["d"])
    sync(0, [], ["a", "b", "c"])
    assert members(destination) == ["c", "d", "e"]
    sync(4, ["c", "e"], ["c"])  # handed over again: the same file
    assert members(destination) == ["c", "d"]
    (tmp_path / "2026-11-22" / f"vip-notes.{kind}").write_text("something else")
    assert members(destination) == ["c", "d"]
    assert sorted(path.name for path in (tmp_path / "2026-11-22").iterdir())[0] == f"vip-20261122T095959Z.{kind}"


def test_a_file_of_changes_says_what_each_row_is(tmp_path: Path) -> None:
    destination = file(tmp_path / "{audience}.{run_id}.csv", content="changes", key="email")
    write(
        destination,
        batch({"_member": ["a"], "city": pa.nulls(1, pa.string())}, "remove"),
        batch({"_member": ["b"], "city": ["Bonn"]}, "add"),
    )
    assert (tmp_path / "vip.20261122T100000Z.csv").read_text() == (
        '"email","change","city"\n"a","remove",\n"b","add","Bonn"\n'
    )


@pytest.mark.parametrize("kind", FORMATS)
def test_a_whole_file_is_replaced_and_the_newest_is_read(tmp_path: Path, kind: str) -> None:
    destination = file(tmp_path / f"{{audience}}.{kind}")
    for names in (["a", "b"], ["b", "c"], ["b", "c"], []):
        write(destination, batch({"_member": names, "n": pa.array(range(len(names)), pa.int64())}))
        assert members(destination) == names
    dated = file(tmp_path / f"{{date}}-{{audience}}.{kind}")
    write(dated, batch({"_member": ["old"]}))
    (tmp_path / f"2026-11-22-vip.{kind}").rename(tmp_path / f"2026-11-21-vip.{kind}")
    write(dated, batch({"_member": ["new"]}))
    assert members(dated) == ["new"]


@pytest.mark.parametrize("kind", FORMATS)
def test_nothing_is_published_before_the_end(tmp_path: Path, kind: str) -> None:
    target = tmp_path / f"vip.{kind}"
    destination = file(target)
    write(destination, batch({"_member": ["a"]}))
    before = target.read_bytes()
    carrier = PartCarrier()
    carrier.carry(destination.build(batch({"_member": ["b"]}), NOW))
    assert target.read_bytes() == before
    carrier.abandon()
    assert list(tmp_path.iterdir()) == [target]
    with pytest.raises(NotTaken, match="nothing_staged"):
        carrier.finish()
    carrier.carry(destination.build(batch({"_member": ["c"]}), NOW))
    carrier.finish()
    assert members(destination) == ["c"]
    assert list(tmp_path.iterdir()) == [target]


def test_a_row_without_a_member_is_refused_and_the_others_go_on(tmp_path: Path) -> None:
    destination = file(tmp_path / "vip.csv")
    carrier = PartCarrier()
    carrier.carry(destination.build(batch({"_member": ["a"]}), NOW))
    with pytest.raises(Refused, match="no_member"):
        carrier.carry(destination.build(batch({"_member": ["b", None]}), NOW))
    carrier.carry(destination.build(batch({"_member": ["b"]}), NOW))
    carrier.finish()
    assert members(destination) == ["a", "b"]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_killed_process_leaves_the_published_file_and_its_rest_is_cleared(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"{{audience}}-{{run_id}}.{kind}"
    destination = file(path)
    write(destination, batch({"_member": ["a"]}))
    target = tmp_path / f"vip-20261122T100000Z.{kind}"
    before = target.read_bytes()
    code = (
        "import sys, time\nfrom tests.destinations.test_file import *\n"
        f"destination, carrier = file({str(path)!r}), PartCarrier()\n"
        "carrier.carry(destination.build(batch({'_member': [str(n) for n in range(200_000)]}), NOW))\n"
        "print('staged', flush=True)\ntime.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "staged\n"
        process.send_signal(signal.SIGKILL)
    rest = [found for found in tmp_path.iterdir() if found != target]
    assert [found.name[-5:] for found in rest] == [".part"]
    assert target.read_bytes() == before
    assert members(destination) == ["a"]
    write(destination, batch({"_member": ["b"]}, run_id="20261122T110000Z"))
    assert members(destination) == ["b"]
    assert not rest[0].exists()


@pytest.mark.slow
def test_a_process_killed_at_any_moment_leaves_the_old_file_or_the_new(tmp_path: Path) -> None:
    destination = file(tmp_path / "vip.csv")
    old = [f"old{n}" for n in range(1_000)]
    write(destination, batch({"_member": old}))
    code = (
        "from tests.destinations.test_file import *\n"
        f"destination = file({str(tmp_path / 'vip.csv')!r})\nprint('ready', flush=True)\n"
        "for turn in range(1000):\n"
        "    write(destination, *[batch({'_member': [f'{turn}-{part}-{n}' for n in range(5000)]}) for part in range(4)])\n"
    )
    for wait in (0.0, 0.02, 0.05, 0.13, 0.21):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(wait)
            process.kill()
        found = members(destination)
        assert found == sorted(old) or (len(found) == 20_000 and len({member.split("-")[0] for member in found}) == 1)


def _fill(carrier: PartCarrier, destination: AudienceFile) -> None:
    for _ in range(100):
        carrier.carry(destination.build(batch({"_member": [str(n) * 10 for n in range(1000)]}), NOW))


def test_a_full_disk_spoils_the_file_and_says_so(tmp_path: Path) -> None:
    destination = file(tmp_path / "vip.csv")
    write(destination, batch({"_member": ["a"]}))
    carrier = PartCarrier()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(NotTaken, match="disk_full"):
            _fill(carrier, destination)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    with pytest.raises(NotTaken, match="disk_full"):
        carrier.finish()
    with pytest.raises(NotTaken, match="disk_full"):
        carrier.carry(destination.build(batch({"_member": ["b"]}), NOW))
    carrier.close()
    assert members(destination) == ["a"]
    assert [path.name for path in tmp_path.iterdir()] == ["vip.csv"]


def test_a_place_that_cannot_be_written_is_unusable(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file")
    with pytest.raises(Unusable, match="not a directory|file exists") as unusable:
        write(file(tmp_path / "folder" / "secret-vip.csv"), batch({"_member": ["a"]}))
    assert "secret" not in f"{unusable.value!r} {unusable.value}"


@pytest.mark.parametrize(
    "rows", [{"user_id": ["x"]}, {"change": ["x"]}, {"iv": pa.array([None], pa.month_day_nano_interval())}]
)
def test_a_field_without_a_place_is_named(tmp_path: Path, rows: dict[str, Any]) -> None:
    destination = file(tmp_path / "{run_id}.parquet", content="changes")
    with pytest.raises(Unusable):
        write(destination, batch({"_member": ["a"], **rows}))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    for kind, content in (("csv", "a,b\n1,2\n"), ("parquet", "no"), ("jsonl", "{\n")):
        (tmp_path / f"vip.{kind}").write_text(content)
        with pytest.raises(Unusable, match="cannot be read"):
            members(file(tmp_path / f"vip.{kind}"))


def test_a_new_file_is_its_owners_and_a_replaced_one_keeps_its_permissions(tmp_path: Path) -> None:
    destination, target = file(tmp_path / "vip.csv"), tmp_path / "vip.csv"
    write(destination, batch({"_member": ["a"]}))
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    target.chmod(0o640)
    write(destination, batch({"_member": ["b"]}))
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_a_link_in_the_way_of_staging_is_not_followed(tmp_path: Path) -> None:
    destination, victim = file(tmp_path / "vip.csv"), tmp_path / "victim"
    victim.write_text("mine")
    carrier = PartCarrier()
    carrier.carry(destination.build(batch({"_member": ["a"]}), NOW))
    staged = next(path for path in tmp_path.iterdir() if path.suffix == ".part")
    carrier.abandon()
    staged.symlink_to(victim)
    write(destination, batch({"_member": ["a"]}))
    assert (victim.read_text(), members(destination)) == ("mine", ["a"])


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMATS)
def test_memory_stays_flat(tmp_path: Path, kind: str) -> None:
    code = (
        "import resource\nfrom tests.destinations.test_file import *\n"
        f"destination = file({str(tmp_path / f'{{run_id}}.{kind}')!r}, content='changes')\n"
        "def sync(parts, run_id):\n"
        "    carrier = PartCarrier()\n"
        "    for part in range(parts):\n"
        "        rows = {'_member': [f'{part}-{n}' for n in range(20_000)], 'text': ['x' * 100] * 20_000}\n"
        "        carrier.carry(destination.build(batch(rows, run_id=run_id), NOW))\n"
        "    carrier.finish()\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024\n"
        "sync(5, '20261122T100000Z')\nfirst = peak()\nsync(60, '20261122T110000Z')\n"
        "print(first, peak())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, last = map(int, done.stdout.split())
    assert last - first < 60  # MB; the file has 130


def test_what_was_written_is_read_by_others(tmp_path: Path) -> None:
    for kind, reader in (("csv", "read_csv"), ("jsonl", "read_json"), ("parquet", "read_parquet")):
        write(file(tmp_path / f"vip.{kind}"), batch(_rows()))
        found = duckdb.sql(f"SELECT user_id, text, whole FROM {reader}('{tmp_path}/vip.{kind}')").fetchall()
        assert [row[0] for row in found] == _rows()["_member"]
        assert {row[2] for row in found} == {2**62}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "'path' is missing"),
        ({"path": "out/"}, "not a folder"),
        ({"path": "out/{segment}.csv"}, r"\{segment\} is not known"),
        ({"path": "out/x.txt"}, "'format' is missing"),
        ({"path": "out/x.csv", "content": "changes"}, r"add \{run_id\}"),
        ({"path": "out/{run_id}.csv", "content": "changes", "key": "change"}, "tells additions"),
        ({"path": "out/x.csv", "content": "all"}, "one of: full, changes"),
        ({"path": "out/x.csv", "storage": {"key": "x"}}, "is for addresses"),
        ({"path": "out/x.csv", "concurrency": 4}, "one writer"),
        ({"path": "https://example.com/x.csv"}, "cannot be written to"),
        ({"path": "sftp://ann:hunter2@host/x.csv"}, "must not hold a password"),
        ({"path": "file:///x.csv"}, "without file://"),
        ({"path": "out/x.csv", "key": "_member"}, "Activate's own"),
    ],
)
def test_wrong_options_are_told(options: dict[str, Any], problem: str) -> None:
    found = "\n".join(
        check_options(AudienceFile.all_options(), options, resolved=False) + AudienceFile.conflicts(options)
    )
    assert re.search(problem, found)
    assert "hunter2" not in found


@pytest.mark.parametrize(
    ("storage", "named"),
    [
        ({"key": "AKIA", "secret": "hunter2"}, ["storage.key", "storage.secret"]),
        ({"key": "{{ env_var('S3_KEY') }}", "secret": "hunter2"}, ["storage.secret"]),
        ({"client_kwargs": {"aws_secret_access_key": "hunter2", "region_name": "eu-central-1"}},
         ["storage.client_kwargs.aws_secret_access_key"]),
        ({"username": "ann", "password": 123456}, ["storage.password"]),
        ({"account_name": "shop", "account_key": "hunter2", "sas_token": "hunter2"}, ["storage.account_key", "storage.sas_token"]),
        ({"connection_string": "AccountKey=hunter2"}, ["storage.connection_string"]),
        ({"passphrase": "hunter2", "key_filename": "/keys/id_ed25519"}, ["storage.passphrase"]),
        ({"client_kwargs": {"endpoint_url": "https://ann:hunter2@s3.example.com"}}, ["storage.client_kwargs.endpoint_url"]),
        ({"token": "hunter2"}, ["storage.token"]),
        ({"token": "google_default", "anon": True, "known_hosts": "/etc/hosts", "allow_agent": False}, []),
        ({"client_kwargs": {"endpoint_url": "https://s3.example.com"}, "key": None, "secret": ""}, []),
    ],
)  # fmt: skip
def test_secrets_among_the_storage_options_are_told_and_not_quoted(storage: dict[str, Any], named: list[str]) -> None:
    options = {"path": "s3://bucket/{audience}.csv", "storage": storage}
    found = check_options(AudienceFile.all_options(), options, resolved=False)
    assert [problem.split("'")[1] for problem in found] == named
    assert all("does not belong in a file" in problem for problem in found)
    assert not any("hunter2" in problem or "123456" in problem for problem in found)
    assert check_options(AudienceFile.all_options(), options, resolved=True) == [], (
        "once resolved, they are what they are"
    )


@pytest.mark.parametrize("name", ["Authorization", "X-Api-Key", "x-auth-token", "Cookie"])
def test_secrets_among_headers_are_told_too(name: str) -> None:
    for kind in (AudienceWebhook, Webhook):
        written = {
            "url": "https://example.com/x",
            "secret": "{{ env_var('X') }}",
            "headers": {name: "hunter2", "X-Team": "growth"},
        }
        (problem,) = check_options(kind.all_options(), written, resolved=False)
        assert problem.startswith(f"'headers.{name}' is a secret")
        assert "hunter2" not in problem
        headers = {name: "Bearer {{ env_var('X') }}"}
        assert check_options(kind.all_options(), {**written, "headers": headers}, resolved=False) == []


def test_a_path_with_a_variable_is_left_for_later() -> None:
    options = {"path": "s3://{{ env_var('BUCKET') }}/{audience}.csv", "storage": {"secret": "{{ env_var('S') }}"}}
    assert check_options(AudienceFile.all_options(), options, resolved=False) + AudienceFile.conflicts(options) == []


def test_no_value_shows_in_what_is_printed(tmp_path: Path) -> None:
    destination = file("s3://bucket/{audience}.csv", storage={"secret": "hunter2"})
    request = destination.build(batch({"_member": ["ann@example.com"]}), NOW)
    question = destination.ask_members("vip")
    assert not any(word in repr((request, question)) for word in ("ann@example.com", "hunter2"))
    assert os.fspath(request.url) == "s3://bucket/vip.csv"


@pytest.mark.parametrize("kind", FORMATS)
def test_a_batch_with_other_columns_spoils_the_file(tmp_path: Path, kind: str) -> None:
    destination = file(tmp_path / f"vip.{kind}")
    with pytest.raises(Unusable, match="columns of a file cannot change"):
        write(destination, batch({"_member": ["a"]}), batch({"_member": ["b"], "n": [1]}))
    assert list(tmp_path.iterdir()) == []
