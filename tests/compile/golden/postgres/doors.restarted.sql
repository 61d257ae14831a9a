-- End the waits that start anew.
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
  w.entry_id,
  w.campaign,
  1,
  w.user_id,
  'suppress',
  're_entry',
  'restarted',
  :run_id,
  :now,
  TRUE,
  d.entry_id
FROM tick_door AS d
JOIN tick_waiting AS w
  ON w.campaign = d.campaign
  AND w.user_id = d.user_id
  AND w.match_key = COALESCE(d.match_key, '')
WHERE
  d.refusal IS NULL AND d.on_retrigger = 'restart'
