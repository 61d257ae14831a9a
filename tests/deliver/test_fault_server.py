"""The scripted peer does exactly what its script says, as a plain client sees it, and its book is right."""

from __future__ import annotations

import json
import time
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
import requests

from activate.testing import faults
from activate.testing.faults import FaultServer, Rule


def _post(server: FaultServer, *ids: str, timeout: float = 2.0, key: str | None = None) -> requests.Response:
    body = json.dumps({"messages": [{"message_id": one} for one in ids]}) if ids else "no JSON"
    headers = {"Idempotency-Key": key} if key else {}
    return requests.post(server.url, data=body, headers=headers, timeout=timeout)


def _once(fault: faults.Fault) -> list[Rule]:
    return [Rule(fault, requests={1})]


def test_without_a_script_everything_is_taken() -> None:
    with FaultServer() as server:
        assert _post(server, "a", "b").json()["results"] == [
            {"message_id": "a", "status": "accepted"},
            {"message_id": "b", "status": "accepted"},
        ]
        _post(server, key="k")
    assert server.book.accepted == {"a": 1, "b": 1, "k": 1}


@pytest.mark.parametrize(
    ("fault", "taken"),
    [(faults.reset_before(), 0), (faults.reset_after(), 1), (faults.half_answer(), 1), (faults.hang(takes=False), 0)],
)
def test_the_client_gets_no_answer_and_the_book_says_whether_it_was_taken(fault: faults.Fault, taken: int) -> None:
    with FaultServer(_once(fault)) as server:
        with pytest.raises(requests.RequestException):
            _post(server, "a", timeout=0.3)
        assert server.book.accepted["a"] == taken
        assert _post(server, "b").status_code == 200


def test_a_rule_that_names_a_message_hits_that_message_alone() -> None:
    with FaultServer([Rule(faults.reset_before(), message_id="bad", times=1)]) as server:
        assert _post(server, "good").ok
        with pytest.raises(requests.ConnectionError):
            _post(server, "good", "bad")
        assert _post(server, "bad").ok, "once"
    assert server.book.accepted == {"good": 1, "bad": 1}
    assert server.faults == {"reset_before": 1}


def test_statuses_and_waits_are_as_written() -> None:
    script = [
        Rule(faults.unavailable(), requests={1}), Rule(faults.too_many(7), requests={2}),
        Rule(faults.too_many(90, as_date=True), requests={3}), Rule(faults.wrong_status(418), requests={4}),
        Rule(faults.wrong_status(504, takes=True), requests={5}),
    ]  # fmt: skip
    with FaultServer(script) as server:
        answers = [_post(server, str(number)) for number in range(1, 6)]
    assert [answer.status_code for answer in answers] == [503, 429, 429, 418, 504]
    assert answers[1].headers["Retry-After"] == "7"
    assert 85 <= parsedate_to_datetime(answers[2].headers["Retry-After"]).timestamp() - time.time() <= 91
    assert server.book.accepted == {"5": 1}


def test_errors_inside_spare_every_second_message() -> None:
    with FaultServer(_once(faults.errors_inside("rejected", "no"))) as server:
        told = _post(server, "a", "b", "c").json()["results"]
    assert [one["status"] for one in told] == ["rejected", "accepted", "rejected"]
    assert server.book.accepted == {"b": 1}


def test_odd_answers_still_mean_taken() -> None:
    script = [Rule(faults.malformed_body(), requests={1}), Rule(faults.slow_drip(0.2), requests={2}),
              Rule(faults.duplicate_answer(), requests={3})]  # fmt: skip
    with FaultServer(script) as server:
        with pytest.raises(ValueError):
            _post(server, "a").json()
        began = time.monotonic()
        assert _post(server, "b").ok
        assert time.monotonic() - began >= 0.15
        assert [one["message_id"] for one in _post(server, "c").json()["results"]] == ["c", "c"]
    assert server.book.accepted == {"a": 1, "b": 1, "c": 1}


def test_the_same_seed_fails_the_same_requests() -> None:
    rule = Rule(faults.unavailable(), share=0.3, seed=5)
    hit = [number for number in range(1, 200) if rule.matches(number, ())]
    assert 30 < len(hit) < 90
    assert hit == [number for number in range(1, 200) if rule.matches(number, ())]
    assert hit != [number for number in range(1, 200) if Rule(rule.fault, share=0.3, seed=6).matches(number, ())]


def test_an_idempotent_peer_accepts_once_and_its_book_outlives_it(tmp_path: Path) -> None:
    for idempotent, accepted, repeated in ((True, 1, 2), (False, 3, 0)):
        book = tmp_path / f"book-{idempotent}"
        with FaultServer(idempotent=idempotent, book=book) as server:
            assert _post(server, "a").ok
            assert _post(server, "a").ok
        with FaultServer(idempotent=idempotent, book=book) as server:
            assert _post(server, "a").ok
            assert (server.book.accepted["a"], server.book.repeated["a"]) == (accepted, repeated)
