-- Record those that came too late.
INSERT INTO "activate".audits (
  entry_id,
  message_id,
  kind,
  evidence,
  run_id,
  recorded_at
)
SELECT DISTINCT
  c.entry_id,
  c.message_id,
  'late_exception',
  v.event_id,
  :run_id,
  :now
FROM tick_late AS v
JOIN (
  SELECT
    e.entry_id,
    e.campaign,
    e.campaign_version,
    e.user_id,
    e.entered_at,
    e.occurrence_id,
    e.match_key,
    e.context,
    m.message_id,
    m.queued_at
  FROM "activate".messages AS m
  JOIN "activate".entries AS e
    ON e.entry_id = m.entry_id
  WHERE
    m.queued_at >= :late_from
    AND m.queued_at < :now
    AND e.recorded_at >= :entries_from
) AS c
  ON c.user_id = v.user_id
JOIN tick_exceptions AS x
  ON x.campaign = c.campaign
  AND x.campaign_version = c.campaign_version
  AND x.exception_id = v.exception_id
LEFT JOIN "activate".audits AS a
  ON a.entry_id = c.entry_id
  AND a.evidence = v.event_id
  AND a.message_id = c.message_id
WHERE
  v.happened_at >= c.entered_at
  AND v.happened_at <= c.queued_at
  AND v.loaded_at > c.queued_at
  AND v.event_id <> c.occurrence_id
  AND (
    NOT x.needs_match
    OR v.match_value = CASE
      WHEN x.secondary = 'cart_value'
      THEN JSON_EXTRACT_STRING(c.context, '$."cart_value"')
      ELSE c.match_key
    END
  )
  AND a.entry_id IS NULL
