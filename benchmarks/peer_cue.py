"""Times an in-process peer that decides one message at a time: cue-notify's embedded gate.

It needs Python 3.12 and an environment of its own:

    python3.12 -m venv /tmp/cue && /tmp/cue/bin/pip install cue-notify
    /tmp/cue/bin/python benchmarks/peer_cue.py --people 5000
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from cue_notify.embedded import Gate  # type: ignore[import-not-found]  # not a dependency: a rival

ZONES = ("Europe/Berlin", "America/New_York", "Asia/Tokyo", "Australia/Sydney", "America/Sao_Paulo")


def main() -> None:
    parser = argparse.ArgumentParser(description="Decisions a second of cue-notify's embedded gate.")
    parser.add_argument("--people", type=int, default=5000)
    people = parser.parse_args().people
    with tempfile.TemporaryDirectory() as folder:
        caps = {"marketing": [("P1D", 2), ("P7D", 3), ("P30D", 10)]}
        gate = Gate(f"sqlite:///{Path(folder) / 'cue.db'}", quiet_hours=("21:00", "09:00"), caps=caps)
        actions: dict[str, int] = {}
        began = time.perf_counter()
        for person in range(people):
            decision = gate.check(
                f"user-{person}", category="marketing", timezone=ZONES[person % len(ZONES)], key=f"cart-{person}"
            )
            actions[decision.action] = actions.get(decision.action, 0) + 1
            if decision.action == "send":
                gate.sent(decision)
        seconds = time.perf_counter() - began
    print(f"cue-notify: {people:,} decisions in {seconds:.2f} s, {people / seconds:,.0f}/s   {actions}")


if __name__ == "__main__":
    main()
