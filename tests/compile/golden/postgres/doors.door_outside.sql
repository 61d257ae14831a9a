-- Occurrences while the local window was closed.
CREATE TEMPORARY TABLE tick_door_outside AS
SELECT
  a.entry_id,
  a.zone
FROM (
  SELECT
    n.entry_id,
    n.entered_at,
    p.trigger_window,
    COALESCE(p.window_zone, z.zone, p.fallback_zone) AS zone
  FROM tick_new AS n
  JOIN tick_doors AS p
    ON p.campaign = n.campaign AND p.trigger_window IS NOT NULL
  LEFT JOIN (
    SELECT
      q.user_id,
      CASE WHEN COUNT(*) = 1 THEN MIN(q.time_zone) END AS time_zone
    FROM (
      SELECT
        t."user_id" AS user_id,
        t."time_zone" AS time_zone,
        NOT t."push_token" IS NULL AND t."push_token" <> '' AS has_0,
        (
          NOT t."push_token" IS NULL AND t."push_token" <> ''
        )
        AND COALESCE(t."push_consent" IN ('opted_in', 'subscribed'), FALSE) AS ok_0,
        t."push_token" AS address_0,
        t."push_at" AT TIME ZONE 'UTC' AS registered_0,
        NOT t."email" IS NULL AND t."email" <> '' AS has_1,
        (
          NOT t."email" IS NULL AND t."email" <> ''
        )
        AND COALESCE(t."email_consent", FALSE) AS ok_1,
        t."email" AS address_1
      FROM "analytics"."profiles" AS t
    ) AS q
    JOIN (
      SELECT DISTINCT
        r.user_id
      FROM tick_new AS r
    ) AS u
      ON u.user_id = q.user_id
    GROUP BY
      q.user_id
  ) AS f
    ON f.user_id = n.user_id
  LEFT JOIN tick_zones AS z
    ON z.zone = f.time_zone
) AS a
LEFT JOIN tick_hours AS h
  ON h.window_id = a.trigger_window
  AND h.zone = a.zone
  AND h.opened_at <= a.entered_at
  AND h.closed_at > a.entered_at
WHERE
  a.zone IS NOT NULL AND h.window_id IS NULL
