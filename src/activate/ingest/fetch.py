"""Gets what a vendor publishes for those who verify its requests: a certificate, from an address that the source has checked."""

from __future__ import annotations

import threading
from collections.abc import Callable

import urllib3

from activate.sources.base import Unreachable

_LARGEST, _KEPT = 64 * 1024, 16
Opener = Callable[[str], tuple[int, bytes]]
"""From an address to a status and the first 64 KB of a body. Raises urllib3's HTTPError."""


class Fetcher:
    """Fetches by HTTPS; a certificate is fetched once, anything else each time. Used by several threads."""

    def __init__(self, opener: Opener | None = None) -> None:
        self._open = opener or _open
        self._kept: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def __call__(self, address: str) -> bytes:
        """The document at an address. Raises Unreachable."""
        with self._lock:
            if (kept := self._kept.get(address)) is not None:
                return kept
        try:
            status, body = self._open(address)
        except urllib3.exceptions.HTTPError as error:
            raise Unreachable(type(error).__name__) from None
        if status != 200:
            raise Unreachable(f"http_{status}")
        if address.endswith(".pem"):
            with self._lock:
                if len(self._kept) >= _KEPT:
                    self._kept.clear()
                self._kept[address] = body
        return body


def _open(address: str) -> tuple[int, bytes]:
    with urllib3.PoolManager(timeout=urllib3.Timeout(5.0), retries=urllib3.Retry(1, redirect=0)) as pool:
        answer = pool.request("GET", address, redirect=False, preload_content=False)
        try:
            return answer.status, answer.read(_LARGEST)
        finally:
            answer.release_conn()
