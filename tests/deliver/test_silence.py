"""What a path holds (a bot's token, a person's address) reaches no log and no text; waits that a body asks for hold."""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections.abc import Sequence
from typing import ClassVar

import pytest
from post_office import Service

from activate.deliver import http
from activate.deliver.carry import InDoubt, NotTaken
from activate.deliver.hand_over import Clock, Line
from activate.deliver.http import HttpCarrier
from activate.providers.base import Capabilities, HttpAnswer, HttpRequest, Limits, Outgoing, Provider, Request

HIDDEN = "/bot123456:a-secret-in-the-path/sendMessage?chat=77001"


def _carry(url: str) -> str:
    carrier = HttpCarrier(2)
    try:
        return repr(carrier.carry(HttpRequest("POST", url, {}, b'{"messages": []}')))
    except (NotTaken, InDoubt) as error:
        return repr(error)
    finally:
        carrier.close()


def test_a_path_is_in_no_log_and_no_text(peer: Service, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    base = peer.url.rstrip("/")
    shown = _carry(base + HIDDEN) + _carry("http://127.0.0.1:9" + HIDDEN)
    shown += repr(HttpRequest("POST", base + HIDDEN, {}, b""))
    assert peer.requests
    for text in (shown, caplog.text):
        assert "a-secret" not in text
        assert "77001" not in text


def test_addresses_that_differ_for_each_person_are_not_remembered_for_ever(
    peer: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "_ADDRESSES", 3)
    carrier = HttpCarrier(2)
    for n in range(8):
        carrier.carry(HttpRequest("POST", f"{peer.url}?person={n}", {}, b'{"messages": []}'))
    assert len(carrier._ways) <= 3
    carrier.close()


class _Patient(Provider):
    """A provider whose vendor says in the body how long to wait."""

    type = "patient"
    defaults: ClassVar[Limits] = Limits()
    capabilities: ClassVar[Capabilities] = Capabilities()

    def build(self, batch: Sequence[Outgoing], at: dt.datetime) -> Request:
        return HttpRequest("POST", "https://example.com", {}, b"")

    def asked_wait(self, answer: HttpAnswer, at: dt.datetime) -> float | None:
        return json.loads(answer.body).get("wait")


@pytest.mark.parametrize(
    ("headers", "body", "waited"),
    [({}, b'{"wait": 7}', 7.0), ({"retry-after": "3"}, b'{"wait": 7}', 7.0), ({"retry-after": "3"}, b"{}", 3.0)],
)
def test_a_wait_that_the_body_asks_for_is_waited(headers: dict[str, str], body: bytes, waited: float) -> None:
    slept: list[float] = []
    answers = [HttpAnswer(429, headers, body), HttpAnswer(200, {}, b"{}")]

    class Carrier:
        def carry(self, request: Request) -> HttpAnswer:
            return answers.pop(0)

    clock = Clock(
        now=lambda: dt.datetime(2026, 3, 2, 12), monotonic=lambda: 0.0, sleep=slept.append, chance=lambda: 0.0
    )
    provider = _Patient("mine", {"per_second": None, "concurrency": 1, "timeout": 10})
    message = Outgoing("1" * 32, "u", "c", 1, None, "chat", "a", {"body": "x"})
    handed = Line(provider, clock).hand_over(Carrier(), [message], clock.now())  # type: ignore[arg-type]
    assert [outcome.status for outcome in handed.outcomes] == ["accepted"]
    assert max(slept) == waited
