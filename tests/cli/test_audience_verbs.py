"""The verbs about audiences, on a small project whose destination is a table in its own warehouse."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from cli_place import TICK, Place
from test_verbs import documented, same_shape, seldom_on_postgres

AUDIENCE = """\
audience: vips
segment: vips
destination: crm
fields: {score: points}
guard: {max_removed: 50%}
"""
LATER = TICK + dt.timedelta(hours=1)


@pytest.fixture
def audience_place(either_place: Place) -> Place:
    """Three members, and an audience of them."""
    place = either_place
    policy = (place.directory / "rules/activate.yml").read_text("utf-8")
    place.write("rules/activate.yml", policy + "destinations:\n  crm: {type: table, table: 'crm.{audience}'}\n")
    place.write("rules/audiences/vips.yml", AUDIENCE)
    place.execute("INSERT INTO shop.vips VALUES ('ann', 1), ('bob', 2), ('cid', 3)")
    return place


def members(place: Place) -> dict[str, int]:
    """What the destination holds."""
    warehouse = place.connect()
    rows = warehouse.query('SELECT user_id, score FROM "crm"."vips" ORDER BY user_id').to_pylist()
    warehouse.close()
    return {row["user_id"]: row["score"] for row in rows}


def test_an_audience_is_planned_applied_changed_guarded_and_released(audience_place: Place) -> None:
    place = audience_place
    planned = place.json("plan", "--now", f"{TICK}", "--out", "plan.json")
    assert planned["audiences"][0]["figures"]["added"] == 3
    assert planned["audiences"][0]["samples"] == {"add": ["ann", "bob", "cid"]}
    assert "added" in place.run("plan", "--now", f"{TICK}").stdout
    applied = place.json("apply", "plan.json")
    same_shape(applied, documented("apply"))
    assert applied["audiences"][0]["outcomes"] == {"accepted": 3}
    assert members(place) == {"ann": 1, "bob": 2, "cid": 3}

    place.execute("DELETE FROM shop.vips WHERE user_id <> 'ann'", "INSERT INTO shop.vips VALUES ('dan', 4)")
    held = place.json("sync", "--now", f"{LATER}")
    same_shape(held, documented("sync"))
    withheld = held["audiences"][0]["plan"]["withheld"]
    assert withheld == [
        {"kind": "removed", "people": 2, "reason": "over max_removed: 50%",
         "release": "dbt-activate approve audience:vips --removed 2"}
    ]  # fmt: skip
    assert members(place) == {"ann": 1, "bob": 2, "cid": 3, "dan": 4}, "the rest flows"
    status = place.json("status")
    assert status["audiences"][0]["withheld"] == [["removed", 2, "over max_removed: 50%", withheld[0]["release"]]]
    told = place.run("status").stdout
    assert "2 removed withheld" in told
    assert withheld[0]["release"] in " ".join(told.split())

    release = withheld[0]["release"].split()[1:]
    same_shape(place.json(*release), documented("approve"))
    assert place.run("sync").returncode == 0
    assert members(place) == {"ann": 1, "dan": 4}


@seldom_on_postgres
def test_a_plan_is_refused_when_the_world_the_rules_or_the_plan_changed(audience_place: Place) -> None:
    place = audience_place
    place.json("plan", "--now", f"{TICK}", "--out", "plan.json")
    place.execute("DELETE FROM shop.vips WHERE user_id = 'cid'")
    refused = place.json("apply", "plan.json", code=8)["error"]
    assert refused["type"] == "PlanChangedError"
    assert "audience vips added: planned 3, now 2" in refused["message"]
    assert place.json("status")["audiences"][0]["status"] == "never", "nothing was done"
    assert place.run("apply", "plan.json", "--tolerance", "40%").returncode == 0

    place.json("plan", "--now", f"{LATER}", "--out", "plan.json")
    place.write("rules/audiences/vips.yml", AUDIENCE.replace("50%", "60%"))
    assert "the rules have changed since" in place.json("apply", "plan.json", code=8)["error"]["message"]
    place.write("rules/audiences/vips.yml", AUDIENCE)
    body = json.loads((place.directory / "plan.json").read_text())
    body["figures"]["audience vips added"] = 7
    place.write("plan.json", json.dumps(body))
    assert "edited" in place.json("apply", "plan.json", code=8)["error"]["message"]
    place.write("plan.json", "{}")
    assert "is not a plan" in place.json("apply", "plan.json", code=3)["error"]["message"]
    place.json("plan", "--now", f"{LATER}", "--out", "plan.json")
    assert "too old" in place.json("apply", "plan.json", "--max-age", "0 seconds", code=8)["error"]["message"]


def test_members_are_read_back_mended_and_undone(audience_place: Place) -> None:
    place = audience_place
    place.json("sync", "--now", f"{TICK}")
    place.execute("DELETE FROM crm.vips WHERE user_id = 'bob'", "INSERT INTO crm.vips VALUES ('eve', 9)")
    found = place.json("reconcile", "vips", "--dry-run")
    assert "1 member missing at the destination" in place.run("reconcile", "vips", "--dry-run").stdout
    same_shape(found, documented("reconcile"))
    assert found["differences"] == {"missing": 1, "left": 0, "foreign": 1}
    place.json("reconcile", "vips")
    assert members(place) == {"ann": 1, "bob": 2, "cid": 3, "eve": 9}, "who was never sent from here is left alone"
    run_id = place.json("status")["audiences"][0]["run_id"]
    undone = place.json("undo", run_id)
    same_shape(undone, documented("undo"))
    assert (undone["removals"], undone["additions"]) == (1, 0)
    assert members(place)["bob"] == 2, "a look changes nothing"
    place.json("undo", run_id, "--apply")
    assert "bob" not in members(place)
    assert (
        place.json("sync")["audiences"][0]["plan"]["withheld"][0]["reason"] == "stopped by `undo`, until it is resumed"
    )
    place.json("approve", "audience:vips", "--resume")
    place.json("sync")
    assert members(place)["bob"] == 2
    assert "no sync of an audience" in place.json("undo", "nonsense", code=3)["error"]["message"]


@seldom_on_postgres
def test_an_instant_before_the_last_sync_is_refused_and_nothing_is_sent(audience_place: Place) -> None:
    place = audience_place
    place.json("sync", "--now", f"{LATER}")
    place.execute("DELETE FROM shop.vips WHERE user_id = 'cid'")
    for words in (["sync"], ["sync", "--full"], ["run"], ["retry"], ["reconcile", "vips"]):
        error = place.json(*words, "--now", f"{TICK}", code=6)["error"]
        assert error["type"] == "TimeOrderError"
        assert "lies before the last sync of vips" in error["message"]
    assert members(place) == {"ann": 1, "bob": 2, "cid": 3}
    assert place.json("sync", "--dry-run", "--now", f"{TICK}")["audiences"][0]["figures"]["removed"] == 1
    assert place.json("run", "--no-sync", "--now", f"{TICK}")["audiences"] == [], "who does not sync may look back"


@seldom_on_postgres
def test_undo_says_what_it_cannot_do_before_it_does_anything(audience_place: Place) -> None:
    place = audience_place
    place.json("sync", "--now", f"{TICK}")
    place.execute("UPDATE shop.vips SET points = 9 WHERE user_id = 'ann'", "INSERT INTO shop.vips VALUES ('dan', 4)")
    place.json("sync", "--now", f"{LATER}")
    run_id = place.json("status")["audiences"][0]["run_id"]
    place.execute("UPDATE shop.vips SET points = 8 WHERE user_id = 'bob'")
    only = place.json("sync", "--now", f"{LATER + dt.timedelta(hours=1)}")["audiences"][0]
    assert only["outcomes"] == {"accepted": 1}
    last = place.json("status")["audiences"][0]["run_id"]
    assert "There is nothing to undo." in place.run("undo", last).stdout
    told = place.json("undo", last, "--apply", "--without-updates", code=3)["error"]["message"]
    assert "the updates it made (1) cannot be undone" in told
    shown = " ".join(place.run("undo", run_id).stdout.split())
    assert "1 update that cannot be undone" in shown
    assert "--without-updates" in shown
    assert "--without-updates" in place.json("undo", run_id, "--apply", code=3)["error"]["message"]
    assert set(members(place)) == {"ann", "bob", "cid", "dan"}
    done = " ".join(place.run("undo", run_id, "--apply", "--without-updates").stdout.split())
    assert "1 update left as they are" in done
    assert "stopped" not in done
    assert members(place) == {"ann": 9, "bob": 8, "cid": 3}


@seldom_on_postgres
def test_mistakes_in_the_command_are_told(audience_place: Place) -> None:
    place = audience_place
    assert "did you mean 'vips'?" in place.json("sync", "--audience", "vip", code=3)["error"]["message"]
    assert "no audience has the schedule" in place.json("sync", "--schedule", "nightly", code=3)["error"]["message"]
    assert "audience:NAME or campaign:NAME" in place.json("approve", "vips", code=3)["error"]["message"]
    assert "--messages" in place.json("approve", "audience:vips", "--messages", "3", code=3)["error"]["message"]
    assert "say what may pass" in place.json("approve", "audience:vips", code=3)["error"]["message"]
    assert "--where" in place.json("retry", "--where", "1; drop table x", code=3)["error"]["message"]
    same_shape(place.json("retry"), documented("retry"))


@seldom_on_postgres
def test_a_run_syncs_audiences_without_a_schedule(audience_place: Place) -> None:
    place = audience_place
    assert place.json("run", "--now", f"{TICK}", "--no-sync")["audiences"] == []
    done = place.json("run", "--now", f"{LATER}")
    assert done["audiences"][0]["outcomes"] == {"accepted": 3}
    text = place.run("run", "--now", f"{LATER + dt.timedelta(hours=1)}").stdout
    assert "nothing new" in text


@seldom_on_postgres
def test_lint_names_file_line_and_nearest_column(audience_place: Place) -> None:
    place = audience_place
    place.write("rules/audiences/vips.yml", AUDIENCE.replace("points", "pionts"))
    found = place.json("lint", code=2)["mistakes"]
    (error,) = (mistake for mistake in found if mistake["severity"] == "error")
    assert (error["file"], error["line"]) == ("rules/audiences/vips.yml", 4)
    assert "did you mean 'points'?" in error["message"]
    place.write("rules/audiences/vips.yml", AUDIENCE.replace("points}", "{column: points, cast: date}}"))
    (error,) = (one for one in place.json("lint", code=2)["mistakes"] if one["severity"] == "error")
    assert (error["file"], error["line"]) == ("rules/audiences/vips.yml", 4)
    assert "cannot be cast to date; allowed: text, integer, decimal, boolean" in error["message"]
