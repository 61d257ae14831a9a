-- How far each open entry has come.
CREATE TEMPORARY TABLE tick_progress AS
SELECT
  d.entry_id,
  MAX(d.step) AS step,
  MAX(d.decided_at) AS decided_at,
  MAX(CASE WHEN d.ends_entry THEN 1 ELSE 0 END) AS ended
FROM "activate".decisions AS d
WHERE
  d.decided_at >= :live_from AND d.step > 0 AND d.outcome <> 'defer'
GROUP BY
  d.entry_id
