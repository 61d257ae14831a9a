"""The providers' page is made from their classes."""

from __future__ import annotations

from pathlib import Path

from activate.providers.registry import PROVIDERS, provider_pages

PAGE = Path(__file__).parents[2] / "docs" / "providers.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == provider_pages(), (
        "write it anew: python -c 'from activate.providers.registry import provider_pages as p; print(p(), end=\"\")' "
        "> docs/providers.md"
    )


def test_every_provider_has_its_section() -> None:
    text = PAGE.read_text()
    for kind, provider in PROVIDERS.items():
        assert f"\n## {kind}\n" in text
        for option in provider.all_options():
            assert f"| `{option.name}` |" in text
