"""Progress as lines: not too often, with the rate and the time left once there is a way to tell."""

from __future__ import annotations

import io

from activate.report.progress import _Lines


def test_lines_tell_rate_and_time_left_every_few_seconds_and_the_end() -> None:
    now, out = [0.0], io.StringIO()
    lines = _Lines(out, lambda: now[0])
    for second in range(0, 13, 2):
        now[0] = float(second)
        lines.provider("mail", second * 1_000, 100_000)
    now[0] = 100.0
    lines.provider("mail", 100_000, 100_000)
    assert out.getvalue().splitlines() == [
        "delivering by mail: 6,000 of 100,000 (1,000/s, 2 min left)",
        "delivering by mail: 12,000 of 100,000 (1,000/s, 88 s left)",
        "delivering by mail: 100,000 of 100,000 (1,000/s)",
    ]


def test_statements_have_names_and_no_rate() -> None:
    now, out = [0.0], io.StringIO()
    lines = _Lines(out, lambda: now[0])
    lines.step(0, 4, "due")
    now[0] = 6.0
    lines.step(2, 4, "gates")
    lines.step(4, 4, "gates")
    assert out.getvalue().splitlines() == ["deciding: 2 of 4 (gates)", "deciding: 4 of 4"]
