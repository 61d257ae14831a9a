"""Fixtures of the delivery tests: a post office on each warehouse, and a real webhook service."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from post_office import MakeOffice, PostOffice, Service, duckdb_office, postgres_office, service


# What hangs on the warehouse's SQL is tested on both (`on_both`), as are kills, two workers and the faults; what hangs on
# providers and their answers is tried on PostgreSQL behind the slow marker: there it takes minutes.
@pytest.fixture(params=["duckdb", pytest.param("postgres", marks=pytest.mark.slow)])
def make_office(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeOffice]:
    """Make a post office with these providers, on DuckDB and on PostgreSQL."""
    with contextlib.ExitStack() as stack:

        def make(providers: dict[str, Any], **policy: Any) -> PostOffice:
            if request.param == "duckdb":
                return stack.enter_context(duckdb_office(tmp_path, providers, **policy))
            uri = request.getfixturevalue("postgres_server")
            return stack.enter_context(postgres_office(uri, tmp_path, providers, **policy))

        yield make


@pytest.fixture
def duckdb_only(tmp_path: Path) -> Iterator[MakeOffice]:
    """The same on DuckDB alone, for what does not depend on the warehouse."""
    with contextlib.ExitStack() as stack:
        yield lambda providers, **policy: stack.enter_context(duckdb_office(tmp_path, providers, **policy))


@pytest.fixture
def peer() -> Iterator[Service]:
    """A webhook service on this machine."""
    with service() as made:
        yield made
