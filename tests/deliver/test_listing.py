"""Which providers are delivered for: every one that has something open, without looking through old messages."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from post_office import NOON, MakeOffice, PostOffice, on_both

from activate import run
from activate.policy import Policy
from activate.record import ledger

FILES = {name: {"type": "file", "path": f"{name}.jsonl"} for name in ("mail", "late", "old")}


def _without(office: PostOffice, name: str) -> None:
    rules = office.project.policy.model_dump(by_alias=True)
    rules["providers"] = {key: section for key, section in FILES.items() if key != name}
    office.project = replace(office.project, policy=Policy.model_validate(rules))


def _deliver(office: PostOffice, at: dt.datetime, *providers: str) -> dict[str, int]:
    reports = run.deliver(office.warehouse, office.project, at, providers=providers or None)
    return {report.provider: report.counts.get("accepted", 0) for report in reports}


@on_both
def test_providers_are_found_by_new_messages_and_remembered(make_office: MakeOffice) -> None:
    office = make_office(FILES).people(9).queue([0, 1]).queue([2], provider="late").queue([3], provider="old")
    assert _deliver(office, NOON, "mail") == {"mail": 2}
    hour = dt.timedelta(hours=1)
    assert ledger.outbox_providers(office.warehouse, office.project).to == NOON
    office.queue([4], queued_at=NOON + hour)
    assert _deliver(office, NOON + hour, "mail") == {"mail": 1}
    # Nothing of these is newer than the last listing; they are remembered.
    assert _deliver(office, NOON + hour) == {"mail": 0, "late": 1, "old": 1}


@on_both
def test_one_that_the_rules_no_longer_have_is_told_of_while_something_is_open(make_office: MakeOffice) -> None:
    office = make_office(FILES).people(9).queue([0, 1]).queue([3], provider="old")
    assert _deliver(office, NOON, "mail") == {"mail": 2}
    office.queue([4], queued_at=NOON + dt.timedelta(hours=1))
    _without(office, "old")
    for _ in range(2):
        reports = run.deliver(office.warehouse, office.project, NOON + dt.timedelta(hours=1))
        assert [report.provider for report in reports if report.error] == ["old"]


@on_both
def test_messages_of_the_last_instant_that_was_looked_at_are_looked_at_again(make_office: MakeOffice) -> None:
    office = make_office(FILES).people(9).queue([0])
    assert _deliver(office, NOON) == {"mail": 1}
    office.queue([1], provider="late")
    assert _deliver(office, NOON) == {"late": 1, "mail": 0}
