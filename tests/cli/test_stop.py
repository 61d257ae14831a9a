"""A real `dbt-activate deliver` is asked to stop (SIGTERM): nothing stays in doubt, and the next one goes on."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import subprocess
import sys
import time

from cli_place import LAUNCH, POLICY, TICK, Place

from activate.testing import faults
from activate.testing.faults import FaultServer, Rule

SLOW = "outbox: {type: webhook, url: '%s', secret: \"{{ env_var('KEY') }}\", batch: 1, concurrency: 2}"
COUNT = 12
ENV = {"KEY": "any-secret-of-16-characters"}


def _queued(place: Place, people: int) -> None:
    place.execute(
        *(f"INSERT INTO shop.profiles VALUES ('p{n}', 'Europe/Berlin', 't-p{n}', TRUE)" for n in range(people))
    )
    assert place.run("run", "--now", f"{LAUNCH}").returncode == 0
    place.carts(*((f"p{number}", f"c{number}", TICK - dt.timedelta(minutes=45), 150) for number in range(people)))
    assert place.run("run", "--now", f"{TICK}", "--no-deliver").returncode == 0


def test_sigterm_finishes_what_is_under_way_releases_the_rest_and_ends_with_143(place: Place) -> None:
    _queued(place, COUNT)
    with FaultServer([Rule(faults.slow_drip(0.3))]) as server:
        place.write(
            "rules/activate.yml", POLICY.replace("outbox: {type: file, path: outbox/messages.jsonl}", SLOW % server.url)
        )
        command = [sys.executable, "-m", "activate", "deliver", "--now", f"{TICK}", "--json"]
        env = {**os.environ, **ENV}
        process = subprocess.Popen(command, cwd=place.directory, env=env, stdout=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        while server.requests < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        told = process.communicate(timeout=30)[0]
        assert process.returncode == 143
        assert json.loads(told)["error"]["type"] == "Terminated"
        first = dict(server.book.accepted)
        assert 0 < len(first) < COUNT
        warehouse = place.connect()
        rows = warehouse.query(
            "SELECT message_id FROM activate.deliveries GROUP BY message_id HAVING MAX(CASE status WHEN 'claimed' THEN 0 ELSE 1 END) = 0"
        )
        warehouse.close()
        assert rows.num_rows == 0, "every claim has an outcome"
        again = subprocess.run(
            command, cwd=place.directory, env=env, capture_output=True, text=True, timeout=120, check=True
        )
        assert json.loads(again.stdout)["delivery"][0]["left"] == 0
    assert sorted(server.book.accepted.values()) == [1] * COUNT
