"""Messages put into a feed's table: on each warehouse, once, and what cannot be put there."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from post_office import NOON, MakeOffice, PostOffice, message_id, on_both
from test_kill import COUNT, Place, _check, _prepare, place, sampled

from activate.deliver.send import carrier_for
from activate.message import ProviderReport
from activate.providers.base import Outgoing
from activate.providers.feed import CARD_BYTES, OTHER_BYTES, Feed
from activate.providers.registry import check, create

__all__ = ["place"]

FEED = {"mail": {"type": "feed", "batch": 3}}
# The table of these tests is a card; the post office's people are reached by the channel `email`.
CARD = (
    "{% block title %}Hello {{ profile.first_name }}{% endblock %}{% block body %}{{ context.product }}{% endblock %}"
)


def deliver(office: PostOffice, **options: Any) -> ProviderReport:
    options.setdefault("make_carrier", lambda provider: carrier_for(provider, office.warehouse.clone))
    return office.deliver(**options)


def rows(office: PostOffice, columns: str = "message_id") -> list[tuple[Any, ...]]:
    return office.sql(f"SELECT {columns} FROM activate_feed.items ORDER BY user_id")


def template(directory: Path, text: str = CARD) -> None:
    (directory / "rules" / "templates").mkdir(parents=True, exist_ok=True)
    (directory / "rules" / "templates" / "hello.email.j2").write_text(text)


@on_both
def test_a_message_is_a_row_with_what_was_rendered(make_office: MakeOffice, tmp_path: Path) -> None:
    template(tmp_path)
    office = make_office(FEED).people(5).queue(range(5))
    assert deliver(office).counts == {"accepted": 5}
    found = rows(
        office,
        "message_id, user_id, channel, campaign, step, variant, title, body, url, data, tags, created_at, expires_at",
    )
    assert found[2] == (message_id(2), "u2", "email", "hello", 1, None, "Hello Ann2", "Tea 2", None, None, '["promotion"]',
                        NOON, NOON + dt.timedelta(hours=6))  # fmt: skip
    assert len(found) == 5


@on_both
def test_handed_over_again_a_message_is_there_once_and_as_it_was(make_office: MakeOffice, tmp_path: Path) -> None:
    template(tmp_path)
    office = make_office(FEED).people(3).queue(range(3))
    deliver(office)
    before = rows(office, "*")
    office.sql("DELETE FROM activate.deliveries")
    template(tmp_path, CARD.replace("Hello", "Changed"))
    assert deliver(office).counts == {"accepted": 3}
    assert rows(office, "*") == before


@pytest.mark.parametrize(
    ("place", "step"),
    sampled("after claim 1", "after post 1", "before post 2", "before record 1", "after post 4"),
    indirect=["place"],
)
def test_killed_at_any_step_each_message_is_there_exactly_once(place: Place, tmp_path: Path, step: str) -> None:
    template(tmp_path)
    _prepare(place, FEED)
    place.killed_at(step, FEED)
    with place.office(FEED) as office:
        deliver(office)
        assert office.last() == {"accepted": COUNT}
        _check(office.outcomes())
        assert sorted(rows(office)) == sorted((message_id(n),) for n in range(COUNT))


@on_both
def test_a_value_that_the_warehouse_cannot_hold_harms_no_other(make_office: MakeOffice, tmp_path: Path) -> None:
    template(tmp_path)
    office = make_office(FEED).people(3).queue(range(3))
    office.sql("CREATE SCHEMA activate_feed")
    office.sql(
        "CREATE TABLE activate_feed.items (message_id TEXT, user_id TEXT, channel TEXT, campaign TEXT, step BIGINT, "
        "variant TEXT, title TEXT, body TEXT CHECK (body <> 'Tea 1'), url TEXT, image TEXT, data TEXT, tags TEXT, "
        "created_at TIMESTAMP, expires_at TIMESTAMP, mine TEXT)"
    )
    assert deliver(office).counts == {"accepted": 2, "rejected": 1}
    assert rows(office, "user_id, mine") == [("u0", None), ("u2", None)]


def test_a_table_that_lacks_a_column_stops_the_provider_and_loses_nothing(
    make_office: MakeOffice, tmp_path: Path
) -> None:
    template(tmp_path)
    office = make_office(FEED).people(2).queue(range(2))
    office.sql("CREATE SCHEMA activate_feed")
    office.sql("CREATE TABLE activate_feed.items (message_id TEXT)")
    report = deliver(office)
    assert report.left == 2
    assert "activate_feed.items has no column 'user_id'" in (report.error or "")


def test_state_holds_no_content(make_office: MakeOffice, tmp_path: Path) -> None:
    template(tmp_path)
    office = make_office(FEED).people(2).queue(range(2))
    deliver(office)
    state = office.all_state()
    assert "Hello Ann" not in state
    assert "private.example.com" not in state + repr(rows(office, "*")), "a feed needs no address"


def message(channel: str = "card", **content: str) -> Outgoing:
    return Outgoing("m", "u", "hello", 1, None, channel, "u", content)


@pytest.mark.parametrize(
    ("channel", "content", "code"),
    [
        ("card", {"body": "a"}, None),
        ("card", {"image": "https://e.com/a.png"}, None),
        ("card", {"url": "https://e.com"}, "empty"),
        ("card", {"title": "", "body": ""}, "empty"),
        ("card", {"body": "a" * CARD_BYTES}, None),
        ("card", {"body": "a" * (CARD_BYTES - 1), "title": "ab"}, "too_long"),
        ("card", {"body": "ü" * (CARD_BYTES // 2)}, None),
        ("card", {"body": "ü" * (CARD_BYTES // 2) + "a"}, "too_long"),
        ("in_app", {"body": "a" * OTHER_BYTES}, None),
        ("in_app", {"body": "a" * OTHER_BYTES + "a"}, "too_long"),
        ("card", {"body": "a", "url": "shop://cart/1"}, None),
        ("card", {"body": "a", "url": "/cart?x=1#y"}, None),
        ("card", {"body": "a", "url": "JavaScript:alert(1)"}, "bad_url"),
        ("card", {"body": "a", "url": " javascript:alert(1)"}, "bad_url"),
        ("card", {"body": "a", "url": "java\nscript:alert(1)"}, "bad_url"),
        ("card", {"body": "a", "url": "data:text/html,x"}, "bad_url"),
        ("card", {"body": "a", "url": "https://[e.com"}, "bad_url"),
        ("card", {"body": "a", "image": "shop://a.png"}, "bad_url"),
        ("card", {"body": "a", "data": '{"a": [1]}'}, None),
        ("card", {"body": "a", "data": "[1]"}, "bad_data"),
        ("card", {"body": "a", "data": "{"}, "bad_data"),
        ("card", {"body": "a", "data": '{"a": NaN}'}, "bad_data"),
    ],
)
def test_what_can_be_shown_and_what_cannot(channel: str, content: dict[str, str], code: str | None) -> None:
    assert create("mine", {"type": "feed"}).refuses(message(channel, **content)) == code


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"body": ""}, []),
        ({"image": "", "data": "{}"}, []),
        ({"body": "", "subject": ""}, ["the block 'subject' is not shown by a feed"]),
        ({"url": ""}, ["needs a block 'title', 'body' or 'image'"]),
        ({"body": "a" * 2049}, ["holds 2,048 bytes, and the fixed text alone has 2,049"]),
    ],
)
def test_lint_tells_what_a_template_already_makes_impossible(content: dict[str, str], told: list[str]) -> None:
    found = Feed.misfits({}, "card", content, "marketing")
    assert len(found) == len(told)
    assert all(part in sentence for part, sentence in zip(told, found, strict=True))


def test_a_feed_is_written_in_order_and_into_a_plainly_named_table() -> None:
    assert "'concurrency' is 1" in check({"type": "feed", "concurrency": 2})[0]
    for table in ("items", "a.b.c", "a.B", 'a."b"', "a.b; drop table c"):
        assert "write schema.name" in check({"type": "feed", "table": table})[0]


@on_both
def test_data_is_kept_as_it_was_written(make_office: MakeOffice, tmp_path: Path) -> None:
    template(tmp_path, '{% block body %}a{% endblock %}{% block data %}{"pinned": true, "n": 1.50}{% endblock %}')
    office = make_office(FEED).people(1).queue([0])
    deliver(office)
    assert json.loads(rows(office, "data")[0][0]) == {"pinned": True, "n": 1.5}
