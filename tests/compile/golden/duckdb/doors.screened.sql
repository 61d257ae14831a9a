-- Too late, or not in the audience.
CREATE TEMPORARY TABLE tick_screened AS
SELECT
  n.*,
  CASE
    WHEN n.is_late
    THEN 'trigger_too_late'
    WHEN m.entry_id IS NOT NULL
    THEN 'not_in_audience'
  END AS reason
FROM tick_new AS n
LEFT JOIN tick_door_misfits AS m
  ON m.entry_id = n.entry_id
