"""The verbs, run as processes of their own on a small project."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cli_place import CAMPAIGN, LAUNCH, POLICY, TICK, Place, busy

# What is about words and files more than about rows is tried on PostgreSQL behind the slow marker.
seldom_on_postgres = pytest.mark.parametrize(
    "either_place", ["duckdb", pytest.param("postgres", marks=pytest.mark.slow)], indirect=True
)
DOCS = Path(__file__).parents[2] / "docs"
# Mappings whose keys are names (of campaigns, segments, statuses, blocks) or depend on the gate.
OPEN = (
    "facts", "figures", "entered", "invalid", "content", "totals", "counts", "outcomes", "codes", "samples", "released",
    "ceilings", "left_out",
)  # fmt: skip


def documented(name: str) -> Any:
    """The example of docs/json.md."""
    found = re.search(
        rf"<!-- example {name} -->\n```json\n(.*?)\n```", (DOCS / "json.md").read_text("utf-8"), re.DOTALL
    )
    assert found, f"docs/json.md has no example of {name}"
    return json.loads(found[1])


def same_shape(found: Any, example: Any, path: str = "$") -> None:
    """Mappings have the same keys and values the same kinds; null and an empty list go with everything."""
    if found is None or example is None:
        return
    assert isinstance(found, bool) == isinstance(example, bool), path
    if isinstance(found, dict):
        assert isinstance(example, dict), path
        if path.rsplit(".", 1)[-1] in OPEN:
            return
        assert set(found) == set(example), path
        for key, value in found.items():
            same_shape(value, example[key], f"{path}.{key}")
    elif isinstance(found, list):
        assert isinstance(example, list), path
        for member in found:
            for model in example[:1]:
                same_shape(member, model, f"{path}[]")
    elif isinstance(found, (int, float)):
        assert isinstance(example, (int, float)), path
    else:
        assert isinstance(example, type(found)), path


def test_a_tick_is_planned_run_explained_and_shown(either_place: Place) -> None:
    place = busy(either_place)
    planned = place.json("plan", "--now", f"{TICK}", "--samples", "1")
    assert planned["committed"] is False
    assert planned["totals"] == {"send": 1, "defer": 0, "suppress": 2, "withhold": 0}
    done = place.json("run", "--now", f"{TICK}")
    assert done["committed"] is True
    assert done["counts"] == planned["counts"]
    assert done["delivery"][0]["counts"] == {"accepted": 1}
    ann = place.json("explain", "ann")["campaigns"][0]
    assert sorted(entry["steps"][0]["answers"][0]["reason"] for entry in ann["entries"]) == ["frequency_cap", "ready"]
    bob = place.json("explain", "bob")["campaigns"][0]
    assert (bob["state"], bob["absence"]["why"]) == ("never_entered", "where_false")
    stands = place.json("status")
    assert stands["last_tick"] == f"{TICK.isoformat()}Z"
    assert stands["outbox"] == []


@seldom_on_postgres
def test_the_caps_of_a_story_are_those_that_the_engine_counted(either_place: Place) -> None:
    place = busy(either_place)
    place.json("run", "--now", f"{TICK}")
    steps = [entry["steps"][0] for entry in place.json("explain", "ann")["campaigns"][0]["entries"]]
    capped = next(step for step in steps if step["fate"] == "suppressed")
    caps = next(verdict for verdict in capped["verdicts"] if verdict["gate"] == "caps")["facts"]
    assert caps["observed"] == caps["caps"][0]["counted"] == 1
    assert caps["caps"][0]["full"] is True
    sent = next(step for step in steps if step["fate"] == "sent")
    assert caps["evidence"] == sent["message"]["message_id"]
    counted = next(verdict for verdict in sent["verdicts"] if verdict["gate"] == "caps")["facts"]["caps"]
    assert [found["counted"] for found in counted] == [0]


def test_every_document_has_the_documented_shape(place: Place) -> None:
    busy(place)
    same_shape(place.json("migrate"), documented("migrate"))
    same_shape(place.json("plan", "--now", f"{TICK}", "--sql"), documented("plan"))
    same_shape(place.json("run", "--now", f"{TICK}"), documented("run"))
    same_shape(place.json("deliver"), documented("deliver"))
    same_shape(place.json("status"), documented("status"))
    for person in ("ann", "bob", "cid", "nobody"):
        same_shape(place.json("explain", person, "--campaign", "abandoned_cart"), documented("explain"))
    same_shape(place.json("preview", "abandoned_cart", "ann", "--channel", "push"), documented("preview"))
    same_shape(place.json("init", "--dry-run"), documented("init"))
    same_shape(place.json("lint"), documented("lint"))
    place.write("rules/campaigns/abandoned_cart.yml", CAMPAIGN.replace("channels:", "chanels:"))
    same_shape(place.json("lint", code=2), documented("lint"))
    same_shape(place.json("run", code=2), documented("error"))


def test_commands_follow_one_another_as_processes(place: Place) -> None:
    busy(place)
    done = place.process("run", "--now", f"{TICK}", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["totals"]["send"] == 1
    assert {line.split(":")[0] for line in done.stderr.splitlines()} == {"deciding", "delivering by outbox"}
    story = place.process("explain", "ann")
    assert (story.returncode, story.stderr) == (0, "")
    assert "sent by push" in story.stdout


def test_a_process_of_its_own_does_without_pandas_until_somebody_asks_for_it(place: Place) -> None:
    pytest.importorskip("pandas")
    busy(place)
    program = (
        "import sys; from activate.cli import main; code = main(); had = 'pandas' in sys.modules; import pyarrow as pa; "
        "print(code, had, pa.table({'a': [1, 2]}).to_pandas().shape, file=sys.stderr)"
    )
    command = [sys.executable, "-c", program, "run", "--now", f"{TICK}", "--quiet"]
    done = subprocess.run(command, cwd=place.directory, capture_output=True, text=True, timeout=120, check=True)
    assert done.stderr == "0 False (2, 1)\n"


def test_a_campaign_that_nobody_knows_is_told_with_the_nearest_name(place: Place) -> None:
    busy(place)
    [story] = place.json("explain", "ann", "--campaign", "abandoned_carts", code=3)["campaigns"]
    assert story["absence"]["why"] == "campaign_unknown"
    assert "'abandoned_cart'" in story["absence"]["change"]


def test_the_same_instant_again_changes_nothing(place: Place) -> None:
    busy(place)
    first = place.json("run", "--now", f"{TICK}")
    again = place.json("run", "--now", f"{TICK}")
    assert (first["changed"], again["changed"]) == (True, False)
    assert again["counts"] == []


def test_now_before_the_last_tick_ends_with_6(place: Place) -> None:
    place.json("run", "--now", f"{TICK}")
    assert place.json("run", "--now", f"{LAUNCH}", code=6)["error"]["type"] == "TimeOrderError"


def test_a_plan_writes_nothing(place: Place) -> None:
    busy(place)
    before = place.json("status")
    place.json("plan", "--now", f"{TICK}")
    after = place.json("status")
    assert {**before, "now": 0, "late_seconds": 0} == {**after, "now": 0, "late_seconds": 0}
    assert not (place.directory / "outbox").exists()


def test_run_without_delivery_leaves_the_messages_to_deliver(place: Place) -> None:
    busy(place)
    assert "delivery" not in place.json("run", "--now", f"{TICK}", "--no-deliver")
    assert place.json("status")["outbox"][0]["queued"] == 1
    assert place.json("deliver", "--now", f"{TICK}")["delivery"][0]["counts"] == {"accepted": 1}
    assert place.json("explain", "ann")["campaigns"][0]["headline"] == "sent by push"


def test_the_tables_of_run_plan_and_status_are_readable_in_a_pipe(place: Place) -> None:
    busy(place)
    planned = place.run("plan", "--now", f"{TICK}")
    assert "Nothing was written and nothing was sent" in planned.stdout
    assert "\x1b" not in planned.stdout
    assert "deciding: " in planned.stderr
    done = place.run("run", "--now", f"{TICK}", "--quiet")
    assert done.stderr == ""
    for words in ("abandoned_cart", "frequency_cap", "What was delivered", "outbox", "accepted"):
        assert words in done.stdout
    assert "Last runs" in place.run("status").stdout
    story = place.run("explain", "ann").stdout
    assert "✗ caps" in story
    assert "t-ann" not in story


def test_the_sql_of_a_plan_can_be_read_again(place: Place) -> None:
    statements = place.json("plan", "--now", f"{TICK}", "--sql")["statements"]
    assert len(statements) > 10
    printed = place.run("plan", "--now", f"{TICK}", "--sql").stdout
    assert all(f"-- {found['name']}\n" in printed for found in statements)


def test_lint_names_file_line_and_nearest_match(place: Place) -> None:
    place.write("rules/campaigns/abandoned_cart.yml", CAMPAIGN.replace("channels:", "chanels:"))
    found = place.run("lint")
    assert found.returncode == 2
    assert "rules/campaigns/abandoned_cart.yml:" in found.stdout
    assert "did you mean 'channels'?" in found.stdout.replace("\n", " ").replace("  ", " ")


def test_lint_without_a_warehouse_checks_the_rest_and_says_so(place: Place) -> None:
    place.write("profiles.yml", "shop: {target: dev, outputs: {dev: {type: duckdb, path: no/such/folder/x.duckdb}}}\n")
    found = place.json("lint")
    assert found["errors"] == 0
    assert "the columns of the models were not checked" in found["mistakes"][-1]["message"]


def test_preview_shows_the_message_and_records_nothing(place: Place) -> None:
    busy(place)
    found = place.run("preview", "abandoned_cart", "ann", "--channel", "push")
    assert "Still thinking?" in found.stdout
    assert "150 waits" in found.stdout
    assert place.json("status")["runs"][0]["figures"] == {}


def test_a_preview_of_an_unknown_campaign_names_the_nearest(place: Place) -> None:
    error = place.json("preview", "abandoned_card", "ann", code=3)["error"]
    assert "did you mean 'abandoned_cart'?" in error["message"]


def test_what_waits_for_a_provider_without_its_secret_is_counted(place: Place) -> None:
    busy(place)
    assert place.run("run", "--now", f"{TICK}", "--no-deliver").returncode == 0
    section = "outbox: {type: webhook, url: 'https://x.example', secret: \"{{ env_var('SURELY_NOT_SET') }}\"}"
    place.write("rules/activate.yml", POLICY.replace("outbox: {type: file, path: outbox/messages.jsonl}", section))
    (report,) = place.json("deliver", "--now", f"{TICK}", code=7)["delivery"]
    assert (report["left"], report["counts"]) == (1, {})
    assert "needs the environment variable 'SURELY_NOT_SET', which is not set" in report["error"]


def test_deliver_for_an_unknown_provider_names_the_nearest(place: Place) -> None:
    assert "did you mean 'outbox'?" in place.run("deliver", "--provider", "outbx").stderr


def test_exposures_are_printed_or_written(place: Place) -> None:
    assert "campaign_abandoned_cart" in place.run("exposures").stdout
    place.write("models/.keep", "")
    assert place.run("exposures", "--write").stdout.strip() == "models/activate_exposures.yml"
    assert "campaign_abandoned_cart" in (place.directory / "models/activate_exposures.yml").read_text("utf-8")


def test_a_database_that_another_process_holds_ends_with_4(place: Place) -> None:
    held = place.connect()
    try:
        found = place.process("status", "--wait", "0", "--json")
    finally:
        held.close()
    assert found.returncode == 4
    assert json.loads(found.stdout)["error"]["type"] == "LeaseHeldError"


@pytest.mark.parametrize("written", ["[1, 2]", "{a: ["])
def test_vars_that_are_no_mapping_are_refused(place: Place, written: str) -> None:
    assert "--vars must be a YAML mapping" in place.run("status", "--vars", written).stderr


def test_nothing_personal_is_in_any_json_document(place: Place) -> None:
    busy(place)
    run, status, story = (
        place.run(*words, "--json").stdout for words in (["run", "--now", f"{TICK}"], ["status"], ["explain", "ann"])
    )
    assert not any("t-ann" in document for document in (run, status, story))
    assert '"cart_value"' in story
    assert "150" not in re.sub(r'"[0-9a-f]{32}"', "", story)


def test_init_says_what_it_would_add(place: Place) -> None:
    assert place.run("init", "--dry-run").returncode == 0
    before = sorted(place.directory.rglob("*"))
    assert place.run("init").returncode == 0
    assert len(sorted(place.directory.rglob("*"))) > len(before)
