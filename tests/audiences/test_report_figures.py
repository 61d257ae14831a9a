"""What the figures of a sync's report mean: who was reached, who refused, and whether the destination could be used."""

from __future__ import annotations

import pytest

from activate.audience_plan import AudienceReport


@pytest.mark.parametrize(
    ("outcomes", "share", "unusable"),
    [
        ({}, 0.0, False),
        ({"accepted": 9, "rejected": 1}, 0.1, False),
        ({"accepted": 1, "rejected": 1, "aborted": 98}, 0.5, False),  # the others never reached it
        ({"rejected": 4}, 1.0, False),  # it answered, so it is there
        ({"failed": 4}, 1.0, True),
        ({"aborted": 4}, 0.0, True),
        ({"unknown": 4}, 0.0, True),
    ],
)
def test_refusals_are_a_share_of_what_reached_the_destination(
    outcomes: dict[str, int], share: float, unusable: bool
) -> None:
    report = AudienceReport("vips", "crm", outcomes=outcomes)
    assert report.refused_share == share
    assert report.unusable is unusable
    assert AudienceReport("vips", "crm", outcomes=outcomes, error="stopped").unusable
