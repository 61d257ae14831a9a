"""The made-up shop is the same each time, and holds what a real one troubles an engine with."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import duckdb
import pytest

from activate.demo import catalogue
from activate.demo.generate import REPLAY_UNTIL, STREAMS, Shop, generate


@pytest.fixture(scope="module")
def shop() -> Shop:
    return generate(people=900, days=4)


def ask(shop: Shop, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect() as connection:
        for name, table in shop.tables.items():
            connection.register(name, table)
        connection.execute(
            "CREATE VIEW events AS SELECT * EXCLUDE (device_id), device_id AS device FROM app_events "
            "UNION ALL BY NAME SELECT * EXCLUDE (anonymous_id), anonymous_id AS device FROM web_events"
        )
        return connection.execute(sql).fetchall()


def test_the_same_seed_makes_the_same_shop() -> None:
    digest = generate(people=60, days=2, seed=3).digest()
    assert generate(people=60, days=2, seed=3).digest() == digest
    assert generate(people=60, days=2, seed=4).digest() != digest


def test_every_zone_there_is_has_its_person(shop: Shop) -> None:
    zones = {zone for (zone,) in ask(shop, "SELECT DISTINCT time_zone FROM profiles")}
    assert set(catalogue.all_zones()) <= zones
    assert len(catalogue.all_zones()) > 590


def test_the_replay_takes_in_a_change_of_the_clocks(shop: Shop) -> None:
    def offset(zone: str, at: dt.datetime) -> dt.timedelta | None:
        return at.replace(tzinfo=dt.UTC).astimezone(ZoneInfo(zone)).utcoffset()

    changed = [z for z in catalogue.all_zones() if offset(z, shop.replay_from) != offset(z, shop.replay_until)]
    assert "America/New_York" in changed
    longer = generate(people=1, days=10)
    assert offset("Europe/Berlin", longer.replay_from) != offset("Europe/Berlin", longer.replay_until)


def test_some_zones_are_missing_and_some_are_nonsense(shop: Shop) -> None:
    found = {zone for (zone,) in ask(shop, "SELECT DISTINCT time_zone FROM profiles")}
    assert None in found
    assert found & set(catalogue.BROKEN_ZONES)


def test_some_events_come_late_some_twice_and_some_from_the_future(shop: Shop) -> None:
    [(late, twice, ahead)] = ask(
        shop,
        "SELECT count(*) FILTER (loaded_at > occurred_at + INTERVAL 12 HOUR), count(*) - count(DISTINCT event_id), "
        "count(*) FILTER (occurred_at > loaded_at) FROM events",
    )
    assert late > 20
    assert twice > 100
    assert ahead > 0


def test_some_sessions_are_anonymous_and_some_browsers_are_shared(shop: Shop) -> None:
    [(anonymous,)] = ask(
        shop, "SELECT count(*) / (SELECT count(*) FROM web_events) FROM web_events WHERE user_id IS NULL"
    )
    assert 0.1 < float(str(anonymous)) < 0.9
    shared = ask(
        shop, "SELECT device_id FROM identities WHERE source = 'web' GROUP BY 1 HAVING count(DISTINCT user_id) > 1"
    )
    assert len(shared) >= 5


def test_people_opt_out_move_and_waver(shop: Shop) -> None:
    [(out,)] = ask(shop, "SELECT count(*) FROM consents WHERE channel = 'email' AND state = 'unsubscribed'")
    [(ties,)] = ask(
        shop,
        "SELECT count(*) FROM (SELECT 1 FROM consents WHERE group_name IS NULL GROUP BY address, occurred_at "
        "HAVING count(DISTINCT state) > 1)",
    )
    [(new_addresses,)] = ask(
        shop, "SELECT count(*) FROM (SELECT user_id FROM profiles GROUP BY 1 HAVING count(DISTINCT email) > 1)"
    )
    assert out > 20
    assert ties > 0
    assert new_addresses > 5


def test_a_purchase_is_worth_what_is_in_its_cart(shop: Shop) -> None:
    wrong = ask(
        shop,
        """
        WITH once AS (SELECT DISTINCT ON (event_id) event_name, properties FROM events),
        carts AS (
            SELECT properties->>'cart_id' AS cart, sum(
                (properties->>'price')::DOUBLE * (properties->>'quantity')::INT
                * CASE event_name WHEN 'remove_from_cart' THEN -1 ELSE 1 END) AS worth
            FROM once WHERE event_name IN ('add_to_cart', 'remove_from_cart') GROUP BY 1
        )
        SELECT cart, worth, properties->>'revenue' FROM once JOIN carts ON cart = properties->>'cart_id'
        WHERE event_name = 'purchase' AND abs(worth - (properties->>'revenue')::DOUBLE) > 0.005
        """,
    )
    assert wrong == []
    [(elsewhere,)] = ask(
        shop,
        "SELECT count(DISTINCT w.properties->>'cart_id') FROM web_events w JOIN app_events a "
        "ON a.properties->>'cart_id' = w.properties->>'cart_id' WHERE w.event_name = 'purchase'",
    )
    assert int(str(elsewhere)) > 20  # filled in the app, bought on the web


def test_loads_one_after_the_other_bring_everything_once(shop: Shop) -> None:
    middle = shop.replay_from + dt.timedelta(hours=30)
    far = REPLAY_UNTIL + dt.timedelta(days=30)
    for name in STREAMS:
        parts = [shop.loaded_between(name, None, middle), shop.loaded_between(name, middle, far)]
        assert sum(part.num_rows for part in parts) == shop.tables[name].num_rows
        assert all(time < middle for time in parts[0].column("loaded_at").to_pylist())
        assert all(time >= middle for time in parts[1].column("loaded_at").to_pylist())
    assert shop.loaded_between("stores", None, middle).num_rows == len(catalogue.STORES)
    assert shop.loaded_between("stores", middle, far).num_rows == 0


@pytest.mark.parametrize(("people", "days"), [(0, 4), (10, 0)])
def test_a_shop_without_people_or_days_is_refused(people: int, days: int) -> None:
    with pytest.raises(ValueError, match="at least one person and one day"):
        generate(people, days)
