"""The documentation of the state tables is what the tables are."""

from pathlib import Path

from activate.tables import TABLES, state_page

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_of_the_state_tables_is_current() -> None:
    assert (DOCS / "state-tables.md").read_text() == state_page(), "write state_page() to docs/state-tables.md"


def test_every_column_says_what_it_means() -> None:
    for table in TABLES:
        for column in table.columns:
            assert column.doc.endswith("."), f"{table.name}.{column.name}"
