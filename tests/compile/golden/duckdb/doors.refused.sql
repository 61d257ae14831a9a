-- Record the refusals.
INSERT INTO "activate".decisions (
  entry_id,
  campaign,
  step,
  user_id,
  outcome,
  gate,
  reason,
  run_id,
  decided_at,
  ends_entry,
  evidence,
  zone
)
SELECT
  d.entry_id,
  d.campaign,
  0,
  d.user_id,
  'suppress',
  CASE d.refusal
    WHEN 'trigger_too_late'
    THEN 'entry'
    WHEN 'not_in_audience'
    THEN 'audience'
    WHEN 'triggered_outside_window'
    THEN 'window'
    ELSE 're_entry'
  END,
  d.refusal,
  :run_id,
  :now,
  TRUE,
  CAST(NULL AS TEXT),
  o.zone
FROM tick_door AS d
LEFT JOIN tick_door_outside AS o
  ON o.entry_id = d.entry_id AND d.refusal = 'triggered_outside_window'
WHERE
  d.refusal IS NOT NULL
