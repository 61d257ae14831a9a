-- Record the decisions that are new.
INSERT INTO "activate".decisions (
  entry_id,
  message_id,
  campaign,
  step,
  user_id,
  channel,
  outcome,
  gate,
  reason,
  retry_at,
  run_id,
  decided_at,
  due_at,
  rule,
  evidence,
  observed,
  zone,
  ends_entry
)
SELECT
  v.entry_id,
  CASE WHEN r.outcome = 'send' THEN v.message_id END,
  s.campaign,
  s.step,
  v.user_id,
  CASE
    WHEN NOT r.gate IN ('active', 'exception', 'audience', 'consent')
    THEN v.channel
  END,
  r.outcome,
  r.gate,
  r.reason,
  v.retry_at,
  :run_id,
  :now,
  v.due_at,
  v.rule,
  v.evidence,
  v.observed,
  CASE
    WHEN s.window_id IS NULL
    THEN v.own_zone
    ELSE COALESCE(s.window_zone, v.own_zone, s.fallback_zone)
  END,
  CASE
    WHEN r.outcome = 'defer'
    THEN FALSE
    WHEN r.outcome = 'suppress'
    THEN r.ends_always OR s.ends_if_suppressed
    ELSE s.is_last
  END
FROM (
  SELECT
    g.entry_id,
    g.message_id,
    g.user_id,
    g.step_id,
    g.channel,
    g.due_at,
    g.own_zone,
    CASE
      WHEN NOT g.verdict IS NULL
      THEN g.verdict
      WHEN NOT b.entry_id IS NULL
      THEN 19
      WHEN g.expires_at <= :now
      THEN 20
      WHEN y.retry_at < g.expires_at
      THEN 22
      WHEN NOT k.entry_id IS NULL
      THEN 23
      WHEN NOT h.step_id IS NULL
      THEN 24
      WHEN g.control_group = 'global'
      THEN 26
      WHEN g.control_group = 'campaign'
      THEN 25
      ELSE 27
    END AS verdict,
    CAST(CASE
      WHEN g.verdict = 6
      THEN g.exit_event_id
      WHEN NOT b.entry_id IS NULL
      THEN b.kept_entry_id
      WHEN NOT k.entry_id IS NULL
      THEN k.evidence
      WHEN NOT h.step_id IS NULL
      THEN CAST(h.max_messages AS TEXT)
      ELSE NULL
    END AS TEXT) AS evidence,
    CAST(CASE
      WHEN g.verdict = 17
      THEN g.opens_at
      WHEN y.retry_at < g.expires_at
      THEN y.retry_at
      ELSE NULL
    END AS TIMESTAMP) AS retry_at,
    CAST(CASE
      WHEN NOT h.step_id IS NULL
      THEN 'guard.max_messages'
      ELSE 'frequency_caps[' || CAST(k.cap AS TEXT) || ']'
    END AS TEXT) AS rule,
    CAST(CASE WHEN NOT h.step_id IS NULL THEN h.messages ELSE k.observed END AS BIGINT) AS observed
  FROM tick_gated AS g
  LEFT JOIN tick_superseded AS b
    ON b.entry_id = g.entry_id
  LEFT JOIN tick_capped AS k
    ON k.entry_id = g.entry_id
  LEFT JOIN tick_retry AS y
    ON y.entry_id = g.entry_id
  LEFT JOIN tick_held AS h
    ON h.step_id = g.step_id
    AND g.verdict IS NULL
    AND g.expires_at > :now
    AND b.entry_id IS NULL
    AND k.entry_id IS NULL
) AS v
JOIN tick_steps AS s
  ON s.step_id = v.step_id
JOIN tick_verdicts AS r
  ON r.verdict = v.verdict
LEFT JOIN tick_deferrals AS l
  ON l.entry_id = v.entry_id
  AND l.step = s.step
  AND l.gate = r.gate
  AND l.reason = r.reason
  AND (
    l.retry_at = v.retry_at OR l.retry_at IS NULL AND v.retry_at IS NULL
  )
WHERE
  l.entry_id IS NULL
