-- When the same people were last sent to, or last entered.
CREATE TEMPORARY TABLE tick_last_time AS
SELECT
  c.entry_id,
  MAX(h.happened_at) AS last_at
FROM tick_competed AS c
JOIN (
  SELECT
    m.campaign,
    m.user_id,
    m.queued_at AS happened_at,
    CAST(NULL AS TEXT) AS entry_id,
    FALSE AS of_entry
  FROM "activate".messages AS m
  LEFT JOIN (
    SELECT
      v.message_id
    FROM "activate".deliveries AS v
    WHERE
      v.final AND v.status IN ('rejected', 'failed', 'aborted', 'expired')
  ) AS r
    ON r.message_id = m.message_id
  WHERE
    r.message_id IS NULL
  UNION ALL
  SELECT
    d.campaign,
    d.user_id,
    d.decided_at,
    CAST(NULL AS TEXT),
    FALSE
  FROM "activate".decisions AS d
  WHERE
    d.outcome = 'withhold'
  UNION ALL
  SELECT
    e.campaign,
    e.user_id,
    e.recorded_at,
    e.entry_id,
    TRUE
  FROM "activate".entries AS e
) AS h
  ON h.campaign = c.campaign AND h.user_id = c.user_id AND h.of_entry = c.is_journey
LEFT JOIN tick_waiting AS w
  ON w.entry_id = h.entry_id
  AND c.on_retrigger = 'restart'
  AND w.match_key = COALESCE(c.match_key, '')
WHERE
  c.verdict IS NULL AND c.re_enter <> 'always' AND w.entry_id IS NULL
GROUP BY
  c.entry_id
