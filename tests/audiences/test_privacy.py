"""After everything that can happen, nothing personal and nothing secret is stored, logged or told in an error."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from activate import mending, syncing
from activate.audience_plan import Faults
from activate.tables import TABLES
from tests.audiences.town import SECRET, Peer, Town, no_waiting, sha

TOKEN = "bearer-9f3c1d"
NAME, ADDRESS, PHONE, CITY = "Zebedee", "zebedee.quux@example.org", "+46 70 765 43 21", "Ytterby"
PERSONAL = (NAME, ADDRESS, "zebedee", "quux", PHONE, "46707654321", CITY, "421337", SECRET, SECRET[6:], TOKEN)


def _everything(town: Town) -> str:
    """All rows of all state tables as one text."""
    found = []
    for table in TABLES:
        for row in town.rows(f"SELECT * FROM state.{table.name}"):
            found.append(f"{table.name}: {row}")
    return "\n".join(found)


def _people(town: Town) -> None:
    for number, user in enumerate(["ada", "bob", "cid", "dan"]):
        address = ADDRESS if not number else f"{user}.{ADDRESS}"
        town.put(
            "people",
            {"user_id": user, "email": address, "email_consent": True, "phone": PHONE, "first_name": NAME,
             "points": 421337 + number, "born": "1991-04-07"},
        )  # fmt: skip
    town.put("people", {"user_id": "bad", "email": f"{ADDRESS} (old)@x", "phone": PHONE, "first_name": NAME})


@pytest.mark.parametrize("identify", ["hash", "plain", pytest.param("key", marks=pytest.mark.slow)])
def test_nothing_personal_is_left_behind(
    town: Town, peer: Peer, identify: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    town.policy.destinations["crm"] |= {"headers": headers, "concurrency": 1}
    town.policy.destinations["ads"] = {**town.policy.destinations["crm"], "url": f"{peer.url}/ads"}
    _people(town)
    columns = {"city": "text"}
    town.segment("banned", ["zoe"])
    everybody = ["ada", "bob", "cid", "dan", "bad"]
    town.segment("vips", {user: {"city": CITY} for user in everybody}, columns)
    by: dict[str, Any] = {
        "hash": {"column": "email", "normalise": "email", "hash": "sha256"},
        "plain": {"column": "email", "normalise": "email"},
        "key": "external_id",
    }
    fields = {
        "name": "first_name",
        "phone": {"column": "phone", "normalise": "phone"},
        "points": "points",
        "city": "city",
    }
    told: list[str] = []

    def sync(name: str = "vips", **more: Any) -> None:
        town.later()
        chosen = [town.audiences[name]]
        for report in syncing.sync(town.warehouse, town.project, chosen, town.now, clock=no_waiting(), **more):
            told.append(repr(report))

    town.audience(identify_by=by[identify], fields=fields, exclude=["banned"], consent="email")
    town.audience("others", segment="vips", destination="ads", fields={"name": "first_name"})
    told.append(repr(town.plan(samples=5)))

    def nosy(peer: Peer, changes: list[dict[str, Any]]) -> Any:
        """A service that quotes what it was sent, in every place where it may say something."""
        quoted = json.dumps(changes)
        status = (200, 400, 500, 429, 202)[len(peer.requests) % 5]
        return status, {"X-Error": NAME}, {
            "error": quoted if status != 200 else None, "code": ADDRESS, "message": quoted, "status": "failed" if status == 202 else NAME,
            "results": [{"member": change["member"], "status": "rejected", "error_code": f"{ADDRESS} is bad", "error": quoted}
                        for change in changes[:1]],
        }  # fmt: skip

    peer.answer = nosy
    for _ in range(3):
        sync()
    peer.answer = lambda peer, changes: (401, {}, {"error": ADDRESS})
    sync()
    sync("others")
    peer.answer = lambda peer, changes: (0, {}, {})
    sync()
    peer.answer = None
    mending.retry(town.warehouse, town.project, list(town.audiences.values()), town.later().now)
    sync()
    sync("others")
    sync(full=True)
    town.run(
        f"UPDATE {town.schema}.people SET email = 'new.{ADDRESS}', first_name = 'Quuxine {NAME}' WHERE user_id = 'bob'"
    )
    town.segment("banned", ["cid"]).segment("vips", {user: {"city": CITY} for user in everybody[1:]})
    town.faults["vips"] = Faults(stale=("shop.orders",))
    sync()
    town.faults.clear()
    sync()
    run = town.rows("SELECT MAX(run_id) AS run_id FROM state.audience_syncs WHERE audience = 'vips'")[0]["run_id"]
    told.append(
        repr(mending.undo(town.warehouse, town.project, run, town.later().now, apply=True, without_updates=True))
    )
    for broken in (f"{fields['name']} = 1", "error_code = "):
        with pytest.raises(Exception) as raised:
            mending.retry(town.warehouse, town.project, [town.audiences["vips"]], town.now, where=broken)
        told.append(str(raised.value))
    # Values that cannot be cast, and a table that is gone: the warehouse's own words.
    town.audience(
        "others", segment="vips", destination="ads", fields={"n": {"column": "first_name", "cast": "integer"}}
    )
    sync("others")
    assert "bad_integer: n" in told[-1]
    town.run(f"DROP TABLE {town.schema}.people")
    sync()
    told += capfd.readouterr()
    told += [f"{record.getMessage()} {record.args}" for record in caplog.records]
    told.append(_everything(town))
    for text in told:
        for word in PERSONAL:
            assert word.lower() not in text.lower(), f"{word} in {text[:3000]}"


def test_a_member_is_the_key_or_a_hash(town: Town, peer: Peer) -> None:
    _people(town)
    town.segment("vips", ["ada"])
    hashed = {"column": "email", "normalise": "email", "hash": "sha256"}
    town.audience("hashed", segment="vips", identify_by=hashed).sync("hashed")
    town.audience("plain", segment="vips", identify_by={"column": "email", "normalise": "email"}).sync("plain")
    town.audience("known", segment="vips", identify_by={"column": "phone", "normalise": "phone", "hash": "md5"}).sync(
        "known"
    )
    found = {row["audience"]: row["member"] for row in town.rows("SELECT audience, member FROM state.audience_changes")}
    assert (found["hashed"], found["plain"]) == (sha(ADDRESS), "ada")
    assert len(found["known"]) == 32


def test_settings_that_are_wrong_do_not_quote_the_secret(town: Town, peer: Peer) -> None:
    town.policy.destinations["crm"]["secret"] = "whsec_not-base64-" + TOKEN
    town.segment("vips", ["ada"]).audience()
    report = town.sync()
    assert report.error
    assert TOKEN not in report.error
