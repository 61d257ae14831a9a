"""Every provider type by name: the one place to add a provider to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from activate.errors import SettingsError, nearest
from activate.providers.base import Provider
from activate.providers.catalogue import Catalogue
from activate.providers.options import check_options, options_example, options_table, read_options

PROVIDERS: Catalogue[type[Provider]] = Catalogue({
    "file": "activate.providers.file:File",
    "webhook": "activate.providers.webhook:Webhook",
    "smtp": "activate.providers.smtp:Smtp",
    # e-mail
    "sendgrid": "activate.providers.sendgrid:Sendgrid",
    "ses": "activate.providers.ses:Ses",
    "mailgun": "activate.providers.mailgun:Mailgun",
    "postmark": "activate.providers.postmark:Postmark",
    "twilio": "activate.providers.twilio:Twilio",
    "whatsapp": "activate.providers.whatsapp:WhatsApp",
    "slack": "activate.providers.slack:Slack",
    "telegram": "activate.providers.telegram:Telegram",
    "sendbird": "activate.providers.sendbird:Sendbird",
    "fcm": "activate.providers.fcm:Fcm",
    "apns": "activate.providers.apns:Apns",
    "webpush": "activate.providers.webpush:WebPush",
    "onesignal": "activate.providers.onesignal:OneSignal",
    "chabok": "activate.providers.chabok:Chabok",
    # Pulled by apps instead of pushed to them.
    "feed": "activate.providers.feed:Feed",
    "braze": "activate.providers.braze:Braze",
    "customerio": "activate.providers.customerio:CustomerIo",
    "iterable": "activate.providers.iterable:Iterable",
    "klaviyo": "activate.providers.klaviyo:Klaviyo",
    # CRM
    "hubspot": "activate.providers.hubspot:HubSpot",
    "intercom": "activate.providers.intercom:Intercom",
})  # fmt: skip


def check(section: Mapping[str, Any], resolved: bool = False) -> list[str]:
    """Return what is wrong with one section of `providers:`, each as a sentence; empty if nothing is.

    With `resolved` false (lint), values that are still `{{ env_var(...) }}` are only looked for, not looked into.
    """
    options = dict(section)
    kind = options.pop("type", None)
    if not isinstance(kind, str) or kind not in PROVIDERS:
        hint = nearest(str(kind), PROVIDERS)
        missing = "'type' is missing" if kind is None else f"there is no provider type {kind!r}"
        return [f"{missing}; allowed: {', '.join(PROVIDERS)}{hint}"]
    provider = PROVIDERS[kind]
    return check_options(provider.all_options(), options, resolved) + provider.conflicts(options)


def create(name: str, section: Mapping[str, Any], directory: Path | None = None) -> Provider:
    """Make the provider `name` from its section, with secrets resolved; files are found from `directory`.

    Raises SettingsError with everything that is wrong.
    """
    problems = check(section, resolved=True)
    if problems:
        raise SettingsError("\n".join(f"rules/activate.yml: providers.{name}: {problem}" for problem in problems))
    kind = PROVIDERS[section["type"]]
    options = read_options(kind.all_options(), {key: value for key, value in section.items() if key != "type"})
    if directory is not None and kind.transport == "file":
        options["path"] = str(directory / options["path"])
    return kind(name, options)


def provider_pages() -> str:
    """Return docs/providers.md, made from the classes."""
    parts = [_HEAD]
    for kind in PROVIDERS.values():
        parts += [f"## {kind.type}", kind.summary, options_example("mine", kind.type, kind.example)]
        parts += [options_table(kind.all_options()), kind.notes]
    return "\n\n".join(parts) + "\n"


_HEAD = """\
# Providers

<!-- Made by activate.providers.registry.provider_pages; do not edit. -->

A provider carries the messages of one or more channels. It is set up in `rules/activate.yml`:

```yaml
channels:
  email: {address: email, consent: email_consent, provider: mail}
providers:
  mail:
    type: smtp
    host: smtp.example.com
    username: activate
    password: "{{ env_var('MAIL_PASSWORD') }}"
    from: "Shop <hello@shop.example.com>"
```

Secrets never stand in a file: write `{{ env_var('NAME') }}`, as in dbt's profiles.yml. `dbt-activate lint` checks every
option without needing the secrets.

## What becomes of a message

Before a message is handed over, a row `claimed` is written to `deliveries`; afterwards its outcome.

| status | meaning | final |
|---|---|---|
| `accepted` | the provider took it | yes |
| `rejected` | the provider refused it for good | yes |
| `failed` | it was definitely not taken, and is tried again at the next run | after `delivery.max_attempts` |
| `unknown` | it may have been taken: a time-out, a lost connection, a crash in between | unless it can be repeated |
| `aborted` | it was not handed over: no consent or address any more, or the template failed or said `abort` | yes |
| `expired` | it was not handed over in time | yes |

An `unknown` message is repeated where that cannot double it (a provider that is `idempotent`), and for transactional
messages where `delivery.resend_unknown: transactional` says so; otherwise it stays `unknown`. A provider that is down,
or refuses our credentials, uses up no attempts: its messages wait until they expire.\
"""
