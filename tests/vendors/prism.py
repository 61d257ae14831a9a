"""A mock server made from a vendor's own API description, which refuses what the description does not allow."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType

import pytest

_INSTALL = "npm install --prefix ~/.cache/activate-prism @stoplight/prism-cli@5.14"
DESCRIPTIONS = Path(__file__).parents[3] / "shared" / "api"


def description(name: str) -> Path:
    """A vendor's description by its path below ../shared/api; without it the test is skipped."""
    found = DESCRIPTIONS / name
    if not found.exists():
        pytest.skip(f"the vendor's description {name} is not in ../shared/api")
    return found


def _program() -> str:
    cached = Path.home() / ".cache" / "activate-prism" / "node_modules" / ".bin" / "prism"
    found = os.environ.get("ACTIVATE_PRISM") or shutil.which("prism") or (str(cached) if cached.exists() else None)
    if found is None:
        pytest.skip(f"the mock server prism is not installed; run: {_INSTALL}")
    return found


class Prism:
    """Runs the mock server for a description. With `errors`, invalid requests are answered with an error."""

    def __init__(self, description: Path, errors: bool = True) -> None:
        self._command = [_program(), "mock", *(["--errors"] if errors else []), "-h", "127.0.0.1"]
        self._description = description
        self.url = ""

    def __enter__(self) -> Prism:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self._process = subprocess.Popen(
            [*self._command, "-p", str(port), str(self._description)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.__exit__(None, None, None)
                    pytest.fail(f"prism did not start for {self._description.name}")
                time.sleep(0.1)
            else:
                return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(10)
