-- Who shops here. `roll(id, salt)` is a number in [0, 1) that the seed, the id and the salt decide; no order of work does.
CREATE TEMP TABLE people AS
WITH numbered AS (
    SELECT number, 'u' || lpad(CAST(number AS VARCHAR), 6, '0') AS user_id
    FROM range(1, getvariable('people') + 1) AS counted (number)
),

zoned AS (
    SELECT
        numbered.*,
        -- The first people live in every zone there is, one in each; the others mostly where most people live.
        CASE
            WHEN number <= getvariable('zones') THEN number - 1
            ELSE CAST(floor(roll(user_id, 'zone') * getvariable('zones')) AS BIGINT)
        END AS any_zone,
        CAST(floor(roll(user_id, 'popular') * getvariable('popular_zones')) AS BIGINT) AS popular_zone,
        number > getvariable('zones') AND roll(user_id, 'crowd') < 0.8 AS lives_where_most_do
    FROM numbered
)

SELECT
    number,
    user_id,
    coalesce(CASE WHEN lives_where_most_do THEN popular.zone END, zones.zone) AS zone,
    CASE
        WHEN number <= getvariable('zones') OR roll(user_id, 'report') >= 0.025
            THEN coalesce(CASE WHEN lives_where_most_do THEN popular.zone END, zones.zone)
        WHEN roll(user_id, 'report') >= 0.0125 THEN broken.zone
    END AS reported_zone,
    first_names.first_name,
    countries.country,
    CASE WHEN roll(user_id, 'has_email') < 0.96 THEN lower(strip_accents(first_names.first_name)) || number || '@example.com' END
        AS email,
    CASE WHEN roll(user_id, 'has_phone') < 0.55 THEN '+1 555 ' || lpad(CAST(number AS VARCHAR), 7, '0') END AS phone,
    CASE WHEN roll(user_id, 'has_app') < 0.75 THEN 'tok-' || substr(md5(user_id || getvariable('seed')), 1, 24) END
        AS push_token,
    roll(user_id, 'employee') < 0.01 AS is_employee,
    CAST(floor(roll(user_id, 'taste') * 8) AS BIGINT) AS taste,
    -- Most people come now and then, few come daily.
    0.02 + 0.5 * pow(roll(user_id, 'activity'), 2) AS activity,
    CASE
        WHEN roll(user_id, 'new') < 0.14
            THEN getvariable('first_day')
                + to_seconds(CAST(roll(user_id, 'signed_up') * getvariable('days') * 86400 AS BIGINT))
        ELSE getvariable('first_day') - to_seconds(CAST(roll(user_id, 'signed_up') * 700 * 86400 AS BIGINT))
    END AS signed_up_at,
    roll(user_id, 'new') < 0.14 AS is_new,
    -- A fifth stop coming early on; some of those come back in the last days.
    CASE WHEN roll(user_id, 'stops') < 0.2
        THEN getvariable('first_day') + to_days(CAST(floor(roll(user_id, 'until') * getvariable('days') * 0.6) AS INTEGER))
    END AS active_until,
    CASE WHEN roll(user_id, 'stops') < 0.03
        THEN getvariable('replay_from') + to_days(CAST(floor(roll(user_id, 'again') * getvariable('replay_days')) AS INTEGER))
    END AS back_on,
    -- Every fortieth person uses the browser of the one before.
    'b-' || substr(md5(CAST(CASE WHEN number % 40 = 0 THEN number - 1 ELSE number END AS VARCHAR) || getvariable('seed')), 1, 16)
        AS browser_id,
    'd-' || substr(md5(user_id || 'device' || getvariable('seed')), 1, 16) AS device_id
FROM zoned
LEFT JOIN zones ON zones.position = zoned.any_zone
LEFT JOIN popular_zones AS popular ON popular.position = zoned.popular_zone
LEFT JOIN broken_zones AS broken ON broken.position = CAST(floor(roll(user_id, 'broken') * getvariable('broken_zones')) AS BIGINT)
LEFT JOIN first_names ON first_names.position = CAST(floor(roll(user_id, 'name') * getvariable('first_names')) AS BIGINT)
LEFT JOIN countries ON countries.position = CAST(floor(roll(user_id, 'country') * getvariable('countries')) AS BIGINT);
