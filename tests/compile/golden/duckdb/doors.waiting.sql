-- Entries of the same people that still wait for their first step.
CREATE TEMPORARY TABLE tick_waiting AS
SELECT
  e.entry_id,
  e.campaign,
  e.user_id,
  COALESCE(e.match_key, '') AS match_key
FROM "activate".entries AS e
JOIN tick_doors AS p
  ON p.campaign = e.campaign AND p.on_retrigger <> 'stack'
JOIN (
  SELECT DISTINCT
    n.campaign,
    n.user_id
  FROM tick_screened AS n
  WHERE
    n.reason IS NULL
) AS u
  ON u.campaign = e.campaign AND u.user_id = e.user_id
LEFT JOIN (
  SELECT
    d.entry_id
  FROM "activate".decisions AS d
  WHERE
    d.decided_at >= :live_from AND d.step > 0 AND d.outcome <> 'defer'
  GROUP BY
    d.entry_id
) AS f
  ON f.entry_id = e.entry_id
WHERE
  e.recorded_at >= :live_from AND f.entry_id IS NULL
