"""No address, token, secret or rendered text in state, logs, errors or reports, whatever goes wrong."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from post_office import SECRET, MakeOffice, Service, address, message_id, on_both, webhook

from activate.providers.base import Outgoing, safe_code, safe_id

BODY = "You have 3 points"


def _faults(peer: Service) -> Any:
    """Answers that quote what they were sent, in every place where a peer can put it."""

    def script(handler: Any, ids: list[str]) -> bool:
        number = len(peer.requests)
        person = address(3)
        if number == 1:
            results = [
                {"message_id": key, "status": "rejected", "error_code": person, "error": BODY,
                 "provider_message_id": f"id-{person}"} for key in ids
            ]  # fmt: skip
            handler.answer(200, json.dumps({"results": results}).encode())
        elif number == 2:
            handler.answer(451, f"{person} {BODY}".encode(), X_Person=person)
        else:
            handler.hang_up()
        return True

    return script


@on_both
def test_nothing_personal_is_kept_or_told(
    make_office: MakeOffice, peer: Service, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    peer.script = _faults(peer)
    office = make_office({"mail": webhook(peer.url, batch=2, concurrency=1)}).people(10).queue(range(10))
    office.queue([10, 11], template="leak").people(2, start=10)
    (office.project.templates / "leak.email.j2").write_text(
        "{% if profile.points == 10 %}{{ abort(profile.email) }}{% endif %}{{ profile.email + 1 }}{{ profile[profile.email] }}"
    )
    report = office.deliver()
    assert set(report.counts) >= {"rejected", "unknown", "aborted"}
    printed = capfd.readouterr()
    kept = "\n".join([office.all_state(), repr(report), caplog.text, printed.out, printed.err])
    for secret in ("private.example.com", "secret.person", "token-", BODY, SECRET):
        assert secret not in kept
    assert message_id(3) in kept


@pytest.mark.parametrize("value", ["secret.person.3", "person", "PRIVATE.EXAMPLE.COM", "x.secret.person.3-y"])
def test_a_code_that_quotes_the_address_is_not_kept(value: str) -> None:
    message = Outgoing("m", "u", "c", 1, None, "email", address(3), {})
    assert safe_code(value, message) == "provider_error"
    assert safe_id(value, message) is None


def test_messages_do_not_show_themselves() -> None:
    message = Outgoing("m", "u", "c", 1, None, "email", address(3), {"body": BODY})
    assert address(3) not in repr(message)
    assert BODY not in f"{message} {message!r}"
