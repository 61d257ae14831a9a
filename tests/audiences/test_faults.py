"""What a sync makes of destinations that are down, slow, picky, busy, lying or slow to make up their mind."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from activate import mending, syncing
from activate.deliver.hand_over import Clock
from activate.warehouses.duckdb import DuckDB
from tests.audiences.town import NOON, SECRET, Peer, Town, no_waiting

Rows = list[dict[str, Any]]


def crm(url: str) -> dict[str, Any]:
    return {"type": "webhook", "url": f"{url}/changes", "secret": SECRET, "batch": 2, "concurrency": 1}


@pytest.fixture
def town(peer: Peer, duckdb_in_memory: DuckDB, tmp_path: Path) -> Town:
    """What a destination does to a sync does not depend on the warehouse: DuckDB alone."""
    return Town(duckdb_in_memory, tmp_path, {"crm": crm(peer.url), "ads": {**crm(peer.url), "url": f"{peer.url}/ads"}})


def rewire(town: Town, **options: Any) -> Town:
    """Change the settings of the destination `crm`."""
    sections = {**town.policy.destinations, "crm": {**town.policy.destinations["crm"], **options}}
    town.policy = town.policy.model_copy(update={"destinations": sections})
    return town


def statuses(town: Town, status: str) -> list[str]:
    found = town.rows(f"SELECT member FROM state.audience_changes WHERE status = '{status}' ORDER BY member, wave")
    return [row["member"] for row in found]


def attempts(town: Town) -> int:
    """How often rows were refused in a way that counts."""
    return len(statuses(town, "failed"))


def counting() -> tuple[Clock, list[float]]:
    """A clock that does not wait, and what it was asked to wait."""
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)

    return Clock(now=lambda: NOON, monotonic=lambda: sum(slept), sleep=sleep, chance=lambda: 0.5), slept


def dead_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


PEOPLE = ["ada", "bob", "cid", "dan", "eve"]


def few_attempts(town: Town, attempts: int = 2) -> Town:
    """Let a row fail no more often than this."""
    delivery = town.policy.delivery.model_copy(update={"max_attempts": attempts})
    town.policy = town.policy.model_copy(update={"delivery": delivery})
    return town


# -- down, slow, gone -------------------------------------------------------------------------------------------------


def test_a_destination_that_is_down_costs_nobody_an_attempt(town: Town, peer: Peer) -> None:
    few_attempts(town).segment("vips", PEOPLE).audience()
    rewire(town, url=dead_port())
    for _ in range(3):  # more often than a row may fail
        report = town.later().sync()
        assert "not_connected" in (report.error or "")
        assert set(report.outcomes) == {"aborted"}
        assert report.unusable
    assert attempts(town) == 0
    assert statuses(town, "rejected") == []
    assert town.plan().figures.held == 0, "whoever was never told of is not there"
    rewire(town, url=f"{peer.url}/changes")
    report = town.later().sync()
    assert (report.error, report.outcomes) == (None, {"accepted": 5})
    assert sorted(peer.members()) == PEOPLE


def test_who_leaves_while_the_destination_is_down_is_never_mentioned(town: Town, peer: Peer) -> None:
    town.segment("vips", PEOPLE).audience()
    rewire(town, url=dead_port())
    town.sync()
    rewire(town, url=f"{peer.url}/changes")
    town.later().segment("vips", ["ada"])
    assert town.sync().outcomes == {"accepted": 1}
    assert peer.told == [("vips", "add", "ada")]


def test_an_answer_that_does_not_come_is_a_doubt_and_is_sent_again(town: Town, peer: Peer) -> None:
    town.segment("vips", ["ada", "bob"]).audience()

    def takes_and_hangs_up(peer: Peer, changes: Rows) -> Any:
        peer.take("vips", changes)
        return 0, {}, {}

    peer.answer = takes_and_hangs_up
    report = town.sync()
    assert report.outcomes == {"unknown": 2}
    assert town.plan().figures.held == 2, "they may be there"
    peer.answer = None
    town.later().segment("vips", ["bob"])
    assert town.sync().outcomes == {"accepted": 2}
    assert sorted(peer.members()) == ["bob"]


def test_a_slow_destination_is_in_doubt_after_its_timeout(town: Town, peer: Peer) -> None:
    rewire(town, timeout=1)
    town.segment("vips", ["ada"]).audience()
    peer.answer = lambda peer, changes: time.sleep(1.2)  # and takes it then
    report = town.sync()
    assert (report.outcomes, report.codes) == ({"unknown": 1}, {"timeout": 1})
    peer.answer = None
    assert town.later().sync().outcomes == {"accepted": 1}


def test_once_lost_then_refused_in_halves_is_still_a_doubt(town: Town, peer: Peer) -> None:
    """The first try may have been taken, whatever is said of a later one."""
    town.segment("vips", ["ada", "bob"]).audience()

    def answer(peer: Peer, changes: Rows) -> Any:
        if len(peer.requests) == 1:
            peer.take("vips", changes)
            return 0, {}, {}
        return (422, {}, {}) if len(changes) == 2 else (503, {}, {})

    peer.answer = answer
    assert town.sync().outcomes == {"unknown": 2}
    peer.answer = None
    town.later().segment("vips", [])
    town.sync()
    assert peer.members() == {}


def test_one_dead_destination_does_not_stop_another(town: Town, peer: Peer) -> None:
    rewire(town, url=dead_port())
    town.segment("vips", PEOPLE).audience()
    town.segment("lapsed", PEOPLE).audience("lapsed", destination="ads")
    found = syncing.sync(town.warehouse, town.project, list(town.audiences.values()), town.now, clock=no_waiting())
    assert [bool(report.error) for report in found] == [True, False]
    assert found[1].outcomes == {"accepted": 5}
    assert sorted(peer.members("lapsed")) == PEOPLE


def test_a_destination_that_cannot_be_made_does_not_stop_another(town: Town, peer: Peer) -> None:
    rewire(town, secret="{{ env_var('NOT_THERE') }}")
    town.segment("vips", PEOPLE).audience()
    town.segment("lapsed", PEOPLE).audience("lapsed", destination="ads")
    found = syncing.sync(town.warehouse, town.project, list(town.audiences.values()), town.now, clock=no_waiting())
    assert "NOT_THERE" in (found[0].error or "")
    assert found[1].outcomes == {"accepted": 5}


def test_a_segment_that_cannot_be_read_does_not_stop_another(town: Town, peer: Peer) -> None:
    town.segment("vips", PEOPLE).audience()
    town.segment("lapsed", PEOPLE).audience("lapsed", destination="ads")
    town.run(f"DROP TABLE {town.schema}.vips")
    found = syncing.sync(town.warehouse, town.project, list(town.audiences.values()), town.now, clock=no_waiting())
    assert "vips" in (found[0].error or "")
    assert found[1].outcomes == {"accepted": 5}


# -- refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 302, *(pytest.param(status, marks=pytest.mark.slow) for status in (403, 404))])
def test_a_refusal_as_a_whole_stops_the_sync_and_burns_no_attempt(town: Town, peer: Peer, status: int) -> None:
    few_attempts(town).segment("vips", PEOPLE).audience()
    peer.answer = lambda peer, changes: (status, {}, {})
    for _ in range(3):
        report = town.later().sync()
        assert f"answered {status}" in (report.error or "")
        assert set(report.outcomes) == {"aborted"}
        assert report.requests == 1
    assert attempts(town) == 0
    peer.answer = None
    assert town.later().sync().outcomes == {"accepted": 5}


def _half(peer: Peer, changes: Rows, **told: tuple[str, str]) -> Any:
    peer.take("vips", [change for change in changes if change["member"] not in told])
    results = [
        {"member": change["member"], "status": told[change["member"]][0], "error_code": told[change["member"]][1]}
        for change in changes
        if change["member"] in told
    ]
    return 200, {}, {"results": results}


def test_rejected_members_are_dead_letters_until_their_row_changes(town: Town, peer: Peer) -> None:
    rows = {user: {"ltv": 1} for user in PEOPLE}
    town.segment("vips", rows, {"ltv": "bigint"}).audience(fields={"ltv": "ltv"})
    peer.answer = lambda peer, changes: _half(peer, changes, bob=("rejected", "no_such_person"))
    report = town.sync()
    assert (report.outcomes, report.codes) == ({"accepted": 4, "rejected": 1}, {"no_such_person": 1})
    assert sorted(peer.members()) == ["ada", "cid", "dan", "eve"]
    peer.requests.clear()
    assert town.later().sync().outcomes == {}
    assert town.plan().figures.refused == 1
    assert peer.requests == []
    peer.answer = None
    town.later().segment("vips", {**rows, "bob": {"ltv": 2}})
    assert town.sync().outcomes == {"accepted": 1}
    assert town.plan().figures.refused == 0


def test_retry_releases_dead_letters_that_fit_a_condition(town: Town, peer: Peer) -> None:
    town.segment("vips", PEOPLE).audience()
    bad = {"bob": ("rejected", "blocked"), "dan": ("rejected", "gone")}
    peer.answer = lambda peer, changes: _half(peer, changes, **bad)
    town.sync()
    town.later()
    audiences = list(town.audiences.values())
    release = lambda where: mending.retry(town.warehouse, town.project, audiences, town.now, where=where)  # noqa: E731
    assert release("error_code = 'never heard of'") == {"vips": 0}
    assert release("error_code = 'blocked' AND change = 'add'") == {"vips": 1}
    peer.answer = None
    assert town.later().sync().outcomes == {"accepted": 1}
    assert "bob" in peer.members()
    assert "dan" not in peer.members()
    town.later()
    assert release(None) == {"vips": 1}
    assert release(None) == {"vips": 0}
    assert town.sync().outcomes == {"accepted": 1}


def test_another_mapping_lets_dead_letters_be_tried_once_more(town: Town, peer: Peer) -> None:
    """What was refused is not what would be sent: a renamed field may be all that was wrong."""
    rows = {user: {"ltv": 1} for user in PEOPLE}
    town.segment("vips", rows, {"ltv": "bigint"}).audience(fields={"ltv": "ltv"})
    peer.answer = lambda peer, changes: _half(peer, changes, bob=("rejected", "unknown_field"))
    town.sync()
    town.audience(fields={"value": "ltv"})
    figures = town.later().plan().figures
    assert (figures.added, figures.refused, figures.remapped) == (1, 0, 4), "those who were taken wait for a word"
    assert town.plan().figures.added == 1, "a plan changes nothing"
    assert town.rows("SELECT * FROM state.audience_changes WHERE status = 'released'") == []
    assert town.sync().outcomes == {"rejected": 1}
    assert town.later().sync().outcomes == {}, "refused under the new mapping too, it is a dead letter again"
    assert town.plan().figures.refused == 1
    peer.answer = None
    town.audience(fields={"total": "ltv"}, on_new_mapping="resend")
    assert town.later().sync().outcomes == {"accepted": 5}
    assert peer.members() == {user: {"total": 1} for user in PEOPLE}


def test_a_refused_removal_is_the_same_under_every_mapping(town: Town, peer: Peer) -> None:
    town.segment("vips", {"ada": {"ltv": 1}, "bob": {"ltv": 1}}, {"ltv": "bigint"}).audience(
        fields={"ltv": "ltv"}
    ).sync()
    peer.answer = lambda peer, changes: _half(peer, changes, bob=("rejected", "locked"))
    town.later().segment("vips", {"ada": {"ltv": 1}}).sync()
    town.audience(fields={"value": "ltv"}, on_new_mapping="rebaseline")
    assert town.later().sync().outcomes == {}
    assert town.plan().figures.refused == 1


def test_a_dead_letter_about_an_update_leaves_the_old_row_there(town: Town, peer: Peer) -> None:
    town.segment("vips", {"ada": {"ltv": 1}}, {"ltv": "bigint"}).audience(fields={"ltv": "ltv"}).sync()
    peer.answer = lambda peer, changes: _half(peer, changes, ada=("rejected", "bad_value"))
    town.later().segment("vips", {"ada": {"ltv": -1}})
    town.sync()
    assert peer.members() == {"ada": {"ltv": 1}}
    peer.answer = None
    assert town.later().sync().outcomes == {}
    town.later().segment("vips", [])
    assert town.sync().outcomes == {"accepted": 1}, "who is there with an old row is still taken out"
    assert peer.members() == {}


def test_failed_members_are_tried_again_in_the_same_run(town: Town, peer: Peer) -> None:
    town.segment("vips", PEOPLE).audience()
    seen: list[str] = []

    def answer(peer: Peer, changes: Rows) -> Any:
        names = [change["member"] for change in changes]
        again = {name: ("failed", "busy") for name in names if name == "bob" and seen.count(name) < 2}
        seen.extend(names)
        return _half(peer, changes, **again)

    peer.answer = answer
    assert town.sync().outcomes == {"accepted": 5}
    assert seen.count("bob") == 3
    assert seen.count("ada") == 1, "only what failed is sent again"
    assert attempts(town) == 0


def test_members_that_fail_at_every_sync_become_dead_letters(town: Town, peer: Peer) -> None:
    few_attempts(town, 3).segment("vips", PEOPLE).audience()
    peer.answer = lambda peer, changes: _half(peer, changes, bob=("failed", "busy"))
    assert town.sync().outcomes == {"accepted": 4, "failed": 1}
    assert town.later().sync().outcomes == {"failed": 1}
    assert town.later().sync().outcomes == {"failed": 1}
    assert statuses(town, "rejected") == ["bob"]
    assert town.plan().figures.refused == 1
    assert town.later().sync().outcomes == {}
    mending.retry(town.warehouse, town.project, list(town.audiences.values()), town.now)
    assert town.later().sync().outcomes == {"failed": 1}, "and after a release they have all their attempts again"
    peer.answer = None
    assert town.later().sync().outcomes == {"accepted": 1}


def test_a_removal_that_fails_is_tried_again_at_the_next_sync(town: Town, peer: Peer) -> None:
    town.segment("vips", PEOPLE).audience().sync()
    town.later().segment("vips", PEOPLE[1:])
    peer.answer = lambda peer, changes: _half(peer, changes, ada=("failed", "busy"))
    assert town.sync().outcomes == {"failed": 1}
    peer.answer = None
    assert town.later().sync().outcomes == {"accepted": 1}
    assert "ada" not in peer.members()


# -- busy -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["17", "Mon, 02 Mar 2026 12:00:17 GMT"])
def test_retry_after_is_honoured(town: Town, peer: Peer, header: str) -> None:
    town.segment("vips", ["ada"]).audience()
    peer.answer = lambda peer, changes: (429, {"Retry-After": header}, {}) if len(peer.requests) == 1 else None
    clock, slept = counting()
    assert town.sync(clock=clock).outcomes == {"accepted": 1}
    assert sum(slept) == pytest.approx(17)


def test_a_destination_that_stays_busy_stops_the_sync_and_burns_no_attempt(town: Town, peer: Peer) -> None:
    few_attempts(town).segment("vips", PEOPLE).audience()
    for status in (429, 503):
        peer.answer = lambda peer, changes, status=status: (status, {"Retry-After": "5"}, {})  # type: ignore[misc]
        for _ in range(3):
            report = town.later().sync()
            assert report.error
            assert "accepted" not in report.outcomes
    assert attempts(town) == 0
    assert statuses(town, "rejected") == []
    peer.answer = None
    assert town.later().sync().outcomes == {"accepted": 5}


def test_a_wait_of_hours_is_not_waited_for(town: Town, peer: Peer) -> None:
    town.segment("vips", PEOPLE).audience()
    peer.answer = lambda peer, changes: (429, {"Retry-After": "7200"}, {})
    clock, slept = counting()
    report = town.sync(clock=clock)
    assert "7200 seconds" in (report.error or "")
    assert sum(slept) < 10
    assert report.requests == 1


# -- lying, poisoned --------------------------------------------------------------------------------------------------


def test_an_error_in_the_body_of_a_200_is_believed(town: Town, peer: Peer) -> None:
    town.segment("vips", ["ada", "bob"]).audience()
    peer.answer = lambda peer, changes: (200, {}, {"success": False, "code": "quota"})
    report = town.sync()
    assert (report.outcomes, report.codes) == ({"failed": 2}, {"quota": 2})
    assert town.plan().figures.held == 0


def test_errors_in_the_body_of_a_200_are_those_of_their_rows(town: Town, peer: Peer) -> None:
    town.segment("vips", ["ada", "bob"]).audience()
    peer.answer = lambda peer, changes: (200, {}, {"errors": [{"index": 1, "code": "bad"}]})
    report = town.sync()
    assert (report.outcomes, report.codes) == ({"accepted": 1, "rejected": 1}, {"bad": 1})


@pytest.mark.parametrize(
    "item",
    [{"index": -1}, {"index": 99}, {"index": "1"}, {"index": True, "member": 3}, {"member": "nobody"}, "x", None, 7],
)
def test_errors_that_name_no_row_of_ours_are_not_ours(town: Town, peer: Peer, item: Any) -> None:
    """What cannot be told of a row must not be laid to another's charge, and never breaks the sync."""
    town.segment("vips", ["ada", "bob"]).audience()
    peer.answer = lambda peer, changes: (200, {}, {"errors": [item]})
    report = town.sync()
    assert report.error is None
    assert "rejected" not in report.outcomes


@pytest.mark.parametrize("status", [400, 422])
def test_a_poisoned_row_is_found_by_halves(town: Town, peer: Peer, status: int) -> None:
    people = [f"u{number:03}" for number in range(256)]
    rewire(town, batch=256)
    town.segment("vips", people).audience()

    def answer(peer: Peer, changes: Rows) -> Any:
        return (status, {}, {}) if any(change["member"] == "u077" for change in changes) else None

    peer.answer = answer
    report = town.sync()
    assert (report.outcomes, report.codes) == ({"accepted": 255, "rejected": 1}, {f"http_{status}": 1})
    assert statuses(town, "rejected") == ["u077"]
    assert len(peer.members()) == 255
    assert report.requests == 1 + 2 * 8
    assert town.later().sync().outcomes == {}


# -- jobs -------------------------------------------------------------------------------------------------------------


def test_a_job_is_asked_for_until_it_is_done(town: Town, peer: Peer) -> None:
    town.segment("vips", ["ada", "bob"]).audience()
    peer.jobs["j1"] = [{"status": "running"}, {"status": "queued"}, {"status": "done", "errors": [{"member": "bob"}]}]
    peer.answer = lambda peer, changes: (202, {}, {"job": "/jobs/j1"})
    report = town.sync()
    assert report.outcomes == {"accepted": 1, "rejected": 1}
    assert report.requests == 4


def test_a_job_may_be_named_by_its_location(town: Town, peer: Peer) -> None:
    town.segment("vips", ["ada"]).audience()
    peer.jobs["j1"] = [{"status": "done"}]
    peer.answer = lambda peer, changes: (202, {"Location": "/jobs/j1"}, {})
    assert town.sync().outcomes == {"accepted": 1}


def test_a_job_that_fails_is_tried_again(town: Town, peer: Peer) -> None:
    town.segment("vips", ["ada"]).audience()
    peer.jobs["j1"] = [{"status": "failed", "code": "disk_full"}] * 4
    peer.answer = lambda peer, changes: (202, {}, {"job": "/jobs/j1"})
    report = town.sync()
    assert (report.outcomes, report.codes) == ({"failed": 1}, {"disk_full": 1})
    peer.answer = None
    assert town.later().sync().outcomes == {"accepted": 1}


def test_a_job_that_never_ends_is_a_doubt_and_is_posted_once(town: Town, peer: Peer) -> None:
    town.segment("vips", ["ada"]).audience()
    peer.jobs["j1"] = [{"status": "running"}] * 5_000
    peer.answer = lambda peer, changes: (202, {}, {"job": "/jobs/j1"})
    clock, slept = counting()
    report = town.sync(clock=clock)
    assert (report.outcomes, report.codes) == ({"unknown": 1}, {"job_takes_too_long": 1})
    assert len(peer.requests) == 1
    assert 600 <= sum(slept) < 700
    assert town.plan().figures.held == 1


@pytest.mark.parametrize("job", ["/lost", "ftp://elsewhere/1", "http://127.0.0.1:1/x"])
def test_a_job_that_cannot_be_asked_for_is_a_doubt(town: Town, peer: Peer, job: str) -> None:
    """It was taken, and nobody can say how it ended: whoever leaves meanwhile has to be taken out."""
    town.segment("vips", ["ada"]).audience()

    def answer(peer: Peer, changes: Rows) -> Any:
        peer.take("vips", changes)
        return 202, {}, {"job": job}

    peer.answer = answer
    report = town.sync()
    assert report.outcomes == {"unknown": 1}
    assert len(peer.requests) == 1
    peer.answer = None
    town.later().segment("vips", [])
    town.sync()
    assert peer.members() == {}


# -- order and signature ----------------------------------------------------------------------------------------------


def test_the_suppressed_come_first_then_removals_then_additions(town: Town, peer: Peer) -> None:
    town.segment("banned", ["zoe"])
    town.segment("vips", PEOPLE).audience(exclude=["banned"]).sync()
    town.segment("banned", ["eve"])
    town.later().segment("vips", ["abe", "bob", "cid", "dan", "eve", "fay"])
    peer.told.clear()
    town.sync()
    assert [(change, member) for _, change, member in peer.told[:2]] == [("remove", "eve"), ("remove", "ada")]
    assert sorted(member for _, change, member in peer.told[2:] if change == "add") == ["abe", "fay"]


def test_where_the_suppressed_cannot_be_taken_out_nobody_is_added(town: Town, peer: Peer) -> None:
    town.segment("banned", ["zoe"])
    town.segment("vips", PEOPLE).audience(exclude=["banned"]).sync()
    town.segment("banned", ["eve"])
    town.later().segment("vips", [*PEOPLE, "fay"])
    peer.answer = lambda peer, changes: (401, {}, {}) if changes[0]["change"] == "remove" else None
    report = town.sync()
    assert report.error
    assert "fay" not in peer.members()


def test_requests_are_signed_and_carry_an_idempotency_key(town: Town, peer: Peer) -> None:
    town.segment("vips", ["ada"]).audience()
    peer.answer = lambda peer, changes: (503, {}, {}) if len(peer.requests) == 1 else None
    town.sync()
    first, second = peer.headers
    assert first["idempotency-key"] == second["idempotency-key"] == first["webhook-id"]
    run = town.rows("SELECT run_id FROM state.audience_syncs")[0]["run_id"]
    change = peer.requests[0][0]
    assert set(change) == {"change", "user_id", "member", "fields"}
    text = json.loads(json.dumps({"audience": "vips", "run_id": run}))
    assert text["run_id"].endswith("-vips")
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    for headers in peer.headers:
        stamp = headers["webhook-timestamp"]
        assert int(stamp) == int(NOON.replace(tzinfo=dt.UTC).timestamp())
        signed = f"{headers['webhook-id']}.{stamp}.".encode() + peer.bodies[0]
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{expected}"


def test_other_rows_have_another_key(town: Town, peer: Peer) -> None:
    town.segment("vips", PEOPLE).audience().sync()
    keys = [headers["idempotency-key"] for headers in peer.headers]
    assert len(set(keys)) == len(keys) == 3


def test_a_destination_that_refuses_every_row_is_left_alone(town: Town, peer: Peer) -> None:
    town.segment("vips", [f"p{number:03}" for number in range(400)]).audience()
    peer.answer = lambda *_: (422, {}, {})
    report = town.sync()
    assert report.error is not None
    assert "refuses every row (http_422)" in report.error
    assert report.outcomes["rejected"] < 100, "the others are no dead letters"
    peer.answer = None
    mending.retry(town.warehouse, town.project, list(town.audiences.values()), town.later().now)
    town.later().sync()
    assert len(peer.members()) == 400


def test_a_removal_is_never_given_up(town: Town, peer: Peer) -> None:
    few_attempts(town).segment("vips", ["ada", "bob"]).audience()
    town.sync()
    town.segment("vips", ["ada"])
    peer.answer = lambda *_: (200, {}, {"results": [{"member": "bob", "status": "failed", "error_code": "busy"}]})
    for _ in range(4):
        assert town.later().sync().outcomes == {"failed": 1}
    peer.answer = None
    town.later().sync()
    assert set(peer.members()) == {"ada"}


def test_a_job_at_another_host_is_not_asked(town: Town, peer: Peer) -> None:
    town.segment("vips", ["ada"]).audience()
    peer.answer = lambda *_: (202, {}, {"job": "http://127.0.0.2:1/jobs/1"})
    report = town.sync()
    assert report.outcomes == {"unknown": 1}
    assert report.codes == {"no_job": 1}
