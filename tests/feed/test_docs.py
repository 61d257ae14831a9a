"""docs/feed.md says what is so: its recipe makes tokens that are taken, its settings are right, its table is the one made."""

from __future__ import annotations

import datetime as dt
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from activate.feed.items import Wanted, page
from activate.feed.tokens import Grant, Keys
from activate.providers.base import Outgoing
from activate.providers.registry import check, create
from tests.feed.conftest import SECRET

PAGE = (Path(__file__).parents[2] / "docs" / "feed.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_recipe_makes_a_token_that_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTIVATE_FEED_SECRET", SECRET)
    names: dict[str, Any] = {}
    exec(blocks("python")[0], names)
    assert Keys([SECRET]).read(names["feed_token"]("u_1042")) == Grant("u_1042", None)


def test_the_settings_of_the_page_are_right() -> None:
    settings = yaml.safe_load(blocks("yaml")[0])
    assert check(settings["providers"]["feed"]) == []
    assert settings["channels"]["card"]["provider"] in settings["providers"]


def test_the_table_of_the_page_is_the_one_that_is_made() -> None:
    told = re.findall(
        r"`(\w+)`",
        "".join(line.split("|")[1] for line in PAGE.splitlines() if re.match(r"\| `\w+`.*\| (text|timestamp)", line)),
    )
    request: Any = create("feed", {"type": "feed"}).build(
        [Outgoing("m", "u", "hello", 1, None, "card", "u", {"body": "a"})], dt.datetime(2026, 3, 2)
    )
    assert told == request.rows.schema.names


def test_the_answer_of_the_page_has_the_shape_of_ours() -> None:
    example = json.loads(blocks("json")[0])
    at = dt.datetime(2026, 3, 28, 12)
    row = dict.fromkeys(example["items"][0]) | {"created_at": at, "expires_at": at}
    ours = page([row], Wanted("u", at))
    assert list(ours) == list(example)
    assert list(ours["items"][0]) == list(example["items"][0])
