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
  evidence
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
    ELSE 're_entry'
  END,
  d.refusal,
  :run_id,
  :now,
  TRUE,
  CAST(NULL AS TEXT)
FROM tick_door AS d
WHERE
  d.refusal IS NOT NULL
