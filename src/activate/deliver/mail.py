"""Speaks SMTP step by step, so that a failure before the text was sent is told from one after it."""

from __future__ import annotations

import re
import smtplib
import ssl
from collections.abc import Callable
from pathlib import Path

from activate.deliver.carry import InDoubt, NotTaken
from activate.providers.base import MailAnswer, MailRequest, MailServer, Request, Unusable

_ENHANCED = re.compile(rb"\s*([245]\.\d{1,3}\.\d{1,3})\b")
_LINE_ENDS = re.compile(rb"\r\n|\r|\n")
_BROKEN = (smtplib.SMTPServerDisconnected, OSError, UnicodeError)


class MailCarrier:
    """One SMTP session, reused for many messages and opened again when the server has ended it."""

    def __init__(self, timeout_seconds: float, tls: Callable[[], ssl.SSLContext] = ssl.create_default_context) -> None:
        self._timeout = timeout_seconds
        self._tls = tls
        self._session: smtplib.SMTP | None = None

    def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            try:
                session.quit()
            except (smtplib.SMTPException, OSError):
                session.close()

    def already_taken(self, path: Path, message_ids: frozenset[str]) -> frozenset[str]:
        raise NotImplementedError("nobody can be asked what was taken")

    def carry(self, request: Request) -> MailAnswer:
        assert isinstance(request, MailRequest)
        reused = self._session is not None
        try:
            return self._transact(request)
        except NotTaken:
            # A server may end an idle session at any time; nothing was taken, so a fresh one is worth one try.
            if not reused:
                raise
            return self._transact(request)

    def _transact(self, request: MailRequest) -> MailAnswer:
        session = self._session = self._session or self._open(request.server)
        try:
            refused = self._envelope(session, request)
        except _BROKEN:
            self._drop()
            raise NotTaken("connection_lost") from None
        if refused is not None:
            return refused
        try:
            # Dots are doubled and line ends made CRLF, as RFC 5321 (4.5.2) wants.
            text = re.sub(rb"(?m)^\.", b"..", _LINE_ENDS.sub(b"\r\n", request.mime))
            session.send(text + (b"" if text.endswith(b"\r\n") else b"\r\n") + b".\r\n")
            code, reply = session.getreply()
        except _BROKEN:
            self._drop()
            raise InDoubt("connection_lost") from None
        if code == 421:
            self._drop()
        return _answer(code, reply)

    def _envelope(self, session: smtplib.SMTP, request: MailRequest) -> MailAnswer | None:
        """Sender, recipient and DATA; returns the refusal, or None when the server waits for the text."""
        code, reply = session.mail(request.sender)
        if 500 <= code < 600:
            self._drop()
            raise Unusable(f"smtp_{code}", f"the mail server refuses our sender ({code})")
        if code < 300:
            code, reply = session.rcpt(request.recipient)
        if code < 300:
            code, reply = session.docmd("DATA")
            if code == 354:
                return None
        if code == 421:
            self._drop()
        else:
            session.rset()
        # A 2xx or 3xx where another was due is a server that cannot be understood: not taken.
        return _answer(code if code >= 400 else 451, reply)

    def _open(self, server: MailServer) -> smtplib.SMTP:
        try:
            if server.security == "tls":
                session: smtplib.SMTP = smtplib.SMTP_SSL(
                    server.host, server.port, timeout=self._timeout, context=self._tls()
                )
            else:
                session = smtplib.SMTP(server.host, server.port, timeout=self._timeout)
        except (smtplib.SMTPException, OSError):
            raise NotTaken("not_connected") from None
        try:
            if server.security == "starttls":
                session.starttls(context=self._tls())
            if server.username is not None:
                session.login(server.username, server.password or "")
            session.ehlo_or_helo_if_needed()
        except smtplib.SMTPNotSupportedError:
            session.close()
            raise Unusable("not_supported", f"the mail server does not offer {server.security} or a login") from None
        except smtplib.SMTPAuthenticationError as error:
            session.close()
            raise Unusable(f"smtp_{error.smtp_code}", "the mail server refuses our login") from None
        except ssl.SSLCertVerificationError:
            session.close()
            raise Unusable("tls_failed", "the mail server's certificate is not valid") from None
        except (smtplib.SMTPException, OSError):
            session.close()
            raise NotTaken("not_connected") from None
        return session

    def _drop(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()


def _answer(code: int, reply: bytes) -> MailAnswer:
    match = _ENHANCED.match(reply)
    return MailAnswer(code, match[1].decode() if match else None)
