"""Writes audiences to files, on this machine or in object storage: what changed, or everyone."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from activate.destinations.base import Abilities, Changes, Destination, FilePlace, MembersRequest, PartRequest
from activate.providers.base import Limits
from activate.providers.options import Option

_PLACEHOLDERS = ("audience", "run_id", "date")
_SCHEME = re.compile(r"[a-z][a-z0-9+.\-]*://")
_FORMATS: Mapping[str, Literal["csv", "jsonl", "parquet"]] = {
    ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet",
}  # fmt: skip


def is_remote(path: str) -> bool:
    """Whether a path is an address rather than a file of this machine, whose relative paths start from the project."""
    return _SCHEME.match(path) is not None


def _check_path(path: str) -> str | None:
    unknown = [name for name in re.findall(r"\{([^}]*)\}", path) if name not in _PLACEHOLDERS]
    if unknown:
        return f"{{{unknown[0]}}} is not known; {{audience}}, {{run_id}} and {{date}} can be filled in"
    if path.endswith("/"):
        return "name a file, not a folder"
    if path.startswith(("http://", "https://")) or "::" in path:
        return "cannot be written to; name a file, or an address such as s3://bucket/{audience}.csv"
    if path.startswith("file://"):
        return "write the path alone, without file://"
    if is_remote(path) and urlsplit(path).password:
        return "an address in a file must not hold a password; use `storage` with env_var"
    return None


def _check_key(name: str) -> str | None:
    return "a name that begins with _ is Activate's own" if name.startswith("_") else None


class AudienceFile(Destination):
    """One file per sync with what changed, or one file with the whole audience, replaced at each change."""

    type = "file"
    transport = "file"
    summary = "Writes an audience to CSV, JSON Lines or Parquet files, on this machine, in object storage or over SFTP."
    example: ClassVar[Mapping[str, Any]] = {"path": "outbox/audiences/{audience}.csv", "content": "full"}
    declared = (
        Option("path", "A path (relative ones start from the dbt project) or an address such as "
               "`s3://bucket/{audience}/{run_id}.csv` or `sftp://host/dir/{audience}.parquet`. `{audience}`, `{run_id}` "
               "and `{date}` (the sync's UTC day) are filled in.", required=True, check=_check_path),
        Option("content", "`full`: the whole audience, replaced whenever something changed. `changes`: a new file for each "
               "sync, with those who were added, updated or removed; its path needs `{run_id}`.",
               default="full", choices=("full", "changes")),
        Option("format", "`csv`, `jsonl` or `parquet`; by the path's ending if left out.",
               choices=("csv", "jsonl", "parquet")),
        Option("key", "The column that holds what the person is known by.", default="user_id", check=_check_key),
        Option("storage", "Options of the address's file system, as fsspec, s3fs and so on name them, e.g. `key`, `secret`, "
               "`client_kwargs`, `username`, `password`, `known_hosts`; secrets are written with env_var.", "mapping", default={}),
        Option("batch", "Rows per step, and per row group of a Parquet file.", "whole", default=50_000, low=1,
               high=1_000_000),
    )  # fmt: skip
    defaults: ClassVar[Limits] = Limits(batch=50_000)
    notes = """\
Columns: the key, then (`content: changes`) `change`, which is `add`, `update` or `remove`, then the mapped fields in their
order. In a file of changes, removals come first, and their fields are empty.

A file is written beside its place under another name (for addresses: on this machine's disk) and takes its place
only when it is whole and on disk, so that nobody reads half of it; until then, no row counts as `accepted`. A process that is
killed leaves the published file as it was, and the next sync hands everything over again. In object storage an
upload becomes visible at its end; what a killed one leaves behind is not visible, and a lifecycle rule for unfinished
multipart uploads removes it.

| | csv | jsonl | parquet |
|---|---|---|---|
| missing value | nothing between the commas (an empty text is `""`) | `null` | null |
| time | `2026-01-02T03:04:05.000000Z` | the same | timestamp |
| decimal | all its digits | a number with all its digits | decimal |
| not a number, infinite | missing | `null` | as it is |
| list, struct, map | as JSON | as JSON | as it is |
| bytes | base64 | base64 | as they are |

CSV is RFC 4180 in UTF-8 with a header and texts in quotes. Times without a zone are taken for UTC. A new file can be read by its
owner only; one that is replaced hands on its permissions.

The members of a file are read back from the newest one (`full`), or from all files that fit the path, in the order of their
runs (`changes`): files that were moved away are missed.

Addresses need `pip install 'dbt-activate[files]'` for `s3://` and `sftp://`; others need their own fsspec package. An SFTP
server's key must be in `~/.ssh/known_hosts`, or in the file that `storage: {known_hosts: ...}` names. `per_second` and
`timeout` do not apply."""

    @classmethod
    def conflicts(cls, options: Mapping[str, Any]) -> list[str]:
        path, problems = str(options.get("path") or ""), []
        if options.get("content") == "changes":
            if path and "{run_id}" not in path:
                problems.append("'path': with `content: changes`, each sync writes a file of its own; add {run_id}")
            if options.get("key") == "change":
                problems.append("'key': `change` is the name of the column that tells additions from removals")
        if path and not options.get("format") and _format(path) is None:
            problems.append(f"'format' is missing, and the path's ending is none of {', '.join(_FORMATS)}")
        if path and options.get("storage") and "{{" not in path and not is_remote(path):
            problems.append("'storage' is for addresses such as s3://bucket/{audience}.csv, not for a path")
        if str(options.get("concurrency") or 1) != "1":
            problems.append("'concurrency': a file is written by one writer; leave it out")
        return problems

    @classmethod
    def abilities_of(cls, options: Mapping[str, Any]) -> Abilities:
        return Abilities(shape="columns", whole=True, replaces=options.get("content") != "changes", reads_back=True)

    @classmethod
    def holds_several(cls, options: Mapping[str, Any]) -> bool:
        return "{audience}" in str(options.get("path"))

    def build(self, changes: Changes, at: dt.datetime) -> PartRequest:
        place = self._place(changes.audience)
        url = place.pattern.replace("{run_id}", changes.run_id).replace("{date}", f"{at:%Y-%m-%d}")
        return PartRequest(place, url, changes)

    def ask_members(self, audience: str) -> MembersRequest:
        return MembersRequest(self._place(audience))

    def _place(self, audience: str) -> FilePlace:
        options = self.options
        kind = options["format"] or _format(options["path"])
        assert kind is not None  # `conflicts` has asked for it
        return FilePlace(
            options["path"].replace("{audience}", audience), kind, options["key"],
            options["content"] == "changes", options["storage"],
        )  # fmt: skip


def _format(path: str) -> Literal["csv", "jsonl", "parquet"] | None:
    return _FORMATS.get(PurePosixPath(path).suffix.lower())
