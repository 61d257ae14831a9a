-- The oldest entry that may have had a message since.
SELECT
  CASE
    WHEN COUNT(*) > COUNT(f.live_from)
    THEN CAST('0001-01-01' AS TIMESTAMP)
    WHEN MIN(f.live_from) < :late_from
    THEN MIN(f.live_from)
    ELSE :late_from
  END AS entries_from
FROM (
  SELECT
    s.campaign,
    MAX(s.live_from) AS live_from
  FROM "activate".scans AS s
  WHERE
    s.decided_at < :late_from
  GROUP BY
    s.campaign
) AS f
