-- What a second trigger does during the wait.
CREATE TEMPORARY TABLE tick_competed AS
SELECT
  c.*,
  CASE
    WHEN c.reason IS NOT NULL
    THEN c.reason
    WHEN c.on_retrigger = 'ignore'
    AND (
      c.waiting_entry_id IS NOT NULL OR c.from_first > 1
    )
    THEN 'already_waiting'
    WHEN c.on_retrigger = 'restart' AND c.from_last > 1
    THEN 'restarted'
  END AS verdict
FROM (
  SELECT
    n.*,
    p.on_retrigger,
    p.is_journey,
    p.re_enter,
    p.eligible_before,
    p.once_per_tick,
    w.waiting_entry_id,
    ROW_NUMBER() OVER (
      PARTITION BY n.campaign, n.user_id, COALESCE(n.match_key, ''), n.reason IS NULL
      ORDER BY n.entered_at, n.entry_id
    ) AS from_first,
    ROW_NUMBER() OVER (
      PARTITION BY n.campaign, n.user_id, COALESCE(n.match_key, ''), n.reason IS NULL
      ORDER BY n.entered_at DESC, n.entry_id DESC
    ) AS from_last
  FROM tick_screened AS n
  JOIN tick_doors AS p
    ON p.campaign = n.campaign
  LEFT JOIN (
    SELECT
      w.campaign,
      w.user_id,
      w.match_key,
      MIN(w.entry_id) AS waiting_entry_id
    FROM tick_waiting AS w
    GROUP BY
      w.campaign,
      w.user_id,
      w.match_key
  ) AS w
    ON w.campaign = n.campaign
    AND w.user_id = n.user_id
    AND w.match_key = COALESCE(n.match_key, '')
) AS c
