"""A mock server made from a vendor's own API description, which refuses requests that the description does not allow."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType

import pytest

_CACHE = Path.home() / ".cache" / "activate-prism"
_INSTALL = f"npm install --prefix {_CACHE} @stoplight/prism-cli@5.14"
DESCRIPTIONS = Path(__file__).parents[3] / "shared" / "api"


def description(name: str) -> Path:
    """A vendor's API description, which is kept beside the repository; the test is skipped where there is none."""
    found = DESCRIPTIONS / name
    if not found.is_file():
        pytest.skip(f"no API description {name} in {DESCRIPTIONS}")
    return found


class Prism:
    """Prism, serving a description on loopback; `errors` makes it refuse what is not valid. `url` is where it answers."""

    def __init__(self, description: Path, errors: bool = True) -> None:
        program = os.environ.get("ACTIVATE_PRISM") or shutil.which("prism")
        cached = _CACHE / "node_modules" / ".bin" / "prism"
        if program is None and cached.is_file():
            program = str(cached)
        if program is None:
            pytest.skip(f"prism is not installed: {_INSTALL}")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        flags = ["--errors"] if errors else []
        self._command = [program, "mock", *flags, "-h", "127.0.0.1", "-p", str(port), str(description)]
        self._port = port

    def __enter__(self) -> Prism:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    return self
            time.sleep(0.1)
        self.__exit__(None, None, None)
        pytest.fail("prism did not start")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(timeout=30)
