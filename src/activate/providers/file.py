"""Appends messages to JSON Lines files: for trying out, for tests, and for pipelines that pick files up."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from activate.providers.base import FileRequest, Limits, Outgoing, Provider
from activate.providers.options import Option


def _check_path(path: str) -> str | None:
    unknown = [name for name in re.findall(r"\{([^}]*)\}", path) if name != "date"]
    if unknown:
        return f"{{{unknown[0]}}} is not known; only {{date}} can be filled in"
    return "name a file, not a folder" if path.endswith("/") else None


class File(Provider):
    """One JSON object per line; `{date}` in the path is the UTC day of the delivery."""

    type = "file"
    transport = "file"
    summary = "Appends messages to JSON Lines files."
    example: ClassVar[Mapping[str, Any]] = {"path": "outbox/{date}.jsonl"}
    declared = (
        Option("path", "The file; `{date}` becomes the UTC day of the delivery.", required=True, check=_check_path),
        Option("include_address", "Whether the lines hold the address, too.", "flag", default=False),
        Option("batch", "Messages per write.", "whole", default=1000, low=1, high=10_000),
    )
    defaults: ClassVar[Limits] = Limits(batch=1000)
    notes = """\
Keys of a line: `message_id`, `user_id`, `campaign`, `step`, `variant`, `channel`, `content` (and `address`, if asked
for). A write is one append, brought to disk before the outcome is recorded. A line torn by a crash or a full disk is
taken out again; after a crash, the file is searched for the messages in doubt, so that each stands there exactly once.
Relative paths start from the dbt project."""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        super().__init__(name, options)
        self._address = bool(self.options["include_address"])

    def looked_up_in(self, at: dt.datetime) -> Path:
        return Path(self.options["path"].replace("{date}", f"{at:%Y-%m-%d}"))

    def build(self, batch: Sequence[Outgoing], at: dt.datetime) -> FileRequest:
        lines = [json.dumps(self._line(message), ensure_ascii=False, separators=(",", ":")) for message in batch]
        # Lone surrogates cannot be written as UTF-8; a replacement character can.
        return FileRequest(self.looked_up_in(at), ("\n".join(lines) + "\n").encode("utf-8", "replace"))

    def _line(self, message: Outgoing) -> dict[str, Any]:
        line: dict[str, Any] = {
            "message_id": message.message_id,  # first, so that a search needs to look at the beginning only
            "user_id": message.user_id,
            "campaign": message.campaign,
            "step": message.step,
            "variant": message.variant,
            "channel": message.channel,
            "content": dict(message.content),
        }
        return {**line, "address": message.address} if self._address else line
