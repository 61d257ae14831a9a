"""Every destination type by name: the one place to add a destination to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from activate.destinations.base import Destination
from activate.errors import SettingsError, nearest
from activate.providers.catalogue import Catalogue
from activate.providers.options import check_options, options_example, options_table, read_options

DESTINATIONS: Catalogue[type[Destination]] = Catalogue({
    "table": "activate.destinations.table:Table",
    "file": "activate.destinations.file:AudienceFile",
    "webhook": "activate.destinations.webhook:AudienceWebhook",
    # e-mail
    "mailchimp": "activate.destinations.mailchimp:Mailchimp",
    "braze": "activate.destinations.braze:BrazeAudience",
    "customerio": "activate.destinations.customerio:CustomerIoAudience",
    "iterable": "activate.destinations.iterable:IterableAudience",
    "klaviyo": "activate.destinations.klaviyo:KlaviyoAudience",
    # Advertising and CRM
    "meta": "activate.destinations.meta:Meta",
    "google_ads": "activate.destinations.google_ads:GoogleAds",
    "google_data_manager": "activate.destinations.google_data_manager:GoogleDataManager",
    "tiktok": "activate.destinations.tiktok:TikTok",
    "hubspot": "activate.destinations.hubspot:HubSpot",
    "intercom": "activate.destinations.intercom:Intercom",
})  # fmt: skip


def check(section: Mapping[str, Any], resolved: bool = False) -> list[str]:
    """Return what is wrong with one section of `destinations:`, each as a sentence; empty if nothing is.

    With `resolved` false (lint), values that are still `{{ env_var(...) }}` are only looked for, not looked into.
    """
    options = dict(section)
    kind = options.pop("type", None)
    if not isinstance(kind, str) or kind not in DESTINATIONS:
        missing = "'type' is missing" if kind is None else f"there is no destination type {kind!r}"
        return [f"{missing}; allowed: {', '.join(DESTINATIONS)}{nearest(str(kind), DESTINATIONS)}"]
    destination = DESTINATIONS[kind]
    return check_options(destination.all_options(), options, resolved) + destination.conflicts(options)


def create(name: str, section: Mapping[str, Any], directory: Path | None = None) -> Destination:
    """Make the destination `name` from its section, with secrets resolved; files are found from `directory`.

    Raises SettingsError with everything that is wrong.
    """
    problems = check(section, resolved=True)
    if problems:
        raise SettingsError("\n".join(f"rules/activate.yml: destinations.{name}: {problem}" for problem in problems))
    kind = DESTINATIONS[section["type"]]
    options = read_options(kind.all_options(), {key: value for key, value in section.items() if key != "type"})
    if directory is not None and kind.transport == "file" and "://" not in options["path"]:
        options["path"] = str(directory / options["path"])
    return kind(name, options)


def destination_pages() -> str:
    """Return docs/destinations.md, made from the classes."""
    parts = [_HEAD]
    for kind in DESTINATIONS.values():
        parts += [f"## {kind.type}", kind.summary, options_example("mine", kind.type, kind.example)]
        parts += [options_table(kind.all_options()), kind.notes]
    return "\n\n".join(parts) + "\n"


_HEAD = """\
# Destinations

<!-- Made by activate.destinations.registry.destination_pages; do not edit. -->

A destination holds audiences ([audiences.md](audiences.md)). It is set up in `rules/activate.yml`:

```yaml
destinations:
  crm:
    type: webhook
    url: https://crm.example.com/audiences
    secret: "{{ env_var('CRM_SECRET') }}"
```

Secrets never stand in a file: write `{{ env_var('NAME') }}`, as in dbt's profiles.yml. `dbt-activate lint` checks every
option without needing the secrets.

## What becomes of a change

Before a page of changes is sent, rows `claimed` are written to `audience_changes`; afterwards their outcome.

| status | meaning | next sync |
|---|---|---|
| `accepted` | the destination took it | compares with it |
| `rejected` | refused for good: a dead letter | left alone until the row or the mapping changes, or `dbt-activate retry` |
| `failed` | this row was definitely not taken | sent again; a dead letter after `delivery.max_attempts` |
| `aborted` | the destination as a whole took nothing | sent again; uses up no attempt |
| `unknown`, or `claimed` and nothing more | it may have been taken: a time-out, a lost connection, a crash in between | sent again, or removed if the person has left |\
"""
