"""Bearer tokens that are exchanged for a key: fetched when needed, shared by threads, renewed before they lapse."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Protocol

from activate.deliver.carry import InDoubt, NotTaken
from activate.providers.base import HttpAnswer, HttpRequest, Token, Unusable

_MARGIN_SECONDS = 60.0


class Holder(Protocol):
    """What asks for tokens: a provider or a destination."""

    def token_request(self, at: int) -> HttpRequest | None:
        """The request that exchanges a key for a token."""

    def read_token(self, answer: HttpAnswer) -> Token:
        """The token in the answer."""

    def authorize(self, request: HttpRequest, token: str) -> HttpRequest:
        """The request with the token."""


class Tokens:
    """The token of one account. It lives in memory only. `on_token` is told each new one, so that it can be hidden."""

    def __init__(
        self, holder: Holder, monotonic: Callable[[], float], on_token: Callable[[str], None] | None = None
    ) -> None:
        self._holder = holder
        self._monotonic = monotonic
        self._on_token = on_token
        self._lock = threading.Lock()
        self._token: str | None = None
        self._fetched_at = 0.0
        self._holds_until = 0.0

    def authorize(self, request: HttpRequest, at: int, carry: Callable[[HttpRequest], Any]) -> HttpRequest:
        """The request with a token that still holds; unchanged where none is needed. `at`: Unix seconds.

        Raises Unusable when no token is given, NotTaken when the exchange is not at work (a doubt about the exchange is
        none about the request, which was not handed over).
        """
        with self._lock:  # one thread fetches, the others wait for it
            if self._token is None or self._monotonic() >= self._holds_until:
                asked = self._holder.token_request(at)
                if asked is None:
                    return request
                try:
                    answer = carry(asked)
                except InDoubt as doubt:
                    raise NotTaken(f"token_{doubt.code}") from None
                if not isinstance(answer, HttpAnswer) or answer.status == 429 or answer.status >= 500:
                    raise NotTaken(f"token_http_{answer.status}" if isinstance(answer, HttpAnswer) else "no_token")
                if not 200 <= answer.status < 300:
                    code = f"token_http_{answer.status}"
                    raise Unusable(code, f"no token is given for the key ({answer.status}); check the credentials")
                token = self._holder.read_token(answer)
                if self._on_token is not None:
                    self._on_token(token.value)
                self._token, self._fetched_at = token.value, self._monotonic()
                self._holds_until = self._fetched_at + max(0.0, token.seconds - _MARGIN_SECONDS)
            return self._holder.authorize(request, self._token)

    def outdated(self, answer: HttpAnswer) -> bool:
        """Whether the answer refuses a token that was good once: it is dropped, and a new one is worth a try."""
        if answer.status != 401:
            return False
        with self._lock:
            if self._token is None or self._monotonic() - self._fetched_at < _MARGIN_SECONDS:
                return False  # a fresh token that is refused is no use to renew
            self._token = None
            return True
