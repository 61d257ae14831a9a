"""An audience that its destination could not keep is told at its line, before anything is sent."""

from __future__ import annotations

import pytest

from .conftest import Shop

ADS = """\
destinations:
  facebook: {type: meta, audience_id: "238", access_token: "{{ env_var('META_TOKEN') }}"}
"""
EMAIL = "{column: email, normalise: email, hash: sha256}"


def write(shop: Shop, name: str, identify_by: str = EMAIL, more: str = "") -> None:
    shop.policy(ADS)
    shop.write(
        f"rules/audiences/{name}.yml",
        f"audience: {name}\nsegment: lapsed\ndestination: facebook\nidentify_by: {identify_by}\n{more}",
    )


def test_an_audience_that_fits_is_no_mistake(shop: Shop) -> None:
    write(shop, "lapsed")
    assert shop.lint() == []


@pytest.mark.parametrize(
    ("identify_by", "more", "told"),
    [
        ("{column: email, normalise: phone, hash: sha256}", "", "lapsed.yml:4: error: meta matches EMAIL by"),
        (
            EMAIL,
            "fields:\n  FN: {column: first_name, hash: sha256}\n",
            "lapsed.yml:6: error: meta could not take somebody out",
        ),
    ],
)
def test_what_the_destination_cannot_match_by_is_a_mistake(shop: Shop, identify_by: str, more: str, told: str) -> None:
    write(shop, "lapsed", identify_by, more)
    assert told in shop.only()


def test_an_identifier_that_is_not_hashed_is_told_once(shop: Shop) -> None:
    write(shop, "lapsed", "{column: email, normalise: email}")
    assert "takes hashed identifiers only" in shop.only()


def test_two_audiences_at_a_destination_that_holds_one_are_a_mistake(shop: Shop) -> None:
    write(shop, "first")
    write(shop, "second")
    assert "or write a destination for each" in shop.only()
