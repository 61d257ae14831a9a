"""The destinations' page is made from their classes."""

from __future__ import annotations

from pathlib import Path

from activate.destinations.registry import DESTINATIONS, destination_pages

PAGE = Path(__file__).parents[2] / "docs" / "destinations.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == destination_pages(), (
        "write it anew: python -c 'from activate.destinations.registry import destination_pages as p; print(p(), end=\"\")' "
        "> docs/destinations.md"
    )


def test_every_destination_has_its_section() -> None:
    text = PAGE.read_text()
    for kind, destination in DESTINATIONS.items():
        assert f"\n## {kind}\n" in text
        for option in destination.all_options():
            assert f"| `{option.name}` |" in text
