-- Who came when, where, and what for. Times of day are local; the zone's offset of that day makes them UTC.
CREATE TEMP TABLE sessions AS
WITH visits AS (
    SELECT
        people.*,
        days.day,
        people.user_id || '-' || strftime(days.day, '%m%d') || '-' || visit.number AS session_id
    FROM people
    CROSS JOIN (
        SELECT CAST(unnest(generate_series(
            getvariable('first_day'), getvariable('last_day') - INTERVAL 1 DAY, INTERVAL 1 DAY)) AS DATE) AS day
    ) AS days
    CROSS JOIN (VALUES (1, 1.0), (2, 0.3)) AS visit (number, share)
    WHERE roll(people.user_id || strftime(days.day, '%m%d') || visit.number, 'visit')
            < people.activity * visit.share * CASE WHEN isodow(days.day) >= 6 THEN 1.3 ELSE 1.0 END
        AND days.day > people.signed_up_at
        AND (people.active_until IS NULL OR days.day <= people.active_until OR days.day = CAST(people.back_on AS DATE))
    UNION ALL
    -- The day of the sign-up itself.
    SELECT people.*, CAST(people.signed_up_at AS DATE), people.user_id || '-first'
    FROM people
    WHERE people.is_new
),

timed AS (
    SELECT
        visits.*,
        CASE WHEN visits.session_id LIKE '%-first' THEN visits.signed_up_at
        ELSE visits.day - to_seconds(offsets.offset_seconds) + to_seconds(CAST(86400 * CASE
            -- One in ten comes at any hour of the day or night, the others between seven and eleven.
            WHEN roll(session_id, 'owl') < 0.1 THEN roll(session_id, 'hour')
            ELSE (7 + 16 * (roll(session_id, 'hour') + roll(session_id, 'hour2')) / 2) / 24
        END AS BIGINT)) END AS started_at,
        visits.push_token IS NOT NULL AND roll(session_id, 'platform') < 0.6 AS in_app
    FROM visits
    INNER JOIN offsets ON offsets.zone = visits.zone AND offsets.day = visits.day
)

SELECT
    session_id, number, user_id, zone, started_at, in_app,
    CASE WHEN in_app THEN device_id ELSE browser_id END AS device,
    browser_id,
    CASE
        WHEN in_app THEN CASE WHEN roll(session_id, 'known') < 0.92 THEN 0 ELSE 99 END
        -- On the web: known from the start, logged in after the second page, or never.
        WHEN roll(session_id, 'known') < 0.5 THEN 0
        WHEN roll(session_id, 'known') < 0.8 THEN 2
        ELSE 99
    END AS known_from,
    CASE WHEN roll(session_id, 'mood') < 0.7 THEN taste ELSE CAST(floor(roll(session_id, 'shelf') * 8) AS BIGINT) END AS shelf,
    1 + CAST(floor(5 * roll(session_id, 'views')) AS BIGINT) AS views,
    CASE WHEN roll(session_id, 'adds') < 0.5 THEN 0 WHEN roll(session_id, 'adds') < 0.82 THEN 1 ELSE 2 END AS adds,
    roll(session_id, 'removes') < 0.12 AS removes,
    roll(session_id, 'buys') < 0.5 AS buys,
    roll(session_id, 'elsewhere') < 0.2 AS buys_on_web,
    roll(session_id, 'walks') < 0.3 AS walks
FROM timed
WHERE started_at < getvariable('last_day');
