-- What the shop's other systems know: log-ins, profiles, consents, and what providers reported in the weeks before.
CREATE TEMP TABLE identities AS
SELECT
    CASE WHEN in_app THEN 'app' ELSE 'web' END AS source,
    device AS device_id,
    user_id,
    identified_at,
    identified_at + to_seconds(CASE
        WHEN roll(session_id, 'id_late') < 0.98 THEN CAST(5 + 55 * roll(session_id, 'id_load') AS BIGINT)
        ELSE CAST(3600 + 5 * 3600 * roll(session_id, 'id_load') AS BIGINT)
    END) AS loaded_at
FROM (
    SELECT
        *,
        -- Between the second view and what comes after it, where the log-in came in the middle.
        started_at + to_seconds(CASE WHEN known_from = 0 THEN 0 ELSE 46 * known_from - 2 END) AS identified_at,
        row_number() OVER (PARTITION BY device, user_id ORDER BY started_at, session_id) AS visit
    FROM sessions
    WHERE known_from < 99
)
WHERE visit = 1 OR known_from > 0 OR number % 40 IN (0, 39)
ORDER BY loaded_at, device_id, user_id, identified_at;

CREATE TEMP TABLE moves AS
SELECT
    user_id,
    getvariable('first_day') + to_seconds(CAST(getvariable('days') * 86400 * roll(user_id, 'move') AS BIGINT)) AS moved_at,
    roll(user_id, 'new_mail') < 0.03 AS new_mail,
    roll(user_id, 'travels') < 0.04 AS travels
FROM people
WHERE roll(user_id, 'new_mail') < 0.03 OR roll(user_id, 'travels') < 0.04;

CREATE TEMP TABLE profiles AS
WITH versions AS (
    SELECT user_id, reported_zone AS time_zone, email, signed_up_at AS updated_at FROM people
    UNION ALL
    SELECT
        people.user_id,
        CASE WHEN moves.travels THEN 'Asia/Bangkok' ELSE people.reported_zone END,
        CASE WHEN moves.new_mail THEN 'new.' || people.email ELSE people.email END,
        moves.moved_at
    FROM people INNER JOIN moves ON moves.user_id = people.user_id
    WHERE moves.moved_at > people.signed_up_at
)

SELECT
    people.user_id, people.first_name, people.country, versions.time_zone, versions.email, people.phone,
    people.push_token, people.is_employee, people.signed_up_at, versions.updated_at,
    versions.updated_at + to_seconds(20) AS loaded_at
FROM versions INNER JOIN people ON people.user_id = versions.user_id
ORDER BY loaded_at, user_id;

CREATE TEMP TABLE consents AS
WITH said AS (
    SELECT user_id, 'email' AS channel, email AS address, NULL AS group_name,
        CASE WHEN roll(user_id, 'email_yes') < 0.35 THEN 'opted_in' ELSE 'subscribed' END AS state,
        signed_up_at + to_seconds(30) AS occurred_at
    FROM people WHERE email IS NOT NULL AND roll(user_id, 'email_yes') < 0.88
    UNION ALL
    SELECT user_id, 'email', email, 'newsletter', 'subscribed', signed_up_at + to_seconds(31)
    FROM people WHERE email IS NOT NULL AND roll(user_id, 'newsletter') < 0.6
    UNION ALL
    SELECT user_id, 'sms', phone, 'offers', 'opted_in', signed_up_at + to_seconds(32)
    FROM people WHERE phone IS NOT NULL AND roll(user_id, 'sms_yes') < 0.45
    UNION ALL
    SELECT user_id, 'push', push_token, NULL,
        CASE WHEN roll(user_id, 'push_yes') < 0.68 THEN 'subscribed' ELSE 'unsubscribed' END, signed_up_at + to_seconds(33)
    FROM people WHERE push_token IS NOT NULL
    UNION ALL
    SELECT user_id, 'email', email, NULL, 'unsubscribed',
        greatest(signed_up_at, getvariable('first_day'))
            + to_seconds(3600 + CAST(getvariable('days') * 86400 * roll(user_id, 'leaves_on') AS BIGINT))
    FROM people WHERE email IS NOT NULL AND roll(user_id, 'leaves') < 0.05
    UNION ALL
    -- A double click on "subscribe" and "unsubscribe" in one second.
    SELECT user_id, 'email', email, NULL, unnest(['subscribed', 'unsubscribed']), signed_up_at + to_seconds(90)
    FROM people WHERE email IS NOT NULL AND roll(user_id, 'wavers') < 0.005
    UNION ALL
    -- Half of those with a new address are asked again, and agree.
    SELECT moves.user_id, 'email', 'new.' || people.email, NULL, 'opted_in', moves.moved_at + to_seconds(7200)
    FROM moves INNER JOIN people ON people.user_id = moves.user_id
    WHERE moves.new_mail AND people.email IS NOT NULL AND moves.moved_at > people.signed_up_at
        AND roll(moves.user_id, 'agrees_again') < 0.5
)

SELECT
    'k-' || substr(md5(concat_ws('|', getvariable('seed'), user_id, channel, address, group_name, state, occurred_at)), 1, 20)
        AS consent_id,
    user_id, channel, address, group_name, state, occurred_at, occurred_at + to_seconds(15) AS loaded_at
FROM said
WHERE occurred_at < getvariable('last_day')
ORDER BY loaded_at, consent_id;

CREATE TEMP TABLE engagement AS
WITH mails AS (
    SELECT
        people.user_id, people.email, 'legacy-' || people.user_id || '-' || week AS message_id,
        getvariable('replay_from') - to_days(CAST(7 * week AS INTEGER)) + to_hours(CAST(9 + number % 8 AS INTEGER)) AS sent_at
    FROM people CROSS JOIN range(1, 5) AS weeks (week)
    WHERE people.email IS NOT NULL AND roll(people.user_id, 'newsletter') < 0.6
        AND people.signed_up_at < getvariable('replay_from') - to_days(CAST(7 * week AS INTEGER))
),

reports AS (
    SELECT *, 'delivered' AS kind, NULL AS bounce_type, sent_at + to_seconds(40) AS happened_at FROM mails
    WHERE roll(user_id, 'gone') >= 0.01
    UNION ALL
    SELECT *, 'bounced', CASE WHEN roll(user_id, 'gone') < 0.006 THEN 'hard' ELSE 'soft' END, sent_at + to_seconds(40)
    FROM mails WHERE roll(user_id, 'gone') < 0.01
    UNION ALL
    SELECT *, 'opened', NULL, sent_at + to_seconds(300 + CAST(30000 * roll(message_id, 'opens') AS BIGINT))
    FROM mails WHERE roll(user_id, 'gone') >= 0.01 AND roll(message_id, 'reads') < roll(user_id, 'reader') * 0.6
    UNION ALL
    SELECT *, 'clicked', NULL, sent_at + to_seconds(400 + CAST(40000 * roll(message_id, 'opens') AS BIGINT))
    FROM mails WHERE roll(user_id, 'gone') >= 0.01 AND roll(message_id, 'reads') < roll(user_id, 'reader') * 0.12
)

SELECT
    'r-' || substr(md5(getvariable('seed') || message_id || kind), 1, 20) AS engagement_id,
    message_id, user_id, 'email' AS channel, email AS address, kind, bounce_type,
    kind = 'opened' AND roll(message_id, 'machine') < 0.15 AS is_machine,
    happened_at AS occurred_at, happened_at + to_seconds(20) AS loaded_at
FROM reports
ORDER BY loaded_at, engagement_id;
