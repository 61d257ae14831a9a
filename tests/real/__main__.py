"""`python -m tests.real` replays everything, the slow fortnights too, and prints the figures."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

if __name__ == "__main__":
    sys.exit(pytest.main([str(Path(__file__).parent), "-q", "-m", "slow or not slow", *sys.argv[1:]]))
