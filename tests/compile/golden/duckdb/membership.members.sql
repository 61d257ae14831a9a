-- Who is in each segment now.
CREATE TEMPORARY TABLE tick_members AS
SELECT DISTINCT
  'staff' AS segment,
  t."user_id" AS user_id,
  FALSE AS is_entry
FROM "analytics"."staff" AS t
WHERE
  NOT t."user_id" IS NULL
UNION ALL
SELECT DISTINCT
  'vip' AS segment,
  CAST(t."user_id" AS TEXT) AS user_id,
  TRUE AS is_entry
FROM "analytics"."vip" AS t
WHERE
  NOT CAST(t."user_id" AS TEXT) IS NULL
