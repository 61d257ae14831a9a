"""What e-mail has in common, whoever carries it: sender, recipient, subject, one-click unsubscribe, and fitness."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from email.utils import formataddr, parseaddr
from typing import Any, ClassVar
from urllib.parse import urlsplit

from activate.providers.base import Advice, Capabilities, Outgoing, Provider
from activate.providers.options import Option
from activate.providers.unsubscribe import make_token

_ADDRESS = re.compile(r"[^\s@<>()\[\]\\,;:\"\x00-\x1f\x7f]{1,64}@[^\s@<>()\[\]\\,;:\"\x00-\x1f\x7f]{1,255}")
# What nearly all addresses are: nothing is to be encoded, and no label is empty or too long.
_PLAIN_ADDRESS = re.compile(r"[\w!#$%&'*+\-/=?^`{|}~.]{1,64}@(?:[A-Za-z0-9\-]{1,63}\.)*[A-Za-z0-9\-]{1,63}", re.ASCII)
_SPACE = re.compile(r"[\s\x00-\x1f\x7f\x85\u2028\u2029]+")
_SPECIAL = re.compile(r"[^\w !#$%&'*+\-/=?^`{|}~]")
_LONGEST_ADDRESS = 254  # RFC 5321, 4.5.3.1.3: a path of 256 octets, with its brackets
_LONGEST_LINE = 998  # RFC 5322, 2.1.1
_LONG_SUBJECT = 150


def check_sender(value: str) -> str | None:
    """What is wrong with `Name <address>` as a sender, or None."""
    _, address = parseaddr(value)
    if not _ADDRESS.fullmatch(address) or _SPACE.sub(" ", value) != value:
        return f'{value!r} is not a sender; write e.g. "Shop <hello@shop.example.com>"'
    return None if value.isascii() or address.isascii() else "the address must be written in ASCII"


def check_unsubscribe(value: str) -> str | None:
    """What is wrong with an address for one-click unsubscribe, or None."""
    if urlsplit(value).scheme != "https":
        return "one-click unsubscribe must be https (RFC 8058)"
    if not value.isascii() or re.search(r"[\s<>\x00-\x1f]", value) or len(value) > 500:
        return "not a web address"
    return None if "{token}" in value else "write {token} where the person's token goes"


def check_secret(secret: str) -> str | None:
    """What is wrong with the secret that signs tokens, or None."""
    return None if len(secret) >= 16 else "is too short; use 24 random bytes or more"


MAIL_OPTIONS = (
    Option("from", "The sender, with or without a name.", required=True, check=check_sender),
    Option("reply_to", "Where answers go.", check=check_sender),
    Option("unsubscribe_url", "Your https address that unsubscribes on POST, with `{token}` in it.",
           check=check_unsubscribe),
    Option("unsubscribe_secret", "Signs the tokens in unsubscribe links.", secret=True, check=check_secret),
    Option("unsubscribe_list", "The list that tokens name; by default the channel."),
)  # fmt: skip

MAIL_NOTES = """\
Blocks of a template: `subject`, and `text` or `html` or both. A message without them is rejected as `no_subject` or
`no_text`, one to an address that no mail server can be given as `bad_address`; a subject of more than 998 octets is
`subject_too_long`. Line breaks in a subject become spaces.

Marketing mail carries `List-Unsubscribe` and `List-Unsubscribe-Post: List-Unsubscribe=One-Click` (RFC 8058) when
`unsubscribe_url` is set; the token names the person's key and the list, not the address, and is read with
`activate.providers.unsubscribe.read_token`. Templates can show the same link as `unsubscribe_url`."""

AS_MAIL = "Blocks of a template, what is rejected before it is sent, and one-click unsubscribe: as for [smtp](#smtp)."


def ascii_address(address: str) -> str | None:
    """The address with its domain in ASCII (IDNA 2008), or None for one that plain SMTP cannot carry."""
    if len(address) <= _LONGEST_ADDRESS and _PLAIN_ADDRESS.fullmatch(address):
        return address
    if not _ADDRESS.fullmatch(address):
        return None
    local, _, domain = address.rpartition("@")
    if not domain.isascii():
        import idna  # noqa: PLC0415  # its tables take longer to load than the rest, and few addresses need them

        try:
            # Not Python's own codec: by IDNA 2003 it makes ss of ß, which is somebody else's domain.
            domain = idna.encode(domain, uts46=True).decode()
        except idna.IDNAError:
            return None
    fits = all(0 < len(label) <= 63 for label in domain.removesuffix(".").split("."))
    whole = f"{local}@{domain}"
    return whole if fits and local.isascii() and len(whole) <= _LONGEST_ADDRESS else None


def one_line(text: str) -> str:
    """A text as a header may have it: a line break in it would begin another header."""
    if text.isprintable() and "  " not in text:  # then it has no white space but single blanks
        return text.strip(" ")
    return _SPACE.sub(" ", text).strip()


def mailbox(name: str, address: str) -> str:
    """`Name <address>` for an API that takes Unicode: quoted where it needs to be, and not encoded."""
    if not name:
        return address
    if name.isascii():
        return formataddr((name, address))
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}" <{address}>' if _SPECIAL.search(name) else f"{name} <{address}>"


class Mail(Provider):
    """A provider of e-mail. Its own options are added to `MAIL_OPTIONS`."""

    capabilities: ClassVar[Capabilities] = Capabilities(channels=("email",), needs=("subject",))

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        super().__init__(name, options)
        self.sender_name, self.sender = parseaddr(self.options["from"])
        self.reply_to = parseaddr(self.options["reply_to"] or "")

    @classmethod
    def conflicts(cls, options: Mapping[str, Any]) -> list[str]:
        if bool(options.get("unsubscribe_url")) != bool(options.get("unsubscribe_secret")):
            return ["'unsubscribe_url' and 'unsubscribe_secret' go together"]
        return []

    @classmethod
    def unsubscribes(cls, options: Mapping[str, Any]) -> bool:
        """Whether marketing mail can be unsubscribed from with these options, whatever the template says."""
        return bool(options.get("unsubscribe_url"))

    @classmethod
    def misfits(cls, options: Mapping[str, Any], channel: str, content: Mapping[str, str], kind: str) -> list[str]:
        del channel
        found = _misfits_of_subject(one_line(content["subject"])) if "subject" in content else []
        if not ("text" in content or "html" in content):
            found.append("there is neither a block 'text' nor 'html', so nothing can be mailed")
        can_leave = cls.unsubscribes(options) or any("unsubscribe" in part.lower() for part in content.values())
        if kind == "marketing" and not can_leave:
            # A link may be called anything, in any language, so this is no certain mistake.
            advice = (
                "marketing mail without a way to unsubscribe: set `unsubscribe_url` and `unsubscribe_secret` of the "
                "provider (one click, RFC 8058), or put a link into the template"
            )
            found.append(Advice(advice))
        return found

    def refuses(self, message: Outgoing) -> str | None:
        if ascii_address(message.address) is None:
            return "bad_address"
        if not (message.content.get("text") or message.content.get("html")):
            return "no_text"
        subject = one_line(message.content.get("subject") or "")
        if not subject:
            return "no_subject"
        return "subject_too_long" if len(subject.encode("utf-8", "replace")) > _LONGEST_LINE else None

    def extras(self, user_id: str, channel: str) -> Mapping[str, str]:
        url = self.options["unsubscribe_url"]
        if not url:
            return {}
        token = make_token(user_id, self.options["unsubscribe_list"] or channel, self.options["unsubscribe_secret"])
        return {"unsubscribe_url": url.replace("{token}", token)}

    def recipient(self, message: Outgoing) -> str:
        """The address as it is handed over."""
        return ascii_address(message.address) or ""

    def subject(self, message: Outgoing) -> str:
        """The subject, on one line."""
        return one_line(message.content["subject"])

    def one_click(self, message: Outgoing) -> dict[str, str]:
        """The headers of one-click unsubscribe (RFC 8058); none for transactional mail, or where none is set up."""
        if message.message_class != "marketing" or not self.options["unsubscribe_url"]:
            return {}
        url = self.extras(message.user_id, message.channel).get("unsubscribe_url")
        post = {"List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
        return {"List-Unsubscribe": f"<{url}>", **post} if url else {}

    def distinct_recipients(self, batch: Sequence[Outgoing]) -> list[str]:
        """The addresses of a request in which none may stand twice. Raises ValueError, and the batch is halved."""
        found = [self.recipient(message) for message in batch]
        if len({address.lower() for address in found}) < len(found):
            raise ValueError("an address stands twice in a batch")
        return found


def _misfits_of_subject(fixed: str) -> list[str]:
    if len(fixed.encode()) > _LONGEST_LINE:
        return [f"the subject's fixed text alone has more than {_LONGEST_LINE} octets, which no header may (RFC 5322)"]
    if len(fixed) > _LONG_SUBJECT:
        return [Advice(f"the subject's fixed text has {len(fixed)} characters; inboxes show the first 60 or so")]
    return []
