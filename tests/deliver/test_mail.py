"""SMTP against a real server: what it takes, what it refuses, and when a doubt remains."""

from __future__ import annotations

import email
import email.policy
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from post_office import MakeOffice, PostOffice, address, message_id

from activate.providers.unsubscribe import read_token

SECRET = "a-secret-of-some-length"


@dataclass
class Mailbox:
    """Takes mail; `answers` maps a person's address to the reply at a stage (`RCPT` or `DATA`)."""

    mails: list[tuple[str, bytes]] = field(default_factory=list)
    answers: dict[tuple[str, str], str] = field(default_factory=dict)
    hang_up_at: str | None = None

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, to: str, options: Any) -> str:
        del session, options
        if self.hang_up_at == "RCPT":
            server.transport.close()
        if ("RCPT", to) in self.answers:
            return self.answers["RCPT", to]
        envelope.rcpt_tos.append(to)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        del session
        to = envelope.rcpt_tos[0]
        if ("DATA", to) in self.answers:
            return self.answers["DATA", to]
        self.mails.append((to, envelope.content))
        if self.hang_up_at == "DATA":
            server.transport.close()
        return "250 2.0.0 queued"


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, dict[str, Any]]]:
    """A server, and the section of `providers:` for it."""
    box = Mailbox()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    section = {
        "type": "smtp", "host": "127.0.0.1", "port": port, "security": "none", "timeout": "2 seconds",
        "from": "Der Läden <hello@shop.example.com>", "concurrency": 1,
        "unsubscribe_url": "https://shop.example.com/unsubscribe?token={token}", "unsubscribe_secret": SECRET,
    }  # fmt: skip
    try:
        yield box, section
    finally:
        controller.stop()


def _office(make: MakeOffice, section: dict[str, Any], count: int = 1, **values: Any) -> PostOffice:
    return make({"mail": section}).people(count).queue(range(count), **values)


def test_a_mail_is_multipart_with_one_click_unsubscribe(
    duckdb_only: MakeOffice, mailbox: tuple[Mailbox, dict[str, Any]]
) -> None:
    box, section = mailbox
    office = _office(duckdb_only, section)
    assert office.deliver().counts == {"accepted": 1}
    ((to, raw),) = box.mails
    assert to == address(0)
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    assert mail["Subject"] == "Hello Ann0"
    assert mail["From"] == "Der Läden <hello@shop.example.com>"
    assert mail["To"] == address(0)
    assert mail["Message-ID"] == f"<{message_id(0)}@shop.example.com>"
    assert mail["Date"] == "Mon, 02 Mar 2026 12:00:00 +0000"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    url = mail["List-Unsubscribe"].strip("<>")
    assert url.startswith("https://shop.example.com/unsubscribe?token=")
    # semantics.md, section 8, case 8: the token identifies recipient and list, and replay is idempotent.
    for _ in range(2):
        assert read_token(url.split("=", 1)[1], SECRET) == ("u0", "email")
    assert mail.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    assert mail.get_body(("plain",)).get_content().splitlines() == ["You have 0 points, Tea 0."]
    assert mail.get_body(("html",)).get_content().splitlines() == ["<p>Ann0: Tea 0</p>"]


def test_transactional_mail_has_no_unsubscribe_header(
    duckdb_only: MakeOffice, mailbox: tuple[Mailbox, dict[str, Any]]
) -> None:
    box, section = mailbox
    _office(duckdb_only, section, class_="transactional").deliver()
    assert b"List-Unsubscribe" not in box.mails[0][1]


def test_a_template_can_show_the_link(duckdb_only: MakeOffice, mailbox: tuple[Mailbox, dict[str, Any]]) -> None:
    box, section = mailbox
    office = _office(duckdb_only, section, template="link")
    (office.project.templates / "link.email.j2").write_text(
        "{% block subject %}x{% endblock %}{% block text %}{{ unsubscribe_url }}{% endblock %}"
    )
    office.deliver()
    mail = email.message_from_bytes(box.mails[0][1], policy=email.policy.default)
    assert mail.get_content().strip() == mail["List-Unsubscribe"].strip("<>")


def test_a_dot_at_the_start_of_a_line_arrives(duckdb_only: MakeOffice, mailbox: tuple[Mailbox, dict[str, Any]]) -> None:
    box, section = mailbox
    office = _office(duckdb_only, section, template="dots")
    (office.project.templates / "dots.email.j2").write_text(
        "{% block subject %}x{% endblock %}{% block text %}one\n.\n..two\n{% endblock %}"
    )
    office.deliver()
    mail = email.message_from_bytes(box.mails[0][1], policy=email.policy.default)
    assert mail.get_content().splitlines() == ["one", ".", "..two"]


def test_no_value_can_begin_a_header(duckdb_only: MakeOffice, mailbox: tuple[Mailbox, dict[str, Any]]) -> None:
    box, section = mailbox
    office = _office(duckdb_only, section, count=3)
    office.sql(
        "UPDATE shop.profiles SET first_name = 'A' || CHR(13) || CHR(10) || 'Bcc: spy@example.com' WHERE user_id = 'u0'"
    )
    office.sql(
        "UPDATE shop.profiles SET email = 'a@example.com' || CHR(10) || 'Bcc: spy@example.com' WHERE user_id = 'u1'"
    )
    office.sql("UPDATE shop.profiles SET email = 'a@example.com, spy@example.com' WHERE user_id = 'u2'")
    assert office.deliver().counts == {"accepted": 1, "rejected": 2}
    assert office.codes()["rejected", "bad_address"] == 2
    ((to, raw),) = box.mails
    assert to == address(0)
    mail = email.message_from_bytes(raw)
    assert mail["Bcc"] is None
    assert mail["Subject"] == "Hello A Bcc: spy@example.com"


@pytest.mark.parametrize("stage", ["RCPT", "DATA"])
def test_replies_are_read_by_their_first_digit(
    duckdb_only: MakeOffice, mailbox: tuple[Mailbox, dict[str, Any]], stage: str
) -> None:
    box, section = mailbox
    office = _office(duckdb_only, section, count=3)
    box.answers[stage, address(0)] = f"550 5.1.1 <{address(0)}> is unknown here"
    box.answers[stage, address(1)] = "451 4.3.0 try again later"
    report = office.deliver()
    assert report.counts == {"accepted": 1, "rejected": 1, "failed": 1}
    assert office.codes() == {("rejected", "smtp_550"): 1, ("failed", "smtp_451"): 1, ("accepted", None): 1}
    del box.answers[stage, address(1)]
    assert office.deliver().counts == {"accepted": 1}
    assert sorted(to for to, _ in box.mails) == [address(1), address(2)]


def test_a_connection_that_breaks_before_the_text_is_no_doubt(
    duckdb_only: MakeOffice, mailbox: tuple[Mailbox, dict[str, Any]]
) -> None:
    box, section = mailbox
    office = _office(duckdb_only, section)
    box.hang_up_at = "RCPT"
    assert office.deliver().counts == {"failed": 1}
    box.hang_up_at = None
    assert office.deliver().counts == {"accepted": 1}


def test_a_connection_that_breaks_after_the_text_is_a_doubt(
    duckdb_only: MakeOffice, mailbox: tuple[Mailbox, dict[str, Any]]
) -> None:
    box, section = mailbox
    office = _office(duckdb_only, section)
    box.hang_up_at = "DATA"
    assert office.deliver().counts == {"unknown": 1}
    box.hang_up_at = None
    assert office.deliver().requests == 0
    assert len(box.mails) == 1


def test_an_idle_session_that_the_server_ended_is_opened_again(
    duckdb_only: MakeOffice, mailbox: tuple[Mailbox, dict[str, Any]]
) -> None:
    from activate.deliver.mail import MailCarrier
    from activate.providers.base import MailAnswer, MailRequest, MailServer

    box, section = mailbox
    carrier = MailCarrier(2)
    request = MailRequest(
        MailServer("127.0.0.1", section["port"], "none"), "a@example.com", "b@example.com", b"x: y\r\n"
    )
    assert carrier.carry(request) == MailAnswer(250, "2.0.0")
    assert carrier._session is not None
    assert carrier._session.sock is not None
    carrier._session.sock.close()
    time.sleep(0.05)
    assert carrier.carry(request) == MailAnswer(250, "2.0.0")
    carrier.close()
    assert len(box.mails) == 2


def test_a_server_without_tls_gets_no_password(
    duckdb_only: MakeOffice, mailbox: tuple[Mailbox, dict[str, Any]]
) -> None:
    box, section = mailbox
    safe = {**section, "security": "starttls", "username": "me", "password": "top-secret-password"}
    report = _office(duckdb_only, safe).deliver()
    assert report.unusable
    assert "starttls" in str(report.error)
    assert "top-secret-password" not in str(report)
    assert box.mails == []


def test_addresses_abroad_are_written_for_plain_smtp(
    duckdb_only: MakeOffice, mailbox: tuple[Mailbox, dict[str, Any]]
) -> None:
    box, section = mailbox
    office = _office(duckdb_only, section, count=2)
    office.sql("UPDATE shop.profiles SET email = 'a@bücher.example' WHERE user_id = 'u0'")
    office.sql("UPDATE shop.profiles SET email = 'bücher@example.com' WHERE user_id = 'u1'")
    assert office.deliver().counts == {"accepted": 1, "rejected": 1}
    assert box.mails[0][0] == "a@xn--bcher-kva.example"
