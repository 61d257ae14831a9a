"""Every source type by name: the one place to add a source to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from activate.errors import SettingsError, nearest
from activate.providers.catalogue import Catalogue
from activate.providers.options import check_options, options_example, options_table, read_options
from activate.sources.base import Fetch, Source

SOURCES: Catalogue[type[Source]] = Catalogue({
    "generic": "activate.sources.generic:Generic",
    "sendgrid": "activate.sources.sendgrid:SendGrid",
    "twilio": "activate.sources.twilio:Twilio",
    "onesignal": "activate.sources.onesignal:OneSignal",
    "braze": "activate.sources.braze:Braze",
    "postmark": "activate.sources.postmark:Postmark",
    "mailgun": "activate.sources.mailgun:Mailgun",
    "ses": "activate.sources.ses:Ses",
})  # fmt: skip


def check(name: str, section: Mapping[str, Any], resolved: bool = False) -> list[str]:
    """Return what is wrong with one section of `ingest:`, each as a sentence; `type` is the section's name if it is not said."""
    options = dict(section)
    kind = options.pop("type", name)
    if not isinstance(kind, str) or kind not in SOURCES:
        return [f"there is no source type {kind!r}; allowed: {', '.join(SOURCES)}{nearest(str(kind), SOURCES)}"]
    return check_options(SOURCES[kind].declared, options, resolved)


def create(name: str, section: Mapping[str, Any], fetch: Fetch | None = None) -> Source:
    """Make the source `name` from its section, with secrets resolved. Raises SettingsError with everything that is wrong.

    `fetch` gets what a vendor publishes to verify its requests with; without it what needs that is not verified.
    """
    problems = check(name, section, resolved=True)
    if problems:
        raise SettingsError("\n".join(f"rules/activate.yml: ingest.{name}: {problem}" for problem in problems))
    kind = SOURCES[section.get("type", name)]
    options = read_options(kind.declared, {key: value for key, value in section.items() if key != "type"})
    return kind(name, options, fetch) if fetch else kind(name, options)


def source_pages() -> str:
    """The sources' part of docs/ingest.md, made from the classes."""
    parts = []
    for kind in SOURCES.values():
        parts += [f"### {kind.type}", kind.summary, options_example(kind.type, kind.type, kind.example)]
        parts += [options_table(kind.declared), kind.notes]
    return "\n\n".join(parts) + "\n"
