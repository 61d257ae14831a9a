"""What the guard of an audience withholds, what flows past it, and what an approval lets through."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from activate import mending, syncing
from activate.audience_plan import AudiencePlan, Faults, Figures
from activate.destinations.base import Abilities
from activate.destinations.webhook import AudienceWebhook
from activate.errors import TimeOrderError
from activate.guards import Guard
from activate.load import artifacts
from activate.project import Model, Relation
from activate.warehouses.duckdb import DuckDB
from tests.audiences.town import SECRET, Peer, Town

DAY = dt.timedelta(days=1)
MEMBERS = [f"m{number:02}" for number in range(20)]


@pytest.fixture
def town(peer: Peer, duckdb_in_memory: DuckDB, tmp_path: Path) -> Town:
    """The guard looks at numbers, which are the same on every warehouse: DuckDB alone."""
    crm = {"type": "webhook", "url": f"{peer.url}/changes", "secret": SECRET, "batch": 50}
    return Town(duckdb_in_memory, tmp_path, {"crm": crm})


def rows(users: list[str], ltv: int = 1) -> dict[str, dict[str, Any]]:
    return {user: {"ltv": ltv} for user in users}


def settle(town: Town, peer: Peer, **guard: Any) -> None:
    """Twenty members; then two left, two are new, and three changed."""
    town.segment("banned", ["zoe"])
    town.segment("vips", rows(MEMBERS), {"ltv": "bigint"})
    town.audience(fields={"ltv": "ltv"}, exclude=["banned"]).sync()
    town.audience(fields={"ltv": "ltv"}, exclude=["banned"], guard=guard)
    town.later().segment("vips", {**rows(MEMBERS[2:]), **rows(["n1", "n2"]), **rows(MEMBERS[5:8], 2)})
    peer.told.clear()


def told(peer: Peer) -> dict[str, int]:
    found: dict[str, int] = {}
    for _, change, _ in peer.told:
        found[change] = found.get(change, 0) + 1
    peer.told.clear()
    return found


def withheld(plan: AudiencePlan | None) -> dict[str, int]:
    assert plan is not None
    return {part.kind: part.people for part in plan.withheld}


def approve(town: Town, lasting: dt.timedelta = DAY, resume: bool = False, **ceilings: int) -> list[str]:
    return mending.approve(
        town.warehouse, town.project, "audience", "vips", ceilings, town.now, lasting=lasting, granted_by="kim",
        resume=resume,
    )  # fmt: skip


# -- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("guard", "kind", "passes"),
    [
        pytest.param({"max_added": 2}, "", {"add": 2, "update": 3, "remove": 2}, marks=pytest.mark.slow),
        ({"max_added": 1}, "added", {"update": 3, "remove": 2}),
        ({"max_added": "10%"}, "", {"add": 2, "update": 3, "remove": 2}),
        ({"max_added": "9.9%"}, "added", {"update": 3, "remove": 2}),
        pytest.param({"max_removed": 1}, "removed", {"add": 2, "update": 3}, marks=pytest.mark.slow),
        ({"max_removed": 0}, "removed", {"add": 2, "update": 3}),
        pytest.param({"max_removed": "10%"}, "", {"add": 2, "update": 3, "remove": 2}, marks=pytest.mark.slow),
        ({"max_removed": "5%"}, "removed", {"add": 2, "update": 3}),
        ({"max_updated": 2}, "updated", {"add": 2, "remove": 2}),
        pytest.param({"max_updated": "14%"}, "updated", {"add": 2, "remove": 2}, marks=pytest.mark.slow),
        ({"max_updated": "15%"}, "", {"add": 2, "update": 3, "remove": 2}),
    ],
)
def test_over_a_limit_all_of_that_kind_stays_and_the_rest_flows(
    town: Town, peer: Peer, guard: dict[str, Any], kind: str, passes: dict[str, int]
) -> None:
    settle(town, peer, **guard)
    report = town.sync()
    assert report.error is None
    assert set(withheld(report.plan)) == ({kind} if kind else set())
    assert told(peer) == passes
    if kind:
        town.later().sync()
        assert told(peer) == {}, "and it stays at every further sync"
        assert town.plan().withheld[0].release.startswith(f"dbt-activate approve audience:vips --{kind} ")


def test_an_empty_segment_removes_nobody_where_a_limit_says_so(town: Town, peer: Peer) -> None:
    settle(town, peer, max_removed="25%")
    town.segment("vips", [])
    assert withheld(town.sync().plan) == {"removed": 20}
    assert len(peer.members()) == 20


def test_the_first_members_may_come_though_a_share_of_nobody_is_nobody(town: Town, peer: Peer) -> None:
    town.segment("vips", MEMBERS).audience(guard={"max_added": "10%"})
    assert town.sync().outcomes == {"accepted": 20}
    town.later().segment("vips", []).sync()
    town.later().segment("vips", MEMBERS)
    assert town.sync().outcomes == {"accepted": 20}, "nor does an audience that was emptied stay empty for ever"


def test_a_number_holds_at_the_first_run_too(town: Town, peer: Peer) -> None:
    town.segment("vips", MEMBERS).audience(guard={"max_added": 19})
    assert withheld(town.sync().plan) == {"added": 20}
    assert peer.members() == {}
    assert town.later().plan().is_first is False


def test_the_suppressed_are_taken_out_whatever_the_guard_says(town: Town, peer: Peer) -> None:
    settle(town, peer, max_removed=0, max_added=0, max_updated=0)
    town.segment("banned", ["m10", "m11"])
    town.faults["vips"] = Faults(stale=("shop.orders",))
    assert set(withheld(town.sync().plan)) == {"added", "removed", "updated"}
    assert told(peer) == {"remove": 2}
    assert "m10" not in peer.members()


# -- approvals --------------------------------------------------------------------------------------------------------


def test_an_approval_is_used_once(town: Town, peer: Peer) -> None:
    settle(town, peer, max_removed=1)
    approve(town, removed=2)
    assert withheld(town.plan()) == {}
    assert withheld(town.plan()) == {}, "a plan uses up nothing"
    assert withheld(town.sync().plan) == {}
    assert told(peer) == {"add": 2, "update": 3, "remove": 2}
    town.later().segment("vips", rows(MEMBERS[4:]))
    town.sync()
    assert withheld(town.plan())["removed"] >= 2
    used = town.rows("SELECT status, run_id FROM state.approvals WHERE status = 'used'")
    assert len(used) == 1
    assert used[0]["run_id"].endswith("-vips")


def test_an_approval_is_a_ceiling_and_is_looked_at_again_when_it_is_applied(town: Town, peer: Peer) -> None:
    settle(town, peer, max_removed=1)
    approve(town, removed=2)
    assert withheld(town.plan()) == {}
    town.segment("vips", rows(MEMBERS[3:]))  # one more has left since
    plan = town.sync().plan
    assert withheld(plan) == {"removed": 3}
    assert plan is not None
    assert plan.withheld[0].reason == "over max_removed: 1, and the approval allows 2 only"
    assert "remove" not in told(peer)
    approve(town.later(), removed=3)
    town.sync()
    assert told(peer) == {"remove": 3}


def test_an_approval_that_was_not_needed_stays_open(town: Town, peer: Peer) -> None:
    settle(town, peer, max_removed=2)
    approve(town, removed=10)
    town.sync()
    town.later().segment("vips", rows(MEMBERS[8:]))
    assert withheld(town.sync().plan) == {}


def test_an_approval_lapses(town: Town, peer: Peer) -> None:
    settle(town, peer, max_removed=1)
    approve(town, removed=2, lasting=dt.timedelta(hours=1))
    town.later(hours=1)
    assert withheld(town.sync().plan) == {"removed": 2}


def test_an_approval_of_one_kind_is_none_of_another(town: Town, peer: Peer) -> None:
    settle(town, peer, max_removed=1, max_added=1)
    approve(town, added=2)
    assert withheld(town.sync().plan) == {"removed": 2}
    assert told(peer) == {"add": 2, "update": 3}


def test_an_approval_is_not_used_up_by_a_destination_that_takes_nothing(town: Town, peer: Peer) -> None:
    settle(town, peer, max_removed=1)
    approve(town, removed=2)
    peer.answer = lambda peer, changes: (401, {}, {})
    assert town.sync().error
    peer.answer = None
    assert withheld(town.later().sync().plan) == {}
    assert told(peer) == {"add": 2, "update": 3, "remove": 2}


# -- what dbt says ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("faults", "key", "flag"),
    [(Faults(stale=("shop.orders",)), "fresh", "stale"), (Faults(failing=("not_null",)), "tested", "untested")],
)
def test_what_is_stale_or_fails_its_tests_is_not_told(
    town: Town, peer: Peer, faults: Faults, key: str, flag: str
) -> None:
    settle(town, peer)
    town.faults["vips"] = faults
    plan = town.sync().plan
    assert withheld(plan) == {"added": 2, "removed": 2, "updated": 3}
    assert plan is not None
    assert (faults.stale + faults.failing)[0] in plan.withheld[0].reason
    assert plan.withheld[0].release.endswith(f"--{flag} 7")
    assert told(peer) == {}
    approve(town, **{flag: 6})
    assert len(withheld(town.plan())) == 3
    approve(town, **{flag: 7})
    town.sync()
    assert told(peer) == {"add": 2, "update": 3, "remove": 2}


@pytest.mark.parametrize(
    ("faults", "key"), [(Faults(stale=("shop.orders",)), "fresh"), (Faults(failing=("not_null",)), "tested")]
)
def test_a_file_may_say_that_it_does_not_matter(town: Town, peer: Peer, faults: Faults, key: str) -> None:
    settle(town, peer, **{key: False})
    town.faults["vips"] = faults
    assert withheld(town.sync().plan) == {}


def test_another_segments_faults_are_no_concern(town: Town, peer: Peer) -> None:
    settle(town, peer)
    town.faults["banned"] = Faults(stale=("shop.orders",))
    assert withheld(town.sync().plan) == {}


def test_limits_still_hold_after_stale_data_was_approved(town: Town, peer: Peer) -> None:
    settle(town, peer, max_removed=1)
    town.faults["vips"] = Faults(stale=("shop.orders",))
    approve(town, stale=7)
    assert withheld(town.plan()) == {"removed": 2}


def _target(folder: Path, sources: list[dict[str, Any]], results: list[dict[str, Any]]) -> Path:
    manifest = {
        "metadata": {"dbt_schema_version": "https://schemas.getdbt.com/dbt/manifest/v12.json"},
        "parent_map": {
            "model.shop.vips": ["model.shop.customers"],
            "model.shop.customers": ["source.shop.raw.orders", "source.shop.raw.people"],
            "model.shop.lapsed": ["source.shop.raw.people"],
        },
        "nodes": {
            "test.shop.not_null_vips_user_id.ab12": {
                "resource_type": "test", "attached_node": "model.shop.vips",
                "depends_on": {"nodes": ["model.shop.vips"]},
            },
            "test.shop.relationships_lapsed.cd34": {
                "resource_type": "test", "attached_node": "model.shop.lapsed",
                "depends_on": {"nodes": ["model.shop.vips", "model.shop.lapsed"]},
            },
            "test.shop.assert_vips_plausible": {
                "resource_type": "test", "attached_node": None, "depends_on": {"nodes": ["model.shop.vips"]},
            },
        },
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest))
    head = {"dbt_version": "1.11.2", "generated_at": "2026-03-02T06:00:00Z"}
    (folder / "sources.json").write_text(json.dumps({"metadata": head, "results": sources, "elapsed_time": 1.0}))
    (folder / "run_results.json").write_text(json.dumps({"metadata": head, "results": results, "args": {}}))
    return folder / "manifest.json"


def _models() -> list[Model]:
    return [Model(name, Relation("s", name), unique_id=f"model.shop.{name}") for name in ("vips", "lapsed")]


def test_stale_sources_are_found_above_a_model(tmp_path: Path) -> None:
    found = [
        {"unique_id": "source.shop.raw.orders", "status": "error", "max_loaded_at": "2026-03-01T00:00:00Z",
         "criteria": {"error_after": {"count": 6, "period": "hour"}}},
        {"unique_id": "source.shop.raw.people", "status": "warn"},
    ]  # fmt: skip
    assert artifacts.faults(_target(tmp_path, found, []), _models()) == {"vips": Faults(stale=("raw.orders",))}
    found[1]["status"] = "runtime error"
    assert artifacts.faults(_target(tmp_path, found, []), _models()) == {
        "vips": Faults(stale=("raw.orders", "raw.people")),
        "lapsed": Faults(stale=("raw.people",)),
    }


def test_failing_tests_are_those_of_the_model_itself(tmp_path: Path) -> None:
    found = [
        {"unique_id": "test.shop.not_null_vips_user_id.ab12", "status": "fail", "failures": 3},
        {"unique_id": "test.shop.relationships_lapsed.cd34", "status": "error"},
        {"unique_id": "test.shop.assert_vips_plausible", "status": "fail"},
        {"unique_id": "model.shop.vips", "status": "success"},
    ]
    assert artifacts.faults(_target(tmp_path, [], found), _models()) == {
        "vips": Faults(failing=("assert_vips_plausible", "not_null_vips_user_id")),
        "lapsed": Faults(failing=("relationships_lapsed",)),
    }
    for result in found:
        result["status"] = "warn"
    assert artifacts.faults(_target(tmp_path, [], found), _models()) == {}


@pytest.mark.parametrize("text", ["", "[]", "{", '{"results": 3}', '{"results": [3, null, {}]}'])
def test_artifacts_that_are_missing_or_broken_say_nothing(tmp_path: Path, text: str) -> None:
    manifest = _target(tmp_path, [], [])
    (tmp_path / "sources.json").write_text(text)
    (tmp_path / "run_results.json").unlink()
    assert artifacts.faults(manifest, _models()) == {}
    assert artifacts.faults(tmp_path / "nowhere" / "manifest.json", _models()) == {}


# -- all or nothing, hold ---------------------------------------------------------------------------------------------


def test_where_the_full_set_is_taken_nothing_goes_while_something_stays(
    town: Town, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(town, peer, max_removed=1)
    town.segment("banned", ["m10"])
    monkeypatch.setattr(AudienceWebhook, "abilities_of", classmethod(lambda *_: Abilities(replaces=True)))
    plan = town.sync().plan
    assert withheld(plan) == {"removed": 2, "added": 2, "updated": 3, "suppressed": 1}
    assert told(peer) == {}


def test_the_guard_of_a_full_set_names_what_holds_it_back(town: Town) -> None:
    audience = town.audience(guard={"max_added": 1}).audiences["vips"]
    found = Guard(audience, Figures(held=9, added=2, removed=1), {}).withheld(
        Faults(), is_first=False, replaces=True, new_identity=False, on_hold=False
    )
    assert [(part.kind, part.release) for part in found] == [
        ("added", "dbt-activate approve audience:vips --added 2"),
        ("removed", "dbt-activate approve audience:vips --added 2"),
    ]


def test_an_undone_audience_is_on_hold_until_it_is_resumed(town: Town, peer: Peer) -> None:
    settle(town, peer)
    town.sync()
    run = town.rows("SELECT MAX(run_id) AS run_id FROM state.audience_syncs")[0]["run_id"]
    before = town.rows("SELECT COUNT(*) AS n FROM state.audience_changes")
    shown = mending.undo(town.warehouse, town.project, run, town.now)
    assert (shown.removals, shown.additions, shown.updates) == (2, 2, 3)
    assert town.rows("SELECT COUNT(*) AS n FROM state.audience_changes") == before
    told(peer)
    done = mending.undo(town.warehouse, town.project, run, town.later().now, apply=True, without_updates=True)
    assert told(peer) == {"remove": 2, "add": 2}
    assert done.report is not None
    assert done.report.error is None
    plan = town.later().sync().plan
    assert withheld(plan) == {"added": 2, "removed": 2}
    assert plan is not None
    assert "--resume" in plan.withheld[0].release
    approve(town, added=99, removed=99)
    assert withheld(town.plan()) == {"added": 2, "removed": 2}, "no ceiling takes an audience off hold"
    approve(town.later(), resume=True)
    assert withheld(town.sync().plan) == {}
    assert told(peer) == {"remove": 2, "add": 2}


def test_the_same_now_again_changes_nothing(town: Town, peer: Peer) -> None:
    settle(town, peer, max_removed=1)
    town.sync()
    told(peer)
    before = everything(town)
    again = town.sync()
    assert (again.outcomes, withheld(again.plan)) == ({}, {"removed": 2})
    assert told(peer) == {}
    assert everything(town) == before
    town.audience(**{**town.audiences["vips"].model_dump(by_alias=True), "guard": {"max_removed": 0}}).sync()
    assert everything(town) != before, "another reason is news"
    runs = [row["run_id"] for row in town.rows("SELECT run_id FROM state.audience_syncs")]
    assert len(set(runs)) == len(runs)


def everything(town: Town) -> list[list[dict[str, Any]]]:
    """All rows of the state that a sync may write to."""
    tables = ("audience_changes", "audience_members", "audience_syncs", "approvals", "runs")
    return [sorted(town.rows(f"SELECT * FROM state.{table}"), key=str) for table in tables]


def test_an_instant_before_the_last_sync_is_refused(town: Town, peer: Peer) -> None:
    town.segment("vips", ["ada"]).audience().sync()
    both, now = list(town.audiences.values()), town.now
    syncing.refuse_the_past(town.warehouse, town.project, both, now)
    earlier = now - dt.timedelta(seconds=1)
    ways: list[Callable[[], object]] = [
        lambda: syncing.refuse_the_past(town.warehouse, town.project, both, earlier),
        lambda: mending.retry(town.warehouse, town.project, both, earlier),
        lambda: mending.reconcile(town.warehouse, town.project, both[0], earlier),
        lambda: mending.undo(
            town.warehouse, town.project, town.rows("SELECT run_id FROM state.runs")[0]["run_id"], earlier
        ),
    ]
    before = everything(town)
    for way in ways:
        with pytest.raises(TimeOrderError, match="11:59:59 lies before the last sync of vips"):
            way()
    assert everything(town) == before
    town.audience("others", segment="vips")
    syncing.refuse_the_past(town.warehouse, town.project, [town.audiences["others"]], earlier)


def test_suppressions_have_a_limit_of_their_own(town: Town, peer: Peer) -> None:
    """Nobody is withheld for an exclusion, unless the file sets a limit: then a list that suddenly holds everybody waits."""
    town.segment("vips", ["ada", "bob", "cid"]).segment("bars", [])
    town.audience(exclude=["bars"], guard={"max_suppressed": 1})
    town.sync()
    town.later().segment("bars", ["ada", "bob"])
    withheld = town.sync().plan.withheld
    assert [(part.kind, part.people) for part in withheld] == [("suppressed", 2)]
    assert set(peer.members()) == {"ada", "bob", "cid"}
    mending.approve(
        town.warehouse, town.project, "audience", "vips", {"suppressed": 2}, town.now, lasting=dt.timedelta(days=1),
        granted_by="me",
    )  # fmt: skip
    town.later().sync()
    assert set(peer.members()) == {"cid"}
