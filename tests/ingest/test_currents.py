"""Braze's Currents as it lies in a bucket: Avro files, one for each kind of event, read as they are."""

from __future__ import annotations

import sys
import tracemalloc
from pathlib import Path
from typing import Any

import fsspec
import pytest

from activate.address import address_hash
from activate.errors import SettingsError
from activate.ingest.files import requests
from activate.sources.base import Captured, Event, Ignored
from tests.ingest.shop import EventShop
from tests.ingest.vectors import ADDRESS, AT, NOON, NUMBER, source

fastavro = pytest.importorskip("fastavro", reason="pip install 'dbt-activate[avro]'")

# What Braze publishes of its files: id, user_id and time are required, whatever else a kind has may be null (or missing).
_OPTIONAL: dict[str, list[str]] = {
    "users.messages.email.Open": ["email_address", "machine_open", "user_agent"],
    "users.messages.email.Bounce": ["email_address", "bounce_reason", "esp", "sending_ip"],
    "users.messages.email.Send": ["email_address"],
    "users.messages.pushnotification.Open": ["platform", "button_string"],
    "users.messages.sms.InboundReceive": ["user_phone_number", "inbound_phone_number", "action", "message_body"],
    "users.behaviors.subscription.GlobalStateChange": ["channel", "email_address", "subscription_status"],
    "users.behaviors.CustomEvent": ["name", "properties"],
}
_SHARED = ["external_user_id", "campaign_id", "campaign_name", "canvas_id", "dispatch_id", "send_id", "timezone"]
_CLUSTER = "dataexport.prod-01.S3.integration.599f118afbe76a01c513c63c"


def currents(folder: Path, kind: str, *records: dict[str, Any], codec: str = "deflate", offset: int = 1) -> Path:
    """A file as Currents writes it, at the path that Braze documents."""
    optional = [
        {"name": name, "type": ["null", "string"], "default": None} for name in _SHARED + _OPTIONAL.get(kind, [])
    ]
    fields: list[dict[str, Any]] = [
        {"name": "id", "type": "string"}, {"name": "user_id", "type": "string"}, {"name": "time", "type": "int"},
    ]  # fmt: skip
    schema = {"type": "record", "name": kind.replace(".", "_"), "fields": fields + optional}
    place = folder / _CLUSTER / f"event_type={kind}" / "date=2026-03-02-11" / "412" / "prod"
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"{_CLUSTER}+0+{offset:010}.avro"
    rows = [{"id": f"{kind}-{number}", "user_id": "bson", "time": AT - 60, **one} for number, one in enumerate(records)]
    with path.open("wb") as stream:
        fastavro.writer(stream, fastavro.parse_schema(schema), rows, codec=codec)
    return path


def read(kind: str, **facts: Any) -> Any:
    document = {"event_type": kind, "id": "b1", "time": AT - 60, **facts}
    (found,) = source("braze").events(document, Captured(NOON, {}, b"{}"))
    return found


def test_a_bucket_is_read_as_it_is_and_each_event_counts_once(local: EventShop, tmp_path: Path) -> None:
    bucket = tmp_path / "bucket"
    currents(bucket, "users.messages.email.Open", {"external_user_id": "u0", "machine_open": "true", "email_address": ADDRESS},
             {"external_user_id": "u1", "email_address": ADDRESS})  # fmt: skip
    currents(bucket, "users.messages.email.Bounce", {"external_user_id": "u0", "email_address": ADDRESS}, codec="null")
    currents(bucket, "users.messages.sms.InboundReceive",
             {"external_user_id": "u1", "user_phone_number": NUMBER, "action": "Unsubscribed", "message_body": "stop"})  # fmt: skip
    currents(bucket, "users.behaviors.CustomEvent", {"name": "users.messages.email.Open"})
    currents(bucket, "users.messages.email.Send", {"external_user_id": "u0", "email_address": ADDRESS})
    (bucket / "_SUCCESS").write_text("no file of events")
    report = local.load("braze", [str(bucket)], signed=False)
    assert (report.events, report.duplicates) == (4, 0)
    assert report.counts == {"ignored users.behaviors.CustomEvent": 1, "ignored users.messages.email.Send": 1}
    rows = [(row["name"], row["user_id"], row["channel"], row["is_machine"]) for row in local.engagements()]
    assert sorted(rows) == [
        ("bounced", "u0", "email", False), ("opened", "u0", "email", True), ("opened", "u1", "email", False),
        ("unsubscribed", "u1", "sms", False),
    ]  # fmt: skip
    lost = {(row["channel"], row["reason"], row["address_hash"]) for row in local.suppressions()}
    assert lost == {
        ("email", "hard_bounce", address_hash("email", ADDRESS)), ("sms", "opted_out", address_hash("sms", NUMBER)),
    }  # fmt: skip
    again = local.load("braze", [str(bucket)], signed=False)
    assert (again.events, again.duplicates) == (0, 4)


def test_files_are_read_in_order_and_where_they_are_named_too(tmp_path: Path) -> None:
    first = currents(tmp_path, "users.messages.email.Open", {}, offset=1)
    second = currents(tmp_path, "users.messages.email.Open", {}, offset=2)
    for names in ([str(tmp_path)], [str(first), str(second)]):
        found = [request.url for name in names for request in requests(name, NOON, raw=True)]  # type: ignore[union-attr]
        assert found == [str(first), str(second)]


def test_object_storage_is_read_through_fsspec(local: EventShop, tmp_path: Path) -> None:
    path = currents(tmp_path, "users.messages.email.Open", {"external_user_id": "u0"})
    memory = fsspec.filesystem("memory")
    try:
        memory.pipe(f"/bucket/{path.relative_to(tmp_path)}", path.read_bytes())
        assert local.load("braze", ["memory://bucket"], signed=False).events == 1
        (name,) = memory.find("/bucket")
        assert local.load("braze", [f"memory:/{name}"], signed=False).duplicates == 1
        with pytest.raises(SettingsError, match=r"memory://empty holds no file to read; read are \.avro, \.json"):
            local.load("braze", ["memory://empty"], signed=False)
    finally:
        memory.rm("/bucket", recursive=True)
    with pytest.raises(SettingsError, match="fsspec knows no zzz://"):
        local.load("braze", ["zzz://bucket"], signed=False)


def test_a_folder_without_a_file_of_events_is_said_to_be_empty(local: EventShop, tmp_path: Path) -> None:
    (tmp_path / "bucket").mkdir()
    with pytest.raises(SettingsError, match="bucket holds no file to read"):
        local.load("braze", [str(tmp_path / "bucket")], signed=False)


def test_avro_has_no_signature_to_verify(local: EventShop, tmp_path: Path) -> None:
    path = currents(tmp_path, "users.messages.email.Open", {})
    with pytest.raises(SettingsError, match=r"is Avro, which nobody has signed: add --unsigned"):
        local.load("braze", [str(path)])


def test_without_fastavro_the_extra_is_named(local: EventShop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = currents(tmp_path, "users.messages.email.Open", {})
    monkeypatch.setitem(sys.modules, "fastavro", None)
    with pytest.raises(SettingsError, match=r"needs fastavro; run: pip install 'dbt-activate\[avro\]'"):
        local.load("braze", [str(path)], signed=False)


def test_without_a_decompressor_its_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.avro"
    path.write_bytes(b"Obj")

    def refuse(stream: Any) -> Any:
        raise ValueError("snappy codec is supported but you need to install one of the following libraries: cramjam")

    monkeypatch.setattr(fastavro, "reader", refuse)
    with pytest.raises(SettingsError, match=r"compressed with snappy.*pip install 'fastavro\[codecs\]'"):
        list(requests(str(path), NOON, raw=True))


@pytest.mark.parametrize("kept", [0, 3, 40, 3_000])
def test_a_file_that_is_cut_off_is_said_to_be_so_and_quotes_nothing(tmp_path: Path, kept: int) -> None:
    path = currents(
        tmp_path, "users.messages.email.Open", *({"email_address": ADDRESS} for _ in range(2_000)), codec="null"
    )
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(SettingsError, match=r"\.avro is no whole Avro file \(\w+ after \d+ records\)") as told:
        list(requests(str(path), NOON, raw=True))
    assert ADDRESS not in str(told.value)


def test_memory_does_not_grow_with_a_file(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        path = currents(tmp_path, "users.messages.email.Open", *({"external_user_id": f"u{n}"} for n in range(count)))
        tracemalloc.start()
        try:
            assert sum(1 for _ in requests(str(path), NOON, raw=True)) == -(-count // 500)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(10_000) < 1.5 * peak(2_000)


def test_lines_that_avro_tools_wrote_are_read_alike() -> None:
    found = read("users.messages.email.Open", external_user_id={"string": "u7"}, machine_open={"boolean": True})
    assert isinstance(found, Event)
    assert (found.user_id, found.is_machine) == ("u7", True)


@pytest.mark.parametrize(
    "path",
    [
        "b/event_type=users.messages.email.Open/date=1/x.json",
        "users.messages.email.Open.avro",
        "s/messages.email.Open.jsonl",
    ],
)
def test_the_path_says_which_event_it_is(path: str) -> None:
    (found,) = source("braze").events({"id": "b1", "time": AT}, Captured(NOON, {}, b"{}", path))
    assert isinstance(found, Event)
    assert (found.name, found.channel) == ("opened", "email")


@pytest.mark.parametrize(
    ("kind", "facts", "name", "suppression"),
    [
        ("users.messages.sms.InboundReceive", {"action": "Unsubscribed"}, "unsubscribed", ("opted_out", "suppressed")),
        ("users.messages.sms.InboundReceive", {"action": "Subscribed"}, "resubscribed", ("opted_out", "released")),
        ("users.messages.sms.InboundReceive", {"action": None}, "replied", None),
        ("users.messages.whatsapp.InboundReceive", {"message_body": "hi"}, "replied", None),
        ("users.messages.sms.ShortLinkClick", {"user_phone_number": NUMBER}, "clicked", None),
        ("users.messages.email.Deferral", {"email_address": ADDRESS}, "deferred", None),
        ("users.behaviors.subscription.GlobalStateChange", {"channel": "email", "subscription_status": "Unsubscribed"},
         "unsubscribed", ("opted_out", "suppressed")),
        ("users.behaviors.subscription.GlobalStateChange", {"channel": "push", "subscription_status": "Opted-In"},
         "resubscribed", ("opted_out", "released")),
    ],
)  # fmt: skip
def test_what_kinds_say(kind: str, facts: dict[str, Any], name: str, suppression: object) -> None:
    found = read(kind, **facts)
    assert isinstance(found, Event)
    assert (found.name, found.suppression) == (name, suppression)


@pytest.mark.parametrize(
    ("kind", "facts"),
    [
        # Where every profile begins: nobody who has opted out is let in by it.
        ("users.behaviors.subscription.GlobalStateChange", {"channel": "email", "subscription_status": "Subscribed"}),
        ("users.behaviors.subscriptiongroup.StateChange", {"channel": "email", "subscription_status": "Unsubscribed"}),
        ("users.messages.webhook.Send", {}),
        ("users.campaigns.Conversion", {}),
    ],
)
def test_what_says_nothing_of_a_channel_is_counted_and_left(kind: str, facts: dict[str, Any]) -> None:
    assert isinstance(read(kind, **facts), Ignored)
