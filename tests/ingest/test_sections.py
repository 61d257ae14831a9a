"""Sections of `ingest:`: checked at lint without secrets, made with them, and documented."""

from __future__ import annotations

from pathlib import Path

import pytest

from activate.errors import SettingsError
from activate.sources.registry import SOURCES, check, create
from tests.ingest.vectors import SECRET, SECTIONS

PAGE = Path(__file__).parents[2] / "docs" / "ingest.md"


@pytest.mark.parametrize("kind", sorted(SOURCES))
def test_the_example_of_every_type_passes_lint_and_is_documented(kind: str) -> None:
    made = SOURCES[kind]
    assert check("mine", {"type": kind, **made.example}) == []
    assert check(kind, made.example) == []
    text = PAGE.read_text("utf-8")
    assert f"\n### {kind}\n" in text
    assert made.notes
    for option in made.declared:
        assert f"| `{option.name}` |" in text


@pytest.mark.parametrize("kind", sorted(SOURCES))
def test_a_secret_does_not_belong_in_the_file_and_is_never_told(kind: str) -> None:
    secrets = [option.name for option in SOURCES[kind].declared if option.secret]
    assert secrets
    problems = check(kind, {**SECTIONS[kind], **dict.fromkeys(secrets, SECRET)})
    assert len(problems) == len(secrets)
    for problem in problems:
        assert "does not belong in a file" in problem
        assert SECRET not in problem


def test_mistakes_name_what_is_allowed() -> None:
    assert check("zzzz", {}) == [
        "there is no source type 'zzzz'; allowed: generic, sendgrid, twilio, onesignal, braze, postmark, mailgun, ses"
    ]
    assert check("sendgrid", {}) == [
        "'public_key' is missing: The verification key of the signed Event Webhook (base64)."
    ]
    (problem,) = check("generic", {"secret": "{{ env_var('X') }}", "chanel": "push"})
    assert "did you mean 'channel'" in problem


def test_a_secret_that_is_too_short_is_refused_when_it_is_used() -> None:
    with pytest.raises(SettingsError, match=r"rules/activate.yml: ingest.app: 'secret' is too short"):
        create("app", {"type": "generic", "secret": "short"})
