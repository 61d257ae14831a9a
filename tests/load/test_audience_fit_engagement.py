"""Lint asks an audience's destination whether it can keep what is mapped."""

from __future__ import annotations

import pytest

from .conftest import Shop

PLAIN = "{% block title %}Hello{% endblock %}"
AUDIENCE = """\
audience: lapsed
description: Who left
owner: growth
segment: lapsed
destination: there
fields:
  {field}: ltv
"""


def _lint(shop: Shop, section: str, field: str) -> list[str]:
    shop.write("rules/templates/cart.push.j2", PLAIN)
    shop.policy(f"destinations:\n  there: {{{section}}}\n")
    shop.write("rules/audiences/lapsed.yml", AUDIENCE.replace("{field}", field))
    return shop.lint()


KLAVIYO = "type: klaviyo, list_id: Y6nRLr, api_key: \"{{ env_var('KEY') }}\""
SEGMENT = "type: customerio, site_id: s, segment_id: 7, track_key: \"{{ env_var('KEY') }}\""


def test_a_field_that_the_destination_keeps_for_itself_is_told_with_its_line(shop: Shop) -> None:
    [told] = _lint(shop, KLAVIYO, "external_id")
    assert told.startswith("rules/audiences/lapsed.yml:7: error: klaviyo keeps 'external_id' for itself")


def test_a_segment_that_takes_no_fields_is_told(shop: Shop) -> None:
    [told] = _lint(shop, SEGMENT, "lifetime_value")
    assert "manual segments take no fields" in told


@pytest.mark.parametrize("section", [KLAVIYO, SEGMENT.replace("segment_id: 7", "attribute: vip")])
def test_fields_that_fit_are_no_mistake(shop: Shop, section: str) -> None:
    assert _lint(shop, section, "lifetime_value") == []
