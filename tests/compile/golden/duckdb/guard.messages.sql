-- The campaigns that would send more messages than their guard allows.
CREATE TEMPORARY TABLE tick_guarded AS
SELECT
  q.campaign,
  q.max_messages,
  q.approval_id,
  q.ceiling,
  COUNT(*) AS messages
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
JOIN tick_guards AS q
  ON q.campaign = s.campaign
LEFT JOIN tick_capped AS k
  ON k.entry_id = g.entry_id
WHERE
  g.control_group IS NULL AND k.entry_id IS NULL
GROUP BY
  q.campaign,
  q.max_messages,
  q.approval_id,
  q.ceiling
HAVING
  COUNT(*) > q.max_messages
