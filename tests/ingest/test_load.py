"""From files into the state, on DuckDB and PostgreSQL: each event once, with its message; nothing lost, nothing personal."""

from __future__ import annotations

import datetime as dt
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from activate import ingesting
from activate.address import address_hash
from activate.errors import SettingsError
from activate.ingest.spool import Spool
from activate.ingest.take import take
from activate.project import Relation
from activate.sources.registry import SOURCES
from activate.tables import TABLES
from activate.testing.worlds_stage import read
from tests.ingest.shop import EventShop
from tests.ingest.vectors import ADDRESS, AT, LOSSES, MESSAGE, NOON, NUMBER, line, signed, source

# What hardly touches the warehouse's SQL is tried on PostgreSQL behind the slow marker.
seldom_on_postgres = pytest.mark.parametrize(
    "shop", ["duckdb", pytest.param("postgres", marks=pytest.mark.slow)], indirect=True
)


def test_every_source_is_loaded_once_however_often_it_is_told(shop: EventShop) -> None:
    shop.sent(MESSAGE, "u0", "email")
    for kind in SOURCES:
        request = signed(kind, LOSSES[kind])
        report = shop.ingest(kind, request, request)
        assert (report.events, report.duplicates, report.suppressions, report.counts) == (1, 1, 1, {}), kind
        again = shop.ingest(kind, request)
        assert (again.events, again.duplicates, again.suppressions) == (0, 1, 0), kind
    assert len(shop.engagements()) == len(shop.suppressions()) == len(SOURCES)
    linked = {row["provider"]: (row["message_id"], row["user_id"]) for row in shop.engagements()}
    assert linked["sendgrid"] == linked["ses"] == linked["mailgun"] == linked["postmark"] == (MESSAGE, "u0")
    assert linked["onesignal"] == linked["braze"] == (None, "u0")
    by_person = {row["provider"] for row in shop.suppressions() if row["user_id"]}
    assert by_person == {"onesignal"}


def test_a_message_is_found_by_the_providers_id_and_the_person(shop: EventShop) -> None:
    shop.sent("a" * 32, "u0", "sms", "SM9")
    shop.sent("b" * 32, "u1", "push", "n-1")
    shop.sent("c" * 32, "u0", "push", "n-1")
    shop.ingest("twilio", signed("twilio", {"MessageSid": "SM9", "To": NUMBER, "MessageStatus": "delivered"}))
    clicked = {"event": {"kind": "message.push.clicked", "id": "o1", "timestamp": AT}, "message": {"id": "n-1"}}
    nobody = {**clicked, "event": {**clicked["event"], "id": "o2"}}
    shop.ingest("onesignal", signed("onesignal", [{**clicked, "user": {"external_id": "u1"}}, nobody]))
    found = {row["event_id"]: (row["message_id"], row["user_id"], row["channel"]) for row in shop.engagements()}
    assert found == {
        "SM9:delivered": ("a" * 32, "u0", "sms"),
        "o1": ("b" * 32, "u1", "push"),
        "o2": (None, None, "push"),  # two people's messages have that id: which one it is, nobody can tell
    }


@seldom_on_postgres
def test_a_message_id_that_is_not_ours_is_not_kept(shop: EventShop) -> None:
    shop.ingest("sendgrid", signed("sendgrid", LOSSES["sendgrid"]))
    (row,) = shop.engagements()
    assert (row["message_id"], row["user_id"], row["provider_message_id"]) == (None, None, "14c5d75ce93")


@seldom_on_postgres
def test_nothing_personal_is_stored_told_or_logged(shop: EventShop, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    reports = [shop.ingest(kind, signed(kind, LOSSES[kind])) for kind in SOURCES]
    state = [
        row
        for table in TABLES
        for row in read(shop.warehouse, Relation(shop.stage.state_schema, table.name), table.names)
    ]
    text = (repr(state) + repr(reports) + caplog.text).lower()
    for secret in ("secret.person", "private.example", "5550100123", "token-0", "abuse report", "no such user"):
        assert secret not in text, secret
    hashes = {row["address_hash"] for row in shop.suppressions()}
    assert {
        address_hash("email", ADDRESS),
        address_hash("sms", NUMBER),
        address_hash("push", "token-0"),
        None,
    } == hashes


def test_what_is_forged_altered_or_late_is_refused_counted_and_kept(local: EventShop) -> None:
    good = signed("sendgrid", LOSSES["sendgrid"])
    altered = good._replace(body=good.body.replace(b"5.1.1", b"5.2.2"))
    late = good._replace(received_at=NOON + dt.timedelta(hours=1))
    bare = good._replace(headers={})
    report = local.ingest("sendgrid", altered, late, bare, "{broken\n", good)
    assert report.events == 1
    assert report.counts == {
        "refused bad_signature": 1, "refused not_fresh": 1, "refused not_signed": 1, "rejected not_a_request": 1,
    }  # fmt: skip
    assert report.rejected_to
    (kept,) = Path(report.rejected_to).glob("*.jsonl")
    told = [json.loads(text) for text in kept.read_text().splitlines()]
    assert [each["reason"] for each in told] == ["bad_signature", "not_fresh", "not_signed", "not_a_request"]
    assert told[0]["event"]["body"].encode() == altered.body
    assert kept.stat().st_mode & 0o077 == 0


def test_the_providers_own_json_is_read_only_when_it_is_said(local: EventShop, tmp_path: Path) -> None:
    events = [{**LOSSES["sendgrid"][0], "sg_event_id": f"s{n}"} for n in range(4)]
    lines = local.file(*(json.dumps(each) + "\n" for each in events[:2]), name="lines.json")
    whole = local.file(json.dumps(events[1:], indent=2), name="whole.json")
    packed = tmp_path / "packed.jsonl.gz"
    packed.write_bytes(gzip.compress(line(signed("sendgrid", events[3:])).encode()))
    assert local.load("sendgrid", [lines], signed=True).counts == {"rejected not_a_request": 2}
    report = local.load("sendgrid", [lines, whole, str(packed)], signed=False)
    assert (report.events, report.duplicates) == (4, 2)


def test_unsigned_needs_no_section_but_a_known_type(local: EventShop) -> None:
    local.stage.edit_policy(ingest={})
    assert local.ingest("sendgrid", json.dumps(LOSSES["sendgrid"]) + "\n", signed=False).events == 1
    with pytest.raises(SettingsError, match="there is no source 'sendgrid' in `ingest:`"):
        local.ingest("sendgrid", "")
    with pytest.raises(SettingsError, match="there is no source type 'sendgird'; .*did you mean 'sendgrid'"):
        local.ingest("sendgird", "", signed=False)
    with pytest.raises(SettingsError, match="cannot be read"):
        local.load("sendgrid", ["/nowhere/at/all"], signed=False)


@seldom_on_postgres
def test_the_run_is_told(shop: EventShop) -> None:
    shop.ingest("sendgrid", signed("sendgrid", LOSSES["sendgrid"]))
    rows = read(shop.warehouse, Relation(shop.stage.state_schema, "runs"), ("run_id", "status", "counts"))
    (run,) = [row for row in rows if row["status"] == "ingested"]
    assert json.loads(run["counts"]) == {"source": "sendgrid", "events": 1, "duplicates": 0, "suppressions": 1}
    assert {row["run_id"] for row in (*shop.engagements(), *shop.suppressions())} == {run["run_id"]}


# -- the spool --------------------------------------------------------------------------------------------------------


def spooled(shop: EventShop, *kinds: str) -> Spool:
    spool = Spool(shop.directory / ".activate" / "events")
    for kind in kinds:
        spool.append(take(source(kind), signed(kind, LOSSES[kind])).rows)
    return spool


def test_the_spool_is_loaded_once_and_emptied(shop: EventShop) -> None:
    spooled(shop, "sendgrid", "twilio")
    report = shop.load_spool()
    assert report is not None
    assert (report.events, report.suppressions) == (2, 2)
    assert shop.load_spool() is None


def test_the_next_tick_loads_the_spool(local: EventShop) -> None:
    spooled(local, "sendgrid")
    from activate import run

    run.decide(local.warehouse, local.project, NOON, commit=False)
    assert local.engagements() == []
    run.decide(local.warehouse, local.project, NOON)
    assert [row["provider"] for row in local.engagements()] == ["sendgrid"]


@pytest.mark.parametrize("moment", ["before the commit", "after the commit"])
def test_a_loader_that_is_killed_loses_and_doubles_nothing(
    shop: EventShop, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    spooled(shop, "sendgrid", "twilio")

    class Killed(BaseException):
        pass

    def killed(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(*((ingesting, "load") if moment == "before the commit" else (Path, "unlink")), killed)
        with pytest.raises(Killed):
            shop.load_spool()
    spooled(shop, "generic")  # the listener goes on meanwhile
    report = shop.load_spool()
    assert report is not None
    assert {row["provider"] for row in shop.engagements()} == {"sendgrid", "twilio", "generic"}
    assert len(shop.engagements()) == len(shop.suppressions()) == 3


def test_half_a_line_of_a_writer_that_died_is_set_aside(local: EventShop) -> None:
    spool = spooled(local, "sendgrid")
    with (spool.folder / "current.jsonl").open("ab") as current:
        current.write(b'["half')
    report = local.load_spool()
    assert report is not None
    assert report.events == 1
    assert "torn_line" in next((spool.folder / "rejected").glob("*")).read_text()


def test_the_spool_holds_no_address(local: EventShop) -> None:
    spool = spooled(local, *SOURCES)
    text = (spool.folder / "current.jsonl").read_text().lower()
    assert len(text.splitlines()) == len(SOURCES)
    for secret in ("secret.person", "private.example", "5550100123", "token-0"):
        assert secret not in text
    assert (spool.folder / "current.jsonl").stat().st_mode & 0o077 == 0


# -- from end to end --------------------------------------------------------------------------------------------------


def visit(shop: EventShop, at: str) -> str:
    """What is decided for a visit: the channel, or the reason why there was none."""
    shop.stage.event("visit", "u0", at=at).tick(at)
    row = shop.stage.decisions()[-1]
    return str(row["channel"] or row["reason"])


def test_a_dead_token_leads_to_email_and_a_new_one_back_to_push(shop: EventShop) -> None:
    shop.stage.campaign("hello", enter={"trigger": "visit"}, re_enter="always", steps=[{"channels": ["push", "email"]}])
    shop.stage.profile("u0", push_token="token-0").tick("2026-03-01 01:00")
    assert visit(shop, "2026-03-01 02:00") == "push"
    shop.ingest("generic", signed("generic", LOSSES["generic"]))
    assert visit(shop, "2026-03-02 13:00") == "email"
    shop.stage.profile("u0", push_token="token-1")
    assert visit(shop, "2026-03-02 14:00") == "push"
    shop.stage.profile("u0", push_token="token-0", push_at=dt.datetime(2026, 3, 2, 14, 30))
    assert visit(shop, "2026-03-02 15:00") == "push"


@seldom_on_postgres
def test_a_stop_ends_sms_until_a_start(shop: EventShop) -> None:
    shop.stage.campaign("hello", enter={"trigger": "visit"}, re_enter="always", steps=[{"channels": ["sms"]}],
                        **{"class": "transactional"})  # fmt: skip
    shop.stage.profile("u0", phone="+1 (555) 010-0123").tick("2026-03-01 01:00")
    assert visit(shop, "2026-03-02 11:00") == "sms"
    shop.ingest("twilio", signed("twilio", LOSSES["twilio"]))
    assert visit(shop, "2026-03-02 13:00") == "address_suppressed"
    start = {**LOSSES["twilio"], "Body": "START", "MessageSid": "SM2"}
    shop.ingest("twilio", signed("twilio", start, NOON + dt.timedelta(hours=2)))
    assert visit(shop, "2026-03-02 15:00") == "sms"
    shop.ingest("twilio", signed("twilio", LOSSES["twilio"]))  # the first request again: it is known
    assert visit(shop, "2026-03-02 16:00") == "sms"
