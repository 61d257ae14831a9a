"""Rendering in a process of its own: the same messages, and nothing lost or doubled when that process dies."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import pytest
from post_office import MakeOffice, PostOffice, Service, _Handler, message_id, webhook

from activate.deliver import send
from activate.deliver.batches import Batch
from activate.deliver.render_process import RenderProcess
from activate.providers.webhook import Webhook

PEOPLE = 200
ABORTING = (
    "{% block subject %}Hello {{ profile.first_name }}{% endblock %}"
    "{% block text %}{% if profile.points == 7 %}{{ abort('unlucky') }}{% endif %}{{ context.product }}{% endblock %}"
)


class _Watched(RenderProcess):
    """Waits until it is ready, and counts the waves that the other process rendered."""

    made = 0
    kills_after: int | None = None

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        deadline = time.monotonic() + 60
        while not self.is_ready and time.monotonic() < deadline:
            time.sleep(0.01)

    def render(self, *arguments: Any) -> list[Batch] | None:
        if type(self).made == type(self).kills_after:
            self._process.kill()
            self._process.wait()
        done = super().render(*arguments)
        if done is not None:
            type(self).made += 1
        return done


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> type[_Watched]:
    """Have every delivery render in a process of its own, in small waves."""
    kind = type("Watched", (_Watched,), {})
    monkeypatch.setattr(send, "RenderProcess", kind)
    monkeypatch.setattr(send, "_WORTH_A_PROCESS", 1)
    monkeypatch.setattr(send, "_DOUBTFUL_WAVE", (40, 40))
    return kind


def _office(make: MakeOffice, peer: Service, **options: Any) -> PostOffice:
    office = make({"mail": webhook(peer.url, timeout="20 seconds", **options)})
    folder = office.project.directory / "rules" / "templates"
    (folder / "hello.email.j2").write_text(ABORTING)
    office.people(PEOPLE).queue(range(PEOPLE + 2))  # two have no profile
    office.sql("UPDATE shop.profiles SET email_consent = FALSE WHERE points = 5")
    return office


def _sent(peer: Service) -> dict[str, Any]:
    messages = [message for _, body in peer.requests for message in json.loads(body)["messages"]]
    return {message["message_id"]: message for message in messages}


def test_another_process_renders_the_same_messages(
    duckdb_only: MakeOffice, peer: Service, watched: type[_Watched]
) -> None:
    office = _office(duckdb_only, peer, batch=15)
    counts = office.deliver().counts
    assert watched.made >= 4, "it was not used"
    assert counts == {"accepted": PEOPLE - 2, "aborted": 4}
    apart, outcomes = _sent(peer), office.codes()
    assert apart[message_id(3)]["content"] == {"subject": "Hello Ann3", "text": "Tea 3"}
    assert ("aborted", "template_abort") in outcomes
    office.sql("DELETE FROM activate.deliveries")
    peer.requests.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(send, "_WORTH_A_PROCESS", PEOPLE * 2)
        before = watched.made
        assert office.deliver().counts == counts
        assert watched.made == before
    assert _sent(peer) == apart
    assert office.codes() == outcomes


def test_when_the_process_is_killed_nothing_is_lost_or_doubled(
    duckdb_only: MakeOffice, peer: Service, watched: type[_Watched]
) -> None:
    watched.kills_after = 2
    office = _office(duckdb_only, peer, batch=15)
    assert office.deliver().counts == {"accepted": PEOPLE - 2, "aborted": 4}
    assert watched.made == 2
    assert set(peer.taken.values()) == {1}
    assert len(peer.taken) == PEOPLE - 2


def test_a_poisonous_message_is_found_among_those_rendered_apart(
    duckdb_only: MakeOffice, peer: Service, watched: type[_Watched]
) -> None:
    def refuse(handler: _Handler, ids: Sequence[str]) -> bool:
        if message_id(33) in ids:
            handler.answer(400)
            return True
        return False

    peer.script = refuse
    office = _office(duckdb_only, peer, batch=15)
    assert office.deliver().counts == {"accepted": PEOPLE - 3, "aborted": 4, "rejected": 1}
    assert watched.made >= 4
    assert office.outcomes()[message_id(33)][-1][0] == "rejected"
    assert set(peer.taken.values()) == {1}


class _Local(Webhook):
    """A provider that cannot be sent to another process."""

    def __reduce__(self) -> Any:
        raise TypeError("it holds what only this process has")


def test_what_cannot_be_sent_to_another_process_is_rendered_in_this_one(
    duckdb_only: MakeOffice, peer: Service, watched: type[_Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    office = _office(duckdb_only, peer)
    made = office.providers()["mail"]
    assert isinstance(made, Webhook)
    made.__class__ = _Local
    monkeypatch.setattr(PostOffice, "providers", lambda _: {"mail": made})
    assert office.deliver().counts == {"accepted": PEOPLE - 2, "aborted": 4}
    assert watched.made == 0


def test_a_small_outbox_starts_no_process(
    duckdb_only: MakeOffice, peer: Service, watched: type[_Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send, "_WORTH_A_PROCESS", 50_000)
    assert _office(duckdb_only, peer).deliver().counts["accepted"] == PEOPLE - 2
    assert watched.made == 0
