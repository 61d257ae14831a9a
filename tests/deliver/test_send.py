"""Delivering the outbox: what goes out, what does not and why, and what is tried again."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from post_office import NOON, MakeOffice, PostOffice, Service, address, message_id, on_both, webhook

from activate.deliver import send
from activate.deliver.hand_over import Clock
from activate.deliver.send import require_usable
from activate.errors import DeliveryError, LeaseHeldError, WarehouseError
from activate.policy import State
from activate.providers.base import HttpAnswer, Outcome
from activate.providers.webhook import Webhook
from activate.record import deliveries
from activate.record.deliveries import Outbox
from activate.record.migrate import migrate


@on_both
def test_every_open_message_is_handed_over_once(make_office: MakeOffice, peer: Service) -> None:
    office = make_office({"mail": webhook(peer.url, batch=7)}).people(50).queue(range(50))
    report = office.deliver()
    assert report.counts == {"accepted": 50}
    assert (report.left, report.error, report.requests) == (0, None, 8)
    assert peer.taken == {message_id(n): 1 for n in range(50)}
    assert set(map(tuple, office.outcomes().values())) == {(("claimed", 1, False), ("accepted", 1, True))}
    again = office.deliver()
    assert (again.counts, again.requests) == ({}, 0)
    assert sum(peer.taken.values()) == 50


def test_a_message_is_rendered_from_profile_and_context(make_office: MakeOffice, peer: Service) -> None:
    office = make_office({"mail": webhook(peer.url)}).people(1, start=7).queue([7])
    office.deliver()
    assert json.loads(peer.requests[0][1])["messages"] == [
        {
            "message_id": message_id(7), "user_id": "u7", "address": address(7), "channel": "email",
            "campaign": "hello", "step": 1, "variant": None, "class": "marketing", "tags": ["promotion"],
            "ttl_seconds": 6 * 3600,
            "content": {
                "subject": "Hello Ann7", "text": "You have 7 points, Tea 7.", "html": "<p>Ann7: Tea 7</p>",
            },
        }
    ]  # fmt: skip


@on_both
def test_profile_values_read_the_same_from_every_warehouse(make_office: MakeOffice, peer: Service) -> None:
    office = make_office({"mail": webhook(peer.url)}).people(1).queue([0], template="types")
    (office.project.templates / "types.email.j2").write_text(
        "{{ profile.balance | money }} {{ profile.balance + 1 }} {{ profile.born | date('%Y-%m-%d') }} "
        "{{ profile.seen_at | date('%d.%m. %H:%M') }} {{ profile.extra.a[1] }} {{ profile.points * 2 }}"
    )
    office.deliver()
    # Half past ten in the evening UTC is half past eleven in Berlin.
    assert json.loads(peer.requests[0][1])["messages"][0]["content"] == {
        "body": "$1,234.50 1235.50 1990-01-02 01.03. 23:30 2 0"
    }


def test_a_null_needs_a_default_or_aborts_that_message_only(make_office: MakeOffice, peer: Service) -> None:
    office = make_office({"mail": webhook(peer.url)}).people(3).queue(range(3))
    office.sql("UPDATE shop.profiles SET first_name = NULL WHERE user_id = 'u1'")
    assert office.deliver().counts == {"accepted": 2, "aborted": 1}
    rows = office.sql(
        "SELECT message_id, error_code, error, attempt, final FROM activate.deliveries WHERE status = 'aborted'"
    )
    assert rows == [
        (
            message_id(1), "render_error",
            "rules/templates/hello.email.j2:1: profile.first_name is null; "
            "give a default, e.g. {{ profile.first_name | default('...') }}",
            1, True,
        )
    ]  # fmt: skip


def test_a_template_can_abort(make_office: MakeOffice, peer: Service) -> None:
    office = make_office({"mail": webhook(peer.url)}).people(2).queue([0, 1], template="picky")
    (office.project.templates / "picky.email.j2").write_text(
        "{% if profile.points == 1 %}{{ abort('one point is not worth it') }}{% endif %}Hello"
    )
    assert office.deliver().counts == {"accepted": 1, "aborted": 1}
    rows = office.sql("SELECT error_code, error FROM activate.deliveries WHERE status = 'aborted'")
    assert rows == [("template_abort", "one point is not worth it")]


@on_both
def test_profile_is_read_again_at_dispatch(make_office: MakeOffice, peer: Service) -> None:
    cases = {
        # semantics.md, section 8, case 3: unsubscribe between decide and dispatch: suppressed.
        "UPDATE shop.profiles SET email_consent = FALSE WHERE user_id = 'u1'": "consent_withdrawn",
        "UPDATE shop.profiles SET email_consent = NULL WHERE user_id = 'u2'": "consent_withdrawn",
        "UPDATE shop.profiles SET email = '' WHERE user_id = 'u3'": "unreachable",
        "UPDATE shop.profiles SET email = NULL WHERE user_id = 'u4'": "unreachable",
        "DELETE FROM shop.profiles WHERE user_id = 'u5'": "no_profile",
        "INSERT INTO shop.profiles SELECT * FROM shop.profiles WHERE user_id = 'u6'": "duplicate_profile",
    }
    office = make_office({"mail": webhook(peer.url)}).people(8).queue(range(8))
    for statement in cases:
        office.sql(statement)
    assert office.deliver().counts == {"accepted": 2, "aborted": 6}
    found = dict(office.sql("SELECT message_id, error_code FROM activate.deliveries WHERE status = 'aborted'"))
    assert found == {message_id(number): code for number, code in enumerate(cases.values(), start=1)}
    assert set(peer.taken) == {message_id(0), message_id(7)}


def test_text_consent_counts_by_its_values(make_office: MakeOffice, peer: Service) -> None:
    office = make_office({"mail": webhook(peer.url)}).people(2).queue([0, 1], channel="push")
    office.sql("UPDATE shop.profiles SET push_consent = 'unsubscribed' WHERE user_id = 'u1'")
    assert office.deliver().counts == {"accepted": 1, "aborted": 1}
    assert json.loads(peer.requests[0][1])["messages"][0]["content"] == {"body": "Hello Ann0"}


@on_both
def test_expiry_and_window_hold_up_to_their_last_instant(make_office: MakeOffice, peer: Service) -> None:
    cases = [
        ("expires_at", 0, "expired", None),  # the end of a half-open interval is outside
        ("expires_at", 1, "accepted", None),
        ("send_by", 0, "expired", "window_closed"),
        ("send_by", 1, "accepted", None),
    ]
    office = make_office({"mail": webhook(peer.url)}).people(4)
    for number, (column, offset, _, _) in enumerate(cases):
        office.queue([number], **{column: NOON + dt.timedelta(microseconds=offset)})
    office.deliver(now=NOON)
    rows = office.sql("SELECT message_id, status, error_code FROM activate.deliveries WHERE status <> 'claimed'")
    told = {(message_id(number), outcome, code) for number, (_, _, outcome, code) in enumerate(cases)}
    assert set(rows) == told


@on_both
def test_transactional_goes_first_then_priority(make_office: MakeOffice, peer: Service) -> None:
    office = make_office({"mail": webhook(peer.url, batch=1, concurrency=1)}).people(4)
    office.queue([0], priority=10).queue([1], priority=90).queue([2], class_="transactional", priority=0)
    office.queue([3], priority=90, queued_at=NOON - dt.timedelta(hours=1))
    office.deliver()
    order = [json.loads(body)["messages"][0]["user_id"] for _, body in peer.requests]
    assert order == ["u2", "u3", "u1", "u0"]


@on_both
def test_an_outbox_of_many_pages_is_gone_through_in_order_and_once(
    make_office: MakeOffice, peer: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages keep memory flat; a message that fails in one is not met again in the next."""
    monkeypatch.setattr("activate.record.deliveries.PAGE_SIZE", 7)
    office = make_office({"mail": webhook(peer.url, batch=1, concurrency=1)}).people(40)
    hour = dt.timedelta(hours=1)
    office.queue(range(10), priority=10).queue(range(10, 20), priority=90, queued_at=NOON - hour)
    office.queue(range(20, 30), class_="transactional", priority=5).queue(range(30, 40), priority=90)

    def script(handler: Any, ids: list[str]) -> bool:
        if message_id(25) in ids:
            handler.answer(503)
            return True
        return False

    peer.script = script
    report = office.deliver()
    assert (report.counts, report.left) == ({"accepted": 39, "failed": 1}, 1)
    order = [int(json.loads(body)["messages"][0]["user_id"][1:]) for _, body in peer.requests]
    groups = [[range(20, 30), range(10, 20), range(30, 40), range(10)].index(next(
        group for group in (range(20, 30), range(10, 20), range(30, 40), range(10)) if number in group
    )) for number in order]  # fmt: skip
    assert groups == sorted(groups)
    assert peer.taken == {message_id(n): 1 for n in range(40) if n != 25}
    peer.script = None
    assert office.deliver().counts == {"accepted": 1}


def test_only_this_providers_messages_are_taken(make_office: MakeOffice, peer: Service) -> None:
    office = make_office({"mail": webhook(peer.url)}).people(2).queue([0]).queue([1], provider="other")
    assert office.deliver().counts == {"accepted": 1}
    assert set(peer.taken) == {message_id(0)}


# -- failures ---------------------------------------------------------------------------------------------------------


def test_partial_failure_is_told_apart_and_only_failed_ones_are_tried_again(
    make_office: MakeOffice, peer: Service
) -> None:
    """semantics.md, section 9, case 4: partial batch failure: only failed items retry."""

    def script(handler: Any, ids: list[str]) -> bool:
        results = {message_id(1): ("rejected", "bad_token"), message_id(2): ("failed", "busy")}
        if len(peer.requests) > 1:
            results.pop(message_id(2))
        told = [{"message_id": key, "status": results[key][0], "error_code": results[key][1]}
                for key in ids if key in results]  # fmt: skip
        peer.taken.update(key for key in ids if key not in results)
        handler.answer(200, json.dumps({"results": told}).encode())
        return True

    peer.script = script
    office = make_office({"mail": webhook(peer.url, concurrency=1)}).people(4).queue(range(4))
    assert office.deliver().counts == {"accepted": 3, "rejected": 1}
    posted = [[message["user_id"] for message in json.loads(body)["messages"]] for _, body in peer.requests]
    assert sorted(posted[0]) == ["u0", "u1", "u2", "u3"]
    assert posted[1:] == [["u2"]]
    assert office.codes() == {("accepted", None): 3, ("rejected", "bad_token"): 1}


def test_one_poisonous_message_spoils_only_itself(make_office: MakeOffice, peer: Service) -> None:
    def script(handler: Any, ids: list[str]) -> bool:
        if message_id(13) in ids:
            handler.answer(422, b"no")
            return True
        return False

    peer.script = script
    office = make_office({"mail": webhook(peer.url, batch=32)}).people(32).queue(range(32))
    assert office.deliver().counts == {"accepted": 31, "rejected": 1}
    assert office.outcomes()[message_id(13)][-1] == ("rejected", 1, True)
    assert office.codes()["rejected", "http_422"] == 1
    assert peer.taken == {message_id(n): 1 for n in range(32) if n != 13}


def test_429_is_waited_for_as_long_as_asked(duckdb_only: MakeOffice, peer: Service) -> None:
    """semantics.md, section 9, case 5: wait max(Retry-After, backoff + jitter)."""
    waits: list[float] = []

    def script(handler: Any, ids: list[str]) -> bool:
        if len(peer.requests) == 1:
            handler.answer(429, Retry_After="7")
            return True
        return False

    peer.script = script
    office = duckdb_only({"mail": webhook(peer.url)}).people(1).queue([0])
    office.clock = Clock(now=lambda: NOON, sleep=waits.append, chance=lambda: 1.0)
    assert office.deliver().counts == {"accepted": 1}
    assert max(waits) >= 6.9
    assert office.outcomes()[message_id(0)] == [("claimed", 1, False), ("accepted", 1, True)]


def test_a_very_long_wait_is_left_to_the_next_run(duckdb_only: MakeOffice, peer: Service) -> None:
    peer.script = lambda handler, _: handler.answer(503, Retry_After="3600") or True
    office = duckdb_only({"mail": webhook(peer.url, concurrency=1)}).people(1).queue([0])
    report = office.deliver()
    assert (report.requests, report.left) == (1, 1)
    assert report.error == "the provider asks us to wait 3600 seconds"
    peer.script = None
    assert office.deliver().counts == {"accepted": 1}


@on_both
def test_failures_end_at_max_attempts(make_office: MakeOffice, peer: Service) -> None:
    peer.script = lambda handler, _: handler.answer(500) or True
    office = make_office({"mail": webhook(peer.url, concurrency=1)}, delivery={"max_attempts": 2})
    office.people(1).queue([0])
    assert office.deliver().left == 1
    assert office.deliver().left == 0
    assert office.outcomes()[message_id(0)] == [
        ("claimed", 1, False), ("failed", 1, False), ("claimed", 2, False), ("failed", 2, True),
    ]  # fmt: skip
    assert office.deliver().requests == 0


def test_an_outage_uses_up_no_attempts(make_office: MakeOffice, peer: Service) -> None:
    url = "http://127.0.0.1:9/messages"  # the discard port: nobody listens
    office = make_office({"mail": webhook(url, concurrency=1)}, delivery={"max_attempts": 1}).people(3).queue(range(3))
    for _ in range(3):
        report = office.deliver()
        assert report.left == 3
        assert report.unusable
        with pytest.raises(DeliveryError, match="mail"):
            require_usable([report])
    office.project.policy.providers["mail"]["url"] = peer.url
    assert office.deliver().counts == {"accepted": 3}
    assert office.codes() == {("failed", "not_connected"): 9, ("accepted", None): 3}


def test_the_breaker_leaves_a_dead_provider_alone(make_office: MakeOffice) -> None:
    office = make_office({"mail": webhook("http://127.0.0.1:9/", batch=1, concurrency=1)}).people(400).queue(range(400))
    report = office.deliver()
    assert report.left == 400
    assert "requests failed in a row" in str(report.error)
    claimed = office.sql("SELECT COUNT(DISTINCT message_id) FROM activate.deliveries")[0][0]
    assert claimed < 20, "messages that were never tried are not claimed"


@pytest.mark.parametrize("status", [301, 401, 403, 404])
def test_a_refused_account_stops_the_provider_and_loses_nothing(
    duckdb_only: MakeOffice, peer: Service, status: int
) -> None:
    peer.script = lambda handler, _: handler.answer(status, Location="http://127.0.0.1:9/") or True
    office = duckdb_only({"mail": webhook(peer.url, batch=1, concurrency=1)}, delivery={"max_attempts": 1})
    report = office.people(20).queue(range(20)).deliver()
    assert (report.requests, report.left) == (1, 20)
    assert str(status) in str(report.error)
    peer.script = None
    assert office.deliver().counts == {"accepted": 20}


# -- doubt ------------------------------------------------------------------------------------------------------------


def _hang(peer: Service) -> None:
    def script(handler: Any, ids: list[str]) -> bool:
        peer.taken.update(ids)
        peer.held.wait(20)
        return True

    peer.script = script


def _hang_up(peer: Service) -> None:
    def script(handler: Any, ids: list[str]) -> bool:
        peer.taken.update(ids)
        handler.hang_up()
        return True

    peer.script = script


@pytest.mark.parametrize(("fault", "code"), [(_hang, "timeout"), (_hang_up, "connection_lost")])
def test_no_answer_leaves_marketing_unknown_for_good(
    make_office: MakeOffice, peer: Service, fault: Any, code: str
) -> None:
    """semantics.md, section 0, case 2: without provider idempotency the row stays `unknown`."""
    fault(peer)
    office = make_office({"mail": webhook(peer.url)}).people(2).queue([0, 1])
    assert office.deliver().counts == {"unknown": 2}
    assert office.codes() == {("unknown", code): 2}
    peer.script = None
    assert office.deliver().requests == 0
    assert peer.taken == {message_id(0): 1, message_id(1): 1}


def test_transactional_may_be_sent_again_by_policy(make_office: MakeOffice, peer: Service) -> None:
    _hang_up(peer)
    office = make_office({"mail": webhook(peer.url)}, delivery={"resend_unknown": "transactional"}).people(2)
    office.queue([0], class_="transactional").queue([1])
    office.deliver()
    peer.script = None
    assert office.deliver().counts == {"accepted": 1}
    assert office.outcomes() == {
        message_id(0): [("claimed", 1, False), ("unknown", 1, False), ("claimed", 2, False), ("accepted", 2, True)],
        message_id(1): [("claimed", 1, False), ("unknown", 1, True)],
    }


def test_an_idempotent_peer_gets_it_again_under_the_same_key(make_office: MakeOffice, peer: Service) -> None:
    def script(handler: Any, ids: list[str]) -> bool:
        peer.taken.update(ids)
        if len(peer.requests) == 1:
            handler.hang_up()
        else:
            handler.answer(200)
        return True

    peer.script = script
    office = make_office({"mail": webhook(peer.url, idempotent=True)}).people(3).queue(range(3))
    assert office.deliver().counts == {"accepted": 3}
    keys = [headers["Idempotency-Key"] for headers, _ in peer.requests]
    assert len(keys) == 2
    assert keys[0] == keys[1]


def test_what_may_have_been_taken_never_ends_as_definitely_failed(make_office: MakeOffice, peer: Service) -> None:
    """A doubt stays: a later attempt that fails, or an expiry, says nothing about the earlier one."""
    _hang_up(peer)
    office = make_office({"mail": webhook(peer.url, idempotent=True)}).people(2)
    office.queue([0]).queue([1], expires_at=NOON + dt.timedelta(minutes=1))
    assert office.deliver().left == 2
    office.sql("UPDATE shop.profiles SET email_consent = FALSE WHERE user_id = 'u0'")
    office.deliver(now=NOON + dt.timedelta(minutes=2))
    ends = {key: rows[-1] for key, rows in office.outcomes().items()}
    assert ends == {message_id(0): ("unknown", 2, True), message_id(1): ("unknown", 2, True)}
    assert {code for status, code in office.codes() if status == "unknown"} >= {"expired", "consent_withdrawn"}


# -- several providers, several runs ----------------------------------------------------------------------------------


def test_one_provider_that_fails_does_not_stop_another(make_office: MakeOffice, peer: Service) -> None:
    channels = {
        "email": {"address": "email", "consent": "email_consent", "provider": "mail"},
        "push": {"address": "push_token", "consent": "push_consent", "provider": "pusher"},
    }
    office = make_office({"mail": webhook("http://127.0.0.1:9/"), "pusher": webhook(peer.url)}, channels=channels)
    office.people(2).queue([0]).queue([1], channel="push", provider="pusher")
    reports = {report.provider: report for report in office.deliver_all()}
    assert reports["mail"].unusable
    assert reports["mail"].left == 1
    assert reports["pusher"].counts == {"accepted": 1}


@on_both
def test_a_second_delivery_waits_or_leaves(make_office: MakeOffice, peer: Service) -> None:
    office = make_office({"mail": webhook(peer.url)}).people(1).queue([0])
    other = Outbox(office.warehouse.clone(), office.project, "mail", "other")
    with other.lease(0), pytest.raises(LeaseHeldError, match=r"deliver\.activate\.mail"):
        office.deliver(wait_seconds=0.1)
    other.close()
    assert peer.requests == []
    assert office.deliver().counts == {"accepted": 1}


def test_projects_with_states_of_their_own_do_not_wait_for_one_another(make_office: MakeOffice, peer: Service) -> None:
    office = make_office({"mail": webhook(peer.url)}).people(1).queue([0])
    state = State.model_validate({"schema": "neighbours"})
    neighbours = replace(office.project, policy=office.project.policy.model_copy(update={"state": state}))
    with office.warehouse.transaction():
        migrate(office.warehouse, "neighbours", NOON)
    other = Outbox(office.warehouse.clone(), neighbours, "mail", "other")
    with other.lease(0):
        assert office.deliver(wait_seconds=0).counts == {"accepted": 1}
    other.close()


def test_a_template_that_broke_leaves_its_messages_open(duckdb_only: MakeOffice, peer: Service) -> None:
    office = duckdb_only({"mail": webhook(peer.url)}).people(2).queue([0]).queue([1], template="broken")
    file = office.project.templates / "broken.email.j2"
    file.write_text("{% if %}")
    report = office.deliver()
    assert (report.counts, report.left) == ({"accepted": 1}, 1)
    assert "rules/templates/broken.email.j2:1" in str(report.error)
    file.write_text("mended")
    assert office.deliver().counts == {"accepted": 1}


@on_both
def test_a_run_looks_only_at_what_may_be_open(make_office: MakeOffice, peer: Service) -> None:
    """Cost follows what is open: the watermark moves past what is done, and stays at what is not."""
    office = make_office({"mail": webhook(peer.url)}).people(6)
    hour = dt.timedelta(hours=1)
    office.queue([0, 1], queued_at=NOON - 3 * hour).deliver()
    assert _watermark(office) == NOON - 3 * hour
    office.queue([2, 3], queued_at=NOON - hour).deliver()
    assert _watermark(office) == NOON - hour
    peer.script = lambda handler, _: handler.answer(500) or True
    office.queue([4], queued_at=NOON).deliver()
    peer.script = None
    office.queue([5], queued_at=NOON + hour).deliver(now=NOON + hour)
    assert peer.taken == {message_id(n): 1 for n in range(6)}
    assert _watermark(office) == NOON + hour


def _watermark(office: PostOffice) -> dt.datetime:
    texts = [counts for (counts,) in office.sql("SELECT counts FROM activate.runs WHERE status = 'delivered'")]
    return max(dt.datetime.fromisoformat(json.loads(text)["open_from"]) for text in texts)


def test_rows_are_never_dated_before_their_message(make_office: MakeOffice, peer: Service) -> None:
    """A machine whose clock is behind must not hide its rows from the next run's watermark."""
    office = make_office({"mail": webhook(peer.url)}).people(1).queue([0], queued_at=NOON + dt.timedelta(hours=2))
    office.deliver(now=NOON)
    assert office.deliver(now=NOON).requests == 0
    assert office.sql("SELECT MIN(recorded_at) FROM activate.deliveries") == [(NOON + dt.timedelta(hours=2),)]


@on_both
def test_contexts_are_found_behind_the_horizon(make_office: MakeOffice, peer: Service) -> None:
    """The entry of a long journey is older than the last ticks; a wrong hint from `scans` costs time, not the context."""
    office = make_office({"mail": webhook(peer.url)}).people(1).queue([0])
    office.sql(
        "INSERT INTO activate.scans (campaign, scanned_to, decided_at, live_from, run_id) VALUES ('hello', "
        "TIMESTAMP '2026-03-02 11:00:00', TIMESTAMP '2026-03-02 11:00:00', TIMESTAMP '2026-03-02 10:00:00', 'tick')"
    )
    office.sql("UPDATE activate.entries SET recorded_at = TIMESTAMP '2026-01-01 00:00:00'")
    assert office.deliver().counts == {"accepted": 1}


def test_progress_is_told(duckdb_only: MakeOffice, peer: Service) -> None:
    told: list[tuple[str, int, int]] = []
    office = duckdb_only({"mail": webhook(peer.url, batch=5)}).people(100).queue(range(100))
    office.deliver(on_progress=lambda *numbers: told.append(numbers))
    assert told[-1] == ("mail", 100, 100)
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)


def test_a_message_that_no_request_can_hold_spoils_only_itself(make_office: MakeOffice, peer: Service) -> None:
    """Half a surrogate pair is legal in JSON's escapes and has no form in UTF-8."""
    office = make_office({"mail": webhook(peer.url, batch=5, concurrency=1)}).people(5).queue(range(5))
    office.sql("""UPDATE activate.entries SET context = '{"product": "Tea \\ud800"}' WHERE entry_id = 'e2'""")
    report = office.deliver()
    assert report.counts == {"accepted": 4, "rejected": 1}
    assert office.outcomes()[message_id(2)][-1] == ("rejected", 1, True)
    assert set(peer.taken) == {message_id(n) for n in (0, 1, 3, 4)}


class Losing:
    """Makes a provider tell that the address of some messages is lost, as a vendor's answer would."""

    def __init__(self, office: PostOffice, reason: str, numbers: set[int]) -> None:
        self.office, self.reason, self.numbers = office, reason, {message_id(n) for n in numbers}

    def deliver(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        read = Webhook.read_http

        def losing(provider: Webhook, answer: Any, batch: Any) -> list[Outcome]:
            return [
                one._replace(status="rejected", error_code="gone", lost=self.reason)
                if one.message_id in self.numbers
                else one
                for one in read(provider, answer, batch)
            ]

        monkeypatch.setattr(Webhook, "read_http", losing)
        return self.office.deliver()


def test_a_lost_address_is_suppressed_with_its_outcome_and_not_used_again(
    make_office: MakeOffice, peer: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = make_office({"mail": webhook(peer.url)}).people(3).queue([0, 1])
    assert Losing(office, "hard_bounce", {1}).deliver(monkeypatch).counts == {"accepted": 1, "rejected": 1}
    rows = office.sql(
        "SELECT channel, address_hash, user_id, reason, status, provider, message_id, occurred_at FROM activate.suppressions"
    )
    known = hashlib.sha256(address(1).encode()).hexdigest()
    assert rows == [("email", known, None, "hard_bounce", "suppressed", "mail", message_id(1), NOON)]
    runs = office.sql(
        "SELECT DISTINCT d.run_id = s.run_id, d.recorded_at = s.recorded_at FROM activate.deliveries AS d "
        "JOIN activate.suppressions AS s ON s.message_id = d.message_id WHERE d.final"
    )
    assert runs == [(True, True)]
    # The next message to the same address, decided before the loss was known, is stopped at the hand-over.
    office.queue([2])
    office.sql(f"UPDATE shop.profiles SET email = '{address(1).upper()} ' WHERE user_id = 'u2'")
    requests = len(peer.requests)
    assert office.deliver().counts == {"aborted": 1}
    assert len(peer.requests) == requests
    found = office.sql(f"SELECT error_code FROM activate.deliveries WHERE message_id = '{message_id(2)}' AND final")
    assert found == [("address_suppressed",)]


@on_both
def test_outcome_and_suppression_are_written_together_or_not_at_all(
    make_office: MakeOffice, peer: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = make_office({"mail": webhook(peer.url)}).people(1).queue([0])
    record = Outbox._record

    def broken(*_: Any) -> None:
        raise WarehouseError("the disk is full")

    monkeypatch.setattr(Outbox, "_record", broken)
    with pytest.raises(WarehouseError):
        Losing(office, "unregistered", {0}).deliver(monkeypatch)
    assert office.sql("SELECT * FROM activate.suppressions") == []
    assert office.sql("SELECT status FROM activate.deliveries") == [("claimed",)]
    monkeypatch.setattr(Outbox, "_record", record)


def test_a_suppression_between_decision_and_hand_over(make_office: MakeOffice, peer: Service) -> None:
    cases = [
        ("address", "opted_out", "marketing", False),
        ("address", "opted_out", "transactional", True),
        ("address", "unregistered", "transactional", False),
        ("person", "opted_out", "marketing", False),
        ("person", "opted_out", "transactional", True),
        ("somebody else", "opted_out", "marketing", True),
    ]
    office = make_office({"mail": webhook(peer.url)}).people(len(cases))
    for number, (subject, reason, kind, _) in enumerate(cases):
        office.queue([number], **{"class": kind})
        known = hashlib.sha256(address(number).encode()).hexdigest()
        whom = {"address": (f"'{known}'", "NULL"), "person": ("NULL", f"'u{number}'")}.get(subject, ("NULL", "'u99'"))
        office.sql(
            f"INSERT INTO activate.suppressions VALUES ('email', {', '.join(whom)}, '{reason}', 'suppressed', 'x', NULL, "
            "'2026-03-02 11:59:00', 'r', '2026-03-02 11:59:00')"
        )
    assert office.deliver().counts == {"accepted": 3, "aborted": 3}
    assert set(peer.taken) == {message_id(number) for number, (_, _, _, sent) in enumerate(cases) if sent}


def test_pages_hold_every_message_once_and_no_rank_is_too_large_for_one() -> None:
    ranks = [(0, 50, NOON, 3), (0, 10, NOON, 130_000), (1, 90, NOON, 20_000), (1, 90, NOON + dt.timedelta(1), 1_000)]
    bounds = deliveries._bounds(ranks)
    assert bounds[0].rank is None
    assert bounds[-1] == (ranks[-1][:3], None)
    cuts = [bound.id for bound in bounds if bound.rank == ranks[1][:3]]
    assert cuts == sorted(cuts, key=lambda cut: cut or "g")
    assert len(cuts) >= 3, "130,000 do not fit into one page"
    assert deliveries._bounds([]) == []


@pytest.mark.parametrize(("idempotent", "waves"), [(True, [5_000, 500]), (False, [2_500, 2_500, 500])])
def test_less_is_claimed_at_once_where_a_doubt_cannot_be_settled(
    duckdb_only: MakeOffice, monkeypatch: pytest.MonkeyPatch, idempotent: bool, waves: list[int]
) -> None:
    monkeypatch.setattr(send, "_DOUBTFUL_WAVE", (500, 2_500))

    class Watched(Outbox):
        def claim(self, attempts: Any, at: dt.datetime) -> None:
            claimed.append(len(attempts))
            super().claim(attempts, at)

    class Taken:
        def carry(self, request: Any) -> HttpAnswer:
            return HttpAnswer(200, {}, b"")

        def close(self) -> None:
            pass

    claimed: list[int] = []
    mail = webhook("http://127.0.0.1:9", batch=1_000, concurrency=8, idempotent=idempotent)
    office = duckdb_only({"mail": mail}).people(5_500).queue(range(5_500))
    report = office.deliver(
        open_outbox=lambda name: Watched(office.warehouse.clone(), office.project, name, "run"),
        make_carrier=lambda provider: Taken(),
    )
    assert (report.counts, claimed) == ({"accepted": 5_500}, waves)
