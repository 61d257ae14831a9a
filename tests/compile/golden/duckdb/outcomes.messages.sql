-- Queue the messages.
INSERT INTO "activate".messages (
  message_id,
  entry_id,
  campaign,
  step,
  variant,
  user_id,
  channel,
  provider,
  class,
  tags,
  expires_at,
  run_id,
  queued_at,
  send_by,
  counts_toward_caps,
  template,
  priority
)
SELECT
  g.message_id,
  g.entry_id,
  s.campaign,
  s.step,
  g.variant,
  g.user_id,
  g.channel,
  CASE WHEN g.channel = 'push' THEN 'pusher' WHEN g.channel = 'email' THEN 'mailer' END,
  s.class,
  s.tags,
  g.expires_at,
  :run_id,
  :now,
  g.send_by,
  s.counts,
  s.template,
  s.priority
FROM (
  SELECT
    g.*
  FROM tick_gated AS g
  LEFT JOIN tick_superseded AS b
    ON b.entry_id = g.entry_id
  WHERE
    (
      g.verdict IS NULL AND g.expires_at > :now
    ) AND b.entry_id IS NULL
) AS g
JOIN tick_steps AS s
  ON s.step_id = g.step_id
LEFT JOIN tick_capped AS k
  ON k.entry_id = g.entry_id
LEFT JOIN tick_held AS h
  ON h.step_id = g.step_id
WHERE
  (
    g.control_group IS NULL AND k.entry_id IS NULL
  ) AND h.step_id IS NULL
