"""Whether an audience fits its destination is asked at lint, where it stands in a file."""

from __future__ import annotations

from .conftest import Shop

DESTINATION = """\
destinations:
  news: {type: mailchimp, api_key: "{{ env_var('NOT_SET') }}", list_id: ab12}
"""
AUDIENCE = """\
audience: vips
segment: lapsed
destination: news
identify_by: {column: email, normalise: email, hash: md5}
fields:
  email_address: email
  FNAME: first_name
"""
FILE = "rules/audiences/vips.yml"


def test_an_audience_that_fits_is_right(shop: Shop) -> None:
    shop.policy(DESTINATION)
    shop.write(FILE, AUDIENCE)
    assert shop.lint() == []


def test_an_identifier_and_a_field_that_a_destination_needs_are_told_with_their_lines(shop: Shop) -> None:
    shop.policy(DESTINATION)
    shop.write(FILE, AUDIENCE.replace("hash: md5", "hash: sha256"))
    assert shop.only().startswith(f"{FILE}:4: error: mailchimp knows people by the MD5 of their address in lower case")
    shop.write(FILE, AUDIENCE.replace("  email_address: email\n", ""))
    assert shop.only().startswith(f"{FILE}:6: error: mailchimp adds people by their address")


def test_a_list_holds_one_audience(shop: Shop) -> None:
    shop.policy(DESTINATION)
    shop.write(FILE, AUDIENCE)
    shop.write("rules/audiences/more.yml", AUDIENCE.replace("audience: vips", "audience: more"))
    assert "is at 'news' too" in shop.only()
