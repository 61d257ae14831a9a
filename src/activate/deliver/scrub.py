"""Takes secrets out of texts: the one place that everything passes before it is stored, shown or logged."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import quote

from activate.providers.base import Outcome
from activate.providers.options import Option

HIDDEN = "[hidden]"
_SHORTEST = 6  # a shorter value is part of too many words; no service gives out such keys
_SHORTEST_OF_MAPPINGS = 12  # most of their values are no secrets


class Holder(Protocol):
    """What has secrets: a provider or a destination."""

    options: dict[str, Any]

    @classmethod
    def all_options(cls) -> tuple[Option, ...]:
        """Its options, of which some are secret."""


class Scrubber:
    """Knows the values of one provider's secret options, of its mappings (headers may hold keys), and its tokens.

    A value is also found percent-encoded, in base64 (as basic authentication has it), by its lines (private keys), and
    by its words (`Bearer ...`).
    """

    def __init__(self, holder: Holder) -> None:
        self._lock = threading.Lock()
        self._values: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        for option in type(holder).all_options():
            if option.secret or option.kind == "mapping":
                shortest = _SHORTEST if option.secret else _SHORTEST_OF_MAPPINGS
                self.add(*_texts(holder.options.get(option.name)), shortest=shortest)

    def add(self, *secrets: str, shortest: int = _SHORTEST) -> None:
        """Know further secrets, e.g. a token; parts that are shorter than so many characters are left alone."""
        with self._lock:
            before = len(self._values)
            self._values.update(form for secret in secrets for form in _forms(secret, shortest))
            if len(self._values) > before:
                longest = sorted(self._values, key=len, reverse=True)
                self._pattern = re.compile("|".join(map(re.escape, longest)), re.IGNORECASE)

    def text(self, text: str) -> str:
        """The text without any secret."""
        return self._pattern.sub(HIDDEN, text) if self._pattern is not None and text else text

    def outcomes(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Outcomes without any secret."""
        return [
            one
            if one.provider_message_id is None and one.error_code is None and one.error is None
            else self._clean(one)
            for one in outcomes
        ]

    def _clean(self, outcome: Outcome) -> Outcome:
        own_id = outcome.provider_message_id
        return outcome._replace(
            provider_message_id=own_id if own_id is None or self.text(own_id) == own_id else None,
            error_code=self.code(outcome.error_code),
            error=None if outcome.error is None else self.text(outcome.error),
        )

    def code(self, code: str | None) -> str | None:
        """An error code; one that quotes a secret is replaced as a whole."""
        return code if code is None or self.text(code) == code else "provider_error"


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, str):
        yield value


def _forms(secret: str, shortest: int) -> set[str]:
    parts = {secret, *secret.split(), *re.split(r"\\n|\n", secret), secret.partition("_")[2]}
    parts = {part for part in (part.strip() for part in parts) if len(part) >= shortest}
    encoded = {quote(part, safe="") for part in parts}
    # In basic authentication a secret stands behind a name of any length, so base64 has three ways to write it.
    shifted = {_in_base64(part, shift) for part in parts for shift in range(3)}
    return parts | encoded | {form for form in shifted if len(form) >= 2 * _SHORTEST}


def _in_base64(text: str, shift: int) -> str:
    """What base64 is sure to hold of a text that begins `shift` bytes behind a group of three."""
    return base64.b64encode(b"\0" * shift + text.encode()).decode()[4 if shift else 0 : -4]
