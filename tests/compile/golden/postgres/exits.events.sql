-- Exception events that could matter.
CREATE TEMPORARY TABLE tick_events AS
SELECT
  0 AS exception_id,
  t."user_id" AS user_id,
  CAST(t."event_id" AS TEXT) AS event_id,
  t."occurred_at" AS happened_at,
  t."loaded_at" AS loaded_at,
  CAST(JSON_EXTRACT_PATH_TEXT(CAST(t."properties" AS JSON), 'cart_value') AS TEXT) AS match_value
FROM "analytics"."events" AS t
WHERE
  t."event_name" = 'call'
  AND t."occurred_at" >= :entered_from
  AND t."occurred_at" <= :now
  AND t."loaded_at" <= :now
  AND (
    (
      t."cart_id" <> 'x'
    )
  )
UNION ALL
SELECT
  1 AS exception_id,
  t."user_id" AS user_id,
  CAST(t."event_id" AS TEXT) AS event_id,
  t."occurred_at" AS happened_at,
  t."loaded_at" AS loaded_at,
  CAST(t."cart_id" AS TEXT) AS match_value
FROM "analytics"."events" AS t
WHERE
  t."event_name" = 'purchase'
  AND t."occurred_at" >= :entered_from
  AND t."occurred_at" <= :now
  AND t."loaded_at" <= :now
