"""Hands e-mail to an SMTP server, one message per person, with one-click unsubscribe on marketing mail."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from typing import Any, ClassVar
from urllib.parse import urlsplit

from activate.providers.base import Capabilities, Limits, MailRequest, MailServer, Outgoing, Provider
from activate.providers.options import Option
from activate.providers.unsubscribe import make_token

_ADDRESS = re.compile(r"[^\s@<>()\[\]\\,;:\"\x00-\x1f\x7f]{1,64}@[^\s@<>()\[\]\\,;:\"\x00-\x1f\x7f]{1,255}")
_SPACE = re.compile(r"[\s\x00-\x1f\x7f\x85\u2028\u2029]+")
_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_POLICY = SMTP.clone(cte_type="7bit")


def _check_from(value: str) -> str | None:
    _, address = parseaddr(value)
    if not _ADDRESS.fullmatch(address) or _SPACE.sub(" ", value) != value:
        return f'{value!r} is not a sender; write e.g. "Shop <hello@shop.example.com>"'
    return None if value.isascii() or address.isascii() else "the address must be written in ASCII"


def _check_unsubscribe(value: str) -> str | None:
    if urlsplit(value).scheme != "https":
        return "one-click unsubscribe must be https (RFC 8058)"
    if not value.isascii() or re.search(r"[\s<>\x00-\x1f]", value) or len(value) > 500:
        return "not a web address"
    return None if "{token}" in value else "write {token} where the person's token goes"


def _check_secret(secret: str) -> str | None:
    return None if len(secret) >= 16 else "is too short; use 24 random bytes or more"


def _ascii(address: str) -> str | None:
    """The address with its domain in ASCII (IDNA), or None for one that plain SMTP cannot carry."""
    if not _ADDRESS.fullmatch(address):
        return None
    local, _, domain = address.rpartition("@")
    try:
        return f"{local}@{domain.encode('idna').decode()}" if local.isascii() else None
    except UnicodeError:
        return None


class Smtp(Provider):
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
        Option("from", "The sender, with or without a name.", required=True, check=_check_from),
        Option("reply_to", "Where answers go.", check=_check_from),
        Option("unsubscribe_url", "Your https address that unsubscribes on POST, with `{token}` in it.",
               check=_check_unsubscribe),
        Option("unsubscribe_secret", "Signs the tokens in unsubscribe links.", secret=True, check=_check_secret),
        Option("unsubscribe_list", "The list that tokens name; by default the channel."),
    )  # fmt: skip
    defaults: ClassVar[Limits] = Limits(batch=1, concurrency=2, timeout_seconds=30)
    capabilities: ClassVar[Capabilities] = Capabilities(needs=("subject",))
    notes = """\
Blocks of a template: `subject`, and `text` or `html` or both (then the mail is multipart/alternative). A template
without blocks has no subject, so its messages are rejected as `no_subject`.

`Message-ID` is made of the message's id, so a mail that arrives twice can be told. Marketing mail carries
`List-Unsubscribe` and `List-Unsubscribe-Post: List-Unsubscribe=One-Click` (RFC 8058) when `unsubscribe_url` is set; the
token names the person's key and the list, not the address, and is read with
`activate.providers.unsubscribe.read_token`. Templates can show the same link as `unsubscribe_url`. Let your server sign
both headers with DKIM.

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
        display, self._sender = parseaddr(self.options["from"])
        self._from = Address(display, addr_spec=self._sender)
        self._domain = self._sender.rpartition("@")[2]

    @classmethod
    def conflicts(cls, options: Mapping[str, Any]) -> list[str]:
        found = []
        if options.get("username") and not options.get("password"):
            found.append("'password' is missing: a login needs one")
        if options.get("username") and options.get("security") == "none":
            found.append("'security' is none, so the password would travel in plain sight; write starttls or tls")
        if bool(options.get("unsubscribe_url")) != bool(options.get("unsubscribe_secret")):
            found.append("'unsubscribe_url' and 'unsubscribe_secret' go together")
        return found

    def refuses(self, message: Outgoing) -> str | None:
        if _ascii(message.address) is None:
            return "bad_address"
        if not (message.content.get("text") or message.content.get("html")):
            return "no_text"
        return super().refuses(message)

    def extras(self, user_id: str, channel: str) -> Mapping[str, str]:
        url = self.options["unsubscribe_url"]
        if not url:
            return {}
        token = make_token(user_id, self.options["unsubscribe_list"] or channel, self.options["unsubscribe_secret"])
        return {"unsubscribe_url": url.replace("{token}", token)}

    def build(self, batch: Sequence[Outgoing], at: dt.datetime) -> MailRequest:
        message = batch[0]
        recipient = _ascii(message.address) or ""
        headers = [f"Message-ID: <{message.message_id}@{self._domain}>"]
        if message.message_class == "marketing":
            for url in self.extras(message.user_id, message.channel).values():
                headers += [f"List-Unsubscribe: <{url}>", "List-Unsubscribe-Post: List-Unsubscribe=One-Click"]
        # Written by hand: `email` would fold a long address of this kind into encoded words, which nobody follows.
        head = "".join(f"{header}\r\n" for header in headers).encode("ascii")
        return MailRequest(self._server, self._sender, recipient, head + self._mail(message, recipient, at).as_bytes())

    def _mail(self, message: Outgoing, recipient: str, at: dt.datetime) -> EmailMessage:
        mail = EmailMessage(policy=_POLICY)
        # A line break in a value would begin another header; they become spaces, and `email` refuses what is left.
        mail["Subject"] = _SPACE.sub(" ", message.content["subject"]).strip()
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
