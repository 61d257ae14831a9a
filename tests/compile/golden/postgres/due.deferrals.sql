-- What was last said of those put off.
CREATE TEMPORARY TABLE tick_deferrals AS
SELECT
  l.entry_id,
  l.step,
  l.gate,
  l.reason,
  l.retry_at
FROM (
  SELECT
    d.entry_id,
    d.step,
    d.gate,
    d.reason,
    d.retry_at,
    ROW_NUMBER() OVER (
      PARTITION BY d.entry_id, d.step
      ORDER BY d.decided_at DESC, LENGTH(d.run_id) DESC, d.run_id DESC
    ) AS place
  FROM "activate".decisions AS d
  WHERE
    d.decided_at >= :live_from AND d.outcome = 'defer'
) AS l
WHERE
  l.place = 1
