-- People with several profile rows.
CREATE TEMPORARY TABLE tick_duplicates AS
SELECT
  p.user_id
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
) AS p
WHERE
  NOT p.user_id IS NULL
GROUP BY
  p.user_id
HAVING
  COUNT(*) > 1
