-- Occurrences for cart: carts.
INSERT INTO tick_raw (
  campaign,
  user_id,
  occurrence_id,
  entered_at,
  visible_at,
  is_late,
  match_key,
  context
)
SELECT
  'cart',
  t."user_id",
  CAST(t."event_id" AS TEXT),
  t."occurred_at" AT TIME ZONE 'UTC',
  CASE
    WHEN t."loaded_at" > t."occurred_at" AT TIME ZONE 'UTC'
    THEN t."loaded_at"
    ELSE t."occurred_at" AT TIME ZONE 'UTC'
  END,
  t."occurred_at" AT TIME ZONE 'UTC' < :ago_86400,
  CAST(t."cart_id" AS TEXT),
  CAST((
    JSONB_BUILD_OBJECT(
      'event_id',
      t."event_id",
      'user_id',
      t."user_id",
      'occurred_at',
      t."occurred_at",
      'loaded_at',
      t."loaded_at",
      'cart_id',
      t."cart_id",
      'cart_value',
      CASE
        WHEN LOWER(CAST(t."cart_value" AS TEXT)) IN ('nan', 'inf', '-inf', 'infinity', '-infinity')
        THEN NULL
        ELSE t."cart_value"
      END,
      'Odd name',
      t."Odd name"
    )
  ) AS TEXT)
FROM "analytics"."carts" AS t
WHERE
  NOT t."user_id" IS NULL
  AND NOT CAST(t."event_id" AS TEXT) IS NULL
  AND t."occurred_at" AT TIME ZONE 'UTC' >= :first_cart
  AND t."occurred_at" AT TIME ZONE 'UTC' < CAST('2027-01-01 00:00:00.000000' AS TIMESTAMP)
  AND t."occurred_at" AT TIME ZONE 'UTC' <= :now
  AND t."loaded_at" <= :now
  AND (
    t."loaded_at" > :unread_cart
    OR t."occurred_at" AT TIME ZONE 'UTC' > :unread_cart
  )
  AND (
    (
      t."cart_value" > 100 AND t."Odd name" IS NOT NULL
    )
  )
