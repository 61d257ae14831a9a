-- Rows that no person can have.
CREATE TEMPORARY TABLE tick_unusable AS
SELECT
  'carts' AS model,
  COUNT(*) AS unusable
FROM "analytics"."carts" AS t
WHERE
  (
    (
      t."user_id" IS NULL
      OR CAST(t."event_id" AS TEXT) IS NULL
      OR CAST(t."occurred_at" AS TEXT) IS NULL
    )
    AND t."loaded_at" > :read_carts
  )
  AND t."loaded_at" <= :now
UNION ALL
SELECT
  'vip' AS model,
  COUNT(*) AS unusable
FROM "analytics"."vip" AS t
WHERE
  (
    CAST(t."user_id" AS TEXT) IS NULL
  )
