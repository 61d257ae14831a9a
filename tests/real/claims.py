"""The claims: one file each, with the query that finds what breaks it and the tampering that it must notice."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .data_sets import HERE
from .database import Database


@dataclass(frozen=True)
class Claim:
    """`query` returns one row for each violation. Each of `tampers` is a statement that must make it return some."""

    name: str
    words: str
    query: str
    tampers: tuple[tuple[str, str], ...]


def read_claim(path: Path) -> Claim:
    """Read a file: `-- claim: words`, the query, then `-- tamper: words` and a statement, as often as wanted."""
    parts = re.split(r"^-- (?:claim|tamper): (.*)$", path.read_text(), flags=re.MULTILINE)[1:]
    (words, query), *tampers = zip(parts[::2], map(str.strip, parts[1::2]), strict=True)
    return Claim(path.stem, words, query, tuple(tampers))


CLAIMS = tuple(read_claim(path) for path in sorted((HERE / "claims").glob("*.sql")))


def violations(database: Database, claim: Claim, limit: int = 5) -> list[tuple[object, ...]]:
    """The first few rows that break the claim."""
    return database.rows(claim.query)[:limit]
