-- Occurrences for journey: vip.
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
  'journey',
  m.user_id,
  MD5(
    m.segment || '|' || m.user_id || '|' || m.change || '|' || TO_CHAR(m.changed_at, 'YYYY-MM-DD') || 'T' || TO_CHAR(m.changed_at, 'HH24:MI:SS.US') || 'Z'
  ),
  m.changed_at,
  m.changed_at,
  FALSE,
  CAST(NULL AS TEXT),
  CAST((
    JSONB_BUILD_OBJECT('user_id', t."user_id", 'spent', t."spent")
  ) AS TEXT)
FROM "activate".memberships AS m
JOIN "analytics"."vip" AS t
  ON CAST(t."user_id" AS TEXT) = m.user_id
WHERE
  (
    m.segment = 'vip' AND m.change = 'enter'
  )
  AND m.changed_at >= CAST('2026-02-01 00:00:00.000000' AS TIMESTAMP)
  AND m.changed_at > :changed_journey
