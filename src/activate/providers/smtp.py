"""Hands e-mail to an SMTP server, one message per person, with one-click unsubscribe on marketing mail."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any, ClassVar

from activate.providers.base import Limits, MailRequest, MailServer, Outgoing
from activate.providers.mail import MAIL_NOTES, MAIL_OPTIONS, Mail
from activate.providers.options import Option

_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_POLICY = SMTP.clone(cte_type="7bit")


class Smtp(Mail):
    """One connection per sender thread, one transaction per message."""

    type = "smtp"
    transport = "mail"
    summary = "Hands e-mail to an SMTP server."
    example: ClassVar[Mapping[str, Any]] = {
        "host": "smtp.example.com", "from": "Shop <hello@shop.example.com>",
        "username": "activate", "password": "{{ env_var('MAIL_PASSWORD') }}",
    }  # fmt: skip
    declared = (
        Option("host", "The server.", required=True),
        Option("port", "Its port; by default 587 for starttls, 465 for tls, 25 for none.", "whole", low=1, high=65_535),
        Option("security", "`starttls`, `tls` from the first byte on, or `none`.", default="starttls",
               choices=("starttls", "tls", "none")),
        Option("username", "The login's name; none: no login."),
        Option("password", "The login's password.", secret=True),
        *MAIL_OPTIONS,
    )  # fmt: skip
    defaults: ClassVar[Limits] = Limits(batch=1, concurrency=2, timeout_seconds=30)
    notes = f"""\
{MAIL_NOTES} Let your server sign both headers with DKIM.

`Message-ID` is made of the message's id, so a mail that arrives twice can be told. With `text` and `html` the mail is
multipart/alternative.

Replies: 4xx is tried again, 5xx is rejected; a refused login or sender stops the provider for this run. A connection
that breaks once the text was being sent leaves the message `unknown`: SMTP cannot tell whether it was taken."""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        super().__init__(name, options)
        security = self.options["security"]
        self._server = MailServer(
            host=self.options["host"],
            port=self.options["port"] or _PORTS[security],
            security=security,
            username=self.options["username"],
            password=self.options["password"],
        )
        self._from = Address(self.sender_name, addr_spec=self.sender)
        self._domain = self.sender.rpartition("@")[2]

    @classmethod
    def conflicts(cls, options: Mapping[str, Any]) -> list[str]:
        found = super().conflicts(options)
        if options.get("username") and not options.get("password"):
            found.append("'password' is missing: a login needs one")
        if options.get("username") and options.get("security") == "none":
            found.append("'security' is none, so the password would travel in plain sight; write starttls or tls")
        return found

    def build(self, batch: Sequence[Outgoing], at: dt.datetime) -> MailRequest:
        message = batch[0]
        recipient = self.recipient(message)
        headers = [f"Message-ID: <{message.message_id}@{self._domain}>"]
        headers += [f"{name}: {value}" for name, value in self.one_click(message).items()]
        # Written by hand: `email` would fold a long address of this kind into encoded words, which nobody follows.
        head = "".join(f"{header}\r\n" for header in headers).encode("ascii")
        return MailRequest(self._server, self.sender, recipient, head + self._mail(message, recipient, at).as_bytes())

    def _mail(self, message: Outgoing, recipient: str, at: dt.datetime) -> EmailMessage:
        mail = EmailMessage(policy=_POLICY)
        mail["Subject"] = self.subject(message)
        mail["From"] = self._from
        mail["To"] = recipient
        mail["Date"] = format_datetime(at.replace(tzinfo=dt.UTC))
        if self.options["reply_to"]:
            mail["Reply-To"] = self.options["reply_to"]
        text, html = message.content.get("text"), message.content.get("html")
        if text:
            mail.set_content(text)
        if text and html:
            mail.add_alternative(html, subtype="html")
            # The same message makes the same bytes; by default the boundary is random.
            mail.set_boundary(f"=_{message.message_id}")
        elif html:
            mail.set_content(html, subtype="html")
        return mail
