"""`dbt-activate ingest` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from activate import commands
from activate.cli import build_parser
from activate.errors import SettingsError, UsageError
from activate.report.text import to_data
from tests.ingest.shop import EventShop
from tests.ingest.vectors import LOSSES, signed

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    "words",
    [
        [], ["sendgrid"], ["--spool", "--listen", "localhost:1"], ["sendgrid", "f", "--spool"], ["--listen", "localhost"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_makes_no_sense_is_a_usage_error(words: list[str]) -> None:
    args = build_parser().parse_args(["ingest", *words])
    with pytest.raises(UsageError):
        commands._ingest(args)


def test_without_waitress_the_listener_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "waitress", None)
    args = build_parser().parse_args(["ingest", "--listen", "localhost:8080"])
    with pytest.raises(SettingsError, match=r"pip install 'dbt-activate\[serve\]'"):
        commands._ingest(args)


def test_the_report_has_the_documented_shape(local: EventShop) -> None:
    good = signed("sendgrid", LOSSES["sendgrid"])
    report: dict[str, Any] = to_data(local.ingest("sendgrid", good, good._replace(headers={})))
    text = (DOCS / "json.md").read_text("utf-8").split("<!-- example ingest -->\n```json\n")[1].split("\n```")[0]
    documented = json.loads(text)
    assert list(report) == list(documented)
    assert {name: type(value) for name, value in report.items()} == {n: type(v) for n, v in documented.items()}
