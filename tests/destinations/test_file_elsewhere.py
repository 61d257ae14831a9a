"""Audiences in object storage and over SFTP, against servers of our own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from activate.deliver import stores
from activate.deliver.carry import InDoubt, NotTaken
from activate.deliver.objects import PartCarrier
from activate.destinations.file import AudienceFile
from activate.providers.base import Unusable
from tests.destinations.sftp_server import PASSWORD, USER, SftpServer
from tests.destinations.test_file import AWKWARD, FORMATS, NOW, batch, file, members, write

SECRET = "hunter2-secret-key"


@pytest.fixture(scope="module")
def s3_bucket() -> Iterator[tuple[str, Any]]:
    """The address of an S3 server, and a bucket there."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0, ip_address="127.0.0.1", verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.resource(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    yield url, client.create_bucket(Bucket="exports")
    server.stop()


@pytest.fixture
def s3(s3_bucket: tuple[str, Any]) -> dict[str, Any]:
    """The storage options of an S3 server that holds an empty bucket."""
    url, bucket = s3_bucket
    bucket.objects.all().delete()
    return {
        "key": "AKIATEST",
        "secret": SECRET,
        "client_kwargs": {"endpoint_url": url, "region_name": "us-east-1"},
    }


@pytest.fixture
def sftp(tmp_path: Path) -> Iterator[SftpServer]:
    root = tmp_path / "served"
    (root / "drop").mkdir(parents=True)
    server = SftpServer(root)
    yield server
    server.close()


def over_sftp(server: SftpServer, tmp_path: Path, path: str, content: str = "full", **storage: Any) -> AudienceFile:
    options = {"username": USER, "password": PASSWORD, "known_hosts": str(server.known_hosts(tmp_path / "known_hosts")),
               "allow_agent": False, "look_for_keys": False, **storage}  # fmt: skip
    return file(f"sftp://127.0.0.1:{server.port}{path}", content=content, storage=options)


@pytest.mark.parametrize("kind", FORMATS)
def test_an_object_is_written_replaced_and_read_back(s3: dict[str, Any], kind: str) -> None:
    destination = file(f"s3://exports/crm/{{audience}}.{kind}", storage=s3)
    assert members(destination) == []
    write(destination, batch({"_member": AWKWARD, "n": list(range(10))}))
    assert members(destination) == sorted(AWKWARD)
    write(destination, batch({"_member": ["a"]}), batch({"_member": ["b"]}))
    assert members(destination) == ["a", "b"]


def test_changes_in_object_storage_are_folded(s3: dict[str, Any]) -> None:
    destination = file("s3://exports/{date}/{audience}/{run_id}.csv", content="changes", storage=s3)
    write(destination, batch({"_member": ["b"]}, "remove", "20261122T100000Z-10"))
    write(destination, batch({"_member": ["b", "c"]}, run_id="20261122T100000Z-2"))
    write(destination, batch({"_member": ["a", "b"]}, run_id="20261122T100000Z"))
    assert members(destination) == ["a", "c"]
    assert members(destination, "other") == []


def test_an_object_is_not_there_before_the_end(s3: dict[str, Any]) -> None:
    destination = file("s3://exports/{audience}.csv", storage=s3)
    carrier = PartCarrier()
    carrier.carry(destination.build(batch({"_member": ["a"]}), NOW))
    assert members(destination) == []
    carrier.abandon()
    assert members(destination) == []


def test_a_large_object_is_uploaded_in_parts(s3: dict[str, Any]) -> None:
    destination = file("s3://exports/{audience}.csv", storage={**s3, "default_block_size": 5 * 2**20})
    names = [f"{n:0200}" for n in range(150_000)]
    write(destination, *[batch({"_member": names[start : start + 50_000]}) for start in (0, 50_000, 100_000)])
    found = members(destination)
    assert (len(found), found[0], found[-1]) == (150_000, names[0], names[-1])


def test_a_bucket_that_is_not_there_is_told(s3: dict[str, Any]) -> None:
    with pytest.raises(Unusable, match="no such bucket"):
        write(file("s3://nowhere/{audience}.csv", storage=s3), batch({"_member": ["a"]}))


def test_object_storage_that_refuses_us_is_told_without_the_secret(
    s3: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import s3fs

    async def refuse(self: object, *given: Any, **named: Any) -> None:
        raise PermissionError(f"Access Denied for {SECRET}")

    monkeypatch.setattr(s3fs.S3FileSystem, "_put_file", refuse)
    with pytest.raises(Unusable, match="refused us") as unusable:
        write(file("s3://exports/{audience}.csv", storage=s3), batch({"_member": ["a"]}))
    assert SECRET not in f"{unusable.value} {unusable.value!r}"


def test_an_upload_without_an_answer_is_in_doubt_and_may_be_finished_again(
    s3: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import s3fs

    whole, tries = s3fs.S3FileSystem._put_file, []

    async def lose_once(self: Any, *given: Any, **named: Any) -> None:
        tries.append(given)
        if len(tries) == 1:
            raise ConnectionResetError(f"lost, with {SECRET}")
        await whole(self, *given, **named)

    monkeypatch.setattr(s3fs.S3FileSystem, "_put_file", lose_once)
    destination = file("s3://exports/{audience}.csv", storage=s3)
    carrier = PartCarrier()
    carrier.carry(destination.build(batch({"_member": ["a"]}), NOW))
    with pytest.raises(InDoubt, match="^upload_unanswered$"):
        carrier.finish()
    carrier.finish()
    assert members(destination) == ["a"]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_is_written_over_sftp_and_read_back(sftp: SftpServer, tmp_path: Path, kind: str) -> None:
    destination = over_sftp(sftp, tmp_path, f"/drop/crm/{{audience}}.{kind}")
    assert members(destination) == []
    write(destination, batch({"_member": AWKWARD, "n": list(range(10))}))
    assert members(destination) == sorted(AWKWARD)
    write(destination, batch({"_member": ["a"]}))
    assert members(destination) == ["a"]
    assert [path.name for path in (sftp.root / "drop" / "crm").iterdir()] == [f"vip.{kind}"]


def test_changes_over_sftp_are_folded(sftp: SftpServer, tmp_path: Path) -> None:
    destination = over_sftp(sftp, tmp_path, "/drop/{audience}-{run_id}.jsonl", "changes")
    write(
        destination,
        batch({"_member": ["a"]}, "remove", "20261122T110000Z"),
        batch({"_member": ["c"]}, run_id="20261122T110000Z"),
    )
    write(destination, batch({"_member": ["a", "b"]}))
    assert members(destination) == ["b", "c"]


def test_an_upload_over_sftp_that_breaks_off_leaves_the_published_file(sftp: SftpServer, tmp_path: Path) -> None:
    destination = over_sftp(sftp, tmp_path, "/drop/{audience}.csv")
    write(destination, batch({"_member": ["a"]}))
    carrier = PartCarrier()
    carrier.carry(destination.build(batch({"_member": [str(n) for n in range(100_000)]}), NOW))
    sftp.dies_after.append(100_000)
    with pytest.raises(NotTaken, match="^storage_unreachable$"):
        carrier.finish()
    assert (sftp.root / "drop" / "vip.csv").read_text() == '"user_id"\n"a"\n'
    carrier.close()
    sftp.dies_after.clear()
    write(destination, batch({"_member": ["b"]}))
    assert [path.name for path in (sftp.root / "drop").iterdir()] == ["vip.csv"]
    assert members(destination) == ["b"]


def test_a_wrong_password_is_told_without_it(sftp: SftpServer, tmp_path: Path) -> None:
    destination = over_sftp(sftp, tmp_path, "/drop/{audience}.csv", password="wrong-hunter3")
    with pytest.raises(Unusable, match="refused us") as unusable:
        write(destination, batch({"_member": ["a"]}))
    assert "hunter3" not in f"{unusable.value} {unusable.value!r}"


def test_a_server_whose_key_is_not_known_gets_nothing(sftp: SftpServer, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("")
    with pytest.raises(Unusable, match="known_hosts"):
        write(over_sftp(sftp, tmp_path, "/drop/x.csv", known_hosts=str(empty)), batch({"_member": ["a"]}))
    assert list((sftp.root / "drop").iterdir()) == []


def test_a_server_that_is_not_there_takes_nothing(sftp: SftpServer, tmp_path: Path) -> None:
    destination = over_sftp(sftp, tmp_path, "/drop/x.csv")
    sftp.close()
    with pytest.raises(NotTaken, match="storage_unreachable"):
        write(destination, batch({"_member": ["a"]}))


def test_an_option_that_is_not_known_is_told(s3: dict[str, Any]) -> None:
    with pytest.raises(Unusable, match="`storage` has an option"):
        write(file("s3://exports/x.csv", storage={**s3, "no_such_option": 1}), batch({"_member": ["a"]}))


def test_a_missing_package_is_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    destination = file("s3://exports/{audience}.csv")
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(Unusable, match=r"pip install 'dbt-activate\[files\]'"):
        write(destination, batch({"_member": ["a"]}))
    monkeypatch.undo()
    unheard_of = file("nosuch://host/{audience}.csv")
    with pytest.raises(Unusable):
        write(unheard_of, batch({"_member": ["a"]}))


def test_what_is_staged_for_elsewhere_has_no_name(
    s3: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    destination = file("s3://exports/{audience}.csv", storage=s3)
    carrier = PartCarrier()
    carrier.carry(destination.build(batch({"_member": [str(n) for n in range(100_000)]}), NOW))
    assert list(tmp_path.iterdir()) == []
    carrier.finish()
    assert list(members(destination))[:2] == ["0", "1"]
    assert list(tmp_path.iterdir()) == []
    assert stores.open_store(destination.ask_members("vip").place).pattern == "exports/vip.csv"
