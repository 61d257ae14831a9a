-- What happened in each session, as the collectors send it: late, sometimes twice, and with what the client knew.
CREATE TEMP TABLE steps AS
SELECT session_id, 0 AS seq, CASE WHEN in_app THEN 'app_opened' ELSE 'page_viewed' END AS event_name, started_at AS happened_at, 0 AS nth
FROM sessions
UNION ALL
SELECT session_id, nth, 'product_viewed', started_at + to_seconds(nth * 45 + CAST(30 * roll(session_id, 'v' || nth) AS BIGINT)), nth
FROM sessions CROSS JOIN range(1, 7) AS counted (nth) WHERE nth <= views
UNION ALL
SELECT session_id, 10 + nth, 'add_to_cart', started_at + to_seconds(330 + nth * 70), nth
FROM sessions CROSS JOIN range(1, 3) AS counted (nth) WHERE nth <= adds
UNION ALL
SELECT session_id, 13, 'remove_from_cart', started_at + to_seconds(520), 2
FROM sessions WHERE adds = 2 AND removes
UNION ALL
SELECT session_id, 20, 'purchase', started_at + to_seconds(600 + CAST(3000 * pow(roll(session_id, 'decides'), 3) AS BIGINT)), 0
FROM sessions WHERE adds > 0 AND buys
UNION ALL
SELECT session_id, 30 + nth, 'location_updated', started_at + to_seconds(900 + nth * 360), nth
FROM sessions INNER JOIN stores ON stores.time_zone = sessions.zone
CROSS JOIN range(1, 4) AS counted (nth)
WHERE in_app AND walks AND stores.store_id = (
    SELECT min(near.store_id) FROM stores AS near WHERE near.time_zone = sessions.zone
);

CREATE TEMP TABLE carts AS
SELECT
    session_id, nth, 'c-' || substr(md5(session_id || getvariable('seed')), 1, 16) AS cart_id, product_id, product_name,
    product_category, price, CASE WHEN product.price < 60 THEN 1 + CAST(floor(2 * roll(session_id, 'q' || nth)) AS BIGINT) ELSE 1 END
        AS quantity
FROM sessions
CROSS JOIN range(1, 7) AS counted (nth)
INNER JOIN products AS product
    ON product.shelf = sessions.shelf AND product.place = CAST(floor(4 * roll(session_id, 'p' || nth)) AS BIGINT);

CREATE TEMP TABLE totals AS
SELECT carts.session_id, any_value(cart_id) AS cart_id, sum(price * quantity) AS revenue
FROM carts INNER JOIN sessions ON sessions.session_id = carts.session_id
WHERE carts.nth <= sessions.adds AND NOT (carts.nth = 2 AND sessions.removes)
GROUP BY carts.session_id;

CREATE TEMP TABLE happened AS
SELECT
    'e-' || substr(md5(getvariable('seed') || steps.session_id || '|' || steps.seq), 1, 20) AS event_id,
    sessions.in_app AND NOT (steps.event_name = 'purchase' AND sessions.buys_on_web) AS in_app,
    CASE WHEN steps.event_name = 'purchase' AND sessions.buys_on_web THEN sessions.browser_id ELSE sessions.device END AS device,
    -- Whoever buys is logged in.
    CASE WHEN steps.event_name = 'purchase' OR steps.seq >= sessions.known_from THEN sessions.user_id END AS user_id,
    sessions.user_id AS person,
    steps.event_name,
    steps.happened_at AS occurred_at,
    CAST(CASE
        WHEN steps.event_name = 'product_viewed' THEN json_object(
            'product_id', carts.product_id, 'product_name', carts.product_name,
            'product_category', carts.product_category, 'price', carts.price)
        WHEN steps.event_name IN ('add_to_cart', 'remove_from_cart') THEN json_object(
            'cart_id', carts.cart_id, 'product_id', carts.product_id, 'product_name', carts.product_name,
            'product_category', carts.product_category, 'price', carts.price, 'quantity', carts.quantity)
        WHEN steps.event_name = 'purchase' THEN json_object(
            'cart_id', totals.cart_id, 'order_id', 'o-' || substr(md5(steps.session_id || getvariable('seed')), 1, 12),
            'revenue', round(totals.revenue, 2))
        WHEN steps.event_name = 'location_updated' THEN json_object(
            -- From two kilometres north to the door.
            'latitude', round(stores.latitude + CASE steps.nth WHEN 1 THEN 0.018 WHEN 2 THEN 0.0015 ELSE 0.0004 END, 6),
            'longitude', round(stores.longitude + 0.001 * roll(steps.session_id, 'walk'), 6))
        ELSE json_object('page', CASE WHEN sessions.in_app THEN 'home' ELSE '/' END)
    END AS VARCHAR) AS properties
FROM steps
INNER JOIN sessions ON sessions.session_id = steps.session_id
LEFT JOIN carts ON carts.session_id = steps.session_id AND carts.nth = steps.nth
LEFT JOIN totals ON totals.session_id = steps.session_id AND steps.event_name = 'purchase'
LEFT JOIN (SELECT time_zone, arg_min(latitude, store_id) AS latitude, arg_min(longitude, store_id) AS longitude
    FROM stores GROUP BY time_zone) AS stores ON stores.time_zone = sessions.zone
UNION ALL
-- Half of the new people finish onboarding, within nine days.
SELECT
    'e-' || substr(md5(getvariable('seed') || user_id || '|onboarding'), 1, 20), false, browser_id, user_id, user_id,
    'onboarding_completed', signed_up_at + to_seconds(600 + CAST(9 * 86400 * roll(user_id, 'learns') AS BIGINT)), '{}'
FROM people
WHERE is_new AND roll(user_id, 'finishes') < 0.5
UNION ALL
SELECT
    'e-' || substr(md5(getvariable('seed') || user_id || '|tier'), 1, 20), false, browser_id, user_id, user_id,
    'loyalty_tier_reached',
    getvariable('first_day') + to_seconds(CAST(getvariable('days') * 86400 * roll(user_id, 'climbs') AS BIGINT)),
    CASE WHEN roll(user_id, 'tier') < 0.1 THEN '{"tier":"gold"}' ELSE '{"tier":"silver"}' END
FROM people
WHERE activity > 0.25 AND roll(user_id, 'loyal') < 0.2;

CREATE TEMP TABLE loaded AS
WITH arrived AS (
    SELECT
        event_id, in_app, device, user_id, event_name, properties,
        occurred_at + to_seconds(CASE
            WHEN roll(event_id, 'late') < 0.97 THEN CAST(3 + 57 * roll(event_id, 'load') AS BIGINT)
            WHEN roll(event_id, 'late') < 0.995 THEN CAST(600 + 6 * 3600 * roll(event_id, 'load') AS BIGINT)
            ELSE CAST(6 * 3600 + 3 * 86400 * roll(event_id, 'load') AS BIGINT)
        END) AS loaded_at,
        -- The clock of one client in five hundred is a quarter of an hour ahead.
        occurred_at + to_seconds(CASE WHEN roll(device, 'clock') < 0.002 THEN 900 ELSE 0 END) AS occurred_at
    FROM happened
    WHERE occurred_at < getvariable('last_day')
)

SELECT * FROM arrived
UNION ALL BY NAME
-- One event in sixty comes twice.
SELECT * REPLACE (loaded_at + to_seconds(30 + CAST(7200 * roll(event_id, 'again') AS BIGINT)) AS loaded_at)
FROM arrived
WHERE roll(event_id, 'twice') < 0.0167;

CREATE TEMP TABLE app_events AS
SELECT event_id, device AS device_id, user_id, event_name, occurred_at, loaded_at, properties
FROM loaded WHERE in_app ORDER BY loaded_at, event_id;

CREATE TEMP TABLE web_events AS
SELECT event_id, device AS anonymous_id, user_id, event_name, occurred_at, loaded_at, properties
FROM loaded WHERE NOT in_app ORDER BY loaded_at, event_id;
