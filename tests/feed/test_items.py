"""Which items a person is shown, on each warehouse."""

from __future__ import annotations

import datetime as dt

from tests.feed.conftest import NOW, Box


def test_a_person_sees_their_own_items_newest_first(box: Box) -> None:
    box.put("old", minutes=30).put("new", minutes=5).put("other", user_id="bob")
    assert box.ids() == ["new", "old"]
    assert box.ids(token=box.token("bob")) == ["other"]
    assert box.ids(token=box.token("cid")) == []


def test_an_item_has_what_the_app_shows_and_nothing_internal(box: Box) -> None:
    box.put(
        "m1", title='Grüße "Ann"', body="It's here", url="/cart", image="https://e.com/a.png", data='{"pinned": true}'
    )
    _, _, body = box.ask()
    assert body == {
        "items": [{
            "message_id": "m1", "channel": "card", "title": "Grüße \"Ann\"", "body": "It's here", "url": "/cart",
            "image": "https://e.com/a.png", "data": {"pinned": True}, "created_at": "2026-03-02T12:00:00.000000Z",
            "expires_at": "2026-03-02T13:00:00.000000Z",
        }],
        "since": "2026-03-02T12:00:00.000000Z",
        "before": None,
    }  # fmt: skip


def test_an_item_is_gone_at_the_instant_it_expires(box: Box) -> None:
    box.put("brief", lasts=10).put("lasting", lasts=None, minutes=1)
    assert box.ids() == ["brief", "lasting"]
    box.now = NOW + dt.timedelta(minutes=10) - dt.timedelta(microseconds=1)
    assert box.ids() == ["brief", "lasting"]
    box.now = NOW + dt.timedelta(minutes=10)
    assert box.ids() == ["lasting"]


def test_an_item_is_gone_when_the_warehouse_knows_that_it_was_dismissed(box: Box) -> None:
    box.put("a").put("b", minutes=1).put("c", minutes=2)
    assert box.ids() == ["a", "b", "c"], "no table of engagements: nothing was dismissed"
    box.run(
        "CREATE SCHEMA activate",
        "CREATE TABLE activate.engagements (message_id TEXT, name TEXT, occurred_at TIMESTAMP)",
        f"INSERT INTO activate.engagements VALUES ('b', 'dismissed', TIMESTAMP '{NOW}'), "
        f"('c', 'opened', TIMESTAMP '{NOW}')",
    )
    box.place.close()
    box.place = box.open_place()
    assert box.ids() == ["a", "c"]


def test_nothing_was_ever_delivered(box: Box) -> None:
    box.run("DROP TABLE activate_feed.items")
    assert box.ids() == []
    assert box.ask(path="/healthz", token=None)[0] == 200


def test_whatever_a_person_s_key_looks_like_it_is_only_a_value(box: Box) -> None:
    box.put("other", user_id="bob")
    keys = ["o'neil", "x' OR '1'='1", "a\\' OR 1=1 --", "$1", "; DROP TABLE x", "名前", "a\tb"]
    for number, user_id in enumerate(keys):
        box.put(f"m{number}", user_id=user_id)
    for number, user_id in enumerate(keys):
        assert box.ids(token=box.token(user_id)) == [f"m{number}"]
    assert box.ids(token=box.token("bob")) == ["other"]


def test_a_token_for_one_channel_shows_that_channel_alone(box: Box) -> None:
    box.put("card").put("in_app", channel="in_app", minutes=1).put("note", channel="note", minutes=2)
    assert box.ids() == ["card", "in_app", "note"]
    assert box.ids("channel=in_app") == ["in_app"]
    assert box.ids("channel=in_app&channel=card") == ["card", "in_app"]
    assert box.ids(token=box.token("ann", "card", "note")) == ["card", "note"]
    assert box.ids("channel=note", box.token("ann", "card", "note")) == ["note"]
    assert box.ask("channel=in_app", box.token("ann", "card"))[0] == 403
    assert box.ids("channel=unheard_of") == []


def test_pages_go_through_everything_once(box: Box) -> None:
    rows = ", ".join(f"('{n:03d}', 'ann', 'card', TIMESTAMP '{NOW - dt.timedelta(seconds=n // 3)}')" for n in range(50))
    box.run(f"INSERT INTO activate_feed.items (message_id, user_id, channel, created_at) VALUES {rows}")
    seen, query = [], "limit=7"
    while True:
        _, _, body = box.ask(query)
        seen += [item["message_id"] for item in body["items"]]
        if body["before"] is None:
            break
        query = f"limit=7&before={body['before']}"
    assert sorted(seen) == [f"{n:03d}" for n in range(50)]
    assert len(seen) == 50


def test_since_brings_what_came_later_and_repeats_the_last_minute(box: Box) -> None:
    box.put("long_ago", minutes=10).put("just_before", minutes=0)
    since = box.ask()[2]["since"]
    assert box.ids(f"since={since}") == ["just_before"]
    # Made (with its time) before the question, and committed after it.
    box.put("late", minutes=0).put("new", minutes=-1)
    _, _, body = box.ask(f"since={since}")
    assert {item["message_id"] for item in body["items"]} == {"just_before", "late", "new"}
    assert body["since"] == "2026-03-02T12:01:00.000000Z"
    box.run("DELETE FROM activate_feed.items")
    assert box.ask(f"since={since}")[2] == {"items": [], "since": since, "before": None}
    assert box.ask()[2] == {"items": [], "since": None, "before": None}


def test_data_that_somebody_broke_by_hand_is_empty(box: Box) -> None:
    box.put("a", data="{").put("b", data="[1]", minutes=1)
    assert [item["data"] for item in box.ask()[2]["items"]] == [{}, {}]
