"""An audience's change set is printed for every warehouse and can be parsed again in its dialect."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from activate.audience import Audience
from activate.compile.audience import ChangeSet, Held
from activate.policy import Policy
from activate.project import Model, Project, Relation
from activate.warehouses.dialect import DIALECTS

COLUMNS = {
    "user_id": "text", "email": "text", "phone": "text", "ltv": "decimal(10,2)", "rate": "double", "vip": "boolean",
    "born": "date", "seen_at": "timestamp", "email_consent": "boolean",
}  # fmt: skip


def _project() -> Project:
    policy = Policy.model_validate(
        {
            "profiles": {"model": "people", "key": "user_id"},
            "events": {"model": "people", "id": "user_id", "key": "user_id", "name": "user_id", "time": "seen_at"},
            "channels": {"email": {"address": "email", "consent": "email_consent", "provider": "mails"}},
            "destinations": {"ads": {"type": "file", "path": "{audience}.csv"}},
        }
    )
    everything = {
        "identify_by": {"column": "email", "normalise": "email_gmail", "hash": "sha256"},
        "fields": {
            "ltv": "ltv", "rate": {"column": "rate", "cast": "integer"}, "vip": "vip",
            "day": {"column": "phone", "cast": "date"}, "price": {"column": "phone", "cast": "decimal"}, "born": "born", "seen": "seen_at",
            "phone": {"column": "phone", "normalise": "phone", "country_code": "+49", "hash": "sha256"}, "source": {"value": "it's"},
        },
        "exclude": ["bars"], "consent": "email", "control": "10%", "priority": 5,
        "split": {"name": "offer", "arms": {"a": 1, "b": 2}, "take": "a", "field": "arm"},
    }  # fmt: skip
    # Of the audience that comes first only its members matter, not what is sent of them.
    first = {**everything, "fields": {}, "identify_by": {"column": "phone"}, "priority": 9}
    audiences = tuple(
        Audience.model_validate({"audience": name, "segment": "vips", "destination": "ads", **keys})
        for name, keys in (("first", first), ("second", everything))
    )
    models = {
        name: Model(name, Relation("shop", name), kind="segment", key="user_id", columns=COLUMNS)
        for name in ("people", "vips", "bars")
    }
    return Project(Path(), "shop", policy, (), models, audiences=audiences)


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_a_change_set_is_printed_for_every_warehouse(name: str) -> None:
    project, dialect = _project(), DIALECTS[name]
    # The first sync's statements are parts of a later one's.
    for held in (Held(), Held(3, 17, True)) if name in ("duckdb", "postgres") else (Held(3, 17, True),):
        steps = list(ChangeSet(project, dialect, project.audiences[1], held).steps())
        assert len(steps) >= 3
        for step in steps:
            text = dialect.sql(step.sql)
            assert step.sql.find(exp.Placeholder) is None, "every placeholder is filled"
            sqlglot.parse_one(text, read=name)


def test_state_is_read_for_the_audience_and_its_copy_alone() -> None:
    project = _project()
    steps = ChangeSet(project, DIALECTS["duckdb"], project.audiences[1], Held(3, 17, True)).steps()
    texts = {step.name: DIALECTS["duckdb"].sql(step.sql) for step in steps}
    assert "a.generation = 3" in texts["audience.changed"]
    assert "c.wave >= 17" in texts["audience.touched"]
    assert "a.audience = 'second'" in texts["audience.changed"]


def test_a_hashed_identifier_is_worked_out_once_where_members_are_held() -> None:
    project = _project()
    steps = list(ChangeSet(project, DIALECTS["duckdb"], project.audiences[1], Held(3, 17)).steps())
    reads = {step.name for step in steps if "vips" in DIALECTS["duckdb"].sql(step.sql)}
    assert reads == {"audience.wanted", "audience.work"}, "the last looks up what is sent of those who differ"
